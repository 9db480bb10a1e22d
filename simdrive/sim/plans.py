"""Builds plans beside a route, so that every driver and search speaks in (distance, offset) and the car in metres.

A route is float64 ``[R, 5]``: x, y, heading, s, curvature; world frame, s ascending, padded with its last point. An
offset r is metres to the right of the route in driving direction. Beyond its ends a route goes straight on.
"""

from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit
from simdrive.types import Bool, Float

PLAN_STEP_S = 0.25
PLAN_POINTS = 21  # 5 s
PLAN_TIMES = np.arange(PLAN_POINTS) * PLAN_STEP_S


@jit
def fold(angle):  # type: ignore[no-untyped-def]
    """Return ``angle`` (rad) folded into [-pi, pi)."""
    return angle - 2.0 * math.pi * math.floor((angle + math.pi) / (2.0 * math.pi))


@jit
def bow(length, u, first, second):  # type: ignore[no-untyped-def]
    """Return how far right of a chord its cubic lies at share ``u``; end headings relative to the chord, rad."""
    first, second = min(max(first, -0.3), 0.3), min(max(second, -0.3), 0.3)
    return length * u * (1.0 - u) * ((1.0 - u) * first - u * second)


@jit
def route_segment(route, s):  # type: ignore[no-untyped-def]
    """Return the index i of the route interval [i, i + 1] that holds ``s`` (binary search; first and last catch all)."""
    low, high = 0, route.shape[0] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if route[middle, 3] <= s:
            low = middle
        else:
            high = middle
    while low > 0 and route[low + 1, 3] - route[low, 3] < 1e-6:  # padding
        low -= 1
    return low


@jit
def route_pose(route, s):  # type: ignore[no-untyped-def]
    """Return (x, y, heading, curvature) of the route at ``s``."""
    i = route_segment(route, s)
    span = route[i + 1, 3] - route[i, 3]
    if span < 1e-6 or s < route[i, 3] or s > route[i + 1, 3]:
        end = i + 1 if s > route[i + 1, 3] else i
        heading, past = route[end, 2], s - route[end, 3]
        return route[end, 0] + past * math.cos(heading), route[end, 1] + past * math.sin(heading), heading, 0.0
    u = (s - route[i, 3]) / span
    dx, dy = route[i + 1, 0] - route[i, 0], route[i + 1, 1] - route[i, 1]
    chord = math.atan2(dy, dx)
    turn = fold(route[i + 1, 2] - route[i, 2])
    side = bow(span, u, fold(route[i, 2] - chord), fold(route[i + 1, 2] - chord))
    x = route[i, 0] + u * dx - side * math.sin(chord)
    y = route[i, 1] + u * dy + side * math.cos(chord)
    return x, y, route[i, 2] + u * turn, route[i, 4] + u * (route[i + 1, 4] - route[i, 4])


@jit
def present_bend(route, s, curvature, speed):  # type: ignore[no-untyped-def]
    """Return d2r/ds2 of a car's path: how much tighter it turns than its route.

    Who plans anew several times a second must go on with it: a plan that always starts along the route leaves the
    correction of a bend to later, and later never comes.
    """
    return curvature - route_pose(route, s)[3] if speed > 2.0 else 0.0


@jit
def write_point(route, s, r, slope, speed, time_s, row):  # type: ignore[no-untyped-def]
    """Write one plan point: (t, x, y, heading, speed) at distance ``s``, offset ``r``, slope dr/ds."""
    x, y, heading, curvature = route_pose(route, s)
    row[0] = time_s
    row[1] = x - r * math.sin(heading)
    row[2] = y + r * math.cos(heading)
    # On a bend, a metre of route is (1 - curvature r) metres of path at offset r.
    row[3] = heading + math.atan2(slope, max(1.0 - curvature * r, 0.2))
    row[4] = speed


@jit
def shift_offset(distance, length, r0, slope0, bend0, r1):  # type: ignore[no-untyped-def]
    """Return (offset, slope) after ``distance`` m of a quintic shift from r0 to r1 over ``length`` m.

    It starts with slope dr/ds ``slope0`` and second derivative ``bend0``, so that a plan renewed on the way goes on
    where the last one was, and ends along the route. In distance, not time: a car that brakes to a stop half way
    stays half way.
    """
    if distance >= length:
        return r1, 0.0
    u = max(distance, 0.0) / length
    gap, s, b = r1 - r0, slope0 * length, bend0 * length * length
    c3, c4, c5 = 10.0 * gap - 6.0 * s - 1.5 * b, -15.0 * gap + 8.0 * s + 1.5 * b, 6.0 * gap - 3.0 * s - 0.5 * b
    offset = r0 + u * (s + u * (0.5 * b + u * (c3 + u * (c4 + u * c5))))
    slope = (s + u * (b + u * (3.0 * c3 + u * (4.0 * c4 + u * 5.0 * c5)))) / length
    return offset, slope


@jit
def shift_length(r0, slope0, r1, speed, lateral_mps2):  # type: ignore[no-untyped-def]
    """Return the length (m) of a shift whose lateral acceleration stays near ``lateral_mps2`` at ``speed``."""
    # Peak second derivative of the quintic: 5.77 gap / length^2 (10 / sqrt 3), plus about 3.4 slope / length.
    v = max(speed, 3.0)
    bend = lateral_mps2 / (v * v)
    steep = 3.4 * abs(slope0)
    gap = abs(r1 - r0)
    wanted = 0.5 * (steep + math.sqrt(steep * steep + 4.0 * bend * 5.77 * gap)) / bend
    return max(wanted, 6.0, math.sqrt(48.0 * gap))  # the car cannot bend tighter than 0.12 1/m


@jit
def constant_acceleration(time_s, speed, acceleration, end_speed):  # type: ignore[no-untyped-def]
    """Return (distance, speed) after ``time_s`` at ``acceleration`` until ``end_speed`` is reached and held."""
    until = 1e300
    if (acceleration < 0.0 and speed > end_speed) or (acceleration > 0.0 and speed < end_speed):
        until = (end_speed - speed) / acceleration
    elif acceleration != 0.0:
        until = 0.0
    t = min(time_s, until)
    reached = speed + acceleration * t
    return t * (speed + 0.5 * acceleration * t) + (time_s - t) * reached, reached


@jit
def write_manoeuvre(  # type: ignore[no-untyped-def]
    route, s, r, slope, bend, speed, acceleration, end_speed, shift_to, lateral_mps2, times, plan
):
    """Write the plan ``[P, 5]``: constant acceleration to an end speed while shifting to offset ``shift_to``."""
    length = shift_length(r, slope, shift_to, speed, lateral_mps2)
    for k in range(plan.shape[0]):
        distance, v = constant_acceleration(times[k], speed, acceleration, end_speed)
        offset, incline = shift_offset(distance, length, r, slope, bend, shift_to)
        write_point(route, s + distance, offset, incline, v, times[k], plan[k])


@jit
def _hold(routes, s, r, slope, bend, speed, times, plans):  # type: ignore[no-untyped-def]
    for n in range(routes.shape[0]):
        write_manoeuvre(routes[n], s[n], r[n], slope[n], bend[n], speed[n], 0.0, speed[n], 0.0, 1.0, times, plans[n])


def hold_plans(
    route: Float, route_s: Float, route_r: Float, slope: Float, speed: Float, bend: Float | None = None
) -> Float:
    """Return the common start of every driver, hold lane and speed, as plans ``[N, P, 5]``.

    Args:
        route: ``[N, R, 5]`` x, y, heading, s, curvature; world frame.
        route_s: ``[N]`` place of the egos along their routes, m.
        route_r: ``[N]`` offset to the right of it, m; led back to 0.
        slope: ``[N]`` dr/ds at present (tangent of the course relative to the route); 0 for a car along its lane.
        speed: ``[N]`` m/s, held.
        bend: ``[N]`` d2r/ds2 at present, see ``present_bend``; None = the car turns with its route.
    """
    plans = np.empty((len(route), PLAN_POINTS, 5))
    speeds = np.maximum(np.asarray(speed, dtype=np.float64), 0.0)
    bends = np.zeros(len(route)) if bend is None else bend
    _hold(np.ascontiguousarray(route), route_s, route_r, slope, bends, speeds, PLAN_TIMES, plans)
    return plans


@jit
def _route_headings(routes, s, out):  # type: ignore[no-untyped-def]
    for n in range(routes.shape[0]):
        out[n] = route_pose(routes[n], s[n])[2]


@jit
def _present_bends(routes, s, curvature, speed, out):  # type: ignore[no-untyped-def]
    for n in range(routes.shape[0]):
        out[n] = present_bend(routes[n], s[n], curvature[n], speed[n])


def present_bends(route: Float, route_s: Float, curvature: Float, speed: Float) -> Float:
    """Return ``present_bend`` ``[N]`` for cars at ``route_s`` [N] with path curvature [N] (1/m) and speed [N]."""
    bends = np.empty(len(route))
    _present_bends(np.ascontiguousarray(route), route_s, curvature, np.ascontiguousarray(speed), bends)
    return bends


def route_slopes(route: Float, route_s: Float, heading: Float, steering: Float) -> Float:
    """Return dr/ds ``[N]`` of the ego courses against their routes.

    The course of a car is its heading plus the slip beta = atan(tan(steering) / 2) of the kinematic bicycle.

    Args:
        route: ``[N, R, 5]``.
        route_s: ``[N]`` m.
        heading, steering: ``[N]`` rad.
    """
    along = np.empty(len(route))
    _route_headings(np.ascontiguousarray(route), route_s, along)
    course = heading + np.arctan(0.5 * np.tan(steering)) - along
    course = (course + np.pi) % (2.0 * np.pi) - np.pi
    slope: Float = np.tan(np.clip(course, -0.8, 0.8))
    return slope


def plan_errors(plan: Float) -> Bool:
    """Return ``[N]`` True where a plan cannot be followed: not finite, time not ascending, horizon under 4 s."""
    finite = np.isfinite(plan).all(axis=(1, 2))
    time = np.where(np.isfinite(plan[:, :, 0]), plan[:, :, 0], 0.0)
    if plan.shape[1] < 2:
        return np.ones(len(plan), dtype=np.bool_)
    ascending = (np.diff(time, axis=1) > 0.0).all(axis=1)
    bad: Bool = ~(finite & ascending & (time[:, -1] >= 4.0 - 1e-9) & (plan[:, :, 4] >= 0.0).all(axis=1))
    return bad
