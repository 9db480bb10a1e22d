"""One step of highway-env, phase by phase, for worlds that mix stock drivers with other movers.

The order of a step is: ``act_world`` (decide; positions frozen), ``integrate_world`` (move), ``locate_world``
(coordinates, closest lanes), ``collide_world``. Each phase is one compiled function for one world, so that a world
with other movers (SCRIPTED actors) composes them itself: it moves its own actors between ``integrate_world`` and
``locate_world``. Before the very first step, and whenever something was moved or made present or absent from
outside, call ``locate_world`` with ``update_lanes=False``. Batches of stock worlds alone are stepped by
``simdrive.sim.kernel_stock``.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_allocating
from simdrive.sim.kernel_act import act, follow
from simdrive.sim.kernel_collisions import collide
from simdrive.sim.kernel_frame import (
    empty_frame,
    load_courses,
    load_drivers,
    load_extras,
    load_sizes,
    load_state,
    store_courses,
    store_state,
)
from simdrive.sim.kernel_idm import prepare
from simdrive.sim.kernel_integrate import integrate
from simdrive.sim.kernel_locate import locate
from simdrive.sim.kernel_neighbours import front_of, lane_s, rear_of
from simdrive.sim.state import Actors, Extras, RoadTables, Routes, Scratch, Traits, WorldInfo


@jit
def follow_acceleration(
    b: int,
    i: int,
    lane: int,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    info: WorldInfo,
    scratch: Scratch,
) -> float:
    """Return the IDM acceleration of actor ``i`` behind its front neighbour on the lane row ``lane``, m/s2.

    Uses the actor's own IDM traits and ``target_speed``, limited by the speed limit of ``actors.lane``; works for
    every actor that is no object and not LINEAR, SCRIPTED ones included. Not limited to ``acc_max``. ``scratch``
    must be fresh.
    """
    place = info.map_id[b]
    first, last = roads.map_lane_start[place], roads.map_lane_start[place + 1]
    lanes, fused = roads.lane_geometry[first:last], roads.fused_dot[0]
    numbers, whole = empty_frame(actors.x.shape[1])
    load_state(b, first, actors, numbers, whole)
    load_sizes(b, traits, numbers, whole)
    load_drivers(b, traits, numbers, whole)
    load_courses(b, scratch, numbers)
    prepare(numbers, whole, lanes)
    return follow(
        lanes, roads.points, fused, roads.lane_link, info.connected[b], numbers, whole, scratch.s[b],
        scratch.members[b], i, lane - first, math.nan,
    )  # fmt: skip


@jit
def neighbours_of(
    b: int, i: int, lane: int, actors: Actors, roads: RoadTables, info: WorldInfo, scratch: Scratch
) -> tuple[int, int]:
    """Return (actor ahead, actor behind) of actor ``i`` on the lane row ``lane``, -1 = nobody; fresh ``scratch``."""
    place = info.map_id[b]
    first, last = roads.map_lane_start[place], roads.map_lane_start[place + 1]
    lanes, links, connected = roads.lane_geometry[first:last], roads.lane_link, info.connected[b]
    s, members = scratch.s[b], scratch.members[b]
    numbers, whole = empty_frame(actors.x.shape[1])
    load_state(b, first, actors, numbers, whole)
    own_s = lane_s(lanes, roads.points, roads.fused_dot[0], numbers, s, i, lane - first)
    front = front_of(lanes, links, connected, s, members, i, lane - first, own_s)
    return front, rear_of(lanes, links, connected, s, members, i, lane - first, own_s)


@jit_allocating
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

    KINEMATIC and BICYCLE actors keep the controls they were given; SCRIPTED ones and objects are skipped. ``scratch``
    must be fresh.
    """
    place = info.map_id[b]
    first, last = roads.map_lane_start[place], roads.map_lane_start[place + 1]
    lanes, fused = roads.lane_geometry[first:last], roads.fused_dot[0]
    numbers, whole = empty_frame(actors.x.shape[1])
    load_state(b, first, actors, numbers, whole)
    load_sizes(b, traits, numbers, whole)
    load_drivers(b, traits, numbers, whole)
    load_extras(b, routes, extras, numbers, whole)
    load_courses(b, scratch, numbers)
    prepare(numbers, whole, lanes)
    act(
        lanes, roads.points, fused, roads.lane_link, roads.road_codes, roads.road_next, roads.map_road_start[place],
        info.connected[b], routes.road[b], routes.lane_id[b], numbers, whole, scratch.s[b], scratch.r[b],
        scratch.members[b],
    )  # fmt: skip
    store_state(b, first, numbers, whole, actors)


@jit_allocating
def integrate_world(b: int, dt: float, actors: Actors, traits: Traits, scratch: Scratch) -> None:
    """Move every present stock vehicle of world ``b`` by ``dt`` seconds.

    SCRIPTED actors, obstacles and landmarks stay: somebody else moves them, before ``locate_world``. ``scratch`` must
    hold the cosines of the present headings (it does after ``locate_world``).
    """
    numbers, whole = empty_frame(actors.x.shape[1])
    load_state(b, 0, actors, numbers, whole)
    load_sizes(b, traits, numbers, whole)
    load_courses(b, scratch, numbers)
    integrate(dt, numbers, whole)
    store_state(b, 0, numbers, whole, actors)


@jit_allocating
def locate_world(
    b: int,
    update_lanes: bool,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    info: WorldInfo,
    scratch: Scratch,
) -> None:
    """Refresh everything in ``scratch`` from positions and headings; call it after anything moved.

    Args:
        b: world.
        update_lanes: also set ``actors.lane`` of moving actors to the closest lane (the end of a step); False only
            fills ``scratch``, as before the very first step, where highway-env still uses the lanes of creation.
        actors: state.
        traits: constants.
        roads: lane tables.
        info: settings of the worlds.
        scratch: working memory.
    """
    place = info.map_id[b]
    first, last = roads.map_lane_start[place], roads.map_lane_start[place + 1]
    numbers, whole = empty_frame(actors.x.shape[1])
    load_state(b, first, actors, numbers, whole)
    load_sizes(b, traits, numbers, whole)
    locate(
        update_lanes, roads.lane_geometry[first:last], roads.points, roads.fused_dot[0], numbers, whole, scratch.s[b],
        scratch.r[b], scratch.members[b],
    )  # fmt: skip
    store_courses(b, numbers, scratch)
    if update_lanes:
        store_state(b, first, numbers, whole, actors)


@jit_allocating
def collide_world(b: int, dt: float, actors: Actors, traits: Traits, roads: RoadTables, scratch: Scratch) -> None:
    """Test every pair of world ``b`` and write ``crashed``, ``hit`` and pending impacts.

    Pairs of two objects (``traits.is_object``) are not tested; absent actors touch nobody. Cosines in ``scratch`` must
    be fresh. SCRIPTED actors get flags and impacts too; whoever moves them decides what to do with those.
    """
    numbers, whole = empty_frame(actors.x.shape[1])
    load_state(b, 0, actors, numbers, whole)
    load_sizes(b, traits, numbers, whole)
    load_courses(b, scratch, numbers)
    collide(dt, roads.fused_dot[0], numbers, whole, np.empty((3, actors.x.shape[1])))
    store_state(b, 0, numbers, whole, actors)


@jit_allocating
def locate_worlds(
    update_lanes: bool, actors: Actors, traits: Traits, roads: RoadTables, info: WorldInfo, scratch: Scratch
) -> None:
    """Refresh the scratch arrays of every world; arguments as in ``locate_world``."""
    for b in range(actors.x.shape[0]):
        locate_world(b, update_lanes, actors, traits, roads, info, scratch)


__all__ = [
    "act_world",
    "collide_world",
    "follow_acceleration",
    "integrate_world",
    "locate_world",
    "locate_worlds",
    "neighbours_of",
]
