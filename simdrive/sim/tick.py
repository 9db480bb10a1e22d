"""One physics tick of a scenario world: events, stock drivers, scripted actors, motion, contacts, route.

highway-env's own phases come from the kernel unchanged; this file puts scripted actors, the ego's controls and its
exact contacts around them.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_allocating
from simdrive.sim.batch import Frame, Play, Record, Script, Setting, Shared, Ways
from simdrive.sim.contacts import impact_speed, touched_actor
from simdrive.sim.drivable import corners_outside_in
from simdrive.sim.events import fire_events, override_acceleration
from simdrive.sim.kernel_act import act
from simdrive.sim.kernel_collisions import collide
from simdrive.sim.kernel_frame import (
    ACCELERATION,
    COS,
    COURSE,
    CRASHED,
    HAS_IMPACT,
    HAS_TARGET,
    HEAD,
    HEADING,
    HIT,
    IMPACT_X,
    IMPACT_Y,
    KIND,
    LANE,
    LATERAL_SPEED,
    LENGTH,
    PRESENT,
    SIN,
    SPEED,
    STEERING,
    TARGET_LANE,
    TARGET_SPEED,
    TIMER,
    WIDTH,
    YAW_RATE,
    X,
    Y,
)
from simdrive.sim.kernel_idm import prepare
from simdrive.sim.kernel_integrate import integrate
from simdrive.sim.kernel_locate import locate
from simdrive.sim.lanes import ROAD
from simdrive.sim.play import (
    APPLIED_ACCELERATION,
    APPLIED_STEERING,
    CONTACT_ACTOR,
    CONTACT_ACTOR_SPEED,
    CONTACT_EGO_SPEED,
    CONTACT_IMPACT_SPEED,
    CONTACT_TICK,
    OUTSIDE_M,
    PATH_LANE,
    PATH_R,
    PATH_S,
    ROUTE_INDEX,
    ROUTE_R,
    ROUTE_S,
    SIGNALLING,
    TICK,
)
from simdrive.sim.route import project
from simdrive.sim.scripted import BRAKE_LIGHT_MPS2, move_scripted
from simdrive.sim.spec import Channel
from simdrive.sim.state import (
    Actors,
    Behaviour,
    Bool,
    Float,
    RoadTables,
    Small,
    Whole,
    Words,
)
from simdrive.types import Long

_SCRIPTED = int(Behaviour.SCRIPTED)
_LONGITUDINAL = int(Channel.LONGITUDINAL)
_STANDING_MPS, _STANDING_MPS2 = 0.2, 0.1  # slower and gentler than this a driver keeps a foot on the brake


@jit
def ego_acceleration(wanted: float, speed: float, dt: float) -> tuple[float, bool]:
    """Return (acceleration applied, whether it ends at standstill): brakes do not make a car reverse."""
    if speed >= 0.0 and wanted < 0.0 and speed + wanted * dt <= 0.0:
        return -speed / dt, True
    return wanted, False


@jit
def _locate(
    lanes: Float, points: Float, fused: bool, numbers: Float, whole: Whole, s: Float, r: Float, members: Words
) -> None:
    # One compiled body for both callers below.
    locate(True, lanes, points, fused, numbers, whole, s, r, members)


@jit
def _before_motion(
    dt: float, count: int, numbers: Float, whole: Whole, event_numbers: Float, event_codes: Whole, charge: Whole,
    motion: Float,
) -> None:  # fmt: skip
    """Let events override stock drivers, and remember headings as yaw rates until the motion is done."""
    for v in range(count):
        if whole[v, PRESENT] and whole[v, KIND] != _SCRIPTED:
            if whole[v, HAS_TARGET]:
                override_acceleration(numbers[v], whole[v], motion[v], charge[v], event_numbers, event_codes, dt)
            numbers[v, YAW_RATE] = numbers[v, HEADING]


@jit
def _after_motion(
    lanes: Float, dt: float, count: int, numbers: Float, whole: Whole, charge: Whole, motion: Float,
    brake_light: Bool, indicator: Small,
) -> None:  # fmt: skip
    """Derive yaw rates, brake lights and indicators of the ego and of stock drivers."""
    for v in range(count):
        if not whole[v, PRESENT] or whole[v, KIND] == _SCRIPTED:
            continue
        me = numbers[v]
        me[YAW_RATE] = (me[HEADING] - me[YAW_RATE]) / dt
        if v > 0 and not whole[v, HAS_TARGET]:
            continue
        if charge[v, _LONGITUDINAL] >= 0 and abs(me[SPEED]) < 1e-9:
            me[SPEED] = 0.0
        standing = abs(me[SPEED]) < _STANDING_MPS and me[ACCELERATION] < _STANDING_MPS2
        brake_light[v] = me[ACCELERATION] < BRAKE_LIGHT_MPS2 or standing
        if v == 0:
            continue
        lane, target = whole[v, LANE], whole[v, TARGET_LANE]
        if lane != target and lanes[lane, ROAD] == lanes[target, ROAD]:
            indicator[v] = 1 if target > lane else -1
            motion[v, SIGNALLING] = 1.0
        elif motion[v, SIGNALLING] != 0.0:
            indicator[v] = 0
            motion[v, SIGNALLING] = 0.0


@jit
def _look_at_ego(
    count: int, numbers: Float, whole: Whole, route: Float, route_count: int, record: Float, codes: Whole
) -> None:
    """Update the first contact and the place on the route; ``record`` and ``codes`` are this world's rows."""
    ego = numbers[0]
    if codes[CONTACT_TICK] < 0:
        touched = touched_actor(numbers, whole, count)
        if touched >= 0:
            other = numbers[touched]
            codes[CONTACT_TICK], codes[CONTACT_ACTOR] = codes[TICK], touched
            record[CONTACT_EGO_SPEED] = ego[SPEED]
            record[CONTACT_ACTOR_SPEED] = math.hypot(other[SPEED], other[LATERAL_SPEED])
            record[CONTACT_IMPACT_SPEED] = impact_speed(ego, other)
    s, r, index = project(route, route_count, ego[X], ego[Y], codes[ROUTE_INDEX])
    record[ROUTE_S], record[ROUTE_R], codes[ROUTE_INDEX] = s, r, index


@jit
def _store(w: int, first: int, numbers: Float, whole: Whole, motion: Float, actors: Actors) -> None:
    """Copy a world's frame and path coordinates into the arrays that others read."""
    for v in range(numbers.shape[0]):
        me, codes, go = numbers[v], whole[v], motion[v]
        actors.x[w, v], actors.y[w, v], actors.heading[w, v] = me[X], me[Y], me[HEADING]
        actors.speed[w, v], actors.lateral_speed[w, v] = me[SPEED], me[LATERAL_SPEED]
        actors.steering[w, v], actors.acceleration[w, v] = me[STEERING], me[ACCELERATION]
        actors.yaw_rate[w, v], actors.target_speed[w, v] = me[YAW_RATE], me[TARGET_SPEED]
        actors.timer[w, v] = me[TIMER]
        actors.impact_x[w, v], actors.impact_y[w, v] = me[IMPACT_X], me[IMPACT_Y]
        actors.present[w, v], actors.crashed[w, v] = codes[PRESENT] != 0, codes[CRASHED] != 0
        actors.has_impact[w, v], actors.hit[w, v] = codes[HAS_IMPACT] != 0, codes[HIT] != 0
        actors.lane[w, v], actors.target_lane[w, v] = codes[LANE] + first, codes[TARGET_LANE] + first
        actors.route_head[w, v] = codes[HEAD]
        actors.path_s[w, v], actors.path_r[w, v] = go[PATH_S], go[PATH_R]
        lane = int(go[PATH_LANE])
        actors.path_lane[w, v] = lane + first if lane >= 0 else -1


@jit
def start_worlds(roads: RoadTables, setting: Setting, frame: Frame) -> None:
    """Look up where everybody is on the lanes, before the first step."""
    for w in range(frame.numbers.shape[0]):
        place = setting.map_id[w]
        lanes = roads.lane_geometry[roads.map_lane_start[place] : roads.map_lane_start[place + 1]]
        locate(
            False, lanes, roads.points, roads.fused_dot[0], frame.numbers[w], frame.whole[w], frame.s[w], frame.r[w],
            frame.members[w],
        )  # fmt: skip


@jit
def look_up_lanes(rows: Long, roads: RoadTables, setting: Setting, actors: Actors, frame: Frame) -> None:
    """Look up the lanes of everybody in the worlds ``rows`` [N] where they are now."""
    for row in rows:
        place = setting.map_id[row]
        first = np.int64(roads.map_lane_start[place])
        lanes, whole = roads.lane_geometry[first : roads.map_lane_start[place + 1]], frame.whole[row]
        _locate(
            lanes, roads.points, roads.fused_dot[0], frame.numbers[row], whole, frame.s[row], frame.r[row],
            frame.members[row],
        )  # fmt: skip
        for v in range(whole.shape[0]):
            actors.lane[row, v], actors.target_lane[row, v] = whole[v, LANE] + first, whole[v, TARGET_LANE] + first


@jit_allocating
def step_worlds(
    frequency_hz: int, ticks: int, look: bool, controls: Float, active: Bool, roads: RoadTables, shared: Shared,
    setting: Setting, script: Script, ways: Ways, actors: Actors, frame: Frame, play: Play, record: Record,
) -> None:  # fmt: skip
    """Advance the worlds with ``active`` set by ``ticks`` ticks under constant ``controls`` [worlds, 2].

    Lanes of worlds without stock drivers are looked up after the last tick, or with ``look`` off not at all
    (``look_up_lanes`` does it): nobody here asks for them.
    """
    _step_worlds(
        frequency_hz, ticks, look, controls, active, roads, shared, setting, script, ways, actors, frame, play, record,
        np.empty((3, frame.numbers.shape[1])), np.empty((3, 4)),
    )  # fmt: skip


@jit
def _step_worlds(
    frequency_hz: int, ticks: int, look: bool, controls: Float, active: Bool, roads: RoadTables, shared: Shared,
    setting: Setting, script: Script, ways: Ways, actors: Actors, frame: Frame, play: Play, record: Record,
    circles: Float, corners: Float,
) -> None:  # fmt: skip
    """Do what ``step_worlds`` says; ``circles`` [3, actors] and ``corners`` [3, 4] are working memory."""
    dt = 1.0 / frequency_hz
    points, links, fused = roads.points, roads.lane_link, roads.fused_dot[0]
    road_codes, road_next = roads.road_codes, roads.road_next
    for w in range(frame.numbers.shape[0]):
        if not active[w]:
            continue
        # One kind of integer throughout: every other kind would compile its callees again.
        place = np.int64(setting.map_id[w])
        first, last = np.int64(roads.map_lane_start[place]), np.int64(roads.map_lane_start[place + 1])
        lanes, first_road = roads.lane_geometry[first:last], np.int64(roads.map_road_start[place])
        numbers, whole, s, r, members = frame.numbers[w], frame.whole[w], frame.s[w], frame.r[w], frame.members[w]
        event_numbers, event_codes = script.event_numbers[w], script.event_codes[w]
        event_times, nearest = play.event_times[w], play.nearest[w]
        charge, motion = play.charge[w], play.motion[w]
        brake_light, indicator = actors.brake_light[w], actors.indicator[w]
        route, route_count, by_lanes = ways.route[w], ways.route_count[w], ways.by_lanes[w]
        memory, codes, count = record.numbers[w], record.codes[w], ways.actor_count[w]
        for tick in range(ticks):
            changed = fire_events(
                lanes, points, fused, route, route_count, memory[ROUTE_S], codes[TICK] / frequency_hz, numbers,
                whole, event_numbers, event_codes, event_times, nearest, charge, motion, indicator,
            )  # fmt: skip
            if by_lanes:
                if changed:
                    _locate(lanes, points, fused, numbers, whole, s, r, members)
                prepare(numbers, whole, lanes)
                act(
                    lanes, points, fused, links, road_codes, road_next, first_road, setting.connected[w],
                    setting.route_road[w], setting.route_lane[w], numbers, whole, s, r, members,
                )  # fmt: skip
            acceleration, stops = ego_acceleration(controls[w, 0], numbers[0, SPEED], dt)
            numbers[0, ACCELERATION], numbers[0, STEERING] = acceleration, controls[w, 1]
            memory[APPLIED_ACCELERATION], memory[APPLIED_STEERING] = acceleration, controls[w, 1]
            _before_motion(dt, count, numbers, whole, event_numbers, event_codes, charge, motion)
            move_scripted(
                lanes, points, fused, dt, count, numbers, whole, setting.shape[w], setting.reactive[w],
                event_numbers, event_codes, script.path_lane[w], script.path_start[w], script.path_count[w],
                charge, motion, brake_light, indicator,
            )  # fmt: skip
            integrate(dt, numbers, whole)
            if stops:
                numbers[0, SPEED] = 0.0
            if by_lanes or (look and tick == ticks - 1):
                _locate(lanes, points, fused, numbers, whole, s, r, members)
            else:
                for v in range(count):
                    heading = numbers[v, HEADING]
                    if heading != numbers[v, COURSE]:
                        numbers[v, COS], numbers[v, SIN] = math.cos(heading), math.sin(heading)
                        numbers[v, COURSE] = heading
            collide(dt, fused, numbers, whole, circles)
            codes[TICK] += 1
            _after_motion(lanes, dt, count, numbers, whole, charge, motion, brake_light, indicator)
            _look_at_ego(count, numbers, whole, route, route_count, memory, codes)
            ego = numbers[0]
            memory[OUTSIDE_M] = corners_outside_in(
                roads, first, last, shared.polygon_points, shared.polygon_starts, ways.polygons[w, 0],
                ways.polygons[w, 1], ego[X], ego[Y], ego[HEADING], ego[LENGTH], ego[WIDTH], corners,
            )  # fmt: skip
        _store(w, first, numbers, whole, motion, actors)
