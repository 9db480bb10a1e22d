"""Synthetic episode logs for tests: an ego that drives straight unless told otherwise, and whoever else is
named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrive.sim.spec import Lighting
from simdrive.types import ActorTable, Case, Contact, EndReason, EpisodeLog, RequestLog

Floats = npt.ArrayLike


def frame_clock(rows: int, phase_us: int = 0, last_us: int | None = None) -> npt.NDArray[np.int64]:
    """Return ``rows`` time stamps at 10 Hz; ``last_us`` is the spacing of the last one where it differs."""
    t_us = phase_us + 100_000 * np.arange(rows, dtype=np.int64)
    if last_us is not None and rows > 1:
        t_us[-1] = t_us[-2] + last_us
    return t_us


def make_requests(
    t_obs_us: Sequence[int] = (),
    age_us: int = 0,
    plans: npt.NDArray[np.float64] | None = None,
    status: Sequence[int] | None = None,
    dropped_frames: int = 0,
    **overrides: Any,
) -> RequestLog:
    """Return a request log whose requests all take ``age_us`` from observation to actuation."""
    count = len(t_obs_us)
    start = np.array(t_obs_us, dtype=np.int64)
    finish = start + age_us
    stages = np.zeros((count, 6), dtype=np.int64)
    stages[:, 4] = age_us
    fields: dict[str, Any] = {
        "t_obs_us": start,
        "t_start_us": start.copy(),
        "t_first_token_us": finish.copy(),
        "t_finish_us": finish.copy(),
        "t_actuate_us": finish.copy(),
        "stages_us": stages,
        "status": np.array(status if status is not None else [0] * count, dtype=np.int8),
        "prompt_tokens": np.full(count, 7, dtype=np.int64),
        "image_tokens": np.full(count, 256, dtype=np.int64),
        "output_tokens": np.full(count, 11, dtype=np.int64),
        "blind_m": np.zeros(count),
        "plan": plans if plans is not None else np.full((count, 41, 5), np.nan),
        "text": tuple(f"go {index}" for index in range(count)),
        "dropped_frames": dropped_frames,
        "t_publish_us": finish.copy(),
        "deadline_us": np.full(count, -1, dtype=np.int64),
        "missed": np.zeros(count, dtype=np.bool_),
        "max_output_tokens": np.full(count, -1, dtype=np.int64),
        "branch": ("",) * count,
        "state": ("",) * count,
    }
    return RequestLog(**(fields | overrides))


def straight_plan(
    x: float, y: float, heading: float, speed: float, points: int = 41, spacing_s: float = 0.1
) -> npt.NDArray[np.float64]:
    """Return a plan ``[points, 5]`` that keeps heading and speed."""
    t = spacing_s * np.arange(points)
    return np.stack(
        [
            t,
            x + speed * t * np.cos(heading),
            y + speed * t * np.sin(heading),
            np.full(points, heading),
            np.full(points, speed),
        ],
        axis=1,
    )


def make_log(
    rows: int = 11,
    *,
    speed: Floats = 10.0,
    heading: Floats = 0.0,
    y: Floats = 0.0,
    x0: float = 0.0,
    size: tuple[float, float] = (5.0, 2.0),
    others: Sequence[Mapping[str, Any]] = (),
    last_us: int | None = None,
    phase_us: int = 0,
    contact_with: int | None = None,
    **overrides: Any,
) -> EpisodeLog:
    """Return a valid log: ego along +x at ``speed``, other actors given by mappings.

    Args:
        rows: number of rows T.
        speed, heading, y: of the ego, scalar or ``[T]``; x is integrated from the speed with the trapezoid
            rule.
        x0: where the ego starts.
        size: length and width of the ego.
        others: one mapping per actor with ``x, y, heading, speed`` (scalar or ``[T]``; a scalar x moves
            with its
            speed along its heading), ``length, width, shape, present, is_hazard, name``.
        last_us: spacing of the last row.
        phase_us: time of the first row.
        contact_with: actor that the ego hits in the last row.
        **overrides: any field of EpisodeLog.
    """
    t_us = frame_clock(rows, phase_us, last_us)
    t = (t_us - t_us[0]) / 1e6 if rows else np.zeros(0)
    count = 1 + len(others)
    columns = {name: np.zeros((rows, count)) for name in ("x", "y", "heading", "speed", "acceleration")}
    present = np.ones((rows, count), dtype=np.bool_)
    columns["speed"][:, 0] = speed
    columns["heading"][:, 0] = heading
    columns["y"][:, 0] = y
    step = np.diff(t) * 0.5 * (columns["speed"][1:, 0] + columns["speed"][:-1, 0]) if rows > 1 else np.zeros(0)
    columns["x"][:, 0] = x0 + np.concatenate([[0.0], np.cumsum(step)])[:rows]
    if rows > 1:
        columns["acceleration"][:, 0] = np.gradient(columns["speed"][:, 0], t)
    for index, actor in enumerate(others, start=1):
        _place(columns, present, index, actor, t)
    fields = _facts(rows, count, t_us, columns, present, size, others)
    if contact_with is not None:
        fields |= {
            "contact": _contact(columns, t_us, contact_with, fields["actors"]),
            "end": EndReason.CONTACT,
        }
    return EpisodeLog(**(fields | overrides))


def _place(
    columns: dict[str, npt.NDArray[np.float64]],
    present: npt.NDArray[np.bool_],
    index: int,
    actor: Mapping[str, Any],
    t: npt.NDArray[np.float64],
) -> None:
    speed = np.broadcast_to(np.asarray(actor.get("speed", 0.0), dtype=float), t.shape)
    heading = np.broadcast_to(np.asarray(actor.get("heading", 0.0), dtype=float), t.shape)
    columns["speed"][:, index], columns["heading"][:, index] = speed, heading
    x, y = np.asarray(actor["x"], dtype=float), np.asarray(actor.get("y", 0.0), dtype=float)
    columns["x"][:, index] = x + speed * t * np.cos(heading) if x.ndim == 0 else x
    columns["y"][:, index] = y + speed * t * np.sin(heading) if y.ndim == 0 else y
    present[:, index] = actor.get("present", True)


def _contact(
    columns: dict[str, npt.NDArray[np.float64]], t_us: npt.NDArray[np.int64], actor: int, table: ActorTable
) -> Contact:
    ego, other = float(columns["speed"][-1, 0]), float(columns["speed"][-1, actor])
    turn = float(columns["heading"][-1, 0] - columns["heading"][-1, actor])
    relative = float(np.sqrt(max(ego**2 + other**2 - 2.0 * ego * other * np.cos(turn), 0.0)))
    return Contact(int(t_us[-1]), actor, int(table.shape[actor]), ego, other, relative)


def _facts(
    rows: int,
    count: int,
    t_us: npt.NDArray[np.int64],
    columns: dict[str, npt.NDArray[np.float64]],
    present: npt.NDArray[np.bool_],
    size: tuple[float, float],
    others: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    actors = ActorTable(
        name=(
            "ego",
            *(str(actor.get("name", f"actor{index}")) for index, actor in enumerate(others, start=1)),
        ),
        shape=np.array([0, *(actor.get("shape", 0) for actor in others)], dtype=np.int8),
        length=np.array([size[0], *(actor.get("length", 5.0) for actor in others)], dtype=float),
        width=np.array([size[1], *(actor.get("width", 2.0) for actor in others)], dtype=float),
        height=np.full(count, 1.5),
        colour=np.tile(np.array([200, 30, 30], dtype=np.uint8), (count, 1)),
        is_hazard=np.array([False, *(actor.get("is_hazard", False) for actor in others)], dtype=np.bool_),
    )
    return {
        "case": Case("synthetic", (("gap_m", 20.0),), 0),
        "actors": actors,
        "map_key": "0" * 16,
        "t_us": t_us,
        "present": present,
        **columns,
        "visible": present.copy(),
        "brake_light": np.zeros((rows, count), dtype=np.bool_),
        "indicator": np.zeros((rows, count), dtype=np.int8),
        "steering": np.zeros(rows),
        "lane": np.zeros((rows, count), dtype=np.int32),
        "lane_s": columns["x"].copy(),
        "lane_r": columns["y"].copy(),
        "lane_heading": np.zeros(rows),
        "lane_width": np.full(rows, 4.0),
        "in_junction": np.zeros(rows, dtype=np.bool_),
        "off_road_m": np.zeros(rows),
        "on_several_lanes": np.zeros(rows, dtype=np.bool_),
        "route_s": columns["x"][:, 0] + 50.0,
        "route_r": columns["y"][:, 0].copy(),
        "speed_limit_mps": np.full(rows, 15.0),
        "plan_age_us": np.zeros(rows, dtype=np.int64),
        "plan_request": np.full(rows, -1, dtype=np.int32),
        "aeb_active": np.zeros(rows, dtype=np.bool_),
        "requests": make_requests(),
        "contact": None,
        "end": EndReason.TIME_LIMIT,
        "goal_m": 200.0,
        "route_start_s": 50.0 + (float(columns["x"][0, 0]) if rows else 0.0),
        "cruise_speed_mps": 12.0,
        "hazard_us": 300_000,
        "avoidable": True,
        "expert_progress_m": float(columns["x"][-1, 0] - columns["x"][0, 0]) if rows else float("nan"),
        "saturated": False,
        "cold_start": False,
        "lighting": Lighting(),
    }


def with_fields(log: EpisodeLog, **changes: Any) -> EpisodeLog:
    """Return a copy of ``log`` with other fields."""
    return dataclasses.replace(log, **changes)
