"""What all metrics share: the form of a metric, and intermediate results that several metrics need of one
log.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from simdrive.types import Bool, EpisodeLog, Float, MetricValue

Better = Literal["lower", "higher", "none"]
T = TypeVar("T")


@dataclass(frozen=True)
class Scored:
    """A metric made of a plain function: NaN means unscored, everything else is a valid value.

    The function may raise; :func:`simdrive.metrics.evaluate.evaluate` records that as this metric's failure.
    """

    name: str
    unit: str
    better: Better
    score: Callable[[EpisodeLog], float]

    def __call__(self, log: EpisodeLog) -> MetricValue:
        """Score one episode."""
        value = float(self.score(log))
        return MetricValue(value, not math.isnan(value))


def percentile(values: Float, percent: float) -> float:
    """Return the percentile of ``values [n]`` with linear interpolation, NaN for n = 0 (numpy's default
    rule).
    """
    if not len(values):
        return math.nan
    ordered = np.sort(values)
    place = percent / 100.0 * (len(ordered) - 1)
    low = min(int(place), len(ordered) - 1)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def longest_run(flags: Bool) -> int:
    """Return the length of the longest run of True in ``flags [n]``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))


def per_log(function: Callable[[EpisodeLog], T]) -> Callable[[EpisodeLog], T]:
    """Remember the result for the newest log, so that metrics that need the same thing compute it once.

    Logs are compared by identity (they are frozen and their arrays are never written), and the log is held
    while its result is, so an address cannot be taken for another log's.
    """
    newest: list[tuple[EpisodeLog, T]] = []

    @functools.wraps(function)
    def cached(log: EpisodeLog) -> T:
        for known, value in newest:
            if known is log:
                return value
        value = function(log)
        newest[:] = [(log, value)]
        return value

    return cached
