"""Interprets event tables: watches triggers, and puts rows in charge of what actors do."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit
from simdrive.sim.kernel_frame import (
    ACCELERATION,
    CRASHED,
    HEADING,
    KIND,
    LANE,
    LATERAL_SPEED,
    LENGTH,
    PRESENT,
    SPEED,
    TARGET_LANE,
    WIDTH,
    X,
    Y,
)
from simdrive.sim.lanes import LANE_ID, ROAD_FIRST, ROAD_LAST, table_local
from simdrive.sim.lanes import WIDTH as LANE_WIDTH
from simdrive.sim.motion import commanded_acceleration
from simdrive.sim.play import (
    ACTION,
    ACTOR,
    AFTER_ROW,
    ARMED_S,
    CHANNEL,
    DELAY_S,
    FIRED_S,
    FREE_HEADING,
    GOAL_R,
    MAGNITUDE,
    PATH_LANE,
    PATH_R,
    PATH_S,
    RATE,
    SUBJECT,
    THRESHOLD,
    TRIGGER,
    TURN_GOAL,
    UNTIL,
    USED_ACCELERATION,
)
from simdrive.sim.route import project
from simdrive.sim.spec import Action, Channel, Trigger
from simdrive.sim.state import Behaviour, Float, Small, Whole

_TIME, _EGO_DISTANCE, _EGO_TTC = int(Trigger.TIME), int(Trigger.EGO_DISTANCE), int(Trigger.EGO_TTC)
_POSITION, _EGO_POSITION, _FIRED = int(Trigger.POSITION), int(Trigger.EGO_POSITION), int(Trigger.FIRED)
_EGO_TTA = int(Trigger.EGO_TTA)
_RELEASE, _OFFSET, _LANE_CHANGE = int(Action.RELEASE), int(Action.OFFSET), int(Action.LANE_CHANGE)
_APPEAR, _VANISH = int(Action.APPEAR), int(Action.VANISH)
_INDICATOR, _HEADING = int(Action.INDICATOR), int(Action.HEADING)
_LONGITUDINAL = int(Channel.LONGITUDINAL)
_SCRIPTED = int(Behaviour.SCRIPTED)
_TIME_TOLERANCE_S = 1e-9  # ticks fall on times that decimal thresholds do not hit to the last bit


@jit
def bumper_distance(ego: Float, subject: Float) -> float:
    """Return the distance from the ego's front bumper to a box along the ego's heading, m; NaN if it is behind.

    Args:
        ego, subject: rows of a frame (simdrive.sim.kernel_frame).
    """
    cos, sin = math.cos(ego[HEADING]), math.sin(ego[HEADING])
    along = (subject[X] - ego[X]) * cos + (subject[Y] - ego[Y]) * sin
    if along <= 0.0:
        return math.nan
    turn = subject[HEADING] - ego[HEADING]
    reach = abs(math.cos(turn)) * subject[LENGTH] + abs(math.sin(turn)) * subject[WIDTH]
    return max(along - 0.5 * (ego[LENGTH] + reach), 0.0)


@jit
def closing_speed(ego: Float, subject: Float) -> float:
    """Return how fast the subject comes nearer along the ego's heading, m/s; rows as for ``bumper_distance``."""
    turn = subject[HEADING] - ego[HEADING]
    return ego[SPEED] - subject[SPEED] * math.cos(turn) + subject[LATERAL_SPEED] * math.sin(turn)


@jit
def _holds(
    lanes: Float, points: Float, fused: bool, route: Float, route_count: int, route_s: float, time_s: float,
    numbers: Float, whole: Whole, motion: Float, trigger: int, threshold: float, v: int, index: int,
) -> tuple[bool, int]:  # fmt: skip
    """Tell whether a trigger with subject ``v`` is true now; also return the route point nearest to the subject."""
    if trigger == _TIME:
        return time_s >= threshold - _TIME_TOLERANCE_S, index
    if trigger == _FIRED:
        return True, index
    if trigger == _EGO_POSITION:
        return route_s >= threshold, index
    ego, subject = numbers[0], numbers[v]
    if trigger == _POSITION:
        s = motion[v, PATH_S]
        if whole[v, KIND] != _SCRIPTED:
            s, _ = table_local(lanes, points, fused, whole[v, LANE], subject[X], subject[Y])
        return s >= threshold, index
    if trigger == _EGO_TTA:
        s, _, index = project(route, route_count, subject[X], subject[Y], index)
        left = s - route_s - 0.5 * ego[LENGTH]
        return left >= 0.0 and left <= threshold * ego[SPEED], index
    distance = bumper_distance(ego, subject)  # NaN makes every comparison below false
    if trigger == _EGO_DISTANCE:
        return distance <= threshold, index
    if trigger == _EGO_TTC:
        closing = closing_speed(ego, subject)
        return closing > 0.0 and distance <= threshold * closing, index
    return distance >= threshold, index


@jit
def fire_events(
    lanes: Float, points: Float, fused: bool, route: Float, route_count: int, route_s: float, time_s: float,
    numbers: Float, whole: Whole, event_numbers: Float, event_codes: Whole, event_times: Float, nearest: Whole,
    charge: Whole, motion: Float, indicator: Small,
) -> bool:  # fmt: skip
    """Fire the rows of one world that are due at ``time_s``, then act on them in table order.

    Rows that wait for each other may fire in one tick whatever their order in the table. Rows with a zero delay
    fire on the tick where their condition first holds. Returns whether anybody appeared or vanished.

    Args:
        lanes, points, fused: lanes of the world's map (``RoadTables``), point table, rounding of dot products.
        route, route_count, route_s: ego route and the ego's place on it, m.
        time_s: simulated time.
        numbers, whole: the frame.
        event_numbers, event_codes: ``Script``, this world's row.
        event_times, nearest, charge, motion: ``Play``, this world's row.
        indicator: ``Actors``, this world's row.
    """
    any_fired, again = False, True
    while again:
        again = False
        for row in range(event_codes.shape[0]):
            code, times = event_codes[row], event_times[row]
            if code[ACTOR] < 0 or not math.isnan(times[FIRED_S]):
                continue
            if math.isnan(times[ARMED_S]):
                if code[AFTER_ROW] >= 0 and math.isnan(event_times[code[AFTER_ROW], FIRED_S]):
                    continue
                holds, nearest[row] = _holds(
                    lanes, points, fused, route, route_count, route_s, time_s, numbers, whole, motion,
                    code[TRIGGER], event_numbers[row, THRESHOLD], code[SUBJECT], nearest[row],
                )  # fmt: skip
                if not holds:
                    continue
                times[ARMED_S] = time_s
            if time_s >= times[ARMED_S] + event_numbers[row, DELAY_S] - _TIME_TOLERANCE_S:
                times[FIRED_S] = time_s
                any_fired = again = True
    changed = False
    if any_fired:
        for row in range(event_codes.shape[0]):
            if event_times[row, FIRED_S] == time_s:
                code = event_codes[row]
                v = code[ACTOR]
                changed |= code[ACTION] == _APPEAR or code[ACTION] == _VANISH
                _take_over(
                    lanes, points, fused, numbers[v], whole[v], motion[v], charge[v], indicator, code,
                    event_numbers[row, MAGNITUDE], row,
                )  # fmt: skip
    return changed


@jit
def _take_over(
    lanes: Float, points: Float, fused: bool, me: Float, codes: Whole, go: Float, charge: Whole, indicator: Small,
    event: Whole, magnitude: float, row: int,
) -> None:  # fmt: skip
    """Let a row that has just fired act on its actor (its rows of the frame, of ``motion`` and of ``charge``)."""
    action, scripted = event[ACTION], codes[KIND] == _SCRIPTED
    if action in (_APPEAR, _VANISH):
        codes[PRESENT] = 1 if action == _APPEAR else 0
    elif action == _INDICATOR:
        indicator[event[ACTOR]] = int(magnitude)
    elif action == _LANE_CHANGE and not scripted:
        lane, exists = lane_beside(lanes, codes[LANE], int(magnitude))
        if exists:
            codes[TARGET_LANE] = lane
    else:
        charge[event[CHANNEL]] = -1 if action == _RELEASE else row
        if action == _OFFSET:
            go[GOAL_R] = magnitude
        elif action == _HEADING:
            go[TURN_GOAL] = go[FREE_HEADING] + magnitude
        elif action == _LANE_CHANGE:
            shift = lane_shift(lanes, points, fused, int(go[PATH_LANE]), me[X], me[Y], int(magnitude))
            go[GOAL_R] = go[PATH_R] + shift
            indicator[event[ACTOR]] = 1 if magnitude > 0 else -1


@jit
def lane_beside(lanes: Float, lane: int, places: int) -> tuple[int, bool]:
    """Return the lane row ``places`` to the right of ``lane``, and whether its road has it."""
    wanted = lanes[lane, LANE_ID] + places
    return lane + places, 0.0 <= wanted < lanes[lane, ROAD_LAST] - lanes[lane, ROAD_FIRST]


@jit
def lane_shift(lanes: Float, points: Float, fused: bool, path_lane: int, x: float, y: float, places: int) -> float:
    """Return how far to the right the centre of the lane lies that is ``places`` from the one a point is on, m.

    Looks at the lanes of the road of ``path_lane``; where its edge lane has no neighbour, lane widths are counted.
    """
    first = path_lane - int(lanes[path_lane, LANE_ID])
    lane, own = path_lane, math.inf
    for candidate in range(first, first + int(lanes[path_lane, ROAD_LAST] - lanes[path_lane, ROAD_FIRST])):
        _, r = table_local(lanes, points, fused, candidate, x, y)
        if abs(r) < abs(own):
            lane, own = candidate, r
    beside, exists = lane_beside(lanes, lane, places)
    if exists:
        _, r = table_local(lanes, points, fused, beside, x, y)
        return -r
    return places * lanes[lane, LANE_WIDTH] - own


@jit
def override_acceleration(
    me: Float, codes: Whole, go: Float, charge: Whole, event_numbers: Float, event_codes: Whole, dt: float
) -> None:
    """Replace the acceleration that a stock vehicle chose by what its longitudinal event row says.

    Args:
        me, codes, go, charge: the actor's rows of the frame (its chosen acceleration included) and of ``Play``.
        event_numbers, event_codes: ``Script``, this world's row.
        dt: length of a tick, s.
    """
    row = charge[_LONGITUDINAL]
    if row >= 0 and not codes[CRASHED]:
        wish, done = commanded_acceleration(
            event_codes[row, ACTION], event_numbers[row, MAGNITUDE], event_numbers[row, RATE],
            event_numbers[row, UNTIL], me[SPEED], go[USED_ACCELERATION], dt,
        )  # fmt: skip
        if done:
            charge[_LONGITUDINAL] = -1
        me[ACCELERATION] = max(wish, min(-me[SPEED] / dt, 0.0))  # brakes hold at standstill
    go[USED_ACCELERATION] = me[ACCELERATION]
