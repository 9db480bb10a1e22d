"""What the rule drivers share: who is ahead on the route, how fast a bend may be taken, the IDM law.

Reference: intelligent driver model (Treiber, Hennecke, Helbing 2000) with the constants of highway-env's
IDMVehicle.
"""

from __future__ import annotations

import math

from simdrive.agents.scene import (
    E_CURVATURE,
    E_LENGTH,
    E_R,
    E_S,
    E_SLOPE,
    E_SPEED,
    E_WIDTH,
    HEADING,
    LATERAL,
    LENGTH,
    SEEN,
    SPEED,
    WIDTH,
    X,
    Y,
)
from simdrive.jit import jit
from simdrive.sim.plans import fold, present_bend, route_pose, shift_length, shift_offset, write_point
from simdrive.sim.route import project

TICK_S = 0.05
FREE_M = 1e9  # gap on a free road


@jit
def valid_points(route):  # type: ignore[no-untyped-def]
    """Return how many rows of a padded route are distinct points, at least 2."""
    count = route.shape[0]
    while count > 2 and route[count - 1, 3] - route[count - 2, 3] < 1e-9:
        count -= 1
    return count


@jit
def bend_speeds(route, count, free_mps, lateral_mps2, braking_mps2, out):  # type: ignore[no-untyped-def]
    """Write ``out[:count]``: how fast one may be at each route point and still brake in time for later bends."""
    sharpest = 0.0
    for i in range(count):
        sharpest = max(sharpest, abs(route[i, 4]))
    if sharpest < 1e-6 or sharpest * free_mps * free_mps < 0.999 * lateral_mps2:  # no bend asks for less
        out[:count] = free_mps
        return
    for i in range(count):
        bend = abs(route[i, 4])
        out[i] = free_mps if bend < 1e-6 else min(free_mps, math.sqrt(lateral_mps2 / bend))
    for i in range(count - 2, -1, -1):
        step = route[i + 1, 3] - route[i, 3]
        out[i] = min(out[i], math.sqrt(out[i + 1] * out[i + 1] + 2.0 * braking_mps2 * step))


@jit
def speed_at(route, count, speeds, s, row):  # type: ignore[no-untyped-def]
    """Return (allowed speed at ``s``, row at or before it), walking forwards from ``row``."""
    while row < count - 2 and route[row + 1, 3] <= s:
        row += 1
    if s <= route[row, 3]:
        return speeds[row], row
    span = route[row + 1, 3] - route[row, 3]
    u = min((s - route[row, 3]) / span, 1.0)
    return speeds[row] + u * (speeds[row + 1] - speeds[row]), row


@jit
def beside_route(route, count, actor):  # type: ignore[no-untyped-def]
    """Return (s, r, turn against the route, half extent along, half extent across) of an actor's box."""
    s, r, _near = project(route, count, actor[X], actor[Y], -1)
    _, _, direction, _ = route_pose(route, s)
    turn = fold(actor[HEADING] - direction)
    cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
    half = 0.5 * (actor[LENGTH] * cos + actor[WIDTH] * sin)
    return s, r, turn, half, 0.5 * (actor[LENGTH] * sin + actor[WIDTH] * cos)


@jit
def idm_acceleration(speed, free_mps, gap_m, leader_mps, driver):  # type: ignore[no-untyped-def]
    """Return the IDM acceleration (exponent 4), m/s2; the gap of a free road is FREE_M.

    ``driver``: comfort acceleration > 0, comfort braking > 0, jam gap (m), time gap (s), hardest braking > 0.
    """
    share = speed / max(free_mps, 0.1)
    wish = driver[0] * (1.0 - share * share * share * share)
    if speed > free_mps:  # coast down gently instead of the steep power law
        wish = max(wish, -min(driver[1], speed - free_mps + 0.3))
    if gap_m < 0.5 * FREE_M:
        closing = speed * (speed - leader_mps) / (2.0 * math.sqrt(driver[0] * driver[1]))
        wanted = (driver[2] + max(0.0, speed * driver[3] + closing)) / max(gap_m, 0.1)
        wish -= driver[0] * wanted * wanted
    return max(wish, -driver[4])


@jit
def leader(route, count, ego, margin_m, actors):  # type: ignore[no-untyped-def]
    """Return (bumper gap, speed along the route) of the nearest visible actor in the ego's corridor.

    The corridor is the car's width plus ``margin_m`` on each side, between its present offset and the route.
    """
    gap, along = FREE_M, 0.0
    left = min(ego[E_R], 0.0) - 0.5 * ego[E_WIDTH] - margin_m
    right = max(ego[E_R], 0.0) + 0.5 * ego[E_WIDTH] + margin_m
    for a in range(1, actors.shape[0]):
        if actors[a, SEEN] == 0.0:
            continue
        s, r, turn, half, side = beside_route(route, count, actors[a])
        if s <= ego[E_S] or r + side < left or r - side > right:
            continue
        distance = max(s - ego[E_S] - half - 0.5 * ego[E_LENGTH], 0.0)
        if distance < gap:
            gap = distance
            along = actors[a, SPEED] * math.cos(turn) - actors[a, LATERAL] * math.sin(turn)
    return gap, along


@jit
def write_idm(route, count, ego, bends, gap_m, leader_mps, driver, times, plan):  # type: ignore[no-untyped-def]
    """Write the plan ``[P, 5]`` of an IDM driver behind a leader that keeps its speed, returning to the route."""
    length = shift_length(ego[E_R], ego[E_SLOPE], 0.0, ego[E_SPEED], 1.0)
    bend = present_bend(route, ego[E_S], ego[E_CURVATURE], ego[E_SPEED])
    s, v, ahead, row, k = ego[E_S], ego[E_SPEED], gap_m, 0, 0
    ticks = round(times[times.shape[0] - 1] / TICK_S)
    for tick in range(ticks + 1):
        while k < times.shape[0] and times[k] <= tick * TICK_S + 1e-9:
            offset, incline = shift_offset(s - ego[E_S], length, ego[E_R], ego[E_SLOPE], bend, 0.0)
            write_point(route, s, offset, incline, v, times[k], plan[k])
            k += 1
        allowed, row = speed_at(route, count, bends, s, row)
        a = idm_acceleration(v, allowed, ahead, leader_mps, driver)
        after = max(v + a * TICK_S, 0.0)
        moved = 0.5 * (v + after) * TICK_S
        s, v = s + moved, after
        if ahead < 0.5 * FREE_M:
            ahead = max(ahead + leader_mps * TICK_S - moved, 0.0)
