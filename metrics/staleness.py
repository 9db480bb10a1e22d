"""How old the plans were that drove the car: age at actuation, age in use, metres driven blind, frames
dropped.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from simdrive.metrics.base import Scored, percentile
from simdrive.types import EpisodeLog, RequestStatus


def _actuated_ms(log: EpisodeLog, percent: float) -> float:
    requests = log.requests
    used = requests.t_actuate_us >= 0
    age_us = (requests.t_actuate_us[used] - requests.t_obs_us[used]).astype(np.float64)
    return percentile(age_us, percent) / 1e3


def _in_use_ms(log: EpisodeLog, percent: float) -> float:
    return percentile(log.plan_age_us[log.plan_age_us >= 0].astype(np.float64), percent) / 1e3


def _check_percent(percent: float) -> float:
    if not 0.0 <= percent <= 100.0:
        raise ValueError(f"percent must lie in 0 .. 100, got {percent}")
    return percent


def age_at_actuation(percent: float, name: str) -> Scored:
    """Percentile of the time from observation to actuation, over the requests that were actuated."""
    return Scored(name, "ms", "lower", functools.partial(_actuated_ms, percent=_check_percent(percent)))


def age_in_use(percent: float, name: str) -> Scored:
    """Percentile over the episode of the age of the plan in use (about twice the compute time at its
    worst).
    """
    return Scored(name, "ms", "lower", functools.partial(_in_use_ms, percent=_check_percent(percent)))


def _blind(log: EpisodeLog, largest: bool) -> float:
    metres = log.requests.blind_m[log.requests.t_actuate_us >= 0]
    if not len(metres):
        return math.nan
    return float(np.max(metres) if largest else np.mean(metres))


def blind_max(name: str = "blind_max_m") -> Scored:
    """Most metres driven between an observation and the actuation of its answer."""
    return Scored(name, "m", "lower", functools.partial(_blind, largest=True))


def blind_mean(name: str = "blind_mean_m") -> Scored:
    """Mean metres driven between an observation and the actuation of its answer."""
    return Scored(name, "m", "lower", functools.partial(_blind, largest=False))


def _dropped_share(log: EpisodeLog) -> float:
    never_started = int(np.sum(log.requests.status == RequestStatus.DROPPED))
    frames = len(log.requests.status) + log.requests.dropped_frames
    return (never_started + log.requests.dropped_frames) / frames if frames else math.nan


def dropped_share(name: str = "dropped_share") -> Scored:
    """Share of camera frames that no request ever looked at: dropped while busy, or dropped from a queue."""
    return Scored(name, "", "lower", _dropped_share)


def _status_share(log: EpisodeLog, kinds: tuple[RequestStatus, ...]) -> float:
    counts = np.bincount(log.requests.status, minlength=len(RequestStatus))
    ended = int(counts.sum() - counts[RequestStatus.DROPPED] - counts[RequestStatus.UNFINISHED])
    return int(sum(counts[kind] for kind in kinds)) / ended if ended else math.nan


def unparsable_share(name: str = "unparsable_share") -> Scored:
    """Share of answered requests whose answer could not be read."""
    return Scored(name, "", "lower", functools.partial(_status_share, kinds=(RequestStatus.UNPARSABLE,)))


def agent_error_share(name: str = "agent_error_share") -> Scored:
    """Share of answered requests that failed in any way: exception, time-out, unparsable, invalid."""
    kinds = (RequestStatus.EXCEPTION, RequestStatus.TIMEOUT, RequestStatus.UNPARSABLE, RequestStatus.INVALID)
    return Scored(name, "", "lower", functools.partial(_status_share, kinds=kinds))
