"""The latency at which a slow agent loses to a fast one: search over delays, down to a stated resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from simdrive.errors import ParameterError
from simdrive.eval.stats import Interval, bootstrap
from simdrive.eval.studies.curve import crossing
from simdrive.streams import stream
from simdrive.types import Float


@dataclass(frozen=True)
class Steps:
    """How delays are searched.

    Args:
        resolution_ms: steps below this are not tried.
        most_ms: nothing beyond is tried.
    """

    resolution_ms: float = 25.0
    most_ms: float = 1600.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.resolution_ms < math.inf:
            raise ParameterError(f"resolution_ms must be at least 1, got {self.resolution_ms}")
        if not self.resolution_ms <= self.most_ms < math.inf:
            raise ParameterError(f"most_ms must be at least resolution_ms {self.resolution_ms:g}, got {self.most_ms}")


@dataclass(frozen=True)
class BreakEven:
    """From which delay on the slow agent fails more often than the fast one does at its own latency.

    Attributes:
        kind: ``at`` a delay; ``never`` up to ``longest_ms``; ``always``: from zero latency on.
        at_ms: where the monotone fit of the difference crosses zero, with limits of a paired bootstrap; a limit that
            equals ``longest_ms`` means "not within".
        between_ms: the tried delays to both sides of it.
        tried: delay, failures of the slow agent minus those of the fast one, cases.
    """

    kind: Literal["at", "never", "always"]
    at_ms: Interval
    between_ms: tuple[float, float] | None
    longest_ms: float
    resolution_ms: float
    tried: tuple[tuple[float, int, int], ...]


def break_even(
    slow_at: Callable[[float], pd.Series[float]],
    fast: pd.Series[float],
    start_ms: tuple[float, ...],
    steps: Steps,
    strata: Mapping[str, str],
    confidence: float = 0.95,
    draws: int = 1000,
) -> BreakEven:
    """Search the delay from which the slow agent loses.

    Args:
        slow_at: scored failures by case of the slow agent at a constant delay in ms.
        fast: those of the fast agent at its own latency.
        start_ms: delays that are looked at anyhow; zero is one of them.
        steps: resolution and reach.
        strata: scenario of each case.
        confidence: of the limits.
        draws: number of resamples.
    """
    outcomes = {delay: slow_at(delay) for delay in sorted({0.0, *start_ms})}
    while (wanted := next_delay(*_means(outcomes, fast), steps)) is not None:
        outcomes[wanted] = slow_at(wanted)
    return _result(outcomes, fast, steps, strata, confidence, draws)


def next_delay(delays: Float, differences: Float, steps: Steps) -> float | None:
    """Return the delay to try after ``delays [D]`` with their ``differences [D]``; None = nothing is left to learn."""
    low, high = _bracket(delays, differences)
    if high is None:
        longest = float(delays[-1])
        further = min(max(2.0 * longest, steps.resolution_ms), steps.most_ms)
        return further if longest < steps.most_ms else None
    if low is None or high - low <= steps.resolution_ms:
        return None
    half = steps.resolution_ms * math.floor(0.5 * (low + high) / steps.resolution_ms + 0.5)
    return half if low < half < high else None


def _bracket(delays: Float, differences: Float) -> tuple[float | None, float | None]:
    """Return the last delay at which the fit is not above zero and the first at which it is."""
    above = np.flatnonzero(isotonic_regression(differences).x > 0.0)
    if not len(above):
        return float(delays[-1]), None
    place = int(above[0])
    return (float(delays[place - 1]) if place else None), float(delays[place])


def _table(outcomes: Mapping[float, pd.Series[float]], fast: pd.Series[float]) -> pd.DataFrame:
    """Return slow minus fast, -1 / 0 / 1, one row per case that all score, one column per delay."""
    table = pd.concat([fast.rename("fast"), *(outcomes[d].rename(d) for d in sorted(outcomes))], axis=1, join="inner")
    failed = (table > 0.0).astype(np.int64)
    return failed.drop(columns="fast").sub(failed["fast"], axis=0)


def _means(outcomes: Mapping[float, pd.Series[float]], fast: pd.Series[float]) -> tuple[Float, Float]:
    table = _table(outcomes, fast)
    values = table.to_numpy(np.float64)
    return np.array(sorted(outcomes)), values.mean(axis=0) if len(values) else np.zeros(len(outcomes))


def _result(
    outcomes: Mapping[float, pd.Series[float]],
    fast: pd.Series[float],
    steps: Steps,
    strata: Mapping[str, str],
    confidence: float,
    draws: int,
) -> BreakEven:
    table = _table(outcomes, fast)
    delays, differences = _means(outcomes, fast)
    longest = float(delays[-1])

    def found(rows: Float) -> float:
        return min(crossing(delays, rows.mean(axis=0), 0.0), longest)

    groups = np.array([strata[str(case)] for case in table.index], dtype=str)
    at = bootstrap(
        table.to_numpy(np.float64), stream("decompose", "study.break_even"), found, strata=groups, draws=draws,
        confidence=confidence,
    )  # fmt: skip
    low, high = _bracket(delays, differences)
    tried = tuple((float(d), int(table[d].sum()), len(table)) for d in delays)
    kind: Literal["at", "never", "always"] = "never" if high is None else "always" if low is None else "at"
    between = (low, high) if low is not None and high is not None else None
    return BreakEven(kind, at, between, longest, steps.resolution_ms, tried)
