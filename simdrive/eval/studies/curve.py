"""From outcomes at several delays to a latency-failure curve, the latency budget on it, and the delays to try next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from simdrive.errors import ParameterError
from simdrive.eval.stats import Interval, bootstrap, holm, mcnemar, wilson
from simdrive.eval.studies.paired import Criterion, Decision, adjusted, decide, pair
from simdrive.types import Float

Outcomes = Mapping[float, "pd.Series[float]"]  # scored failures by case, per delay in ms


@dataclass(frozen=True)
class CurvePoint:
    """All figures at one delay; ``decision`` judges it against the smallest delay of the curve."""

    delay_ms: float
    failures: int
    total: int
    rate: Interval  # Wilson
    decision: Decision


@dataclass(frozen=True)
class Fall:
    """Two delays between which failures become significantly fewer: a curve should not do that."""

    shorter_ms: float
    longer_ms: float
    p_value: float  # exact McNemar, Holm-adjusted over all pairs of delays


@dataclass(frozen=True)
class Budget:
    """How much latency an agent stands.

    Attributes:
        safe_ms: the largest delay that is shown safe and all tried delays below it too.
        unsafe_ms: the smallest delay that is shown unsafe, None = none was. Between the two it is undecided.
        crossing_ms: where the monotone fit of the difference crosses the margin, with the limits of a paired
            bootstrap; the largest tried delay where it does not cross.
        crosses: whether it does.
        falls: pairs of delays between which failures significantly fall; empty for a curve that is monotone within
            its uncertainty.
    """

    safe_ms: float
    unsafe_ms: float | None
    crossing_ms: Interval
    crosses: bool
    falls: tuple[Fall, ...]


def curve(outcomes: Outcomes, criterion: Criterion) -> tuple[CurvePoint, ...]:
    """Return the points of a curve by delay; the smallest delay is what all are judged against.

    Raises:
        ParameterError: if there is no delay.
    """
    if not outcomes:
        raise ParameterError("a curve needs the outcomes at one delay or more")
    delays = sorted(outcomes)
    points = []
    for delay in delays:
        failed = outcomes[delay] > 0.0
        count, total = int(failed.sum()), len(failed)
        decision = decide(outcomes[delays[0]], outcomes[delay], criterion)
        if delay == delays[0]:  # it is itself, whatever the number of cases
            decision = Decision(decision.pairs, Interval(0.0, 0.0, 0.0), "safe", 0)
        points.append(CurvePoint(delay, count, total, wilson(count, total, criterion.confidence), decision))
    judged = adjusted([point.decision for point in points])
    return tuple(replace(point, decision=each) for point, each in zip(points, judged, strict=True) if each is not None)


def safe_and_unsafe(points: Sequence[CurvePoint]) -> tuple[float, float | None]:
    """Return the largest delay shown safe with all below it, and the smallest shown unsafe.

    Testing upwards and stopping at the first delay that is not shown safe is a fixed-sequence procedure (Maurer, Hothorn
    and Lehmacher 1995): the chance of calling any unsafe delay of a given grid safe needs no correction.
    """
    safe = points[0].delay_ms
    for point in points:
        if point.decision.verdict != "safe":
            break
        safe = point.delay_ms
    unsafe = [point.delay_ms for point in points if point.decision.verdict == "unsafe"]
    return safe, min(unsafe, default=None)


def crossing(delays_ms: Float, differences: Float, margin: float) -> float:
    """Return where the monotone fit of ``differences [D]`` crosses the margin, linear between delays; inf = nowhere."""
    fitted = isotonic_regression(differences).x
    above = np.flatnonzero(fitted > margin)
    if not len(above):
        return math.inf
    place = int(above[0])
    if place == 0:
        return float(delays_ms[0])
    low, high = fitted[place - 1], fitted[place]
    share = (margin - low) / (high - low)
    return float(delays_ms[place - 1] + share * (delays_ms[place] - delays_ms[place - 1]))


def crossing_interval(
    outcomes: Outcomes, criterion: Criterion, strata: Mapping[str, str], rng: np.random.Generator, draws: int = 1000
) -> Interval:
    """Return the crossing with percentile limits: whole cases are drawn anew within strata, all delays together.

    Args:
        outcomes: see ``Outcomes``; only cases scored at every delay count.
        criterion: margin and confidence.
        strata: scenario of each case.
        rng: of the draws.
        draws: number of resamples.
    """
    delays = np.array(sorted(outcomes))
    table = pd.concat([outcomes[delay] for delay in delays], axis=1, join="inner")
    failed = (table.to_numpy(np.float64) > 0.0).astype(np.float64)

    def found(rows: Float) -> float:
        rates = rows.mean(axis=0)
        return min(crossing(delays, rates - rates[0], criterion.margin), float(delays[-1]))

    groups = np.array([strata[str(case)] for case in table.index])
    return bootstrap(failed, rng, found, strata=groups, draws=draws, confidence=criterion.confidence)


def falls(outcomes: Outcomes, confidence: float = 0.95) -> tuple[Fall, ...]:
    """Return the pairs of delays between which failures significantly fall."""
    delays = sorted(outcomes)
    chosen = [(a, b) for place, a in enumerate(delays) for b in delays[place + 1 :]]
    pairs = [pair(outcomes[a], outcomes[b]) for a, b in chosen]
    adjusted = holm([mcnemar(found.only_first, found.only_second) for found in pairs])
    return tuple(
        Fall(a, b, p)
        for (a, b), found, p in zip(chosen, pairs, adjusted, strict=True)
        if found.difference < 0.0 and p < 1.0 - confidence
    )


def budget(
    outcomes: Outcomes, criterion: Criterion, strata: Mapping[str, str], rng: np.random.Generator, draws: int = 1000
) -> Budget:
    """Return the latency budget behind the outcomes at several delays; arguments as in ``crossing_interval``."""
    safe, unsafe = safe_and_unsafe(curve(outcomes, criterion))
    found = crossing_interval(outcomes, criterion, strata, rng, draws)
    crosses = found.estimate < max(outcomes)
    return Budget(safe, unsafe, found, crosses, falls(outcomes, criterion.confidence))


@dataclass(frozen=True)
class Grid:
    """Delays to try: a coarse grid first, then halves of what is undecided down to a resolution.

    Args:
        delays_ms: coarse delays; the smallest is what all are judged against.
        resolution_ms: steps below this are not tried.
        most_ms: where the coarse grid shows nothing unsafe, larger delays are tried up to here.
    """

    delays_ms: tuple[float, ...] = (0.0, 100.0, 200.0, 400.0, 800.0)
    resolution_ms: float = 25.0
    most_ms: float = 1600.0

    def __post_init__(self) -> None:
        given = list(self.delays_ms)
        if not given or not all(math.isfinite(delay) and delay >= 0.0 for delay in given) or given[0] != 0.0:
            raise ParameterError(f"delays must be finite, start at 0 and be at least 0 ms, got {given}")
        if given != sorted(set(given)):
            raise ParameterError(f"delays must ascend without repetition, got {given}")
        if not 1.0 <= self.resolution_ms < math.inf:
            raise ParameterError(f"resolution_ms must be at least 1, got {self.resolution_ms}")
        if not given[-1] <= self.most_ms < math.inf:
            raise ParameterError(f"most_ms must be at least the largest delay {given[-1]:g}, got {self.most_ms}")

    def next_delays(self, points: Sequence[CurvePoint]) -> tuple[float, ...]:
        """Return the delays to try after ``points``; empty when nothing is left to learn at this resolution."""
        tried = [point.delay_ms for point in points]
        safe, unsafe = safe_and_unsafe(points)
        wanted = {self._half(safe, min((delay for delay in tried if delay > safe), default=None))}
        if unsafe is None:
            wanted.add(min(2.0 * tried[-1], self.most_ms) if 0.0 < tried[-1] < self.most_ms else None)
        else:
            wanted.add(self._half(max(delay for delay in tried if delay < unsafe), unsafe))
        return tuple(sorted(delay for delay in wanted if delay is not None))

    def _half(self, low: float, high: float | None) -> float | None:
        """Return the step nearest to the middle, strictly between; None if there is none."""
        if high is None:
            return None
        half = self.resolution_ms * math.floor(0.5 * (low + high) / self.resolution_ms + 0.5)
        return half if low < half < high else None
