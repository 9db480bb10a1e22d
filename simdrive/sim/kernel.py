"""One step of highway-env, phase by phase, and the loop over a batch of worlds.

The order of a step is: ``act_world`` (decide; positions frozen), for regulated worlds ``enforce_rules_world``,
``integrate_world`` (move), ``locate_world`` (coordinates, closest lanes), ``collide_world``. Each phase is one
compiled function for one world, so that a world with other movers (SCRIPTED actors) composes them itself: it moves
its own actors between ``integrate_world`` and ``locate_world``. Before the very first step, and whenever something
was moved or made present or absent from outside, call ``locate_world`` with ``update_lanes=False``.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import clip
from simdrive.sim.kernel_collisions import collide_world
from simdrive.sim.kernel_idm import acceleration
from simdrive.sim.kernel_integrate import integrate_world
from simdrive.sim.kernel_locate import locate_world, locate_worlds
from simdrive.sim.kernel_mobil import change_lane_policy
from simdrive.sim.kernel_neighbours import front_of, lane_s, rear_of
from simdrive.sim.kernel_regulation import enforce_rules_world
from simdrive.sim.kernel_steering import act_controlled, command, follow_road, steering
from simdrive.sim.state import Actors, Behaviour, Extras, Int, RoadTables, Routes, Scratch, Traits, WorldInfo

_CONTROLLED, _IDM, _LINEAR = int(Behaviour.CONTROLLED), int(Behaviour.IDM), int(Behaviour.LINEAR)


@jit_inline
def follow_acceleration(
    b: int,
    i: int,
    lane: int,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    extras: Extras,
    info: WorldInfo,
    scratch: Scratch,
) -> float:
    """Return the car-following acceleration of actor ``i`` behind its front neighbour on ``lane``, m/s2.

    Uses the actor's own IDM traits and ``target_speed``, limited by the speed limit of ``actors.lane``; works for
    every actor that is no object, SCRIPTED ones included. Not limited to ``acc_max``. ``scratch`` must be fresh.
    """
    first_lane = roads.map_lane_start[info.map_id[b]]
    s = lane_s(b, i, lane, first_lane, actors, roads, scratch)
    front = front_of(b, i, lane, s, first_lane, info, roads, scratch)
    return acceleration(b, i, i, front, first_lane, actors, traits, roads, extras, scratch)


@jit_inline
def neighbours_of(
    b: int,
    i: int,
    lane: int,
    actors: Actors,
    roads: RoadTables,
    info: WorldInfo,
    scratch: Scratch,
) -> tuple[int, int]:
    """Return (actor ahead, actor behind) of actor ``i`` on ``lane``, -1 = nobody. ``scratch`` must be fresh."""
    first_lane = roads.map_lane_start[info.map_id[b]]
    s = lane_s(b, i, lane, first_lane, actors, roads, scratch)
    front = front_of(b, i, lane, s, first_lane, info, roads, scratch)
    return front, rear_of(b, i, lane, s, first_lane, info, roads, scratch)


@jit_inline
def act_idm(
    b: int,
    i: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    info: WorldInfo,
    scratch: Scratch,
) -> None:
    """Set the controls of an IDM (or linear) vehicle; a crashed one keeps its last controls."""
    if actors.crashed[b, i]:
        return
    follow_road(b, i, first_lane, actors, routes, roads, scratch)
    if traits.enable_lane_change[b, i]:
        change_lane_policy(b, i, first_lane, actors, traits, routes, roads, extras, info, scratch)
    lane, target = actors.lane[b, i], actors.target_lane[b, i]
    actors.steering[b, i] = steering(b, i, target, first_lane, actors, traits, roads, extras, scratch)
    result = follow_acceleration(b, i, lane, actors, traits, roads, extras, info, scratch)
    if lane != target:
        other = follow_acceleration(b, i, target, actors, traits, roads, extras, info, scratch)
        result = min(result, other)
    actors.acceleration[b, i] = clip(result, -traits.acc_max[b, i], traits.acc_max[b, i])


@jit_inline
def act_world(
    b: int,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    info: WorldInfo,
    scratch: Scratch,
) -> None:
    """Let every present CONTROLLED, IDM and LINEAR actor of world ``b`` set its steering and acceleration.

    KINEMATIC and BICYCLE actors keep the controls they were given; SCRIPTED ones and objects are skipped.
    """
    first_lane = roads.map_lane_start[info.map_id[b]]
    for i in range(actors.x.shape[1]):
        if not actors.present[b, i]:
            continue
        kind = traits.behaviour[b, i]
        if kind == _IDM or kind == _LINEAR:
            act_idm(b, i, first_lane, actors, traits, routes, roads, extras, info, scratch)
        elif kind == _CONTROLLED:
            act_controlled(b, i, first_lane, actors, traits, routes, roads, extras, scratch)


@jit
def command_worlds(
    actor: int,
    meta_actions: Int,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    info: WorldInfo,
    scratch: Scratch,
) -> None:
    """Apply one meta action per world ([worlds], DiscreteMetaAction numbering, -1 = none) to the actor ``actor``."""
    for b in range(actors.x.shape[0]):
        if meta_actions[b] >= 0:
            first_lane = roads.map_lane_start[info.map_id[b]]
            command(b, actor, meta_actions[b], first_lane, actors, traits, routes, roads, extras, scratch)


@jit
def step_stock(
    dt: float,
    sub_steps: int,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    info: WorldInfo,
    scratch: Scratch,
) -> None:
    """Advance every world of the batch by ``sub_steps`` steps of ``dt`` seconds: ``Road.act`` then ``Road.step``."""
    for b in range(actors.x.shape[0]):
        for _ in range(sub_steps):
            act_world(b, actors, traits, routes, roads, extras, info, scratch)
            if info.regulated[b]:
                enforce_rules_world(b, dt, actors, traits, routes, roads, extras, info, scratch)
            integrate_world(b, dt, actors, traits, scratch)
            locate_world(b, True, actors, traits, roads, info, scratch)
            collide_world(b, dt, actors, traits, roads, scratch)


__all__ = [
    "act_world",
    "collide_world",
    "command_worlds",
    "follow_acceleration",
    "integrate_world",
    "locate_world",
    "locate_worlds",
    "neighbours_of",
    "step_stock",
]
