"""How much each term of a distillation counts: mixed by question type, and adjusted while training.

Both as in the public code of Drive-KD (arXiv 2601.21288): a row of the mixing matrix per question type, and weights that
GradNorm (Chen et al. 2018, arXiv 1711.02257) with alpha = 0 keeps so that all terms pull equally hard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from simdrive.compress.distill.names import CAPABILITIES, SUPERVISED
from simdrive.errors import UnknownNameError

MIXING: Mapping[str, tuple[float, float, float]] = {
    "perception": (0.8, 0.1, 0.1), "reasoning": (0.1, 0.8, 0.1), "planning": (0.1, 0.1, 0.8),
}  # fmt: skip
_LEAST, _MOST, _FLOOR = 1e-6, 1e6, 1e-8
LEAST_SUPERVISED = 0.6


def mixing_row(question_type: str, matrix: Mapping[str, Sequence[float]] = MIXING) -> dict[str, float]:
    """Return how much each capability's teacher counts for a question, summing to one.

    Raises:
        UnknownNameError: if the matrix has no such row.
    """
    if question_type not in matrix:
        raise UnknownNameError("question type", question_type, matrix)
    row = matrix[question_type]
    return {name: value / sum(row) for name, value in zip(CAPABILITIES, row, strict=True)}


def mixing_of(asked: Sequence[str]) -> dict[str, float]:
    """Return the mean of the rows of several questions asked at once."""
    rows = [mixing_row(one) for one in asked]
    return {name: sum(row[name] for row in rows) / len(rows) for name in CAPABILITIES}


class OnlineWeights:
    """Weights of terms that learn to make the terms' weighted gradients equally long.

    ``w = softplus(a) + 1e-8``, the supervised one at least 0.6; after each step all are scaled so that they sum to what
    the static ones sum to.
    """

    def __init__(self, terms: Sequence[str], static: Mapping[str, float] | None = None, rate: float = 3e-4) -> None:
        """Start at the static weights (default 1 for each term)."""
        self.terms = tuple(terms)
        start = torch.tensor([float((static or {}).get(term, 1.0)) for term in terms], dtype=torch.float64)
        self._sum, self._share = start.sum(), start / start.sum()
        self._a = _inverse_softplus(start).requires_grad_()
        self._optimizer = torch.optim.AdamW([self._a], lr=rate, betas=(0.9, 0.99), weight_decay=0.0)

    def weights(self) -> dict[str, float]:
        """Return the present weights."""
        return dict(zip(self.terms, self._weights().tolist(), strict=True))

    def step(self, norms: Mapping[str, float]) -> None:
        """Adjust to the lengths of the terms' raw gradients, averaged over an optimizer step."""
        lengths = torch.tensor([norms[term] for term in self.terms], dtype=torch.float64)
        pulls = self._weights() * lengths
        loss = (pulls - self._share * pulls.sum()).abs().sum()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        with torch.no_grad():
            new = self._weights()
            self._a.copy_(_inverse_softplus((new * self._sum / new.sum()).clamp(_LEAST, _MOST)))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, as plain numbers."""
        moments = self._optimizer.state_dict()["state"].get(0, {})
        return {"a": self._a.detach().tolist(), **{name: value.tolist() for name, value in moments.items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go back to a kept state."""
        with torch.no_grad():
            self._a.copy_(torch.tensor(state["a"], dtype=torch.float64))
        kept = {name: torch.tensor(value, dtype=torch.float32 if name == "step" else torch.float64)
                for name, value in state.items() if name != "a"}  # fmt: skip
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": {0: kept} if kept else {}, "param_groups": groups})

    def _weights(self) -> torch.Tensor:
        found = (F.softplus(self._a) + _FLOOR).clamp(_LEAST, _MOST)
        if SUPERVISED in self.terms:
            floor = torch.zeros_like(found)
            floor[self.terms.index(SUPERVISED)] = LEAST_SUPERVISED
            found = torch.maximum(found, floor)
        return found


def _inverse_softplus(value: torch.Tensor) -> torch.Tensor:
    positive = (value - _FLOOR).clamp(min=_FLOOR)
    return positive + torch.log(-torch.expm1(-positive))
