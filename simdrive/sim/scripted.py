"""Moves scripted actors along their paths: vehicles that play a part, pedestrians, cyclists, debris.

A path is a row of lanes, or a free straight line. ``path_s`` counts from the start of the first lane (or from the
place where a free actor began), ``path_r`` to the right of the path. Beyond its last lane a path goes straight on.
What an actor does on its path comes from the event rows in charge of it (simdrive.sim.events).
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.lanes import SINE, lane_heading, lane_local, lane_position
from simdrive.sim.spec import Action, Channel, EventState, EventTables, PathState, PathTables
from simdrive.sim.state import Actors, Behaviour, RoadTables, Shape, Traits

LATERAL_ACCELERATION_MPS2 = 2.0  # how fast lateral speed is built up and taken off
LATERAL_SHARE = 0.6  # wheels roll sideways at most this share of their forward speed (31 degrees)
YAW_RATE_RADPS = 1.0  # how fast a body turns away from the direction of its path
BRAKE_LIGHT_MPS2 = -0.8  # brake lights come on below this acceleration
GAP_MARGIN_M = 0.3  # a leader is whoever overlaps the own width with this margin

_ACCELERATE, _SPEED, _STOP = int(Action.ACCELERATE), int(Action.SPEED), int(Action.STOP)
_OFFSET, _LATERAL_SPEED, _LANE_CHANGE = int(Action.OFFSET), int(Action.LATERAL_SPEED), int(Action.LANE_CHANGE)
_HEADING = int(Action.HEADING)
_LONGITUDINAL, _LATERAL = int(Channel.LONGITUDINAL), int(Channel.LATERAL)
_LANDMARK = int(Behaviour.LANDMARK)
_PEDESTRIAN, _DEBRIS = int(Shape.PEDESTRIAN), int(Shape.DEBRIS)


@jit_inline
def approach(value: float, goal: float, step: float) -> float:
    """Return ``value`` moved towards ``goal`` by at most ``step``."""
    if goal > value:
        return min(goal, value + step)
    return max(goal, value - step)


@jit_inline
def wheeled(shape: int) -> bool:
    """Tell whether a shape rolls where it points; the others can step sideways."""
    return shape != _PEDESTRIAN and shape != _DEBRIS


@jit_inline
def path_entry(paths: PathTables, w: int, v: int, s: float) -> int:
    """Return the entry of a lane path that holds ``s``."""
    entry, last = 0, paths.count[w, v] - 1
    while entry < last and s >= paths.start_s[w, v, entry + 1]:
        entry += 1
    return entry


@jit
def path_pose(
    roads: RoadTables, paths: PathTables, state: PathState, w: int, v: int, s: float, r: float
) -> tuple[float, float, float, int]:
    """Return (x, y, heading of the path, lane row or -1) at path coordinates (s, r) of one actor."""
    if paths.count[w, v] == 0:
        heading = state.heading[w, v]
        cos, sin, along = math.cos(heading), math.sin(heading), s - state.s0[w, v]
        return state.x0[w, v] + along * cos - r * sin, state.y0[w, v] + along * sin + r * cos, heading, -1
    entry = path_entry(paths, w, v, s)
    lane = paths.lane[w, v, entry]
    along = s - paths.start_s[w, v, entry]
    inside = min(max(along, 0.0), roads.lane_length[lane])
    heading = lane_heading(roads, lane, inside)
    x, y = lane_position(roads, lane, inside, r)
    past = along - inside
    return x + past * math.cos(heading), y + past * math.sin(heading), heading, lane


@jit_inline
def _axis_share(roads: RoadTables, lane: int, heading: float) -> float:
    # Sine lanes measure s along their axis, not along the curve.
    if lane >= 0 and roads.lane_kind[lane] == SINE:
        return math.cos(heading - roads.lane_geometry[lane, 6])
    return 1.0


@jit
def gap_acceleration(
    roads: RoadTables, actors: Actors, traits: Traits, paths: PathTables, state: PathState, w: int, v: int, count: int
) -> float:
    """Return the acceleration that keeps the IDM gap to whoever is ahead on the path, m/s2; inf if nobody is.

    Interaction term of the intelligent driver model (Treiber, Hennecke, Helbing 2000) on bumper distances; looks
    along the present lane of the path and the next one.
    """
    s, r = actors.path_s[w, v], actors.path_r[w, v]
    entry = path_entry(paths, w, v, s)
    nearest, leader = math.inf, -1
    for other in range(count):
        if other == v or not actors.present[w, other] or traits.behaviour[w, other] == _LANDMARK:
            continue
        reach = 0.5 * (traits.width[w, v] + traits.width[w, other]) + GAP_MARGIN_M
        for ahead in range(entry, min(entry + 2, paths.count[w, v])):
            lane = paths.lane[w, v, ahead]
            along, across = lane_local(roads, lane, actors.x[w, other], actors.y[w, other])
            if ahead > entry and along < 0.0:
                continue
            if ahead < paths.count[w, v] - 1 and along > roads.lane_length[lane]:
                continue
            gap = paths.start_s[w, v, ahead] + along - s
            if abs(across - r) <= reach and 0.0 < gap < nearest:
                nearest, leader = gap, other
    if leader < 0:
        return math.inf
    speed = state.speed[w, v]
    other_speed = actors.speed[w, leader] * math.cos(actors.heading[w, leader] - actors.heading[w, v])
    gap = max(nearest - 0.5 * (traits.length[w, v] + traits.length[w, leader]), 0.1)
    jam = traits.distance_wanted[w, v] - traits.length[w, v]
    brake = math.sqrt(-traits.comfort_acc_max[w, v] * traits.comfort_acc_min[w, v])
    wanted = jam + max(0.0, speed * traits.time_wanted[w, v] + speed * (speed - other_speed) / (2.0 * brake))
    limit = traits.comfort_acc_max[w, v] * (1.0 - (wanted / gap) ** 2)
    return max(limit, -8.0)


@jit
def _longitudinal(
    actors: Actors, traits: Traits, tables: EventTables, events: EventState, state: PathState,
    w: int, v: int, dt: float, limit: float,
) -> float:  # fmt: skip
    """Return the acceleration of this tick along the path before it is cut at standstill, m/s2."""
    row, speed = events.active[w, v, _LONGITUDINAL], state.speed[w, v]
    if row < 0:
        if not traits.reactive[w, v]:
            return 0.0
        free = max(actors.target_speed[w, v], 0.1)
        return min(limit, traits.comfort_acc_max[w, v] * (1.0 - (max(speed, 0.0) / free) ** 4))
    action, goal, rate = tables.action[w, row], tables.magnitude[w, row], tables.rate[w, row]
    if action == _SPEED:
        actors.target_speed[w, v] = goal
        return min(limit, min(max((goal - speed) / dt, -rate), rate))
    if action == _STOP:
        goal = -goal if speed >= 0.0 else goal
    wish = approach(actors.acceleration[w, v], goal, rate * dt) if rate > 0.0 else goal
    if action == _ACCELERATE:
        end = tables.until[w, row]
        if not math.isnan(end):
            actors.target_speed[w, v] = end
            if (end - speed - wish * dt) * goal <= 0.0:
                wish = (end - speed) / dt if (end - speed) * goal > 0.0 else 0.0
                events.active[w, v, _LONGITUDINAL] = -1
    return min(limit, wish)


@jit
def _lateral(
    actors: Actors, traits: Traits, tables: EventTables, events: EventState, state: PathState,
    w: int, v: int, dt: float,
) -> float:  # fmt: skip
    """Advance path_r by one tick and return the lateral speed, m/s."""
    row, r = events.active[w, v, _LATERAL], actors.path_r[w, v]
    cap = LATERAL_SHARE * abs(state.speed[w, v]) if wheeled(traits.shape[w, v]) else math.inf
    ramp = LATERAL_ACCELERATION_MPS2 * dt
    action = tables.action[w, row] if row >= 0 else -1
    if action == _LATERAL_SPEED:
        end, speed = tables.until[w, row], tables.magnitude[w, row]
        speed = min(max(speed, -cap), cap)
        left = end - r  # NaN compares false: no end
        if left * tables.magnitude[w, row] <= 0.0:
            speed = 0.0
            events.active[w, v, _LATERAL] = -1
        elif abs(speed) * dt >= abs(left):
            actors.path_r[w, v] = end
            events.active[w, v, _LATERAL] = -1
            return left / dt
    elif action == _OFFSET or action == _LANE_CHANGE:
        left = events.goal_r[w, v] - r
        # The largest speed from which steps of `ramp` still end at the goal.
        fall = 0.5 * ramp * (math.sqrt(1.0 + 8.0 * abs(left) / (ramp * dt)) - 1.0)
        wish = math.copysign(min(fall, tables.rate[w, row]), left)
        speed = approach(state.lateral[w, v], wish, ramp)
        speed = min(max(speed, -cap), cap)
        if left == 0.0 or (abs(left) <= ramp * dt and abs(speed) <= 1.001 * ramp and cap > 0.0):
            actors.path_r[w, v] = events.goal_r[w, v]
            events.active[w, v, _LATERAL] = -1
            if action == _LANE_CHANGE:
                actors.indicator[w, v] = 0
            return 0.0
    else:
        speed = approach(state.lateral[w, v], 0.0, ramp)
        speed = min(max(speed, -cap), cap)
    actors.path_r[w, v] = r + speed * dt
    return speed


@jit
def _turn(actors: Actors, tables: EventTables, events: EventState, state: PathState, w: int, v: int, dt: float) -> None:
    """Turn a free path about the actor's place towards its heading goal."""
    row = events.active[w, v, _LATERAL]
    step = tables.rate[w, row] * dt if tables.rate[w, row] > 0.0 else math.inf
    state.heading[w, v] = approach(state.heading[w, v], state.heading_goal[w, v], step)
    state.x0[w, v], state.y0[w, v] = actors.x[w, v], actors.y[w, v]
    state.s0[w, v], actors.path_r[w, v] = actors.path_s[w, v], 0.0
    if state.heading[w, v] == state.heading_goal[w, v]:
        state.heading_goal[w, v] = math.nan
        events.active[w, v, _LATERAL] = -1


@jit
def _drift(actors: Actors, w: int, v: int, dt: float) -> None:
    """Let a crashed actor roll out as highway-env does: straight on, losing its speed within about a second."""
    speed, heading = actors.speed[w, v], actors.heading[w, v]
    actors.x[w, v] += speed * math.cos(heading) * dt
    actors.y[w, v] += speed * math.sin(heading) * dt
    if actors.has_impact[w, v]:
        actors.x[w, v] += actors.impact_x[w, v]
        actors.y[w, v] += actors.impact_y[w, v]
        actors.has_impact[w, v] = False
        actors.crashed[w, v] = True
    actors.acceleration[w, v] = -speed
    actors.speed[w, v] = speed - speed * dt
    actors.lateral_speed[w, v] = 0.0
    actors.yaw_rate[w, v] = 0.0


@jit
def move_scripted(
    roads: RoadTables, actors: Actors, traits: Traits, tables: EventTables, events: EventState,
    paths: PathTables, state: PathState, w: int, v: int, dt: float, limit: float,
) -> None:  # fmt: skip
    """Move one present SCRIPTED actor by one tick.

    Along the path the motion is exact for the constant acceleration of a tick, standstill included.

    Args:
        roads, actors, traits, tables, events, paths, state: the batch.
        w, v: world and actor.
        dt: length of the tick, s.
        limit: largest acceleration that the traffic ahead allows, m/s2 (``gap_acceleration``; inf = any).
    """
    if actors.crashed[w, v] or actors.has_impact[w, v]:
        _drift(actors, w, v, dt)
        return
    row = events.active[w, v, _LATERAL]
    if row >= 0 and tables.action[w, row] == _HEADING:
        _turn(actors, tables, events, state, w, v, dt)
    speed = state.speed[w, v]
    row = events.active[w, v, _LONGITUDINAL]
    reversing = speed < 0.0 or (row >= 0 and tables.action[w, row] == _SPEED and tables.magnitude[w, row] < 0.0)
    acceleration = _longitudinal(actors, traits, tables, events, state, w, v, dt, limit)
    stopping = row >= 0 and tables.action[w, row] == _STOP
    after, moving_s = speed + acceleration * dt, dt
    if (after < 0.0 and not reversing) or (stopping and after * speed < 0.0):
        moving_s = -speed / acceleration if acceleration != 0.0 else 0.0
        after = 0.0
    state.speed[w, v] = after
    state.lateral[w, v] = _lateral(actors, traits, tables, events, state, w, v, dt)
    s = actors.path_s[w, v]
    share = 1.0
    if paths.count[w, v] > 0:
        share = _axis_share(roads, actors.path_lane[w, v], actors.heading[w, v] - state.offset[w, v])
    s += 0.5 * (speed + after) * moving_s * share
    actors.path_s[w, v] = s
    actors.acceleration[w, v] = (after - speed) / dt
    _place(roads, actors, traits, paths, state, w, v, dt)
    held = row >= 0 and (stopping or (tables.action[w, row] == _SPEED and tables.magnitude[w, row] == 0.0))
    queued = traits.reactive[w, v] and limit <= 0.2 and after < 0.2
    actors.brake_light[w, v] = acceleration < BRAKE_LIGHT_MPS2 or (after == 0.0 and held) or queued


@jit
def _place(
    roads: RoadTables, actors: Actors, traits: Traits, paths: PathTables, state: PathState, w: int, v: int, dt: float
) -> None:
    """Write the world pose that belongs to the path coordinates."""
    x, y, heading, lane = path_pose(roads, paths, state, w, v, actors.path_s[w, v], actors.path_r[w, v])
    speed, lateral = state.speed[w, v], state.lateral[w, v]
    actors.path_lane[w, v] = lane
    if wheeled(traits.shape[w, v]):
        if abs(speed) > 0.1:
            state.offset[w, v] = approach(state.offset[w, v], math.atan(lateral / speed), YAW_RATE_RADPS * dt)
        actors.speed[w, v] = math.copysign(math.sqrt(speed * speed + lateral * lateral), speed)
        actors.lateral_speed[w, v] = 0.0
    else:
        actors.speed[w, v], actors.lateral_speed[w, v] = speed, lateral
    heading += state.offset[w, v]
    turn = heading - actors.heading[w, v]
    actors.yaw_rate[w, v] = (turn - 2.0 * math.pi * math.floor(turn / (2.0 * math.pi) + 0.5)) / dt
    actors.x[w, v], actors.y[w, v], actors.heading[w, v] = x, y, heading
