"""Driving answers as text, and back: ``speed -0.5 -1 -2 side 0m 0.25m``. Strict: whatever is not the form is unparsable."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from simdrive.agents.language.targets import CHANGES_MPS, SIDES_M, Targets
from simdrive.types import Bool, Float

MOST_CHANGE_MPS, MOST_SIDE_M = 40.0, 12.0  # beyond that an answer is no driving
_NUMBER = r"([+-]?\d{1,2}(?:\.\d{1,3})?)"
_ANSWER = re.compile(rf"(?:^|\s)speed {_NUMBER} {_NUMBER} {_NUMBER} side {_NUMBER}m {_NUMBER}m\s*$")


def said(value: float) -> str:
    """Return a number as answers write it: no trailing zeros, no minus before nothing."""
    return f"{value + 0.0:g}"


def said_side(value: float) -> str:
    """Return an offset as answers write it: metres to the right of the route."""
    return f"{said(value)}m"


def texts_of(targets: Targets) -> list[str]:
    """Return the driving answers of N requests as text."""
    return [
        f"speed {' '.join(map(said, change))} side {' '.join(map(said_side, side))}"
        for change, side in zip(targets.change_mps.tolist(), targets.side_m.tolist(), strict=True)
    ]


def targets_from(texts: Sequence[str]) -> tuple[Targets, Bool]:
    """Return the targets at the end of N answers, and ``[N]`` which answers have them; the rest says hold on."""
    change: Float = np.zeros((len(texts), 3))
    side: Float = np.zeros((len(texts), 2))
    good = np.zeros(len(texts), np.bool_)
    for row, text in enumerate(texts):
        match = _ANSWER.search(text)
        if match is None:
            continue
        numbers = [float(group) for group in match.groups()]
        if max(map(abs, numbers[:3])) > MOST_CHANGE_MPS or max(map(abs, numbers[3:])) > MOST_SIDE_M:
            continue
        change[row], side[row], good[row] = numbers[:3], numbers[3:], True
    return Targets(change, side), good


def vocabulary() -> tuple[tuple[str, ...], ...]:
    """Return the words that a model's driving answer may have at each place."""
    changes, sides = tuple(map(said, CHANGES_MPS.tolist())), tuple(map(said_side, SIDES_M.tolist()))
    return (("speed",), changes, changes, changes, ("side",), sides, sides)
