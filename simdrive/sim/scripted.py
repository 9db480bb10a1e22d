"""Moves scripted actors along their paths: vehicles that play a part, pedestrians, cyclists, debris.

A path is a row of lanes, or a free straight line. ``path_s`` counts from the start of the first lane (or from the
place where a free actor began), ``path_r`` to the right of the path. Beyond its last lane a path goes straight on.
What an actor does on its path comes from the event rows in charge of it (simdrive.sim.events).
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit
from simdrive.sim.kernel_frame import (
    ACCELERATION,
    COMFORT,
    CRASHED,
    DISTANCE,
    GAP_DIVISOR,
    HAS_IMPACT,
    HEADING,
    IMPACT_X,
    IMPACT_Y,
    KIND,
    LATERAL_SPEED,
    LENGTH,
    PRESENT,
    SPEED,
    TARGET_SPEED,
    TIME,
    WIDTH,
    YAW_RATE,
    X,
    Y,
)
from simdrive.sim.lanes import KIND as LANE_KIND
from simdrive.sim.lanes import LENGTH as LANE_LENGTH
from simdrive.sim.lanes import SINE, table_heading, table_local, table_position
from simdrive.sim.motion import advance, approach, commanded_acceleration, gap_limit, lateral_step
from simdrive.sim.play import (
    ACTION,
    FREE_HEADING,
    FREE_S,
    FREE_X,
    FREE_Y,
    GAP_LIMIT,
    GOAL_R,
    MAGNITUDE,
    OFFSET,
    PATH_LANE,
    PATH_LATERAL,
    PATH_R,
    PATH_S,
    PATH_SPEED,
    RATE,
    TURN_GOAL,
    UNTIL,
    USED_ACCELERATION,
)
from simdrive.sim.spec import Action, Channel
from simdrive.sim.state import Behaviour, Bool, Float, Shape, Small, Whole

LATERAL_SHARE = 0.6  # wheels roll sideways at most this share of their forward speed (31 degrees)
YAW_RATE_RADPS = 1.0  # how fast a body turns away from the direction of its path
BRAKE_LIGHT_MPS2 = -0.8  # brake lights come on below this acceleration
GAP_MARGIN_M = 0.3  # a leader is whoever overlaps the own width with this margin

_SPEED, _STOP = int(Action.SPEED), int(Action.STOP)
_LANE_CHANGE, _HEADING = int(Action.LANE_CHANGE), int(Action.HEADING)
_LONGITUDINAL, _LATERAL = int(Channel.LONGITUDINAL), int(Channel.LATERAL)
_LANDMARK, _SCRIPTED = int(Behaviour.LANDMARK), int(Behaviour.SCRIPTED)
_PEDESTRIAN, _DEBRIS = int(Shape.PEDESTRIAN), int(Shape.DEBRIS)


@jit
def wheeled(shape: int) -> bool:
    """Tell whether a shape rolls where it points; the others can step sideways."""
    return shape != _PEDESTRIAN and shape != _DEBRIS


@jit
def path_entry(start_s: Float, count: int, s: float) -> int:
    """Return the entry of a lane path that holds ``s``; ``start_s`` [entries] is where each lane starts."""
    entry = 0
    while entry < count - 1 and s >= start_s[entry + 1]:
        entry += 1
    return entry


@jit
def lane_pose(lanes: Float, points: Float, lane: int, along: float, r: float) -> tuple[float, float, float]:
    """Return (x, y, heading of the lane) at lane coordinates, m; straight on beyond the ends of the lane."""
    inside = min(max(along, 0.0), lanes[lane, LANE_LENGTH])
    heading = table_heading(lanes, points, lane, inside)
    x, y = table_position(lanes, points, lane, inside, r)
    past = along - inside
    if past == 0.0:
        return x, y, heading
    return x + past * math.cos(heading), y + past * math.sin(heading), heading


@jit
def line_pose(x0: float, y0: float, heading: float, along: float, r: float) -> tuple[float, float]:
    """Return the point (x, y) at ``along`` and ``r`` of a straight line through (x0, y0), m."""
    cos, sin = math.cos(heading), math.sin(heading)
    return x0 + along * cos - r * sin, y0 + along * sin + r * cos


@jit
def _gap_acceleration(
    lanes: Float, points: Float, fused: bool, numbers: Float, whole: Whole, motion: Float, path_lane: Whole,
    path_start: Float, entries: int, v: int, count: int,
) -> float:  # fmt: skip
    """Return the acceleration that keeps the gap to whoever is ahead on the path, m/s2; inf if nobody is.

    Looks along the present lane of the path and the next one, bumper to bumper.
    """
    me, s, r = numbers[v], motion[v, PATH_S], motion[v, PATH_R]
    entry = path_entry(path_start, entries, s)
    nearest, leader = math.inf, -1
    for other in range(count):
        if other == v or not whole[other, PRESENT] or whole[other, KIND] == _LANDMARK:
            continue
        reach = 0.5 * (me[WIDTH] + numbers[other, WIDTH]) + GAP_MARGIN_M
        for ahead in range(entry, min(entry + 2, entries)):
            lane = path_lane[ahead]
            along, across = table_local(lanes, points, fused, lane, numbers[other, X], numbers[other, Y])
            if (ahead > entry and along < 0.0) or (ahead < entries - 1 and along > lanes[lane, LANE_LENGTH]):
                continue
            gap = path_start[ahead] + along - s
            if abs(across - r) <= reach and 0.0 < gap < nearest:
                nearest, leader = gap, other
    if leader < 0:
        return math.inf
    leader_speed = numbers[leader, SPEED] * math.cos(numbers[leader, HEADING] - me[HEADING])
    gap = nearest - 0.5 * (me[LENGTH] + numbers[leader, LENGTH])
    return gap_limit(
        gap, motion[v, PATH_SPEED], leader_speed, me[DISTANCE] - me[LENGTH], me[TIME], me[COMFORT], me[GAP_DIVISOR]
    )


@jit
def _drift(me: Float, codes: Whole, dt: float) -> None:
    """Let a crashed actor roll out as highway-env does: straight on, losing its speed within about a second."""
    speed, heading = me[SPEED], me[HEADING]
    me[X] += speed * math.cos(heading) * dt
    me[Y] += speed * math.sin(heading) * dt
    if codes[HAS_IMPACT]:
        me[X] += me[IMPACT_X]
        me[Y] += me[IMPACT_Y]
        codes[HAS_IMPACT], codes[CRASHED] = 0, 1
    me[ACCELERATION] = -speed
    me[SPEED] = speed - speed * dt
    me[LATERAL_SPEED], me[YAW_RATE] = 0.0, 0.0


@jit
def _along(
    me: Float, go: Float, event_numbers: Float, event_codes: Whole, charge: Whole, reactive: bool, dt: float
) -> tuple[float, float, bool]:
    """Advance the speed along the path; return (distance covered, acceleration, whether it is held at rest)."""
    row, action, magnitude = charge[_LONGITUDINAL], -1, 0.0
    speed, acceleration = go[PATH_SPEED], 0.0
    if row >= 0:
        action, magnitude, until = event_codes[row, ACTION], event_numbers[row, MAGNITUDE], event_numbers[row, UNTIL]
        acceleration, done = commanded_acceleration(
            action, magnitude, event_numbers[row, RATE], until, speed, go[USED_ACCELERATION], dt
        )
        if action == _SPEED:
            me[TARGET_SPEED] = magnitude
        if done:
            me[TARGET_SPEED], charge[_LONGITUDINAL] = until, -1
    elif reactive:
        free = max(me[TARGET_SPEED], 0.1)
        acceleration = me[COMFORT] * (1.0 - (max(speed, 0.0) / free) ** 4)
    if reactive:
        acceleration = min(acceleration, go[GAP_LIMIT])
    reversing = action != _STOP and (speed < 0.0 or (action == _SPEED and magnitude < 0.0))
    after, distance = advance(speed, acceleration, dt, not reversing)
    go[PATH_SPEED], go[USED_ACCELERATION] = after, (after - speed) / dt
    held = action == _STOP or (action == _SPEED and magnitude == 0.0) or (reactive and go[GAP_LIMIT] <= 0.2)
    return distance, acceleration, held and abs(after) < 0.2


@jit
def _across(
    me: Float, go: Float, event_numbers: Float, event_codes: Whole, charge: Whole, rolls: bool, dt: float
) -> bool:
    """Advance path_r and lateral speed, or turn a free path; return whether a lane change has just ended."""
    row = charge[_LATERAL]
    action, magnitude, rate, until = -1, 0.0, 0.0, 0.0
    if row >= 0:
        action, magnitude = event_codes[row, ACTION], event_numbers[row, MAGNITUDE]
        rate, until = event_numbers[row, RATE], event_numbers[row, UNTIL]
    if action == _HEADING:
        go[FREE_HEADING] = approach(go[FREE_HEADING], go[TURN_GOAL], rate * dt if rate > 0.0 else math.inf)
        go[FREE_X], go[FREE_Y], go[FREE_S] = me[X], me[Y], go[PATH_S]
        go[PATH_R], go[PATH_LATERAL] = 0.0, 0.0
        done = go[FREE_HEADING] == go[TURN_GOAL]
    else:
        cap = LATERAL_SHARE * abs(go[PATH_SPEED]) if rolls else math.inf
        go[PATH_R], go[PATH_LATERAL], done = lateral_step(
            action, magnitude, rate, until, go[GOAL_R], go[PATH_R], go[PATH_LATERAL], cap, dt
        )
    if done:
        charge[_LATERAL] = -1
    return done and action == _LANE_CHANGE


@jit
def _place(
    lanes: Float, points: Float, me: Float, go: Float, path_lane: Whole, path_start: Float, entries: int,
    distance: float, rolls: bool, dt: float,
) -> None:  # fmt: skip
    """Advance ``distance`` metres and write the pose in the world."""
    if entries == 0:
        go[PATH_S] += distance
        heading = go[FREE_HEADING]
        x, y = line_pose(go[FREE_X], go[FREE_Y], heading, go[PATH_S] - go[FREE_S], go[PATH_R])
    else:
        lane = int(go[PATH_LANE])
        if lanes[lane, LANE_KIND] == SINE:  # measured along the axis, not along the curve
            distance *= math.cos(me[HEADING] - go[OFFSET] - lanes[lane, 6])
        go[PATH_S] += distance
        entry = path_entry(path_start, entries, go[PATH_S])
        lane = path_lane[entry]
        go[PATH_LANE] = lane
        x, y, heading = lane_pose(lanes, points, lane, go[PATH_S] - path_start[entry], go[PATH_R])
    speed, lateral = go[PATH_SPEED], go[PATH_LATERAL]
    me[SPEED], me[LATERAL_SPEED] = speed, lateral
    if rolls:  # a rolling body points where it goes
        if abs(speed) > 0.1:
            go[OFFSET] = approach(go[OFFSET], math.atan(lateral / speed), YAW_RATE_RADPS * dt)
        me[SPEED] = math.copysign(math.sqrt(speed * speed + lateral * lateral), speed)
        me[LATERAL_SPEED] = 0.0
    heading += go[OFFSET]
    turn = heading - me[HEADING]
    me[YAW_RATE] = (turn - 2.0 * math.pi * math.floor(turn / (2.0 * math.pi) + 0.5)) / dt
    me[X], me[Y], me[HEADING] = x, y, heading
    me[ACCELERATION] = go[USED_ACCELERATION]


@jit
def move_scripted(
    lanes: Float, points: Float, fused: bool, dt: float, count: int, numbers: Float, whole: Whole, shape: Small,
    reactive: Bool, event_numbers: Float, event_codes: Whole, path_lane: Whole, path_start: Float, path_count: Whole,
    charge: Whole, motion: Float, brake_light: Bool, indicator: Small,
) -> None:  # fmt: skip
    """Move the present scripted actors of one world by one tick.

    Along a path the motion is exact for the constant acceleration of a tick, standstill included.

    Args:
        lanes, points, fused: lanes of the world's map (``RoadTables``), point table, rounding of dot products.
        dt: length of the tick, s.
        count: actors in use.
        numbers, whole: the frame.
        shape, reactive: ``Traits``, this world's row.
        event_numbers, event_codes, path_lane, path_start, path_count: ``Script``, this world's row.
        charge, motion: ``Play``, this world's row.
        brake_light, indicator: ``Actors``, this world's row.
    """
    # Gaps are read before anybody moves, so that the order of actors carries no meaning.
    for v in range(1, count):
        if reactive[v] and whole[v, PRESENT] and whole[v, KIND] == _SCRIPTED:
            motion[v, GAP_LIMIT] = _gap_acceleration(
                lanes, points, fused, numbers, whole, motion, path_lane[v], path_start[v], path_count[v], v, count
            )
    for v in range(1, count):
        if not whole[v, PRESENT] or whole[v, KIND] != _SCRIPTED:
            continue
        if whole[v, CRASHED] or whole[v, HAS_IMPACT]:
            _drift(numbers[v], whole[v], dt)
            continue
        me, go, rolls = numbers[v], motion[v], wheeled(shape[v])
        at_rest = go[PATH_SPEED] == 0.0 and go[PATH_LATERAL] == 0.0 and not reactive[v]
        if at_rest and charge[v, _LONGITUDINAL] < 0 and charge[v, _LATERAL] < 0:
            me[ACCELERATION], me[YAW_RATE], go[USED_ACCELERATION], brake_light[v] = 0.0, 0.0, 0.0, False
            continue
        distance, acceleration, held = _along(me, go, event_numbers, event_codes, charge[v], reactive[v], dt)
        if _across(me, go, event_numbers, event_codes, charge[v], rolls, dt):
            indicator[v] = 0
        _place(lanes, points, me, go, path_lane[v], path_start[v], path_count[v], distance, rolls, dt)
        brake_light[v] = acceleration < BRAKE_LIGHT_MPS2 or held
