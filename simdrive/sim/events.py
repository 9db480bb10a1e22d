"""Interprets event tables: watches triggers, and puts rows in charge of what scripted actors do."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.lanes import lane_local
from simdrive.sim.route import project
from simdrive.sim.spec import Action, Channel, EventState, EventTables, PathState, Trigger
from simdrive.sim.state import Actors, Behaviour, Float, RoadTables, Traits

_TIME, _EGO_DISTANCE, _EGO_TTC = int(Trigger.TIME), int(Trigger.EGO_DISTANCE), int(Trigger.EGO_TTC)
_POSITION, _EGO_POSITION, _FIRED = int(Trigger.POSITION), int(Trigger.EGO_POSITION), int(Trigger.FIRED)
_EGO_TTA = int(Trigger.EGO_TTA)
_RELEASE, _OFFSET, _LANE_CHANGE = int(Action.RELEASE), int(Action.OFFSET), int(Action.LANE_CHANGE)
_ACCELERATE, _SPEED, _STOP = int(Action.ACCELERATE), int(Action.SPEED), int(Action.STOP)
_APPEAR, _VANISH, _INDICATOR, _HEADING = (
    int(Action.APPEAR),
    int(Action.VANISH),
    int(Action.INDICATOR),
    int(Action.HEADING),
)
_LONGITUDINAL = int(Channel.LONGITUDINAL)
_SCRIPTED = int(Behaviour.SCRIPTED)
_TIME_TOLERANCE_S = 1e-9  # ticks fall on times that decimal thresholds do not hit to the last bit


@jit_inline
def bumper_distance(actors: Actors, traits: Traits, w: int, subject: int) -> float:
    """Return the distance from the ego's front bumper to the subject along the ego's heading, m; NaN if behind."""
    cos, sin = math.cos(actors.heading[w, 0]), math.sin(actors.heading[w, 0])
    along = (actors.x[w, subject] - actors.x[w, 0]) * cos + (actors.y[w, subject] - actors.y[w, 0]) * sin
    if along <= 0.0:
        return math.nan
    turn = actors.heading[w, subject] - actors.heading[w, 0]
    reach = abs(math.cos(turn)) * traits.length[w, subject] + abs(math.sin(turn)) * traits.width[w, subject]
    return max(along - 0.5 * (traits.length[w, 0] + reach), 0.0)


@jit_inline
def closing_speed(actors: Actors, w: int, subject: int) -> float:
    """Return how fast the subject comes nearer along the ego's heading, m/s."""
    turn = actors.heading[w, subject] - actors.heading[w, 0]
    along = actors.speed[w, subject] * math.cos(turn) - actors.lateral_speed[w, subject] * math.sin(turn)
    return actors.speed[w, 0] - along


@jit
def _holds(
    roads: RoadTables, actors: Actors, traits: Traits, tables: EventTables, state: EventState,
    route: Float, route_count: int, route_s: float, w: int, row: int, time_s: float,
) -> bool:  # fmt: skip
    """Tell whether the trigger of a row is true now; ``after_row`` and delay are not looked at."""
    trigger, threshold = tables.trigger[w, row], tables.threshold[w, row]
    subject = tables.subject[w, row]
    if trigger == _TIME:
        return time_s >= threshold - _TIME_TOLERANCE_S
    if trigger == _FIRED:
        return True
    if trigger == _EGO_POSITION:
        return route_s >= threshold
    if trigger == _POSITION:
        if traits.behaviour[w, subject] == _SCRIPTED:
            return actors.path_s[w, subject] >= threshold
        s, _ = lane_local(roads, actors.lane[w, subject], actors.x[w, subject], actors.y[w, subject])
        return s >= threshold
    if trigger == _EGO_TTA:
        x, y = actors.x[w, subject], actors.y[w, subject]
        s, _, index = project(route, route_count, x, y, state.subject_index[w, row])
        state.subject_index[w, row] = index
        left = s - route_s - 0.5 * traits.length[w, 0]
        return left >= 0.0 and left <= threshold * actors.speed[w, 0]
    distance = bumper_distance(actors, traits, w, subject)  # NaN makes every comparison below false
    if trigger == _EGO_DISTANCE:
        return distance <= threshold
    if trigger == _EGO_TTC:
        closing = closing_speed(actors, w, subject)
        return closing > 0.0 and distance <= threshold * closing
    return distance >= threshold


@jit
def fire_events(
    roads: RoadTables, actors: Actors, traits: Traits, tables: EventTables, state: EventState, path: PathState,
    route: Float, route_count: int, route_s: float, w: int, time_s: float,
) -> bool:  # fmt: skip
    """Fire the rows of one world that are due at ``time_s``, then act on them in table order.

    Rows that wait for each other may fire in one tick whatever their order in the table. Rows with a zero delay
    fire on the tick where their condition first holds. Returns whether anybody appeared or vanished.
    """
    rows = tables.actor.shape[1]
    any_fired, again = False, True
    while again:
        again = False
        for row in range(rows):
            if tables.actor[w, row] < 0 or not math.isnan(state.fired_s[w, row]):
                continue
            if math.isnan(state.armed_s[w, row]):
                after = tables.after_row[w, row]
                if after >= 0 and math.isnan(state.fired_s[w, after]):
                    continue
                if not _holds(
                    roads, actors, traits, tables, state, route, route_count, route_s, w, row, time_s
                ):
                    continue
                state.armed_s[w, row] = time_s
            if time_s >= state.armed_s[w, row] + tables.delay_s[w, row] - _TIME_TOLERANCE_S:
                state.fired_s[w, row] = time_s
                any_fired = again = True
    presence_changed = False
    if any_fired:
        for row in range(rows):
            if state.fired_s[w, row] == time_s:
                _take_over(roads, actors, traits, tables, state, path, w, row)
                if tables.action[w, row] == _APPEAR or tables.action[w, row] == _VANISH:
                    presence_changed = True
    return presence_changed


@jit
def _take_over(
    roads: RoadTables, actors: Actors, traits: Traits, tables: EventTables, state: EventState, path: PathState,
    w: int, row: int,
) -> None:  # fmt: skip
    v, action = tables.actor[w, row], tables.action[w, row]
    magnitude = tables.magnitude[w, row]
    channel = tables.channel[w, row]
    if action == _APPEAR or action == _VANISH:
        actors.present[w, v] = action == _APPEAR
    elif action == _INDICATOR:
        actors.indicator[w, v] = int(magnitude)
    elif action == _RELEASE:
        state.active[w, v, channel] = -1
    elif action == _LANE_CHANGE and traits.behaviour[w, v] != _SCRIPTED:
        lane, exists = _lane_beside(roads, actors.lane[w, v], int(magnitude))
        if exists:
            actors.target_lane[w, v] = lane
    else:
        state.active[w, v, channel] = row
    if action == _OFFSET:
        state.goal_r[w, v] = magnitude
    elif action == _HEADING:
        path.heading_goal[w, v] = path.heading[w, v] + magnitude
    elif action == _LANE_CHANGE and traits.behaviour[w, v] == _SCRIPTED:
        state.goal_r[w, v] = _lane_goal(roads, actors, w, v, int(magnitude))
        actors.indicator[w, v] = 1 if magnitude > 0 else -1


@jit_inline
def _lane_beside(roads: RoadTables, lane: int, places: int) -> tuple[int, bool]:
    wanted = lane + places
    road = roads.lane_road[lane]
    return wanted, roads.road_lane_start[road] <= wanted < roads.road_lane_start[road + 1]


@jit
def _lane_goal(roads: RoadTables, actors: Actors, w: int, v: int, places: int) -> float:
    """Return the path_r of the centre of a lane beside the one that the actor is on; lane widths where none is."""
    x, y = actors.x[w, v], actors.y[w, v]
    road = roads.lane_road[actors.path_lane[w, v]]
    lane, own = actors.path_lane[w, v], math.inf
    for candidate in range(roads.road_lane_start[road], roads.road_lane_start[road + 1]):
        r = lane_local(roads, candidate, x, y)[1]
        if abs(r) < abs(own):
            lane, own = candidate, r
    beside, exists = _lane_beside(roads, lane, places)
    if exists:
        return actors.path_r[w, v] - lane_local(roads, beside, x, y)[1]
    return actors.path_r[w, v] - own + places * roads.lane_width[lane]


@jit
def override_acceleration(
    actors: Actors, traits: Traits, tables: EventTables, state: EventState, w: int, v: int, dt: float
) -> None:
    """Replace the acceleration that a stock vehicle chose by what its longitudinal event row says.

    Expects the chosen acceleration of this tick in ``actors.acceleration``.
    """
    row = state.active[w, v, _LONGITUDINAL]
    if row < 0 or actors.crashed[w, v]:
        return
    speed, action = actors.speed[w, v], tables.action[w, row]
    goal, rate = tables.magnitude[w, row], tables.rate[w, row]
    if action == _SPEED:
        actors.acceleration[w, v] = min(max((goal - speed) / dt, -rate), rate)
        return
    wish = -goal if action == _STOP else goal
    if rate > 0.0:
        before = state.used_acceleration[w, v]
        wish = min(wish, before + rate * dt) if wish > before else max(wish, before - rate * dt)
    end = tables.until[w, row]
    if action == _ACCELERATE and not math.isnan(end) and (end - speed - wish * dt) * goal <= 0.0:
        wish = (end - speed) / dt if (end - speed) * goal > 0.0 else 0.0
        state.active[w, v, _LONGITUDINAL] = -1
    if wish < 0.0:
        wish = max(wish, -max(speed, 0.0) / dt)  # brakes hold at standstill
    actors.acceleration[w, v] = wish
