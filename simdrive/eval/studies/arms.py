"""Arms of an ablation over training seeds: what each comes to, against one of them, and what could have been seen at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from simdrive.errors import ParameterError

TOPICS = ("perception", "reasoning", "planning")
POWER = 0.8


@dataclass(frozen=True)
class Trained:
    """One arm under one training seed."""

    arm: str
    place: str  # of the training seed: the folder of its recipe
    weight_hash: str
    exact: tuple[float, ...]  # share of exact answers by topic of the triad, on validation frames
    speed_error_mps: tuple[float, ...]  # on the same frames, by horizon
    failure_rate: float  # on validation cases, or in given runs; NaN = not driven


@dataclass(frozen=True)
class Against:
    """Mean difference to another arm over common training seeds, Student's t."""

    seeds: int
    mean: float
    low: float
    high: float
    p_value: float
    detectable: float  # smallest true difference that so many seeds of such spread show with a power of 80 %


@dataclass(frozen=True)
class Arm:
    """An arm over its training seeds."""

    name: str
    trained: tuple[Trained, ...]
    against: Against | None  # failure rates less the base's; None for the base, and where seeds are too few

    @property
    def rates(self) -> tuple[float, ...]:
        """Failure rates by training seed."""
        return tuple(one.failure_rate for one in self.trained)


def read_arms(folders: Sequence[str], failures: Mapping[str, float]) -> list[Trained]:
    """Return what was trained in some folders of recipes, one folder per training seed.

    Args:
        folders: as given to ``simdrive compress out=``.
        failures: failure rates by hash of weights; where one is missing, that of the card (validation cases) counts
            if there are none at all.

    Raises:
        ParameterError: if a folder holds no trained model, or only some of all have driven in the given runs.
    """
    found: list[Trained] = []
    for folder in folders:
        cards = sorted(Path(folder).glob("*/best/card.json"))
        if not cards:
            raise ParameterError(
                f"{folder} holds no trained model (*/best/card.json); give folders of 'simdrive compress'"
            )
        found += [_trained(card, folder, failures) for card in cards]
    if failures and any(math.isnan(one.failure_rate) for one in found):
        missing = ", ".join(f"{one.place}/{one.arm}" for one in found if math.isnan(one.failure_rate))
        raise ParameterError(f"runs hold no episodes of {missing}; drive them on the same cases, or leave runs out")
    return found


def arms_of(trained: Sequence[Trained], base: str, confidence: float = 0.95) -> list[Arm]:
    """Return arms in the order of their first appearance, the base first.

    Raises:
        ParameterError: if there is no arm of that name.
    """
    names = list(dict.fromkeys(one.arm for one in trained))
    if base not in names:
        raise ParameterError(f"base={base} is none of the arms: {', '.join(names)}")
    of = {name: tuple(one for one in trained if one.arm == name) for name in (base, *(n for n in names if n != base))}
    return [
        Arm(name, found, None if name == base else against(found, of[base], confidence)) for name, found in of.items()
    ]


def against(arm: Sequence[Trained], base: Sequence[Trained], confidence: float = 0.95) -> Against | None:
    """Return the paired difference of failure rates; None with fewer than two common seeds."""
    theirs = {one.place: one.failure_rate for one in base}
    found = np.array([one.failure_rate - theirs[one.place] for one in arm if one.place in theirs])
    if len(found) < 2 or np.isnan(found).any():
        return None
    free, mean = len(found) - 1, float(found.mean())
    error = float(found.std(ddof=1)) / math.sqrt(len(found))
    if error == 0.0:  # no spread to judge by
        return Against(len(found), mean, mean, mean, math.nan, math.nan)
    reach = float(stats.t.ppf(0.5 + confidence / 2.0, free))
    shown = (reach + float(stats.t.ppf(POWER, free))) * error
    return Against(
        len(found), mean, mean - reach * error, mean + reach * error,
        float(2.0 * stats.t.sf(abs(mean) / error, free)), shown,
    )  # fmt: skip


def _trained(card: Path, folder: str, failures: Mapping[str, float]) -> Trained:
    content: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
    answers, driving = content["scores"].get("answers"), content["scores"].get("driving")
    if answers is None:
        raise ParameterError(f"{card} has no scores of answers; train with validate.rows above 0")
    own = math.nan if failures or driving is None else float(driving["failure_rate"])
    return Trained(
        arm=card.parent.parent.name, place=Path(folder).as_posix(), weight_hash=content["weight_hash"],
        exact=tuple(float(answers[topic]["exact"]) for topic in TOPICS),
        speed_error_mps=tuple(float(value) for value in answers["plan"]["speed_error_mps"]),
        failure_rate=float(failures.get(content["weight_hash"], own)),
    )  # fmt: skip
