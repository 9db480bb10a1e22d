"""From way-points to a plan that a car can follow: a smooth path through them and a smooth, never reversing speed.

Space and time are told apart. The path is a cubic spline over the length of its chords, which starts along the present
course (or, where that swings out, a cubic with calmer tangents); the distance along it is a monotone cubic over time
(slopes of a spline, limited as in Fritsch and Carlson 1980, so that it never runs backwards), which starts at the present
speed. So a car that stands keeps its heading, and points that repeat mean speed zero. After the last way-point the plan
holds its speed and its place beside the route.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from simdrive.agents.language.waypoints import WaypointForm
from simdrive.sim.plans import PLAN_TIMES
from simdrive.types import Float, ObservationBatch

SPACING_M = 0.6  # points closer than this do not bend the path: a centimetre there turns the car by 0.02 rad
_MOST_STRETCH = 1.5  # length of a path's tangent, straight on = 1; bends of up to 1 rad between points stay below 1.2
_FADE_S = 0.5  # in which a slope against the route is gone after the last way-point


def plans_of_waypoints(points: Float, batch: ObservationBatch, form: WaypointForm) -> Float:
    """Return the plans ``[N, 21, 5]`` (world frame, every 0.25 s up to 5 s) through way-points ``[N, K, 2]``.

    Args:
        points: (forward, right) of the ego in metres, as ``waypoints_from`` gives them.
        batch: the observations that were answered.
        form: times of the points.
    """
    plans: Float = np.empty((len(batch), len(PLAN_TIMES), 5))
    for row in range(len(batch)):
        slip = float(np.arctan(0.5 * np.tan(batch.ego[row, 5])))
        plan = ego_plan(points[row], form.times_s, max(float(batch.ego[row, 3]), 0.0), slip)
        _to_world(plan, batch.ego[row], plans[row])
        _extend(plans[row], batch.route[row], float(batch.route_s[row]), form.horizon_s)
    return plans


def ego_plan(points: Float, times_s: Float, speed_mps: float, course_rad: float) -> Float:
    """Return the plan ``[21, 5]`` in the ego frame (x forward, y right); past the last point it stays there."""
    steps = np.concatenate([[0.0], times_s])
    knots, path, place_m = _path(points, course_rad)
    distance = _distance(steps, place_m, speed_mps)
    at = np.minimum(PLAN_TIMES, steps[-1])
    s = distance(at)
    x, y, dx, dy = _along(path, knots, s, course_rad)
    plan: Float = np.empty((len(PLAN_TIMES), 5))
    plan[:, 0], plan[:, 1], plan[:, 2] = PLAN_TIMES, x, y
    plan[:, 3] = np.unwrap(np.arctan2(dy, dx))
    plan[:, 4] = np.maximum(distance(at, 1), 0.0) * np.hypot(dx, dy)
    return plan


def _path(points: Float, course_rad: float) -> tuple[Float, CubicHermiteSpline | CubicSpline | None, Float]:
    """Return (lengths at the knots, path over length or None where the car hardly moves, length ``[K + 1]`` per point)."""
    kept, place_m = [np.zeros(2)], [0.0]
    lengths, heading = [0.0], np.array([np.cos(course_rad), np.sin(course_rad)])
    for point in points:
        step = point - kept[-1]
        span = float(np.hypot(*step))
        if span >= SPACING_M and float(step @ heading) > 0.0:
            heading = step / span
            lengths.append(lengths[-1] + span)
            kept.append(point)
            place_m.append(lengths[-1])
        else:  # on the way to the next knot, or where it was before
            place_m.append(max(lengths[-1] + max(float(step @ heading), 0.0), place_m[-1]))
    if len(kept) == 1:
        return np.array(lengths), None, np.array(place_m)
    start = np.array([np.cos(course_rad), np.sin(course_rad)])
    # With a single knot ahead: the parabola.
    end: Literal["not-a-knot"] | tuple[Literal[1], Float]
    end = "not-a-knot" if len(kept) > 2 else (1, 2.0 * heading - start)
    path: CubicHermiteSpline | CubicSpline = CubicSpline(lengths, np.array(kept), bc_type=((1, start), end))
    tried = np.linspace(0.0, lengths[-1], 8 * len(lengths) + 1)
    if float(np.linalg.norm(path(tried, 1), axis=1).max()) > _MOST_STRETCH:
        path = _calm(np.array(lengths), np.array(kept), start)
    return np.array(lengths), path, np.array(place_m)


def _calm(lengths: Float, knots: Float, start: Float) -> CubicHermiteSpline:
    """Return a path that never swings out: unit tangents at the knots, between the steps, nearer to the shorter one's.

    A spline with continuous curvature overshoots by far where a long step follows a short one at an angle.
    """
    spans = np.diff(lengths)[:, None]
    steps = np.diff(knots, axis=0) / spans
    between = steps[:-1] * spans[1:] + steps[1:] * spans[:-1]
    tangents = np.concatenate([start[None], between, steps[-1:]])
    return CubicHermiteSpline(lengths, knots, tangents / np.linalg.norm(tangents, axis=1, keepdims=True))


def _distance(times_s: Float, place_m: Float, speed_mps: float) -> CubicHermiteSpline:
    """Return the distance over time: through all points, monotone, starting at the present speed if that can be."""
    means = np.diff(place_m) / np.diff(times_s)
    slopes = CubicSpline(times_s, place_m, bc_type=((1, np.array(speed_mps)), "not-a-knot"))(times_s, 1)
    least = np.minimum(np.concatenate([means, means[-1:]]), np.concatenate([means[:1], means]))
    return CubicHermiteSpline(times_s, place_m, np.clip(slopes, 0.0, 3.0 * least))


def _along(
    path: CubicHermiteSpline | CubicSpline | None, knots: Float, s: Float, course_rad: float
) -> tuple[Float, Float, Float, Float]:
    """Return places and tangents at lengths ``s`` of a path; beyond its last knot it goes straight on."""
    if path is None:
        dx, dy = np.full_like(s, np.cos(course_rad)), np.full_like(s, np.sin(course_rad))
        return s * dx, s * dy, dx, dy
    inside = np.minimum(s, knots[-1])
    place, tangent = path(inside), path(inside, 1)
    beyond = (s - inside)[:, None]
    tangent = np.where(beyond > 0.0, tangent / np.linalg.norm(tangent, axis=1, keepdims=True), tangent)
    place = place + beyond * tangent
    return place[:, 0], place[:, 1], tangent[:, 0], tangent[:, 1]


def _to_world(plan: Float, ego: Float, out: Float) -> None:
    cos, sin = np.cos(ego[2]), np.sin(ego[2])
    out[:, 0], out[:, 4] = plan[:, 0], plan[:, 4]
    out[:, 1] = ego[0] + plan[:, 1] * cos - plan[:, 2] * sin
    out[:, 2] = ego[1] + plan[:, 1] * sin + plan[:, 2] * cos
    out[:, 3] = ego[2] + plan[:, 3]


def _extend(plan: Float, route: Float, route_s: float, since_s: float) -> None:
    """Write the rows after ``since_s``: the last speed, beside the route ``[R, 5]`` as far as the car is there."""
    late = plan[:, 0] > since_s + 1e-9
    speed = plan[-1, 4]
    if not late.any() or speed < 1e-3:
        return
    last = plan[-1].copy()  # every row after the last point still stands there
    used = np.concatenate([[True], np.diff(route[:, 3]) > 1e-6])  # padding repeats the last point
    road = route[used]
    s, r = _beside(road, last[1], last[2], route_s)
    forward = s + speed * (plan[late, 0] - since_s)
    along = np.interp(s, road[:, 3], np.unwrap(road[:, 2]))
    slope = np.tan(np.clip((last[3] - along + np.pi) % (2.0 * np.pi) - np.pi, -0.8, 0.8))
    fade_m = max(_FADE_S * speed, 1.0)
    left = np.exp(-(forward - s) / fade_m)
    x, y, heading = _pose(road, forward)
    offset = r + slope * fade_m * (1.0 - left)
    plan[late, 1], plan[late, 2] = x - offset * np.sin(heading), y + offset * np.cos(heading)
    plan[late, 3] = heading + np.arctan(slope * left)


def _beside(road: Float, x: float, y: float, near_s: float) -> tuple[float, float]:
    """Return (s, offset to the right) of a place beside a road ``[R, 5]``, ahead of or near ``near_s``."""
    delta = np.diff(road[:, :2], axis=0)
    span = np.hypot(delta[:, 0], delta[:, 1])
    dx, dy = x - road[:-1, 0], y - road[:-1, 1]
    u = (dx * delta[:, 0] + dy * delta[:, 1]) / span
    clipped = np.clip(u, 0.0, span)
    away = np.hypot(dx - clipped * delta[:, 0] / span, dy - clipped * delta[:, 1] / span)
    away = np.where(road[1:, 3] < near_s - 5.0, np.inf, away)  # a road may cross itself
    best = int(np.argmin(away))
    across = (dy[best] * delta[best, 0] - dx[best] * delta[best, 1]) / span[best]
    return float(road[best, 3] + clipped[best]), float(across)


def _pose(road: Float, s: Float) -> tuple[Float, Float, Float]:
    heading = np.unwrap(road[:, 2])
    past = np.maximum(s - road[-1, 3], 0.0)  # beyond its end a route goes straight on
    x = np.interp(s, road[:, 3], road[:, 0]) + past * np.cos(heading[-1])
    y = np.interp(s, road[:, 3], road[:, 1]) + past * np.sin(heading[-1])
    return x, y, np.interp(s, road[:, 3], heading)
