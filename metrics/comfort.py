"""Whether the ride stays inside nuPlan's six comfort bounds, and for how much of the time it does not."""

from __future__ import annotations

import math

import numpy as np

from simdrive.metrics.base import Scored, per_log
from simdrive.metrics.trace import signals
from simdrive.types import Bool, EpisodeLog

# nuplan-devkit, ego_is_comfortable: every smoothed sample must lie strictly inside.
MIN_LONGITUDINAL_ACCELERATION = -4.05  # m/s2
MAX_LONGITUDINAL_ACCELERATION = 2.40
MAX_LATERAL_ACCELERATION = 4.89
MAX_MAGNITUDE_JERK = 8.37  # m/s3
MAX_LONGITUDINAL_JERK = 4.13
MAX_YAW_RATE = 0.95  # rad/s
MAX_YAW_ACCELERATION = 1.93  # rad/s2


@per_log
def inside_bounds(log: EpisodeLog) -> Bool | None:
    """Return ``[6, N]``: longitudinal and lateral acceleration, magnitude and longitudinal jerk, yaw rate and
    acceleration inside their bounds, per sample of the 10 Hz grid; None if the trace is too short.
    """
    found = signals(log)
    if found is None:
        return None
    along = found.longitudinal_acceleration
    return np.stack(
        [
            (along > MIN_LONGITUDINAL_ACCELERATION) & (along < MAX_LONGITUDINAL_ACCELERATION),
            np.abs(found.lateral_acceleration) < MAX_LATERAL_ACCELERATION,
            np.abs(found.magnitude_jerk) < MAX_MAGNITUDE_JERK,
            np.abs(found.longitudinal_jerk) < MAX_LONGITUDINAL_JERK,
            np.abs(found.yaw_rate) < MAX_YAW_RATE,
            np.abs(found.yaw_acceleration) < MAX_YAW_ACCELERATION,
        ]
    )


@per_log
def comfort_value(log: EpisodeLog) -> float:
    """Return 1 if all samples are inside all six bounds, 0 if not, NaN for a trace of fewer than four
    samples.
    """
    inside = inside_bounds(log)
    return math.nan if inside is None else float(inside.all())


def _outside_share(log: EpisodeLog) -> float:
    inside = inside_bounds(log)
    return math.nan if inside is None else float(np.mean(~inside.all(axis=0)))


def comfort(name: str = "comfort") -> Scored:
    """nuPlan's comfort score: all samples inside all six bounds."""
    return Scored(name, "", "higher", comfort_value)


def discomfort_share(name: str = "discomfort_share") -> Scored:
    """Share of samples outside at least one of nuPlan's six bounds."""
    return Scored(name, "", "lower", _outside_share)
