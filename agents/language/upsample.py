"""From a few targets to a whole plan and back: speeds at three times and where to be across the road."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit
from simdrive.sim.plans import fold, route_segment, write_point

STEP_S = 0.25
POINTS = 21  # 5 s
TIMES_S = (1.0, 2.0, 4.0)  # when the target speeds hold
SIDE_TIMES_S = (2.0, 4.0)  # when the lateral targets hold


@jit
def speed_profile(start, targets, time_s):  # type: ignore[no-untyped-def]
    """Return (distance, speed) at ``time_s``: straight lines between the speeds at 0, 1, 2 and 4 s, never below 0.

    A target below zero says how early the car stands: where the line to it crosses zero. After 4 s the last speed is
    held.
    """
    distance, since, speed = 0.0, 0.0, start
    for k in range(3):
        until = 1.0 if k == 0 else 2.0 if k == 1 else 4.0
        slope = (targets[k] - speed) / (until - since)
        passed = min(time_s, until) - since
        rolls = min(passed, speed / -slope) if slope < 0.0 else passed
        distance += rolls * (speed + 0.5 * slope * rolls)
        if time_s <= until:
            return distance, max(speed + slope * passed, 0.0)
        since, speed = until, max(targets[k], 0.0)
    return distance + (time_s - since) * speed, speed


@jit
def quintic(u, length, r0, slope0, bend0, r1, slope1):  # type: ignore[no-untyped-def]
    """Return (offset, slope) at share ``u`` of a quintic over ``length`` m from (r0, slope0, bend0) to (r1, slope1, 0)."""
    a, b, c = slope0 * length, 0.5 * bend0 * length * length, slope1 * length
    gap = r1 - r0
    c3 = 10.0 * gap - 6.0 * a - 3.0 * b - 4.0 * c
    c4 = -15.0 * gap + 8.0 * a + 3.0 * b + 7.0 * c
    c5 = 6.0 * gap - 3.0 * a - b - 3.0 * c
    offset = r0 + u * (a + u * (b + u * (c3 + u * (c4 + u * c5))))
    return offset, (a + u * (2.0 * b + u * (3.0 * c3 + u * (4.0 * c4 + u * 5.0 * c5)))) / length


@jit
def _shortest(gap, slope):  # type: ignore[no-untyped-def]
    """Return the least length (m) in which a car gets across by ``gap``: it cannot bend tighter than 0.12 1/m."""
    return max(6.0, math.sqrt(48.0 * abs(gap)), 30.0 * abs(slope))


@jit
def side_path(distance, d2, d4, r, slope, bend, first, second):  # type: ignore[no-untyped-def]
    """Return (offset, slope) after ``distance`` m of a path that is at ``first`` after ``d2`` and at ``second`` after ``d4``.

    The slope on the way is that of a monotone curve through the three offsets; a car that stops half way stays there.
    """
    one = max(d2, _shortest(first - r, slope))
    two = max(d4 - one, _shortest(second - first, 0.0))
    before, after = (first - r) / one, (second - first) / two
    middle = 2.0 * before * after / (before + after) if before * after > 0.0 else 0.0
    if distance < one:
        return quintic(max(distance, 0.0) / one, one, r, slope, bend, first, middle)
    if distance < one + two:
        return quintic((distance - one) / two, two, first, middle, 0.0, second, 0.0)
    return second, 0.0


@jit
def write_plans(routes, s, r, slope, bend, speed, targets, sides, plans):  # type: ignore[no-untyped-def]
    """Write plans ``[N, P, 5]`` from target speeds ``[N, 3]`` (m/s) and offsets ``[N, 2]`` (m right of the route)."""
    for n in range(routes.shape[0]):
        d2, _ = speed_profile(speed[n], targets[n], 2.0)
        d4, _ = speed_profile(speed[n], targets[n], 4.0)
        for k in range(plans.shape[1]):
            distance, v = speed_profile(speed[n], targets[n], k * STEP_S)
            offset, incline = side_path(distance, d2, d4, r[n], slope[n], bend[n], sides[n, 0], sides[n, 1])
            write_point(routes[n], s[n] + distance, offset, incline, v, k * STEP_S, plans[n, k])


@jit
def _offset(route, s, x, y):  # type: ignore[no-untyped-def]
    """Return how far right of the route's chord near ``s`` a point lies, m; ``s`` may be a few metres off."""
    best, found = 1e18, 0.0
    first = max(route_segment(route, s) - 3, 0)
    for i in range(first, min(first + 8, route.shape[0] - 1)):
        dx, dy = route[i + 1, 0] - route[i, 0], route[i + 1, 1] - route[i, 1]
        span = math.sqrt(dx * dx + dy * dy)
        if span < 1e-6:
            continue
        along = ((x - route[i, 0]) * dx + (y - route[i, 1]) * dy) / span
        across = ((y - route[i, 1]) * dx - (x - route[i, 0]) * dy) / span
        outside = max(-along, along - span, 0.0)
        u = min(max(along / span, 0.0), 1.0)
        # A chord lies inside its bend.
        sag = 0.5 * fold(route[i + 1, 2] - route[i, 2]) * u * (1.0 - u) * span
        if outside + abs(across) < best:
            best, found = outside + abs(across), across + sag
    return found


@jit
def read_plans(routes, s, plans, times, speeds, offsets):  # type: ignore[no-untyped-def]
    """Write speeds and offsets ``[N, T]`` that plans ``[N, P, 5]`` have at ``times`` [T]; before and past a plan its ends."""
    for n in range(routes.shape[0]):
        plan, row, travelled = plans[n], 0, 0.0
        for j in range(times.shape[0]):
            while row < plan.shape[0] - 2 and plan[row + 1, 0] < times[j]:
                row += 1
            span = plan[row + 1, 0] - plan[row, 0]
            u = min(max((times[j] - plan[row, 0]) / span, 0.0), 1.0)
            x = plan[row, 1] + u * (plan[row + 1, 1] - plan[row, 1])
            y = plan[row, 2] + u * (plan[row + 1, 2] - plan[row, 2])
            speeds[n, j] = plan[row, 4] + u * (plan[row + 1, 4] - plan[row, 4])
            if j > 0:
                travelled += 0.5 * (speeds[n, j] + speeds[n, j - 1]) * (times[j] - times[j - 1])
            offsets[n, j] = _offset(routes[n], s[n] + travelled, x, y)
