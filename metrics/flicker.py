"""How much successive plans contradict each other: what stale and coarsely quantised answers degrade first.

EPDMS of NAVSIM v2 compares two successive trajectories over the time they share (two-frame extended
comfort). Here the published plans themselves are compared, at the same instants of simulated time, without
a simulated tracker.
"""

from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_allocating
from simdrive.metrics.base import Scored, per_log
from simdrive.metrics.smooth import savgol
from simdrive.types import EpisodeLog, Float, Long, RequestLog, RequestStatus

STEP_US = 100_000
STEP_S = STEP_US / 1e6
LONGEST = 41  # samples compared: the first 4 s
SHORTEST = 4  # samples that the filters need
MAX_ACCELERATION, MAX_JERK, MAX_YAW_RATE, MAX_YAW_ACCELERATION = 0.7, 0.5, 0.1, 0.1  # RMS of differences


@jit
def _near(angle: float, other: float) -> float:
    """Return ``angle`` turned by whole turns so that it is within half a turn of ``other``."""
    turn = angle - other
    if -math.pi <= turn < math.pi:
        return angle
    return other + (turn + math.pi) % (2.0 * math.pi) - math.pi


@jit
def _resample(plan: Float, shift_s: float, out: Float) -> int:
    """Write x, y, heading, speed of a plan at ``shift_s + 0.1 k`` into ``out [4, LONGEST]``; return how
    many k fit.
    """
    count = len(plan)
    while count > 0 and math.isnan(plan[count - 1, 0]):
        count -= 1
    segment, turned = 0, plan[0, 3] if count else 0.0
    for k in range(out.shape[1]):
        t = shift_s + STEP_S * k
        if count < 2 or t > plan[count - 1, 0] + 1e-9 or t < plan[0, 0] - 1e-9:
            return k
        while segment < count - 2 and plan[segment + 1, 0] < t:
            segment += 1
        span = plan[segment + 1, 0] - plan[segment, 0]
        share = min(max((t - plan[segment, 0]) / span, 0.0), 1.0) if span > 0.0 else 0.0
        for column in (0, 1, 3):
            low, high = plan[segment, column + 1], plan[segment + 1, column + 1]
            out[column, k] = low + share * (high - low)
        turned = _near(plan[segment, 3], turned)
        out[2, k] = turned + share * (_near(plan[segment + 1, 3], turned) - turned)
    return int(out.shape[1])


@jit
def _resample_pairs(plans: Float, shift_s: Float, old: Float, new: Float, samples: Long) -> None:
    for pair in range(len(shift_s)):
        earlier = _resample(plans[pair], shift_s[pair], old[pair])
        samples[pair] = min(earlier, _resample(plans[pair + 1], 0.0, new[pair]))


def _answered(requests: RequestLog) -> tuple[Float, Long]:
    """Return the plans that were published and finite at their start, with their observation times."""
    good = (requests.status == RequestStatus.OK) & (requests.t_actuate_us >= 0)
    if requests.plan.shape[1]:
        good &= np.isfinite(requests.plan[:, 0, :]).all(axis=1)
    return np.ascontiguousarray(requests.plan[good]), requests.t_obs_us[good]


@per_log
def _pairs(log: EpisodeLog) -> tuple[Float, Float, Long]:
    """Return successive plans at shared instants ``[pairs, 4, LONGEST]`` (earlier, later) and the shared
    samples.
    """
    plans, t_obs_us = _answered(log.requests)
    count = max(len(plans) - 1, 0)
    old, new = np.zeros((count, 4, LONGEST)), np.zeros((count, 4, LONGEST))
    samples = np.zeros(count, dtype=np.int64)
    if count and plans.shape[1]:
        _resample_pairs(plans, np.diff(t_obs_us) / 1e6, old, new, samples)
    return old, new, samples


@jit_allocating
def _accelerations(plans: Float, samples: int) -> Float:
    """Return the length of the acceleration vector ``[pairs, samples]`` of plans ``[pairs, 4, >=
    samples]``.
    """
    out = np.empty((len(plans), samples))
    for pair in range(len(plans)):
        heading, speed = plans[pair, 2], plans[pair, 3]
        for k in range(samples):
            a, b = max(k - 1, 0), min(k + 1, samples - 1)
            span_s = STEP_S * (b - a)
            along = (speed[b] - speed[a]) / span_s
            across = speed[k] * (heading[b] - heading[a]) / span_s
            out[pair, k] = math.sqrt(along * along + across * across)
    return out


def _passes(old: Float, new: Float, samples: int) -> Float:
    """Return 1 for each pair whose RMS differences stay inside all limits; the filters are linear, so the
    differences are filtered instead of both plans.
    """
    acceleration = savgol(_accelerations(new, samples) - _accelerations(old, samples), 8, 2)
    turn = new[:, 2, :samples] - old[:, 2, :samples]
    differences = (
        (acceleration, MAX_ACCELERATION),
        (savgol(acceleration, 15, 2, 1, STEP_S), MAX_JERK),
        (savgol(turn, 5, 2, 1, STEP_S), MAX_YAW_RATE),
        (savgol(turn, 5, 2, 2, STEP_S), MAX_YAW_ACCELERATION),
    )
    inside = np.ones(len(old), dtype=np.bool_)
    for difference, limit in differences:
        inside &= np.sqrt(np.mean(difference**2, axis=1)) <= limit
    return inside.astype(np.float64)


@per_log
def extended_comfort_value(log: EpisodeLog) -> float:
    """Return the share of successive plans whose RMS differences stay inside all four limits; NaN without a
    pair.
    """
    old, new, samples = _pairs(log)
    passed = [_passes(old[samples == n], new[samples == n], int(n)) for n in np.unique(samples[samples >= SHORTEST])]
    return float(np.mean(np.concatenate(passed))) if passed else math.nan


def _distance(log: EpisodeLog) -> float:
    old, new, samples = _pairs(log)
    used = samples >= SHORTEST
    if not used.any():
        return math.nan
    squared = (old[used, 0] - new[used, 0]) ** 2 + (old[used, 1] - new[used, 1]) ** 2
    shared = np.arange(LONGEST) < samples[used, None]
    return float(np.mean(np.sqrt(np.sum(squared, axis=1, where=shared) / samples[used])))


def extended_comfort(name: str = "extended_comfort") -> Scored:
    """NAVSIM's two-frame extended comfort, averaged over successive plans; unscored with fewer than two
    plans.
    """
    return Scored(name, "", "higher", extended_comfort_value)


def plan_flicker(name: str = "plan_flicker_m") -> Scored:
    """Mean over successive plans of the RMS distance between the positions they promise for the same
    instants.
    """
    return Scored(name, "m", "lower", _distance)
