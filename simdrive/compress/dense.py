"""A second task for the vision tower while it trains: say at once what stands where, before there are words for it.

Cross-entropy on a few words per picture teaches a vision tower slowly. The renderer knows every visible actor, so a head
on the picture tokens learns the nearest one of each place beside the road: whether there is one, how far, how it moves,
what it is. The head is thrown away after training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from simdrive.agents.language.sights import KINDS, MOTIONS, PLACES
from simdrive.types import Float, Long

FARTHEST_M = 150.0  # actors beyond are not asked for
_OUT = 3 + len(MOTIONS) + len(KINDS)  # present, distance, offset, motion, kind
_KIND_OF = {name: number for number, name in enumerate(KINDS.values())}


@dataclass(frozen=True)
class Nearest:
    """The nearest visible actor of each place, ``[N, PLACES]``; where there is none the rest means nothing."""

    present: Float
    distance: Float  # log(1 + metres ahead along the route)
    offset_m: Float  # to the right of the route
    motion: Long
    kind: Long

    def rows(self, rows: Long) -> Nearest:
        """Return some rows."""
        return Nearest(*(value[rows] for value in vars(self).values()))


def nearest_of(visible: Sequence[str]) -> Nearest:
    """Return the nearest actors of N rows from their lists of visible actors (JSON)."""
    shape = (len(visible), len(PLACES))
    present, distance, offset = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    motion, kind = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, text in enumerate(visible):
        for actor in sorted(json.loads(text), key=lambda one: -float(one["ahead_m"])):  # the nearest is written last
            place, ahead = PLACES.index(actor["place"]), max(float(actor["ahead_m"]), 0.0)
            if ahead > FARTHEST_M:
                continue
            present[row, place], distance[row, place] = 1.0, np.log1p(ahead)
            offset[row, place] = actor["offset_m"]
            motion[row, place], kind[row, place] = MOTIONS.index(actor["motion"]), _KIND_OF[actor["kind"]]
    return Nearest(present, distance, offset, motion, kind)


class DenseHead(torch.nn.Module):
    """Reads the nearest actors off the picture tokens of a request."""

    def __init__(self, slots: int, width: int, hidden: int = 256) -> None:
        super().__init__()
        self.slots = slots
        self.layers = torch.nn.Sequential(
            torch.nn.LayerNorm(slots * width), torch.nn.Linear(slots * width, hidden), torch.nn.GELU(),
            torch.nn.Linear(hidden, len(PLACES) * _OUT),
        )  # fmt: skip

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return ``[N, PLACES, values]`` of picture tokens ``[..., width]``, all of one request in a row."""
        found: torch.Tensor = self.layers(tokens.reshape(-1, self.slots * tokens.shape[-1]))
        return found.view(len(found), len(PLACES), _OUT)


def dense_loss(found: torch.Tensor, truth: Nearest) -> torch.Tensor:
    """Return how far a head's answers ``[N, PLACES, values]`` are from the truth: a sum of cross-entropies and errors."""
    present = torch.as_tensor(truth.present, dtype=torch.float32, device=found.device)
    loss = F.binary_cross_entropy_with_logits(found[..., 0], present)
    there = present > 0.0
    if not bool(there.any()):
        return loss
    seen, motions = found[there], 3 + len(MOTIONS)

    def real(values: Any) -> torch.Tensor:
        return torch.as_tensor(values, device=found.device)[there]

    loss = loss + F.smooth_l1_loss(seen[:, 1], real(truth.distance).float(), beta=0.1)
    loss = loss + 0.5 * F.smooth_l1_loss(seen[:, 2], real(truth.offset_m).float().clamp(-15.0, 15.0) / 4.0, beta=0.1)
    loss = loss + 0.3 * F.cross_entropy(seen[:, 3:motions], real(truth.motion))
    return loss + 0.3 * F.cross_entropy(seen[:, motions:], real(truth.kind))
