"""What the terms of a distillation compare: the layers that carry a capability, seen through attention or hidden states.

Layers as in Drive-KD (arXiv 2601.21288, public code), counted from 0: perception the first, planning the penultimate,
reasoning all but the last, matched in groups where the teacher is deeper. Its own signal is ``attention``: text to
pictures for perception and planning, whole maps for reasoning. The others are the arms of its ablation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from simdrive.compress.distill.attention import (
    head_mean,
    layer_groups,
    masked_cosine,
    masked_difference,
    text_to_vision,
)
from simdrive.compress.distill.names import COSINE, HIDDEN_COSINE, WHOLE

ByLayer = Mapping[int, torch.Tensor]


@dataclass(frozen=True)
class Tokens:
    """Which tokens of a batch are what, ``[N, S]`` each."""

    is_image: torch.Tensor
    counts: torch.Tensor  # there at all; padding is not


def layer_pairs(capability: str, own: int, theirs: int) -> list[tuple[int, list[int]]]:
    """Return which of the student's ``own`` layers learns from the mean of which of the teacher's."""
    if capability == "perception":
        return [(0, [0])]
    if capability == "planning":
        return [(max(own - 2, 0), [max(theirs - 2, 0)])]
    groups = layer_groups(max(own - 1, 1), max(theirs - 1, 1))
    return [(layer, list(group)) for layer, group in enumerate(groups)]


def layers_of(capabilities: Sequence[str], own: int, theirs: int) -> tuple[list[int], list[int]]:
    """Return which layers of student and teacher have to be kept for the terms of ``capabilities``."""
    pairs = [pair for name in capabilities for pair in layer_pairs(name, own, theirs)]
    return sorted({layer for layer, _ in pairs}), sorted({layer for _, group in pairs for layer in group})


def attention_loss(
    capability: str, signal: str, own: ByLayer, theirs: ByLayer, tokens: Tokens, depths: tuple[int, int]
) -> torch.Tensor:
    """Return the loss of a capability between attention maps ``[N, heads, S, S]`` by layer.

    Args:
        capability: of ``layer_pairs``.
        signal: ``attention``, ``attention_cosine`` or ``whole_attention``.
        own: maps of the student's layers. theirs: of the teacher's.
        tokens: of the batch.
        depths: language layers of student and teacher.
    """
    counts = tokens.counts
    if capability == "reasoning" or signal == WHOLE:
        mask = counts[:, :, None] & counts[:, None, :]
    else:
        mask = text_to_vision(tokens.is_image, counts)
    compared = masked_cosine if signal == COSINE else masked_difference
    losses = []
    for layer, group in layer_pairs(capability, *depths):
        wanted = torch.stack([head_mean(theirs[k]) for k in group]).mean(dim=0)
        losses.append(compared(head_mean(own[layer]), wanted, mask))
    return torch.stack(losses).mean()


def state_loss(
    capability: str, signal: str, own: ByLayer, theirs: ByLayer, tokens: Tokens, depths: tuple[int, int],
    widen: torch.nn.ModuleDict,
) -> torch.Tensor:  # fmt: skip
    """Return the loss of a capability between hidden states ``[N, S, width]`` by layer.

    ``widen`` has a linear map from the student's width to the teacher's for each of the student's layers (``widening``).
    Squared differences are measured against the mean square of the teacher's states, which differs much between layers.
    """
    losses = []
    for layer, group in layer_pairs(capability, *depths):
        wanted = torch.stack([theirs[k].detach().float() for k in group]).mean(dim=0)[tokens.counts]
        found = widen[str(layer)](own[layer].float()[tokens.counts])
        if signal == HIDDEN_COSINE:
            losses.append((1.0 - F.cosine_similarity(found, wanted, dim=-1)).mean())
        else:
            losses.append((found - wanted).square().mean() / wanted.square().mean().clamp(min=1e-12))
    return torch.stack(losses).mean()


def widening(layers: Sequence[int], own_width: int, their_width: int, seed: int = 0) -> torch.nn.ModuleDict:
    """Return linear maps of hidden states, drawn anew; they are trained beside the student and thrown away."""
    drawn = torch.Generator().manual_seed(seed)
    maps = {str(k): torch.nn.Linear(own_width, their_width, bias=False) for k in layers}
    for each in maps.values():
        torch.nn.init.uniform_(each.weight, -(own_width**-0.5), own_width**-0.5, generator=drawn)
    return torch.nn.ModuleDict(maps)
