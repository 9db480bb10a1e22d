"""One episode as rows for imitation learning: what the car was, what it did next, and the plan that drove it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simdrive.geometry import wrap_angle
from simdrive.types import FRAME_PERIOD_US, EndReason, EpisodeLog, Float, Long

FPS = round(1e6 / FRAME_PERIOD_US)
PLAN_TIMES_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)  # from the row on

Rows = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Feature:
    """One column of the rows: ``[N, len(names)]`` values, or ``[N]`` where there is one name."""

    dtype: str
    names: tuple[str, ...]


FEATURES: dict[str, Feature] = {
    "observation.state": Feature(
        "float32",
        (
            "x_m", "y_m", "heading_rad", "speed_mps", "acceleration_mps2", "steering_rad",
            "route_s_m", "route_r_m", "speed_limit_mps",
        ),
    ),
    "action": Feature("float32", ("acceleration_mps2", "steering_rad")),
    "plan": Feature(
        "float32",
        tuple(f"{name}_{t_s:g}s" for t_s in PLAN_TIMES_S for name in ("ahead_m", "right_m", "heading_rad", "speed_mps")),
    ),
    "plan_known": Feature("bool", ("plan_known",)),
    "plan_age_s": Feature("float32", ("plan_age_s",)),
    "next.done": Feature("bool", ("done",)),
    "next.success": Feature("bool", ("success",)),
}  # fmt: skip


def regular_rows(log: EpisodeLog) -> Long:
    """Return the rows ``[N]`` on the 10 Hz grid; the last row of an episode is off it unless it ended there."""
    return np.flatnonzero((log.t_us - log.t_us[:1]) % FRAME_PERIOD_US == 0)


def rollout_rows(log: EpisodeLog) -> Rows:
    """Return the columns ``FEATURES`` of an episode, one row per 0.1 s.

    ``action`` is the acceleration and the steering angle of the following row: what the tracker made of the plan.
    ``plan`` is the plan in use, seen from the car at that row; zeros, and ``plan_known`` false, where there is none or
    where it does not reach 3 s ahead. ``plan_age_s`` is -1 before the first plan.
    """
    rows = regular_rows(log)
    after = np.minimum(rows + 1, len(log.t_us) - 1)
    ego = {name: getattr(log, name)[:, 0] for name in ("x", "y", "heading", "speed", "acceleration")}
    state = [*(column[rows] for column in ego.values()), log.steering[rows]]
    state += [log.route_s[rows], log.route_r[rows], log.speed_limit_mps[rows]]
    plans = [plan_from(log, int(row)) for row in rows]
    known = np.array([plan is not None for plan in plans], np.bool_)
    width = len(FEATURES["plan"].names)
    done = np.zeros(len(rows), np.bool_)
    done[-1:] = True
    return {
        "observation.state": np.stack(state, axis=1).astype(np.float32),
        "action": np.stack([ego["acceleration"][after], log.steering[after]], axis=1).astype(np.float32),
        "plan": np.array([np.zeros(width) if plan is None else plan for plan in plans], np.float32).reshape(-1, width),
        "plan_known": known,
        "plan_age_s": np.where(log.plan_age_us[rows] < 0, -1.0, log.plan_age_us[rows] / 1e6).astype(np.float32),
        "next.done": done,
        "next.success": done & (log.end == EndReason.GOAL),
    }


def plan_from(log: EpisodeLog, row: int) -> Float | None:
    """Return the plan in use at a row ``[len(PLAN_TIMES_S) * 4]``: ahead, right, heading, speed; None without one."""
    request = int(log.plan_request[row])
    if request < 0:
        return None
    plan = log.requests.plan[request]
    plan = plan[np.isfinite(plan).all(axis=1)]
    times = (int(log.t_us[row]) - int(log.requests.t_obs_us[request])) / 1e6 + np.array(PLAN_TIMES_S)
    if len(plan) < 2 or times[-1] > plan[-1, 0] + 1e-9:
        return None
    x, y, speed = (np.interp(times, plan[:, 0], plan[:, column]) for column in (1, 2, 4))
    heading = np.interp(times, plan[:, 0], np.unwrap(plan[:, 3]))
    own = float(log.heading[row, 0])
    dx, dy, cos, sin = x - log.x[row, 0], y - log.y[row, 0], np.cos(own), np.sin(own)
    seen: Float = np.stack([dx * cos + dy * sin, dy * cos - dx * sin, wrap_angle(heading - own), speed], axis=1)
    return seen.ravel()
