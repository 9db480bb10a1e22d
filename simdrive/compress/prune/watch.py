"""What flows through a model while it answers: inputs of the maps that units end in, and what each layer adds.

Removing a head or an inner channel sets the input of its output map to zero there. So the first-order change of the loss is
the input times its gradient, summed over tokens (Molchanov et al. 2017, arXiv 1611.06440).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from simdrive.models.anatomy import PARTS, Layer, layers_of


@dataclass
class Seen:
    """Of one layer and one pass; tensors ``[..., width]`` as the layer had them."""

    heads: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # input of the attention's output map
    ffn: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # input of the narrowing map
    before: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # the stream
    after: torch.Tensor = field(default_factory=lambda: torch.empty(0))


@contextmanager
def watched(model: Any) -> Iterator[dict[str, list[tuple[Layer, Seen]]]]:
    """Collect what each layer sees, by part; a later pass replaces an earlier one. Gradients are kept where they flow."""
    found = {part: [(layer, Seen()) for layer in layers_of(model, part)] for part in PARTS}
    hooks = []
    for layer, seen in (pair for pairs in found.values() for pair in pairs):
        hooks.append(layer.out.register_forward_pre_hook(_keep_input(seen, "heads")))
        hooks.append(layer.narrowing.register_forward_pre_hook(_keep_input(seen, "ffn")))
        hooks.append(layer.module.register_forward_hook(_keep_stream(seen), with_kwargs=True))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _kept(value: torch.Tensor) -> torch.Tensor:
    if value.requires_grad:
        value.retain_grad()
    return value


def _keep_input(seen: Seen, name: str) -> Any:
    def hook(module: Any, given: tuple[torch.Tensor, ...]) -> None:
        setattr(seen, name, _kept(given[0]))

    return hook


def _keep_stream(seen: Seen) -> Any:
    def hook(module: Any, given: tuple[torch.Tensor, ...], named: dict[str, Any], out: Any) -> None:
        seen.before = given[0] if given else named["hidden_states"]
        seen.after = _kept(out[0] if isinstance(out, tuple) else out)

    return hook


def by_sample(values: torch.Tensor, samples: int) -> torch.Tensor:
    """Return ``[samples, tokens, width]``: tiles and patches of one sample follow each other in both families."""
    return values.reshape(samples, -1, values.shape[-1])
