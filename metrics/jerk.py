"""How jerky the ride is: root mean square, 95th percentile and maximum of the smoothed jerk, along and
across.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from simdrive.errors import UnknownNameError
from simdrive.metrics.base import Scored, percentile
from simdrive.metrics.trace import signals
from simdrive.types import EpisodeLog, Float

_STATISTICS: dict[str, Callable[[Float], float]] = {
    "rms": lambda jerk: float(np.sqrt(np.mean(jerk * jerk))),
    "p95": lambda jerk: percentile(np.abs(jerk), 95.0),
    "max": lambda jerk: float(np.max(np.abs(jerk))),
}
_AXES = ("longitudinal", "lateral")


def _score(log: EpisodeLog, axis: str, statistic: str) -> float:
    found = signals(log)
    if found is None:
        return math.nan
    return _STATISTICS[statistic](found.longitudinal_jerk if axis == "longitudinal" else found.lateral_jerk)


def jerk(axis: Literal["longitudinal", "lateral"], statistic: Literal["rms", "p95", "max"], name: str = "") -> Scored:
    """Return a statistic of the absolute jerk, smoothed as nuPlan does; unscored below four samples.

    Raises:
        UnknownNameError: if axis or statistic is not one of the listed words.
    """
    if axis not in _AXES:
        raise UnknownNameError("axis", axis, _AXES)
    if statistic not in _STATISTICS:
        raise UnknownNameError("statistic", statistic, _STATISTICS)
    score = functools.partial(_score, axis=axis, statistic=statistic)
    return Scored(name or f"{axis}_jerk_{statistic}_mps3", "m/s3", "lower", score)
