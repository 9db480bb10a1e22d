"""Giving a model from drawn weights the vision tower of a trained one, as the members of released families share theirs.

InternVL3-1B, -2B and -8B all see through InternViT-300M (Zhu et al. 2025, arXiv:2504.10479, table 1): what makes a member
small is its language model. A student of that kind begins with eyes that see.
"""

from __future__ import annotations

from typing import Any

import torch

from simdrive.compress.parts import modules_of
from simdrive.errors import ParameterError
from simdrive.models.anatomy import VISION, head_counts


def share_vision(model: Any, trained: Any, source: str) -> None:
    """Copy the vision tower of ``trained`` (called ``source`` in errors) into ``model``, in place; not its projector.

    Raises:
        ParameterError: if the towers differ in kind or size.
    """
    kinds = model.config.model_type, trained.config.model_type
    if kinds[0] != kinds[1]:
        raise ParameterError(f"{source} is of family {kinds[1]}, the model of {kinds[0]}; set shape.family={kinds[1]}")
    own, theirs = modules_of(model, "vision"), modules_of(trained, "vision")
    have, give = _sizes(model, own), _sizes(trained, theirs)
    if have != give:
        name = next(name for name in (*give, *have) if have.get(name) != give.get(name))
        raise ParameterError(
            f"the vision tower of {source} does not fit: {name} is {give.get(name, 'absent')} there and "
            f"{have.get(name, 'absent')} here; set shape.vision_width, vision_layers, vision_heads and vision_ffn to its"
        )
    for one, other in zip(own, theirs, strict=True):
        one.load_state_dict(other.state_dict())


def _sizes(model: Any, modules: list[torch.nn.Module]) -> dict[str, Any]:
    sizes: dict[str, Any] = {"heads": head_counts(model, VISION)[0]}
    for module in modules:
        sizes |= {name: tuple(value.shape) for name, value in module.state_dict().items()}
    return sizes
