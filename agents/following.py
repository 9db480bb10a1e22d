"""What the rule drivers share: who is ahead on the route, how fast a bend may be taken, the IDM law.

Reference: intelligent driver model (Treiber, Hennecke, Helbing 2000) with the constants of highway-env's IDMVehicle.
"""

from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit
from simdrive.sim.plans import fold, route_pose, shift_length, shift_offset, write_point
from simdrive.sim.route import project


@jit
def valid_points(route):  # type: ignore[no-untyped-def]
    """Return how many rows of a padded route are distinct points, at least 2."""
    count = route.shape[0]
    while count > 2 and route[count - 1, 3] - route[count - 2, 3] < 1e-9:
        count -= 1
    return count


@jit
def bend_speeds(route, count, free_mps, lateral_mps2, braking_mps2, out):  # type: ignore[no-untyped-def]
    """Write ``out[:count]``: how fast the car may be at each route point so that later bends can be reached braking."""
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
def beside_route(route, count, x, y, heading, length, width):  # type: ignore[no-untyped-def]
    """Return (s, r, turn against the route, half extent along, half extent across) of a box."""
    s, r, row = project(route, count, x, y, -1)
    _, _, direction, _ = route_pose(route, s)
    turn = fold(heading - direction)
    cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
    return s, r, turn, 0.5 * (length * cos + width * sin), 0.5 * (length * sin + width * cos)


@jit
def idm_acceleration(speed, free_mps, gap_m, leader_mps, driver):  # type: ignore[no-untyped-def]
    """Return the IDM acceleration, m/s2; an infinite gap means a free road.

    ``driver``: (comfort acceleration > 0, comfort braking > 0, jam gap in m, time gap in s, exponent, hardest braking).
    """
    free = driver[0] * (1.0 - (speed / max(free_mps, 0.1)) ** driver[4])
    if speed > free_mps:  # coast down gently instead of the steep power law
        free = max(free, -min(driver[1], 1.0 * (speed - free_mps) + 0.3))
    if gap_m < 1e8:
        closing = speed * (speed - leader_mps) / (2.0 * math.sqrt(driver[0] * driver[1]))
        wanted = driver[2] + max(0.0, speed * driver[3] + closing)
        share = wanted / max(gap_m, 0.1)
        free -= driver[0] * share * share
    return max(free, -driver[5])


@jit
def leader(  # type: ignore[no-untyped-def]
    route, count, s0, r0, ego_length, ego_width, margin_m, seen, x, y, heading, speed, lateral, length, width
):
    """Return (bumper gap, speed along the route, actor) of the nearest visible actor in the ego's corridor, else inf.

    The corridor is the car's width plus ``margin_m`` on each side, between its present offset and the route.
    """
    gap, along, who = 1e9, 0.0, -1
    left, right = min(r0, 0.0) - 0.5 * ego_width - margin_m, max(r0, 0.0) + 0.5 * ego_width + margin_m
    for a in range(1, x.shape[0]):
        if not seen[a]:
            continue
        s, r, turn, half, side = beside_route(route, count, x[a], y[a], heading[a], length[a], width[a])
        if s <= s0 or r + side < left or r - side > right:
            continue
        distance = max(s - s0 - half - 0.5 * ego_length, 0.0)
        if distance < gap:
            gap, who = distance, a
            along = speed[a] * math.cos(turn) - lateral[a] * math.sin(turn)
    return gap, along, who


@jit
def write_idm(  # type: ignore[no-untyped-def]
    route, count, s0, r0, slope, speed, bends, gap_m, leader_mps, driver, times, plan
):
    """Write the plan ``[P, 5]`` of an IDM driver behind a leader that keeps its speed, returning to the route centre."""
    length = shift_length(r0, slope, 0.0, speed, 1.0)
    step = 0.05
    s, v, ahead, row, k = s0, speed, gap_m, 0, 0
    end = times[times.shape[0] - 1]
    ticks = int(round(end / step))
    for tick in range(ticks + 1):
        t = tick * step
        while k < times.shape[0] and times[k] <= t + 1e-9:
            offset, incline = shift_offset(s - s0, length, r0, slope, 0.0)
            write_point(route, s, offset, incline, v, times[k], plan[k])
            k += 1
        allowed, row = speed_at(route, count, bends, s, row)
        a = idm_acceleration(v, allowed, ahead, leader_mps, driver)
        after = max(v + a * step, 0.0)
        moved = 0.5 * (v + after) * step
        s, v = s + moved, after
        ahead = max(ahead + leader_mps * step - moved, 0.0)


IDM_DRIVER = np.array([3.0, 5.0, 5.0, 1.5, 4.0, 6.0])  # highway-env: 10 m centre to centre = 5 m between 5 m cars
