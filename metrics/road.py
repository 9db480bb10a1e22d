"""Whether the ego keeps to the road, its direction, its speed limit and its lane."""

from __future__ import annotations

import math

import numpy as np

from simdrive.metrics.base import Scored, longest_run, per_log
from simdrive.metrics.trace import ego_known, uniform
from simdrive.types import FRAME_PERIOD_US, EndReason, EpisodeLog

OFF_ROAD_M = 0.3  # nuPlan: a corner may stand out this far
WINDOW_ROWS = 1_000_000 // FRAME_PERIOD_US  # one second
WRONG_WAY_FREE_M, WRONG_WAY_MAX_M = 2.0, 6.0
OVERSPEED_MPS = 2.23
LANE_KEEPING_M, LANE_KEEPING_S = 0.5, 2.0


def left_road(log: EpisodeLog) -> bool:
    """Return whether the episode ended off the road, or any corner ever stood 0.3 m or more outside."""
    return log.end == EndReason.OFF_ROAD or bool((log.off_road_m >= OFF_ROAD_M).any())


@per_log
def drivable_area_value(log: EpisodeLog) -> float:
    """Return nuPlan's drivable-area multiplier, 1 or 0; NaN for a log that is empty or has unknown
    distances.
    """
    if left_road(log):
        return 0.0
    return 1.0 if len(log.t_us) and np.isfinite(log.off_road_m).all() else math.nan


@per_log
def wrong_way_m(log: EpisodeLog) -> float:
    """Return the metres driven against the lane direction within the worst second, at least 0; NaN below
    two rows.

    nuPlan measures along the lane's centre line and starts anew on each lane; here each 0.1 s step is
    projected on the direction of the lane. Steps inside junctions, where lanes cross, count as none.
    """
    if len(log.t_us) < 2 or not ego_known(log):
        return math.nan
    heading = log.lane_heading[1:]
    step = np.diff(log.x[:, 0]) * np.cos(heading) + np.diff(log.y[:, 0]) * np.sin(heading)
    step[log.in_junction[1:] | log.in_junction[:-1]] = 0.0
    total = np.concatenate([[0.0], np.cumsum(step)])
    window = min(WINDOW_ROWS, len(step))
    return float(np.maximum(0.0, -np.min(total[window:] - total[:-window])))


def driving_direction_value(log: EpisodeLog) -> float:
    """Return nuPlan's driving-direction multiplier: 1 below 2 m against the lane within a second, 0.5 below
    6 m.
    """
    worst = wrong_way_m(log)
    if math.isnan(worst):
        return math.nan
    if worst < WRONG_WAY_FREE_M:
        return 1.0
    return 0.5 if worst < WRONG_WAY_MAX_M else 0.0


@per_log
def speed_limit_value(log: EpisodeLog) -> float:
    """Return nuPlan's speed-limit score, 1 if never over; NaN below two rows. Rows without a limit count as
    within.
    """
    if len(log.t_us) < 2 or not ego_known(log):
        return math.nan
    over = np.nan_to_num(np.maximum(log.speed[:, 0] - log.speed_limit_mps, 0.0), nan=0.0)
    step_s = np.diff(log.t_us) / 1e6
    return max(0.0, 1.0 - float(np.sum(over[1:] * step_s)) / (OVERSPEED_MPS * float(np.sum(step_s))))


@per_log
def lane_keeping_value(log: EpisodeLog) -> float:
    """Return NAVSIM's lane-keeping score: 0 if more than 0.5 m off the lane centre for 2 s on end outside
    junctions.

    NaN for a log that is empty or has unknown offsets.
    """
    if not len(log.t_us) or not np.isfinite(log.lane_r[:, 0]).all():
        return math.nan
    offset, junction = uniform(log, log.lane_r[:, 0], log.in_junction.astype(np.float64))
    longest = longest_run((np.abs(offset) > LANE_KEEPING_M) & (junction == 0.0))
    return float((longest - 1) * FRAME_PERIOD_US / 1e6 < LANE_KEEPING_S)


def off_road(name: str = "off_road") -> Scored:
    """Whether the ego left the road (a corner 0.3 m or more outside the drivable area)."""
    return Scored(name, "", "lower", lambda log: 1.0 - drivable_area_value(log))


def off_road_distance(name: str = "off_road_m") -> Scored:
    """Largest distance of an ego corner outside the drivable area."""
    return Scored(name, "m", "lower", lambda log: float(np.max(log.off_road_m)) if len(log.t_us) else math.nan)


def driving_direction(name: str = "driving_direction") -> Scored:
    """nuPlan's driving-direction multiplier."""
    return Scored(name, "", "higher", driving_direction_value)


def speed_limit(name: str = "speed_limit") -> Scored:
    """nuPlan's speed-limit score."""
    return Scored(name, "", "higher", speed_limit_value)


def lane_keeping(name: str = "lane_keeping") -> Scored:
    """NAVSIM's lane-keeping score."""
    return Scored(name, "", "higher", lane_keeping_value)
