"""What the expert could do next: shifts across the road times ways to choose the speed, rolled out for 6 s.

A candidate is a path beside the route (a quintic shift to an offset) and a speed profile along it: following and
yielding with the IDM law, or a constant acceleration. All of them respect what the tracker can follow.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.agents.following import idm_acceleration, speed_at
from simdrive.agents.predict import (
    ALONG,
    HALF,
    LENGTH,
    LIKELY,
    R,
    S,
    SIDE,
    SPEED,
    STEP_S,
    STEPS,
)
from simdrive.jit import jit
from simdrive.sim.plans import shift_offset

# columns of a rolled candidate
C_S, C_R, C_SLOPE, C_SPEED, C_ACCELERATION = range(5)
COLUMNS = 5
# columns of a meeting: first and last step in the ego's path, where it enters, whether it runs along
M_IN, M_OUT, M_FROM, M_TO, M_ALONG = range(5)
MEETING = 5

FOLLOW, ACCELERATE = 0, 1  # ways to choose the speed
CORRIDOR_M = 0.3  # margin on each side of the car within which somebody is in its path
STATIC_JAM_M = 9.0  # bumper gap kept to what stands, so that there is room to steer around it
WALL_M = 1.5  # gap kept to the edge of a crossing path
SUBSTEPS = 2


@jit
def meetings(s0, r0, slope, r1, length, ego_length, ego_width, ghosts, used, out):  # type: ignore[no-untyped-def]
    """Write for each ghost when and where it is in the path of a car that shifts to ``r1``: ``out`` [GHOSTS, 5].

    ``M_IN`` is -1 for a ghost that never is.
    """
    for g in range(used):
        out[g, M_IN], out[g, M_OUT], out[g, M_FROM], out[g, M_TO] = -1.0, -1.0, 1e9, -1e9
        along = 0.0
        for k in range(STEPS):
            track = ghosts[g, k]
            ahead = track[S] - s0
            if ahead + track[HALF] < -0.5 * ego_length:
                continue
            reach = track[SIDE] + 0.5 * ego_width + CORRIDOR_M
            near, _ = shift_offset(ahead - track[HALF] - 0.5 * ego_length, length, r0, slope, r1)
            here, _ = shift_offset(ahead, length, r0, slope, r1)
            low, high = min(near, here), max(near, here)
            if track[R] + reach < low or track[R] - reach > high:
                continue
            if out[g, M_IN] < 0.0:
                out[g, M_IN] = k
                along = track[ALONG]
            out[g, M_OUT] = k
            out[g, M_FROM] = min(out[g, M_FROM], track[S] - track[HALF])
            out[g, M_TO] = max(out[g, M_TO], track[S] + track[HALF])
        speed = ghosts[g, 0, SPEED]
        out[g, M_ALONG] = 1.0 if along > 0.6 * speed and along > 0.3 else 0.0


@jit
def _blocked(s, v, k, until_s, ghosts, facts, used, meets, ego_length, driver):  # type: ignore[no-untyped-def]
    """Return the hardest demand (IDM interaction, m/s2 <= 0) of everybody in the path at step ``k``.

    Those who come into it before ``until_s`` are heeded ahead of time: one who then runs along is followed already,
    one who crosses is a wall until it has passed.
    """
    demand = 1e9
    front = s + 0.5 * ego_length
    for g in range(used):
        first, last = meets[g, M_IN], meets[g, M_OUT]
        if first < 0.0 or k > last + 1.0 or facts[g, LIKELY] < 0.45:
            continue
        if k < first and first * STEP_S > until_s:
            continue
        track = ghosts[g, k]
        if meets[g, M_ALONG] > 0.0:
            gap, speed = track[S] - track[HALF] - front, track[ALONG]
            if track[S] <= s:
                continue
        elif track[SPEED] < 0.1 and ghosts[g, 0, SPEED] < 0.1:
            gap, speed = track[S] - track[HALF] - front - (STATIC_JAM_M - driver[2]), 0.0
            if track[S] <= s:
                continue
            gap = max(gap, 0.3 * (track[S] - track[HALF] - front))
        else:
            gap, speed = meets[g, M_FROM] - WALL_M - front, min(track[ALONG], 0.0)
            if gap < -1.0 and track[S] - track[HALF] - front < 0.0:
                continue  # already in its way: standing there would be worse
            if meets[g, M_TO] < s - 0.5 * ego_length:
                continue
            gap = max(gap, 0.2)
        demand = min(demand, idm_acceleration(v, 1e3, max(gap, 0.1), speed, driver))
    return demand


@jit
def roll(  # type: ignore[no-untyped-def]
    route, count, bends, s0, r0, slope, v0, a0, r1, length, mode, value, until_s, end_mps, jerk_mps3,
    ego_length, driver, ghosts, facts, used, meets, out,
):  # fmt: skip
    """Write the candidate ``[STEPS, COLUMNS]``.

    ``mode`` FOLLOW: IDM with ``driver`` behind whoever is in the path and whoever comes into it before ``until_s``;
    ``value`` is the hardest braking. ``mode`` ACCELERATE: ``value`` m/s2 until ``end_mps``. The acceleration moves
    at most by ``jerk_mps3``.
    """
    s, v, a, row = s0, v0, a0, 0
    dt = STEP_S / SUBSTEPS
    for k in range(STEPS):
        offset, incline = shift_offset(s - s0, length, r0, slope, r1)
        out[k, C_S], out[k, C_R], out[k, C_SLOPE], out[k, C_SPEED] = s, offset, incline, v
        demand = 0.0
        if mode == FOLLOW:
            demand = _blocked(s, v, k, until_s, ghosts, facts, used, meets, ego_length, driver)
        start_a = a
        for _ in range(SUBSTEPS):
            if mode == FOLLOW:
                allowed, row = speed_at(route, count, bends, s, row)
                wish = max(min(demand, idm_acceleration(v, allowed, 1e9, 0.0, driver)), -value)
            else:
                wish = value
                if value < 0.0 and v + value * dt < end_mps:
                    wish = min((end_mps - v) / dt, 0.0)
                elif value > 0.0 and v + value * dt > end_mps:
                    wish = max((end_mps - v) / dt, 0.0)
            a = min(max(wish, a - jerk_mps3 * dt), a + max(jerk_mps3, 8.0) * dt)
            if v + a * dt < 0.0:
                a = -v / dt
            s += dt * (v + 0.5 * a * dt)
            v = max(v + a * dt, 0.0)
            if v == 0.0:
                a = 0.0
        out[k, C_ACCELERATION] = a if k > 0 else start_a


@jit
def widest(route, count, bound, s_from, s_to):  # type: ignore[no-untyped-def]
    """Return the least value of ``bound`` [R] over the route between two places."""
    least = 1e9
    for i in range(count):
        if s_from <= route[i, 3] <= s_to:
            least = min(least, bound[i])
    return least


@jit
def ghost_size(facts, g):  # type: ignore[no-untyped-def]
    """Return half the diagonal of a ghost, m."""
    return 0.5 * math.sqrt(facts[g, LENGTH] ** 2 + facts[g, LENGTH + 1] ** 2)
