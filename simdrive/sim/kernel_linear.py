"""The linear driver model (``LinearVehicle`` and its aggressive and defensive variants)."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import dot2, dot3, not_zero, wrap_to_pi
from simdrive.sim.kernel_neighbours import lane_s
from simdrive.sim.lanes import lane_heading
from simdrive.sim.state import Actors, Behaviour, Extras, RoadTables, Scratch, Traits

_KINEMATIC, _BICYCLE = int(Behaviour.KINEMATIC), int(Behaviour.BICYCLE)
_PURSUIT_S = 0.5 * 0.2  # ControlledVehicle.TAU_PURSUIT


@jit_inline
def _speed_gap(b: int, ego: int, actors: Actors, traits: Traits) -> float:
    """Return target speed minus speed; an actor without a target speed has none to reach."""
    kind = traits.behaviour[b, ego]
    if traits.is_object[b, ego] or kind == _KINEMATIC or kind == _BICYCLE:
        return 0.0
    return actors.target_speed[b, ego] - actors.speed[b, ego]


@jit
def linear_acceleration(
    b: int,
    decider: int,
    ego: int,
    front: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    extras: Extras,
    scratch: Scratch,
) -> float:
    """Return gains of ``decider`` times (speed gap, speed excess over the front, missing distance), m/s2."""
    if ego < 0:
        return 0.0
    speed_excess, missing = 0.0, 0.0
    if front >= 0:
        speed = actors.speed[b, ego]
        safe = traits.distance_wanted[b, decider] + max(speed, 0.0) * traits.time_wanted[b, decider]
        lane = actors.lane[b, ego]
        gap = lane_s(b, front, lane, first_lane, actors, roads, scratch)
        gap -= lane_s(b, ego, lane, first_lane, actors, roads, scratch)
        speed_excess = min(actors.speed[b, front] - speed, 0.0)
        missing = min(gap - safe, 0.0)
    gains = extras.linear
    return dot3(
        roads.fused_dot[0],
        gains[b, decider, 0],
        gains[b, decider, 1],
        gains[b, decider, 2],
        _speed_gap(b, ego, actors, traits),
        speed_excess,
        missing,
    )


@jit
def linear_steering(
    b: int,
    i: int,
    lane: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    extras: Extras,
    scratch: Scratch,
) -> float:
    """Return the steering angle of the linear lateral controller, rad, not limited."""
    speed = actors.speed[b, i]
    s = lane_s(b, i, lane, first_lane, actors, roads, scratch)
    r = scratch.r[b, i, lane - first_lane]
    turn = wrap_to_pi(lane_heading(roads, lane, s + speed * _PURSUIT_S) - actors.heading[b, i])
    length, divisor = traits.length[b, i], not_zero(speed)
    # highway-env's square is the C library's pow, which is not always x * x; an exponent that is data keeps it so.
    exponent = float(extras.linear.shape[2] - 3)
    return dot2(
        roads.fused_dot[0],
        extras.linear[b, i, 3],
        extras.linear[b, i, 4],
        turn * length / divisor,
        -r * length / math.pow(divisor, exponent),
    )
