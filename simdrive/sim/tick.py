"""One physics tick of a scenario world: events, stock drivers, scripted actors, motion, contacts, route.

highway-env's own phases come from simdrive.sim.kernel unchanged; this file puts scripted actors, the ego's controls
and its exact contacts around them.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.batch import Record, Shared, Ways
from simdrive.sim.contacts import record_contact
from simdrive.sim.drivable import corners_outside_m
from simdrive.sim.events import fire_events, override_acceleration
from simdrive.sim.kernel import act_world, collide_world, integrate_world, locate_world
from simdrive.sim.route import project
from simdrive.sim.scripted import BRAKE_LIGHT_MPS2, gap_acceleration, move_scripted
from simdrive.sim.spec import Channel, EventState, EventTables, PathState, PathTables
from simdrive.sim.state import (
    Actors,
    Behaviour,
    Bool,
    Extras,
    Float,
    RoadTables,
    Routes,
    Scratch,
    Traits,
    WorldInfo,
)

_SCRIPTED, _IDM = int(Behaviour.SCRIPTED), int(Behaviour.IDM)
_CONTROLLED, _LINEAR = int(Behaviour.CONTROLLED), int(Behaviour.LINEAR)
_LONGITUDINAL = int(Channel.LONGITUDINAL)
_STANDING_MPS, _STANDING_MPS2 = 0.2, 0.1  # slower and gentler than this a driver keeps a foot on the brake


@jit_inline
def drives(behaviour: int) -> bool:
    """Tell whether a stock driver model with lanes moves an actor."""
    return behaviour == _IDM or behaviour == _CONTROLLED or behaviour == _LINEAR


@jit
def _before_motion(
    actors: Actors, traits: Traits, tables: EventTables, events: EventState, w: int, count: int, dt: float
) -> None:
    """Let events override stock drivers, and remember headings in ``yaw_rate`` until the motion is done."""
    for v in range(count):
        if not actors.present[w, v] or traits.behaviour[w, v] == _SCRIPTED:
            continue
        if drives(traits.behaviour[w, v]):
            override_acceleration(actors, traits, tables, events, w, v, dt)
            events.used_acceleration[w, v] = actors.acceleration[w, v]
        actors.yaw_rate[w, v] = actors.heading[w, v]


@jit
def _after_motion(
    roads: RoadTables, actors: Actors, traits: Traits, events: EventState, w: int, count: int, dt: float
) -> None:
    """Derive yaw rates, brake lights and indicators of the ego and of stock drivers."""
    for v in range(count):
        if not actors.present[w, v] or traits.behaviour[w, v] == _SCRIPTED:
            continue
        actors.yaw_rate[w, v] = (actors.heading[w, v] - actors.yaw_rate[w, v]) / dt
        if v > 0 and not drives(traits.behaviour[w, v]):
            continue
        commanded = events.active[w, v, _LONGITUDINAL] >= 0
        if commanded and abs(actors.speed[w, v]) < 1e-9:
            actors.speed[w, v] = 0.0
        acceleration = actors.acceleration[w, v]
        standing = abs(actors.speed[w, v]) < _STANDING_MPS and acceleration < _STANDING_MPS2
        actors.brake_light[w, v] = acceleration < BRAKE_LIGHT_MPS2 or standing
        if v > 0:
            _signal(roads, actors, events, w, v)


@jit_inline
def _signal(roads: RoadTables, actors: Actors, events: EventState, w: int, v: int) -> None:
    lane, target = actors.lane[w, v], actors.target_lane[w, v]
    if lane != target and roads.lane_road[lane] == roads.lane_road[target]:
        actors.indicator[w, v] = 1 if target > lane else -1
        events.signalling[w, v] = True
    elif events.signalling[w, v]:
        actors.indicator[w, v] = 0
        events.signalling[w, v] = False


@jit
def _apply_control(actors: Actors, record: Record, controls: Float, w: int, dt: float) -> bool:
    """Hand the ego its controls; return whether its brakes bring it to a stop within this tick."""
    acceleration, speed = controls[w, 0], actors.speed[w, 0]
    stops = speed >= 0.0 and acceleration < 0.0 and speed + acceleration * dt <= 0.0
    if stops:
        acceleration = -speed / dt
    actors.acceleration[w, 0], actors.steering[w, 0] = acceleration, controls[w, 1]
    record.control[w, 0], record.control[w, 1] = acceleration, controls[w, 1]
    return stops


@jit
def _move_all_scripted(
    roads: RoadTables, actors: Actors, traits: Traits, tables: EventTables, events: EventState,
    paths: PathTables, path: PathState, w: int, count: int, dt: float,
) -> None:  # fmt: skip
    # Gaps are read before anybody moves, so that the order of actors carries no meaning.
    for v in range(1, count):
        if traits.reactive[w, v] and actors.present[w, v] and traits.behaviour[w, v] == _SCRIPTED:
            events.used_acceleration[w, v] = gap_acceleration(roads, actors, traits, paths, path, w, v, count)
    for v in range(1, count):
        if actors.present[w, v] and traits.behaviour[w, v] == _SCRIPTED:
            limit = events.used_acceleration[w, v] if traits.reactive[w, v] else math.inf
            move_scripted(roads, actors, traits, tables, events, paths, path, w, v, dt, limit)


@jit
def _look_at_ego(
    roads: RoadTables, shared: Shared, actors: Actors, traits: Traits, info: WorldInfo, ways: Ways,
    record: Record, w: int,
) -> None:  # fmt: skip
    """Update contact, place on the route and distance outside the drivable area."""
    record_contact(actors, traits, record, w, ways.actor_count[w])
    x, y = actors.x[w, 0], actors.y[w, 0]
    s, r, index = project(ways.route[w], ways.route_count[w], x, y, record.route_index[w])
    record.route_s[w], record.route_r[w], record.route_index[w] = s, r, index
    record.outside_m[w] = corners_outside_m(
        roads, roads.map_lane_start[info.map_id[w]], roads.map_lane_start[info.map_id[w] + 1],
        shared.polygon_points, shared.polygon_starts, ways.polygon_begin[w], ways.polygon_end[w],
        x, y, actors.heading[w, 0], traits.length[w, 0], traits.width[w, 0],
    )  # fmt: skip


@jit
def _tick_world(
    w: int, time_s: float, dt: float, last: bool, controls: Float, roads: RoadTables, shared: Shared,
    traits: Traits, routes: Routes, info: WorldInfo, tables: EventTables, paths: PathTables, ways: Ways,
    actors: Actors, extras: Extras, scratch: Scratch, events: EventState, path: PathState, record: Record,
) -> None:  # fmt: skip
    count = ways.actor_count[w]
    changed = fire_events(
        roads, actors, traits, tables, events, path, ways.route[w], ways.route_count[w], record.route_s[w], w, time_s
    )
    by_lanes = ways.locate_each_tick[w]
    if by_lanes:
        if changed:
            locate_world(w, True, actors, traits, roads, info, scratch)
        act_world(w, actors, traits, routes, roads, extras, info, scratch)
    stops = _apply_control(actors, record, controls, w, dt)
    _before_motion(actors, traits, tables, events, w, count, dt)
    _move_all_scripted(roads, actors, traits, tables, events, paths, path, w, count, dt)
    integrate_world(w, dt, actors, traits, scratch)
    if stops:
        actors.speed[w, 0] = 0.0
    if by_lanes or last:
        locate_world(w, True, actors, traits, roads, info, scratch)
    else:
        for v in range(count):
            scratch.cos_heading[w, v] = math.cos(actors.heading[w, v])
            scratch.sin_heading[w, v] = math.sin(actors.heading[w, v])
    collide_world(w, dt, actors, traits, roads, scratch)
    record.tick[w] += 1
    _after_motion(roads, actors, traits, events, w, count, dt)
    _look_at_ego(roads, shared, actors, traits, info, ways, record, w)


@jit
def step_worlds(
    frequency_hz: int, ticks: int, controls: Float, active: Bool, roads: RoadTables, shared: Shared,
    traits: Traits, routes: Routes, info: WorldInfo, tables: EventTables, paths: PathTables, ways: Ways,
    actors: Actors, extras: Extras, scratch: Scratch, events: EventState, path: PathState, record: Record,
) -> None:  # fmt: skip
    """Advance the worlds with ``active`` set by ``ticks`` ticks under constant ``controls`` [worlds, 2].

    Lanes of worlds without stock drivers are looked up after the last tick only: nobody asks for them before.
    """
    dt = 1.0 / frequency_hz
    for w in range(actors.x.shape[0]):
        if not active[w]:
            continue
        for tick in range(ticks):
            _tick_world(
                w, record.tick[w] / frequency_hz, dt, tick == ticks - 1, controls, roads, shared, traits, routes,
                info, tables, paths, ways, actors, extras, scratch, events, path, record,
            )  # fmt: skip
