"""An episode log at any frame rate: 10 Hz rows interpolated in between, nothing invented beyond them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from simdrive.errors import ParameterError
from simdrive.geometry import wrap_angle
from simdrive.metrics.trace import meetings
from simdrive.types import EpisodeLog, Float, Int, Long

_ANGLES = ("heading", "lane_heading")
_HELD = ("lane_s", "lane_r")  # belong to a lane, which changes at once


def frame_times(log: EpisodeLog, fps: float, start_us: int | None = None, end_us: int | None = None) -> Long:
    """Return when the frames of a video are, from ``start_us`` to ``end_us``; the end itself is always one.

    Raises:
        ParameterError: if the episode has no rows, ``fps`` is outside 1..100 or the window holds no time.
    """
    if not 1 <= fps <= 100:
        raise ParameterError(f"fps must be between 1 and 100, got {fps}")
    if not len(log.t_us):
        raise ParameterError("the episode has no rows, so there is nothing to show")
    first, last = int(log.t_us[0]), int(log.t_us[-1])
    start = first if start_us is None else min(max(start_us, first), last)
    end = last if end_us is None else min(max(end_us, first), last)
    if start > end:
        raise ParameterError(f"a video must start before it ends, got {start / 1e6} s to {end / 1e6} s")
    count = math.ceil((end - start) * fps / 1e6)
    times = start + np.round(np.arange(count) * 1e6 / fps).astype(np.int64)
    return np.append(times[times < end], end)


def rows_before(log: EpisodeLog, times_us: Long) -> Long:
    """Return the row ``[N]`` in force at each time: the last one that is not later."""
    rows = np.searchsorted(log.t_us, times_us, side="right") - 1
    return np.clip(rows, 0, len(log.t_us) - 1).astype(np.int64)


def resample(log: EpisodeLog, times_us: Long) -> EpisodeLog:
    """Return the log with one row per given time [N].

    Positions, speeds and angles are interpolated while an actor is there in both rows; flags, lanes and whatever
    starts or ends in between keep the earlier row. The plan in use changes at its own time of actuation.
    """
    rows = rows_before(log, times_us)
    after = np.minimum(rows + 1, len(log.t_us) - 1)
    span = np.maximum(log.t_us[after] - log.t_us[rows], 1)
    share = np.clip((times_us - log.t_us[rows]) / span, 0.0, 1.0)
    there = log.present[rows] & log.present[after]
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(log):
        column = getattr(log, field.name)
        if isinstance(column, np.ndarray):
            columns[field.name] = _sampled(field.name, column, rows, after, share, there)
    in_use = _plans(log, times_us, rows, after)
    known = in_use >= 0
    ages = log.plan_age_us[rows].copy()
    if known.any():
        ages[known] = (times_us - log.requests.t_obs_us[in_use.clip(0)])[known]
    columns |= {"t_us": times_us, "plan_request": in_use, "plan_age_us": ages}
    return dataclasses.replace(log, **columns)


def _sampled(
    name: str, column: np.ndarray[Any, Any], rows: Long, after: Long, share: Float, there: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    before = column[rows]
    if column.dtype.kind != "f" or name in _HELD:
        return before
    step = column[after] - before
    if name in _ANGLES:
        step = wrap_angle(step)
    if column.ndim == 2:
        return np.where(there, before + share[:, None] * step, before)
    return np.asarray(before + share * step)


def _plans(log: EpisodeLog, times_us: Long, rows: Long, after: Long) -> Int:
    """Return the request ``[N]`` whose plan is in use, -1 = none."""
    now, soon = log.plan_request[rows], log.plan_request[after]
    if not len(log.requests.t_obs_us):
        return now.copy()
    acted = log.requests.t_actuate_us[soon.clip(0)]
    changes = (soon >= 0) & (soon != now) & (acted >= 0) & (acted <= times_us)
    return np.where(changes, soon, now).astype(np.int32)


def ttc_rows(log: EpisodeLog) -> Float:
    """Return the time to collision with anybody ``[T]``, s, inf = no conflict (2-D boxes, constant velocity)."""
    if log.x.shape[1] < 2:
        return np.full(len(log.t_us), math.inf)
    times: Float = np.min(np.where(log.present[:, 1:], meetings(log).times(), math.inf), axis=1)
    if log.contact is not None:
        times = times.copy()
        times[log.t_us >= log.contact.t_us] = 0.0
    return times
