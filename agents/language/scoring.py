"""How good answers are: exact, word by word, and balanced, so that saying the commonest thing earns little."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simdrive.agents.language.codec import targets_from


@dataclass(frozen=True)
class Score:
    """Answers of one question type against the truth."""

    count: int
    exact: float  # share of answers that are right to the last word
    balanced: float  # the same, averaged over the different right answers instead of over the questions
    majority: float  # exact share of always giving the commonest right answer
    majority_balanced: float  # its balanced share: one over the number of different right answers


def score(given: Sequence[str], right: Sequence[str]) -> Score:
    """Return the score of answers.

    Raises:
        ValueError: if there is none, or not one right answer for each.
    """
    if not right or len(given) != len(right):
        raise ValueError(f"{len(given)} answers cannot be held against {len(right)} right ones")
    hits: dict[str, list[bool]] = defaultdict(list)
    for said, true in zip(given, right, strict=True):
        hits[true].append(said == true)
    commonest = Counter(right).most_common(1)[0][1]
    return Score(
        count=len(right),
        exact=float(np.mean([said == true for said, true in zip(given, right, strict=True)])),
        balanced=float(np.mean([np.mean(row) for row in hits.values()])),
        majority=commonest / len(right),
        majority_balanced=1.0 / len(hits),
    )


@dataclass(frozen=True)
class DrivingScore:
    """Driving answers against the expert's."""

    count: int
    unparsable: float  # share
    speed_error_mps: tuple[float, float, float]  # mean absolute, after 1, 2 and 4 s
    side_error_m: tuple[float, float]  # mean absolute, after 2 and 4 s
    brakes_found: (
        float  # of those that brake hard, the share whose answer brakes half as hard or harder; NaN without any
    )
    brakes_for_nothing: float  # of those that keep on, the share whose answer brakes

    @property
    def mean_speed_error_mps(self) -> float:
        """Mean over the three times."""
        return float(np.mean(self.speed_error_mps))


HARD_MPS, KEEPS_MPS, BRAKES_MPS = -3.0, -0.5, -1.5  # change of speed after 1 s


def driving_score(given: Sequence[str], right: Sequence[str]) -> DrivingScore:
    """Return how far driving answers are from the right ones; an unparsable answer counts as going on.

    Raises:
        ValueError: if there is none, not one right answer for each, or a right one is none.
    """
    if not right or len(given) != len(right):
        raise ValueError(f"{len(given)} answers cannot be held against {len(right)} right ones")
    said, good = targets_from(given)
    true, sound = targets_from(right)
    if not sound.all():
        raise ValueError(f"{right[int(np.argmin(sound))]!r} is no driving answer")
    speed = np.abs(said.change_mps - true.change_mps).mean(axis=0)
    side = np.abs(said.side_m - true.side_m).mean(axis=0)
    first, wanted = said.change_mps[:, 0], true.change_mps[:, 0]
    hard, keeps = wanted <= HARD_MPS, wanted >= KEEPS_MPS
    return DrivingScore(
        count=len(right),
        unparsable=float(1.0 - good.mean()),
        speed_error_mps=(float(speed[0]), float(speed[1]), float(speed[2])),
        side_error_m=(float(side[0]), float(side[1])),
        brakes_found=float((first[hard] <= 0.5 * wanted[hard]).mean()) if hard.any() else float("nan"),
        brakes_for_nothing=float((first[keeps] <= BRAKES_MPS).mean()) if keeps.any() else float("nan"),
    )
