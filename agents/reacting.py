"""What the reference drivers of UN R157 share: when a danger was first seen, and the plan of one who brakes or follows."""

from __future__ import annotations

import math

from simdrive.agents.following import FREE_M, TICK_S, idm_acceleration, speed_at
from simdrive.agents.scene import E_CURVATURE, E_R, E_S, E_SLOPE, E_SPEED
from simdrive.jit import jit
from simdrive.sim.plans import PLAN_TIMES, present_bend, shift_length, shift_offset, write_point

CALM_BRAKING_MPS2 = 3.0
LATCH_S = 1.5  # a danger that is gone for this long is over
PLAN_TICKS = round(float(PLAN_TIMES[-1]) / TICK_S) + 1
_DANGER, _UNSAFE = 0, 1  # per slot: time at which danger was recognised; last unsafe time, s


@jit
def since_danger(known, unsafe, now_s):  # type: ignore[no-untyped-def]
    """Update what is known of a danger, ``[2]``; return the time since it was recognised in s, -1 without any."""
    if unsafe:
        if math.isnan(known[_DANGER]):
            known[_DANGER] = now_s
        known[_UNSAFE] = now_s
    elif not math.isnan(known[_UNSAFE]) and now_s - known[_UNSAFE] > LATCH_S:
        known[_DANGER], known[_UNSAFE] = math.nan, math.nan
    return -1.0 if math.isnan(known[_DANGER]) else now_s - known[_DANGER]


@jit
def write_reaction(  # type: ignore[no-untyped-def]
    route, count, ego, bends, gap_m, leader_mps, since_s, unsafe, brakes, target, driver, times, plan
):
    """Write the plan: while unsafe brake by ``brakes`` (m/s2 at each tick) down to ``target``, hold while the latch
    lasts, else follow."""
    length = shift_length(ego[E_R], ego[E_SLOPE], 0.0, ego[E_SPEED], 1.0)
    bend = present_bend(route, ego[E_S], ego[E_CURVATURE], ego[E_SPEED])
    s, v, ahead, row, k = ego[E_S], ego[E_SPEED], gap_m, 0, 0
    for tick in range(brakes.shape[0]):
        t = tick * TICK_S
        while k < times.shape[0] and times[k] <= t + 1e-9:
            offset, incline = shift_offset(s - ego[E_S], length, ego[E_R], ego[E_SLOPE], bend, 0.0)
            write_point(route, s, offset, incline, v, times[k], plan[k])
            k += 1
        allowed, row = speed_at(route, count, bends, s, row)
        a = idm_acceleration(v, allowed, ahead, leader_mps, driver)
        if unsafe:
            a = -brakes[tick]
            if v + a * TICK_S < target:
                a = min((target - v) / TICK_S, 0.0)
        elif since_s >= 0.0:
            a = min(a, 0.0)
        after = max(v + a * TICK_S, 0.0)
        moved = 0.5 * (v + after) * TICK_S
        s, v = s + moved, after
        if ahead < 0.5 * FREE_M:
            ahead = max(ahead + leader_mps * TICK_S - moved, 0.0)
