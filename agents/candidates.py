"""What the expert could do next: shifts across the road times ways to choose the speed, rolled out for 6 s.

A candidate is a path beside the route (a quintic shift to an offset) and a speed profile along it: following and
yielding with the IDM law, or a constant acceleration. All of them respect what the tracker can follow.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from simdrive.agents.following import FREE_M, idm_acceleration, speed_at
from simdrive.agents.predict import (
    ALONG,
    HALF,
    LIKELY,
    M_ALONG,
    M_FROM,
    M_IN,
    M_OUT,
    M_TO,
    R_MAX,
    R_MIN,
    SIDE,
    SPEED,
    STEP_S,
    STEPS,
    UNTIL,
    R,
    S,
)
from simdrive.agents.scene import E_ACCELERATION, E_LENGTH, E_R, E_S, E_SLOPE, E_SPEED, E_WIDTH
from simdrive.jit import jit
from simdrive.sim.plans import shift_offset

# columns of a rolled candidate
C_S, C_R, C_SLOPE, C_SPEED, C_ACCELERATION = range(5)
COLUMNS = 5
FOLLOW, ACCELERATE = 0, 1  # ways to choose the speed
CORRIDOR_M = 0.3  # margin on each side of the car within which somebody is in its path
STATIC_JAM_M = 9.0  # bumper gap kept to what stands, so that there is room to steer around it
WALL_M = 1.5  # gap kept to the edge of a crossing path
SUBSTEPS = 2


@jit
def copy_table(source, target):  # type: ignore[no-untyped-def]
    """Copy one candidate over another; a loop, because assigning slices would allocate."""
    for i in range(source.shape[0]):
        for k in range(source.shape[1]):
            target[i, k] = source[i, k]


@jit
def meetings(ego, bend, r1, length, ghosts, facts, used):  # type: ignore[no-untyped-def]
    """Note in ``facts`` when and where each ghost is in the path of a car that shifts to ``r1``; M_IN -1 = never."""
    low_r = min(ego[E_R], r1) - 0.5 * ego[E_WIDTH] - CORRIDOR_M - 0.5
    high_r = max(ego[E_R], r1) + 0.5 * ego[E_WIDTH] + CORRIDOR_M + 0.5
    for g in range(used):
        fact = facts[g]
        fact[M_IN], fact[M_OUT], fact[M_FROM], fact[M_TO], fact[M_ALONG] = -1.0, -1.0, 1e9, -1e9, 0.0
        if fact[R_MIN] > high_r or fact[R_MAX] < low_r:
            continue
        for k in range(STEPS):
            track = ghosts[g, k]
            ahead = track[S] - ego[E_S]
            if ahead + track[HALF] < -0.5 * ego[E_LENGTH]:
                continue
            reach = track[SIDE] + 0.5 * ego[E_WIDTH] + CORRIDOR_M
            front = ahead - track[HALF] - 0.5 * ego[E_LENGTH]
            near, _ = shift_offset(front, length, ego[E_R], ego[E_SLOPE], bend, r1)
            here, _ = shift_offset(ahead, length, ego[E_R], ego[E_SLOPE], bend, r1)
            if track[R] + reach < min(near, here) or track[R] - reach > max(near, here):
                continue
            if fact[M_IN] < 0.0:
                fact[M_IN] = k
                runs = track[ALONG] > 0.6 * track[SPEED] and track[ALONG] > 0.3
                fact[M_ALONG] = 1.0 if runs else 0.0
            fact[M_OUT] = k
            fact[M_FROM] = min(fact[M_FROM], track[S] - track[HALF])
            fact[M_TO] = max(fact[M_TO], track[S] + track[HALF])


@jit
def _demand(s, v, k, until_s, ego, driver, tracks, fact):  # type: ignore[no-untyped-def]
    """Return what one ghost in the path demands at step ``k`` (IDM acceleration, m/s2), FREE_M if nothing.

    Who comes into the path before ``until_s`` is heeded ahead of time: one who then runs along is followed already,
    one who crosses is a wall until it has passed.
    """
    if fact[M_IN] < 0.0 or k > fact[M_OUT] + 1.0 or fact[LIKELY] < 0.45:
        return FREE_M
    if k >= fact[UNTIL]:
        return FREE_M  # it follows: where it would have driven through the ego it will not be
    if k < fact[M_IN] and fact[M_IN] * STEP_S > until_s:
        return FREE_M
    track, front = tracks[k], s + 0.5 * ego[E_LENGTH]
    bumper = track[S] - track[HALF] - front
    if fact[M_ALONG] > 0.0:
        if track[S] <= s:
            return FREE_M
        gap, speed = bumper, track[ALONG]
    elif track[SPEED] < 0.1 and tracks[0, SPEED] < 0.1:
        if track[S] <= s:
            return FREE_M
        gap, speed = max(bumper - (STATIC_JAM_M - driver[2]), 0.3 * bumper), 0.0
    else:
        gap, speed = fact[M_FROM] - WALL_M - front, min(track[ALONG], 0.0)
        if (gap < -1.0 and bumper < 0.0) or fact[M_TO] < s - 0.5 * ego[E_LENGTH]:
            return FREE_M  # already in its way: standing there would be worse
    wish = idm_acceleration(v, 1e3, max(gap, 0.1), speed, driver)
    # The IDM brakes harder than it must when somebody appears close ahead: no more than a margin above the need.
    closing, room = v - speed, max(gap - 1.0, 0.3)
    need = closing * closing / (2.0 * room) if closing > 0.0 else 0.0
    fall = (tracks[k, SPEED] - tracks[k + 1, SPEED]) / STEP_S if k < STEPS - 1 else 0.0
    if fact[M_ALONG] > 0.0 and fall > 0.5:
        need = max(need, v * v / (2.0 * (room + speed * speed / (2.0 * fall))))
    return max(wish, -max(1.0 + 1.35 * need, 2.0))


@jit
def roll(  # type: ignore[no-untyped-def]
    route, count, bends, ego, bend, r1, length, mode, value, until_s, jerk_mps3, driver, ghosts, facts, used, out
):
    """Write the candidate ``[STEPS, COLUMNS]``.

    ``mode`` FOLLOW: IDM with ``driver`` behind whoever is in the path and whoever comes into it before ``until_s``;
    ``value`` is the hardest braking. ``mode`` ACCELERATE: ``value`` m/s2, down to standstill or 4 m/s up. The
    acceleration moves at most by ``jerk_mps3``.
    """
    s, v, a, row = ego[E_S], ego[E_SPEED], ego[E_ACCELERATION], 0
    top = ego[E_SPEED] + 4.0
    dt = STEP_S / SUBSTEPS
    for k in range(STEPS):
        offset, incline = shift_offset(s - ego[E_S], length, ego[E_R], ego[E_SLOPE], bend, r1)
        out[k, C_S], out[k, C_R], out[k, C_SLOPE], out[k, C_SPEED], out[k, C_ACCELERATION] = s, offset, incline, v, a
        demand = FREE_M
        if mode == FOLLOW:
            for g in range(used):
                demand = min(demand, _demand(s, v, k, until_s, ego, driver, ghosts[g], facts[g]))
        for _ in range(SUBSTEPS):
            if mode == FOLLOW:
                allowed, row = speed_at(route, count, bends, s, row)
                wish = max(min(demand, idm_acceleration(v, allowed, FREE_M, 0.0, driver)), -value)
            else:
                wish = value
                if value > 0.0:
                    wish = min(value, max((top - v) / dt, 0.0))
            a = min(max(wish, a - jerk_mps3 * dt), a + max(jerk_mps3, 8.0) * dt)
            if v + a * dt <= 0.0:
                a = -v / dt
            s += dt * (v + 0.5 * a * dt)
            v = max(v + a * dt, 0.0)
        if v == 0.0:
            a = 0.0


@jit
def widest(route, count, bound, s_from, s_to):  # type: ignore[no-untyped-def]
    """Return the least value of ``bound`` [R] over the route between two places."""
    least = 1e9
    for i in range(count):
        if s_from <= route[i, 3] <= s_to:
            least = min(least, bound[i])
    return least


@jit
def sharpest(route, count, s_from, s_to):  # type: ignore[no-untyped-def]
    """Return the largest absolute curvature of the route between two places, 1/m."""
    most = 0.0
    for i in range(count):
        if s_from <= route[i, 3] <= s_to:
            most = max(most, abs(route[i, 4]))
    return most
