"""The Intelligent Driver Model, rounding as ``IDMVehicle.acceleration`` does.

Treiber, Hennecke, Helbing: Congested traffic states in empirical observations and microscopic simulations (2000).
The *deciding* actor lends its parameters; the *evaluated* one its speed, target speed and lane.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit_inline
from simdrive.sim.arithmetic import clip, dot2, not_zero
from simdrive.sim.kernel_linear import linear_acceleration
from simdrive.sim.kernel_neighbours import lane_s
from simdrive.sim.state import Actors, Behaviour, Extras, RoadTables, Scratch, Traits

_KINEMATIC, _BICYCLE, _LINEAR = int(Behaviour.KINEMATIC), int(Behaviour.BICYCLE), int(Behaviour.LINEAR)


@jit_inline
def desired_gap(
    b: int, decider: int, ego: int, front: int, actors: Actors, traits: Traits, roads: RoadTables, scratch: Scratch
) -> float:
    """Return the gap that ``ego`` should keep to ``front``, m, with the parameters of ``decider``."""
    speed, front_speed = actors.speed[b, ego], actors.speed[b, front]
    cos_ego, sin_ego = scratch.cos_heading[b, ego], scratch.sin_heading[b, ego]
    closing = dot2(
        roads.fused_dot[0],
        speed * cos_ego - front_speed * scratch.cos_heading[b, front],
        speed * sin_ego - front_speed * scratch.sin_heading[b, front],
        cos_ego,
        sin_ego,
    )
    product = -traits.comfort_acc_max[b, decider] * traits.comfort_acc_min[b, decider]
    wanted = traits.distance_wanted[b, decider] + speed * traits.time_wanted[b, decider]
    return wanted + speed * closing / (2 * math.sqrt(product))


@jit_inline
def lane_gap(
    b: int, ego: int, other: int, first_lane: int, actors: Actors, roads: RoadTables, scratch: Scratch
) -> float:
    """Return the distance from ``ego`` to ``other`` along the lane of ``ego``, m, centre to centre."""
    lane = actors.lane[b, ego]
    ahead = lane_s(b, other, lane, first_lane, actors, roads, scratch)
    return ahead - lane_s(b, ego, lane, first_lane, actors, roads, scratch)


@jit_inline
def free_acceleration(
    b: int, decider: int, ego: int, actors: Actors, traits: Traits, roads: RoadTables
) -> float:
    """Return the acceleration of ``ego`` on an empty road, m/s2; obstacles do not accelerate."""
    if traits.is_object[b, ego]:
        return 0.0
    kind = traits.behaviour[b, ego]
    target = 0.0 if kind == _KINEMATIC or kind == _BICYCLE else actors.target_speed[b, ego]
    limit = roads.lane_speed_limit[actors.lane[b, ego]]
    if limit == limit:
        target = clip(target, 0.0, limit)
    ratio = max(actors.speed[b, ego], 0.0) / abs(not_zero(target))
    return traits.comfort_acc_max[b, decider] * (1 - math.pow(ratio, traits.delta[b, decider]))


@jit_inline
def interaction(
    b: int,
    decider: int,
    ego: int,
    front: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    scratch: Scratch,
) -> float:
    """Return how much ``front`` takes off the acceleration of ``ego``, m/s2."""
    gap = lane_gap(b, ego, front, first_lane, actors, roads, scratch)
    ratio = desired_gap(b, decider, ego, front, actors, traits, roads, scratch) / not_zero(gap)
    return traits.comfort_acc_max[b, decider] * (ratio * ratio)


@jit_inline
def acceleration(
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
    """Return the acceleration of ``ego`` behind ``front`` (either may be -1 = nobody) as ``decider`` sees it."""
    if traits.behaviour[b, decider] == _LINEAR:
        return linear_acceleration(b, decider, ego, front, first_lane, actors, traits, roads, extras, scratch)
    if ego < 0:
        return 0.0
    result = free_acceleration(b, decider, ego, actors, traits, roads)
    if front >= 0 and not traits.is_object[b, ego]:
        result -= interaction(b, decider, ego, front, first_lane, actors, traits, roads, scratch)
    return result
