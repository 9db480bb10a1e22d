"""What many metrics read of a log: the ego's smoothed signals at 10 Hz, everybody's velocity, and when
boxes meet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simdrive.geometry import swept_overlap
from simdrive.jit import jit
from simdrive.metrics.base import per_log
from simdrive.metrics.smooth import savgol
from simdrive.types import FRAME_PERIOD_US, Bool, EpisodeLog, Float, Long

STEP_S = FRAME_PERIOD_US / 1e6
MIN_SAMPLES = 4  # the yaw acceleration fits a cubic
REAR_AXLE_SHARE = 1.461 / 5.176  # rear axle behind the centre over length, nuPlan's reference vehicle

# Shape codes of simdrive.sim.state.Shape; metrics read them from the log and know no simulator.
PEDESTRIAN, CYCLIST, DEBRIS, BUILDING = 5, 6, 7, 10


def is_vulnerable(shape: int) -> bool:
    """Return whether a shape code is a pedestrian or a cyclist."""
    return shape in (PEDESTRIAN, CYCLIST)


def is_object(shape: int) -> bool:
    """Return whether a shape code is a thing and no road user (debris, cone, barrier, building)."""
    return DEBRIS <= shape <= BUILDING


@per_log
def ego_known(log: EpisodeLog) -> bool:
    """Return whether there is at least one row and the ego's pose and speed are finite in all of them.

    A NaN compares as false, so a metric that counts violations would read a broken log as a clean one.
    """
    columns = (log.x, log.y, log.heading, log.speed)
    return len(log.t_us) > 0 and all(bool(np.isfinite(column[:, 0]).all()) for column in columns)


@dataclass(frozen=True)
class Signals:
    """The ego's motion on a uniform 10 Hz grid, smoothed as nuPlan smooths it; all ``[N]``."""

    speed_mps: Float  # raw
    longitudinal_acceleration: Float
    lateral_acceleration: Float
    longitudinal_jerk: Float
    lateral_jerk: Float
    magnitude_jerk: Float  # of the length of the acceleration vector
    yaw_rate: Float
    yaw_acceleration: Float


def _uniform_rows(t_us: Long) -> int:
    """Return how many leading rows lie on the 10 Hz grid: all, or all but a shorter last one; -1 if others
    are off.
    """
    steps = np.diff(t_us)
    if len(steps) and steps[-1] != FRAME_PERIOD_US:
        steps = steps[:-1]
        return len(t_us) - 1 if bool((steps == FRAME_PERIOD_US).all()) else -1
    return len(t_us) if bool((steps == FRAME_PERIOD_US).all()) else -1


def uniform(log: EpisodeLog, *columns: Float) -> list[Float]:
    """Return ``[T]`` columns on the 10 Hz grid that starts with the first row.

    Filters and bounds are defined in samples of 0.1 s. A last row that is no full step later is left out;
    any other spacing is interpolated linearly.
    """
    rows = _uniform_rows(log.t_us)
    if rows >= 0:
        return [column[:rows] for column in columns]
    grid = np.arange(log.t_us[0], log.t_us[-1] + 1, FRAME_PERIOD_US)
    return [np.interp(grid, log.t_us, column) for column in columns]


@per_log
def signals(log: EpisodeLog) -> Signals | None:
    """Return the smoothed signals of the ego, None if the trace is not finite or has fewer than four samples.

    Windows, polynomial orders and order of operations are nuPlan's; its lateral acceleration is measured,
    here it is speed times yaw rate.
    """
    if not ego_known(log) or not np.isfinite(log.acceleration[:, 0]).all():
        return None
    heading = np.unwrap(log.heading[:, 0])
    speed, heading, along = uniform(log, log.speed[:, 0], heading, log.acceleration[:, 0])
    if len(speed) < MIN_SAMPLES:
        return None
    return _smooth(speed, heading, along)


def _smooth(speed: Float, heading: Float, along: Float) -> Signals:
    across = speed * np.gradient(heading, STEP_S)
    acceleration = savgol(np.stack([along, across, np.hypot(along, across)]), 8, 2)
    jerk = savgol(acceleration, 15, 2, 1, STEP_S)
    return Signals(
        speed_mps=speed,
        longitudinal_acceleration=acceleration[0],
        lateral_acceleration=acceleration[1],
        longitudinal_jerk=jerk[0],
        lateral_jerk=jerk[1],
        magnitude_jerk=jerk[2],
        yaw_rate=savgol(heading, 5, 2, 1, STEP_S),
        yaw_acceleration=savgol(heading, 5, 3, 2, STEP_S),
    )


@jit
def _velocities(t_us: Long, present: Bool, x: Float, y: Float, heading: Float, speed: Float, out: Float) -> None:
    rows, count = x.shape
    for k in range(rows):
        for v in range(count):
            if not present[k, v]:
                continue
            a, b = k - 1, k
            if k == 0 or not present[k - 1, v]:
                a, b = k, k + 1
            drift = 0.0
            if b < rows and present[b, v] and t_us[b] > t_us[a]:
                middle = 0.5 * (heading[a, v] + heading[b, v])
                moved = (y[b, v] - y[a, v]) * math.cos(middle) - (x[b, v] - x[a, v]) * math.sin(middle)
                drift = moved / ((t_us[b] - t_us[a]) * 1e-6)
            cos, sin = math.cos(heading[k, v]), math.sin(heading[k, v])
            out[k, v, 0] = speed[k, v] * cos - drift * sin
            out[k, v, 1] = speed[k, v] * sin + drift * cos


@per_log
def velocities(log: EpisodeLog) -> Float:
    """Return everybody's velocity ``[T, V, 2]`` in the world frame, m/s; 0 where absent.

    Along the heading it is the logged speed; across it, where a log has no speed, the drift since the last
    row.
    """
    out = np.zeros((*log.x.shape, 2))
    _velocities(log.t_us, log.present, log.x, log.y, log.heading, log.speed, out)
    return out


@jit
def _meetings(
    present: Bool,
    x: Float,
    y: Float,
    heading: Float,
    velocity: Float,
    length: Float,
    width: Float,
    out: Float,
) -> None:
    rows, count = x.shape
    for k in range(rows):
        for v in range(1, count):
            if present[k, v] and present[k, 0]:
                out[0, k, v - 1], out[1, k, v - 1] = swept_overlap(
                    x[k, 0],
                    y[k, 0],
                    heading[k, 0],
                    length[0],
                    width[0],
                    velocity[k, 0, 0],
                    velocity[k, 0, 1],
                    x[k, v],
                    y[k, v],
                    heading[k, v],
                    length[v],
                    width[v],
                    velocity[k, v, 0],
                    velocity[k, v, 1],
                )


@dataclass(frozen=True)
class Meetings:
    """When the ego's box would overlap each other actor's, ``[T, V - 1]``, s from the row; inf / -inf =
    never.
    """

    first: Float
    last: Float

    def times(self) -> Float:
        """Return the time to collision: 0 while overlapping, inf if apart or past."""
        return np.where(self.last >= 0.0, np.maximum(self.first, 0.0), np.inf)


@per_log
def meetings(log: EpisodeLog) -> Meetings:
    """Return the overlap times of all rows if everybody kept velocity and heading (closed form, see
    geometry).
    """
    rows, count = log.x.shape
    out = np.empty((2, rows, max(count - 1, 0)))
    out[0], out[1] = np.inf, -np.inf
    table = log.actors
    _meetings(log.present, log.x, log.y, log.heading, velocities(log), table.length, table.width, out)
    return Meetings(out[0], out[1])
