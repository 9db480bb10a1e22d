"""From the plan that an agent gave to the plan that the car follows, and what drives it when there is none."""

from __future__ import annotations

import numpy as np

from simdrive.sim.plans import PLAN_POINTS, PLAN_TIMES, route_slopes, write_manoeuvre
from simdrive.sim.worlds import Worlds
from simdrive.types import Float


def first_part(plan: Float, until_us: int) -> Float:
    """Return the first part of a plan ``[P, 5]``; it keeps two points, and one where it is cut."""
    until_s = until_us * 1e-6
    if until_s >= plan[-1, 0]:
        return plan
    kept = plan[plan[:, 0] < until_s - 1e-9]
    return np.concatenate([kept, plan_at(plan, np.array([until_s]))]) if len(kept) else plan[:2]


def plan_at(plan: Float, times_s: Float) -> Float:
    """Return points ``[N, 5]`` of a plan ``[P, 5]`` at ``times_s`` [N], straight lines between its own.

    Before its first point it is extended backwards at its speed; past its last one it stays there.
    """
    points = np.empty((len(times_s), 5))
    points[:, 0] = times_s
    for column in (1, 2, 4):
        points[:, column] = np.interp(times_s, plan[:, 0], plan[:, column])
    points[:, 3] = np.interp(times_s, plan[:, 0], np.unwrap(plan[:, 3]))
    early_m = np.minimum(times_s - plan[0, 0], 0.0) * plan[0, 4]
    points[:, 1] += early_m * np.cos(plan[0, 3])
    points[:, 2] += early_m * np.sin(plan[0, 3])
    return points


def moved(plan: Float, made_at: Float, driven_from: Float) -> Float:
    """Return a plan ``[P, 5]`` as if it had been made for another pose.

    Args:
        plan: world frame.
        made_at: x, y, heading of the ego that it answers.
        driven_from: x, y, heading of the ego where it takes over.
    """
    turn = driven_from[2] - made_at[2]
    cos, sin = np.cos(turn), np.sin(turn)
    dx, dy = plan[:, 1] - made_at[0], plan[:, 2] - made_at[1]
    shifted = plan.copy()
    shifted[:, 1] = driven_from[0] + cos * dx - sin * dy
    shifted[:, 2] = driven_from[1] + sin * dx + cos * dy
    shifted[:, 3] = plan[:, 3] + turn
    return shifted


def braking_plan(worlds: Worlds, world: int, braking_mps2: float) -> Float:
    """Return a plan ``[P, 5]`` from the present state that follows the lane and slows down to a stop."""
    state, row = worlds.actors, slice(world, world + 1)
    slope = route_slopes(
        worlds.route[row], worlds.route_s[row], state.heading[row, 0], np.ascontiguousarray(worlds.ego_control[row, 1])
    )
    plan = np.empty((PLAN_POINTS, 5))
    speed = float(max(state.speed[world, 0], 0.0))
    write_manoeuvre(
        worlds.route[world], float(worlds.route_s[world]), float(worlds.route_r[world]), float(slope[0]), 0.0, speed,
        -braking_mps2, 0.0 if braking_mps2 else speed, 0.0, 1.0, PLAN_TIMES, plan,
    )  # fmt: skip
    return plan
