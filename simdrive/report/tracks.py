"""An episode as plain lists that a page can replay: who was where, what was asked and answered, what was planned.

Numbers are whole: milliseconds, centimetres, milliradians. Long columns hold differences, without the zeros at their
end, so that a parked car costs three numbers; ``page_parts/player.js`` adds them up again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simdrive.metrics.trace import is_object, is_vulnerable
from simdrive.report.hud import TTC_SHOWN_S
from simdrive.report.replay import ttc_rows
from simdrive.types import Bool, EpisodeLog, Float, RequestLog, RequestStatus

CENTIMETRE, MILLIRADIAN = 0.01, 0.001
MOST_ACTORS = 24  # besides the ego
SHOWN_M = 90.0  # who never comes nearer is left out
PLAN_STEP_S, PLAN_REACH_S = 0.5, 4.0
TEXT_MOST, TEXT_LEAST, TEXT_EPISODE = 600, 40, 60_000  # characters: of one answer, of any answer, of an episode
MOVING_MPS = 0.05
CAR, PERSON, THING = range(3)


def deltas(values: Float, unit: float) -> list[int]:
    """Return ``values [n]`` in whole units as first value and differences, without zeros at the end."""
    steps = np.diff(np.rint(np.asarray(values, np.float64) / unit).astype(np.int64), prepend=0)
    last = int(np.max(np.flatnonzero(steps), initial=0))
    found: list[int] = steps[: last + 1].tolist()
    return found


def runs(flags: Bool) -> list[int]:
    """Return where ``flags [n]`` are true, as start, stop, start, stop."""
    edges: list[int] = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))).tolist()
    return edges


def readings(log: EpisodeLog) -> dict[str, Float]:
    """Return what the curves show, each ``[T]``, NaN where there is nothing to show.

    Speed in m/s, acceleration along the heading in m/s2, steering in degrees, time to collision in s while the ego moves
    and somebody is less than ten seconds away, age of the plan in use in ms.
    """
    speed, ttc, age = log.speed[:, 0], ttc_rows(log), log.plan_age_us.astype(np.float64)
    shown = (np.abs(speed) > MOVING_MPS) & (ttc <= TTC_SHOWN_S)
    return {
        "speed": speed,
        "acceleration": log.acceleration[:, 0],
        "steering": np.degrees(log.steering),
        "ttc": np.where(shown, ttc, np.nan),
        "age": np.where(age >= 0.0, age / 1e3, np.nan),
    }


def listed(values: Float, decimals: int) -> list[float | None]:
    """Return ``values [n]`` rounded, None where they are not finite."""
    return [round(float(value), decimals) if np.isfinite(value) else None for value in values]


def track(log: EpisodeLog, origin: tuple[float, float]) -> dict[str, Any]:
    """Return one episode as lists.

    Args:
        log: with at least one row.
        origin: world point (x, y) that positions count from, m.
    """
    here = log.present & np.isfinite(log.x) & np.isfinite(log.y) & np.isfinite(log.heading)
    return {
        "t": deltas(log.t_us / 1e3, 1.0),
        "rows": len(log.t_us),
        **{name: listed(values, 2) for name, values in readings(log).items()},
        "plan": deltas(log.plan_request.astype(np.float64), 1.0),
        "hazard": round(log.hazard_us / 1e3) if log.hazard_us >= 0 else None,
        "hit": round(log.contact.t_us / 1e3) if log.contact is not None else None,
        "actors": [_actor(log, here[:, index], index, origin) for index in _shown(log, here)],
        "requests": _requests(log.requests),
        "plans": [_plan(plan, origin) for plan in log.requests.plan],
    }


def _shown(log: EpisodeLog, here: Bool) -> list[int]:
    """Return the actors to show, ego first: hazards and whoever comes near, the nearest where they are many."""
    gaps = np.hypot(log.x - log.x[:, :1], log.y - log.y[:, :1]) - 0.5 * log.actors.length
    nearest = np.min(np.where(here, gaps, np.inf), axis=0)
    hazard = log.actors.is_hazard & np.isfinite(nearest)
    near = [v for v in range(1, len(nearest)) if hazard[v] or nearest[v] < SHOWN_M]
    near = sorted(near, key=lambda v: (not hazard[v], nearest[v], v))[:MOST_ACTORS]
    return [0, *sorted(near)]


def _actor(log: EpisodeLog, here: Bool, index: int, origin: tuple[float, float]) -> dict[str, Any]:
    shape = int(log.actors.shape[index])
    heading = np.unwrap(np.where(here, log.heading[:, index], 0.0))
    return {
        "size": [round(float(log.actors.length[index]), 2), round(float(log.actors.width[index]), 2)],
        "kind": PERSON if is_vulnerable(shape) else THING if is_object(shape) else CAR,
        "hazard": bool(log.actors.is_hazard[index]),
        "here": runs(here),
        "seen": runs(log.visible[:, index]),
        "x": deltas(np.where(here, log.x[:, index] - origin[0], 0.0), CENTIMETRE),
        "y": deltas(np.where(here, log.y[:, index] - origin[1], 0.0), CENTIMETRE),
        "h": deltas(heading, MILLIRADIAN),
    }


def _requests(requests: RequestLog) -> dict[str, Any]:
    count = len(requests.t_obs_us)
    room = min(max(TEXT_EPISODE // max(count, 1), TEXT_LEAST), TEXT_MOST)
    stamps = {"seen": requests.t_obs_us, "start": requests.t_start_us,
              "finish": requests.t_finish_us, "used": requests.t_actuate_us}  # fmt: skip
    return {
        **{name: [round(int(t) / 1e3, 1) if t >= 0 else None for t in times] for name, times in stamps.items()},
        "status": [RequestStatus(int(status)).name.lower() for status in requests.status],
        "tokens": [int(tokens) for tokens in requests.output_tokens],
        "text": [text if len(text) <= room else text[:room] + " …" for text in requests.text],
    }


def _plan(plan: Float, origin: tuple[float, float]) -> list[list[int]]:
    """Return the points of a plan every half second as differences of x and y; none without a plan."""
    plan = plan[np.isfinite(plan[:, :3]).all(axis=1)]
    if len(plan) < 2:
        return []
    times = np.arange(0.0, min(plan[-1, 0], PLAN_REACH_S) + 1e-9, PLAN_STEP_S)
    return [
        deltas(np.interp(times, plan[:, 0], plan[:, column]) - start, CENTIMETRE)
        for column, start in zip((1, 2), origin, strict=True)
    ]
