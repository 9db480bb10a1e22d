"""How much each layer, head and inner channel matters: the common form of every criterion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from simdrive.models.anatomy import PARTS, Layer, Rows, layers_of

PerWeight = Callable[[torch.Tensor], torch.Tensor]  # the same shape as the weight


@dataclass(frozen=True)
class PartScores:
    """Scores of one half of a model with L layers; larger matters more."""

    layers: torch.Tensor  # [L]
    heads: torch.Tensor  # [L, H] of query heads
    ffn: torch.Tensor  # [L, F]


Scores = Mapping[str, PartScores]  # by part


def unit_sums(model: Any, of: PerWeight) -> Scores:
    """Return the sums of something per weight over the weights that belong to each unit alone.

    To a query head belong its rows of the query map and its columns of the output map, and in equal shares with the others
    of its group the rows of its keys and values; to an inner channel its rows and its column; to a layer all its matrices.
    """
    found: dict[str, PartScores] = {}
    for part in PARTS:
        layers = layers_of(model, part)
        found[part] = PartScores(
            torch.stack([torch.stack([of(linear.weight).sum() for linear in layer.linears]).sum() for layer in layers]),
            torch.stack([_heads(layer, of) for layer in layers]),
            torch.stack([_ffn(layer, of) for layer in layers]),
        )
    return found


def _heads(layer: Layer, of: PerWeight) -> torch.Tensor:
    def rows(part: Rows, heads: int) -> torch.Tensor:
        return part.of(of(part.linear.weight)).reshape(heads, -1).sum(1)

    group = layer.heads // layer.kv_heads
    shared = rows(layer.key, layer.kv_heads) + rows(layer.value, layer.kv_heads)
    out = of(layer.out.weight).sum(0).reshape(layer.heads, -1).sum(1)
    return rows(layer.query, layer.heads) + out + shared.repeat_interleave(group) / group


def _ffn(layer: Layer, of: PerWeight) -> torch.Tensor:
    wide = torch.stack([of(linear.weight).sum(1) for linear in layer.widening]).sum(0)
    return wide + of(layer.narrowing.weight).sum(0)


def magnitude(model: Any) -> Scores:
    """Return the sums of the absolute weights."""
    with torch.no_grad():
        return unit_sums(model, lambda weight: weight.detach().abs().float())


def combined(parts: list[Scores], join: Callable[[list[torch.Tensor]], torch.Tensor]) -> Scores:
    """Return scores made of several of the same model, tensor by tensor."""
    return {
        part: PartScores(*(join([getattr(one[part], name) for one in parts]) for name in ("layers", "heads", "ffn")))
        for part in parts[0]
    }
