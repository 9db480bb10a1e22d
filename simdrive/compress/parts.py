"""The parts of a model that training treats apart: some are not trained, some by another optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from simdrive.errors import UnknownNameError

PARTS = ("vision", "projector", "language")
_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "internvl": {"vision": ("vision_tower",), "projector": ("multi_modal_projector",), "language": ("language_model",)},
    "qwen2_5_vl": {"vision": ("visual.patch_embed", "visual.blocks"), "projector": ("visual.merger",),
                   "language": ("language_model",)},
}  # fmt: skip


def modules_of(model: Any, part: str) -> list[torch.nn.Module]:
    """Return the modules that make up a part.

    Raises:
        UnknownNameError: if there is no such part.
    """
    if part not in PARTS:
        raise UnknownNameError("part of a model", part, PARTS)
    return [model.model.get_submodule(name) for name in _NAMES[model.config.model_type][part]]


def freeze(model: Any, parts: Sequence[str]) -> None:
    """Take ``parts`` of a model out of training; the others stay as they are.

    Raises:
        UnknownNameError: if there is no such part.
    """
    for module in (module for part in parts for module in modules_of(model, part)):
        module.requires_grad_(False)


def matrices_of(model: Any, parts: Sequence[str]) -> list[torch.Tensor]:
    """Return the trained weights ``[out, in]`` of the linear maps of ``parts``; embeddings are tables, not maps.

    Raises:
        UnknownNameError: if there is no such part.
    """
    found = [module for part in parts for top in modules_of(model, part) for module in top.modules()]
    return [one.weight for one in found if isinstance(one, torch.nn.Linear) and one.weight.requires_grad]
