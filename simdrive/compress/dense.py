"""A second task for the vision tower while it trains: say what stands in each column of a picture, before there are words.

Cross-entropy on a few words per picture teaches a vision tower slowly. The truth of every column is known exactly
(``simdrive.compress.columns``), so one small head, the same for all picture tokens, learns it beside the words; the head
is thrown away after training.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from simdrive.agents.language.sights import KINDS, MOTIONS, PLACES
from simdrive.compress.columns import CELL_PX, DEPTH, FORWARD, KIND, OFFSET, PLACE, RIGHT, WORD
from simdrive.errors import ParameterError
from simdrive.models.processor import Processor
from simdrive.types import Float

# What the head gives out: whether anything is there, four numbers, and three choices.
_NUMBERS = ((DEPTH, 1.0), (FORWARD, 0.5), (RIGHT, 0.5), (OFFSET, 0.5))  # and their weights
_CHOICES = ((KIND, len(KINDS), 0.3), (PLACE, len(PLACES), 0.3), (WORD, len(MOTIONS), 0.3))  # with length and weight
OUT = 1 + len(_NUMBERS) + sum(length for _, length, _ in _CHOICES)
_FORWARD_MPS, _RIGHT_MPS, _OFFSET_M = 5.0, 3.0, 3.0  # what counts as one


class DenseHead(torch.nn.Module):
    """Reads the columns of a request's pictures off its picture tokens."""

    def __init__(self, processor: Processor, width: int, hidden: int = 256) -> None:
        super().__init__()
        self.slots = sum(processor.slots)
        if processor.patch_px * processor.merge % CELL_PX:
            raise ParameterError(
                f"the dense task needs picture tokens of a multiple of {CELL_PX} pixels; set train.dense=0"
            )
        self.cells = processor.patch_px * processor.merge // CELL_PX
        places = processor.spread(np.arange(self.slots, dtype=np.float64)[None])[0]  # [camera, rows, columns]
        self.places: torch.Tensor
        self.register_buffer("places", torch.from_numpy(places.astype(np.int64)), persistent=False)
        self.layers = torch.nn.Sequential(
            torch.nn.LayerNorm(width), torch.nn.Linear(width, hidden), torch.nn.GELU(),
            torch.nn.Linear(hidden, self.cells * OUT),
        )  # fmt: skip

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return ``[N, camera, columns, values]`` of picture tokens ``[..., width]``, all of one request in a row."""
        found: torch.Tensor = self.layers(tokens.reshape(-1, self.slots, tokens.shape[-1]))
        spread = found[:, self.places].mean(dim=2)  # rows of tokens, one above the other, share their columns
        return spread.reshape(len(found), len(self.places), -1, OUT)


def dense_loss(found: torch.Tensor, truth: Float) -> torch.Tensor:
    """Return how far a head's answers ``[N, camera, columns, values]`` are from the truth of ``columns``.

    A sum of cross-entropies and robust errors: distances count by their logarithm, motion by what matters at once.
    """
    right = torch.as_tensor(truth, dtype=torch.float32, device=found.device)
    there = right[..., 0] > 0.0
    loss = F.binary_cross_entropy_with_logits(found[..., 0], there.float())
    if not bool(there.any()):
        return loss
    seen, true = found[there], right[there]
    for place, (column, weight) in enumerate(_NUMBERS, start=1):
        known = true[:, PLACE] > 0.0 if column == OFFSET else slice(None)
        wanted = _scaled(column, true[known, column])
        if len(wanted):
            loss = loss + weight * F.smooth_l1_loss(seen[known, place], wanted, beta=0.1)
    start = 1 + len(_NUMBERS)
    for column, length, weight in _CHOICES:
        choice = true[:, column].long() - 1  # -1 = unknown
        if bool((choice >= 0).any()):
            loss = loss + weight * F.cross_entropy(seen[:, start : start + length], choice, ignore_index=-1)
        start += length
    return loss


def _scaled(column: int, value: torch.Tensor) -> torch.Tensor:
    """Return a number of the truth as the head shall say it: distances by their logarithm, far offsets alike."""
    if column == DEPTH:
        return value.log1p()
    if column == OFFSET:
        return (value / _OFFSET_M).clamp(-4.0, 4.0)
    return value / (_FORWARD_MPS if column == FORWARD else _RIGHT_MPS)
