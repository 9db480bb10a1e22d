"""Priority rules at unsignalled junctions (``RegulatedRoad``): predict, find conflicts, stop who must yield."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_allocating, jit_inline
from simdrive.sim.arithmetic import clip, dot2, fused_multiply_add, norm2
from simdrive.sim.kernel_bicycle import MAX_YAW_RATE, bicycle_step
from simdrive.sim.kernel_frame import (
    COS,
    CRASHED,
    ENTRIES,
    HAS_IMPACT,
    HAS_TARGET,
    HEAD,
    HEADING,
    IMPACT_X,
    IMPACT_Y,
    KIND,
    LANE,
    LATERAL_SPEED,
    LENGTH,
    MAX_SPEED,
    MIN_SPEED,
    NOTCHES,
    OBJECT,
    OWNER,
    PRESENT,
    SIN,
    SPEED,
    STEERING,
    STEERING_HELD,
    TARGET_SPEED,
    WIDTH,
    YAW_RATE,
    YIELD_TIMER,
    YIELDING,
    X,
    Y,
)
from simdrive.sim.kernel_integrate import limited
from simdrive.sim.kernel_routes import ROAD_FIRST_LANE, ROAD_LANE_COUNT
from simdrive.sim.lanes import LANE_ID, PRIORITY, SPEED_LIMIT, table_heading, table_local, table_position
from simdrive.sim.lanes import LENGTH as LANE_LENGTH
from simdrive.sim.state import Behaviour, Float, Int, Whole

_KINEMATIC, _BICYCLE = int(Behaviour.KINEMATIC), int(Behaviour.BICYCLE)
_RULES_PER_S = 2  # RegulatedRoad.REGULATION_FREQUENCY
_YIELD_PASSES = 0  # RegulatedRoad.YIELD_DURATION * REGULATION_FREQUENCY
_HORIZON, _STEP_S = 11, 0.25  # predictions at 0.25 .. 2.75 s


@jit
def _lane_of_entry(road_codes: Int, road: int, wanted_id: int, lane_id: int) -> int:
    """Return the lane of a route entry; an open lane id means the present one."""
    last = road_codes[road, ROAD_LANE_COUNT] - 1
    return road_codes[road, ROAD_FIRST_LANE] + min(lane_id if wanted_id < 0 else wanted_id, last)


@jit
def _predict_on_route(
    lanes: Float,
    points: Float,
    fused: bool,
    road_codes: Int,
    row: Float,
    own: int,
    head: int,
    entries: int,
    roads: Int,
    lane_ids: Int,
    path: Float,
) -> None:
    """Write (x, y, heading) at every prediction time for a vehicle that keeps its speed along its route."""
    lane_id = int(lanes[own, LANE_ID])
    s, _ = table_local(lanes, points, fused, own, row[X], row[Y])
    for k in range(_HORIZON):
        along = s + row[SPEED] * (_STEP_S * (k + 1))
        entry = head
        lane = own if entry >= entries else _lane_of_entry(road_codes, roads[entry], lane_ids[entry], lane_id)
        while entry + 1 < entries and along > lanes[lane, LANE_LENGTH]:
            along -= lanes[lane, LANE_LENGTH]
            entry += 1
            lane = _lane_of_entry(road_codes, roads[entry], lane_ids[entry], lane_id)
        path[k, 0], path[k, 1] = table_position(lanes, points, lane, along, 0.0)
        path[k, 2] = table_heading(lanes, points, lane, along)


@jit
def _predict_freely(row: Float, codes: Whole, path: Float) -> None:
    """Write predictions of a vehicle without a route: present steering, no acceleration."""
    x, y, heading, speed = row[X], row[Y], row[HEADING], row[SPEED]
    lateral, yaw_rate = row[LATERAL_SPEED], row[YAW_RATE]
    steering = row[STEERING] if codes[STEERING_HELD] else 0.0
    crashed, impact = codes[CRASHED] != 0, codes[HAS_IMPACT] != 0
    acceleration = 0.0
    for k in range(_HORIZON):
        if crashed:
            steering, acceleration = 0.0, -1.0 * speed
        acceleration = limited(acceleration, speed, row[MIN_SPEED], row[MAX_SPEED])
        if codes[KIND] == _BICYCLE:
            steering = clip(steering, -math.pi / 2, math.pi / 2)
            yaw_rate = clip(yaw_rate, -MAX_YAW_RATE, MAX_YAW_RATE)
            state = (x, y, heading, speed, lateral, yaw_rate)
            x, y, heading, speed, lateral, yaw_rate = bicycle_step(state, steering, acceleration, _STEP_S)
        else:
            slip = math.atan(0.5 * math.tan(steering))
            x += speed * math.cos(heading + slip) * _STEP_S
            y += speed * math.sin(heading + slip) * _STEP_S
            if impact:
                x, y = x + row[IMPACT_X], y + row[IMPACT_Y]
                crashed, impact = True, False
            heading += speed * math.sin(slip) / (row[LENGTH] / 2) * _STEP_S
            speed += acceleration * _STEP_S
        path[k, 0], path[k, 1], path[k, 2] = x, y, heading


@jit
def _corner_inside(
    ax: float, ay: float, a_length: float, a_width: float, a_heading: float,
    bx: float, by: float, b_length: float, b_width: float, b_heading: float,
) -> bool:  # fmt: skip
    """Tell whether a corner, side centre or the centre of box A lies in box B."""
    ca, sa, cb, sb = math.cos(a_heading), math.sin(a_heading), math.cos(b_heading), math.sin(b_heading)
    for along in range(-1, 2):
        for across in range(-1, 2):
            px, py = along * (a_length / 2), across * (a_width / 2)
            x = fused_multiply_add(-sa, py, ca * px) + ax - bx
            y = fused_multiply_add(ca, py, sa * px) + ay - by
            s, r = fused_multiply_add(cb, x, -sb * y), fused_multiply_add(sb, x, cb * y)
            if -b_length / 2 <= s <= b_length / 2 and -b_width / 2 <= r <= b_width / 2:
                return True
    return False


@jit
def _conflict(
    fused: bool, path_a: Float, length_a: float, width_a: float, path_b: Float, length_b: float, width_b: float
) -> bool:
    """Tell whether the predictions of two vehicles come to overlap; boxes 1.5 times as long, 0.9 as wide."""
    al, aw, bl, bw = 1.5 * length_a, 0.9 * width_a, 1.5 * length_b, 0.9 * width_b
    for k in range(_HORIZON):
        ax, ay, bx, by = path_a[k, 0], path_a[k, 1], path_b[k, 0], path_b[k, 1]
        if norm2(fused, bx - ax, by - ay) > length_a:
            continue
        if _corner_inside(ax, ay, al, aw, path_a[k, 2], bx, by, bl, bw, path_b[k, 2]):
            return True
        if _corner_inside(bx, by, bl, bw, path_b[k, 2], ax, ay, al, aw, path_a[k, 2]):
            return True
    return False


@jit
def _yielding(lanes: Float, fused: bool, numbers: Float, whole: Whole, i: int, j: int) -> int:
    """Return who must yield: the lower lane priority, else the one behind."""
    priority_i, priority_j = lanes[whole[i, LANE], PRIORITY], lanes[whole[j, LANE], PRIORITY]
    if priority_i != priority_j:
        return j if priority_i > priority_j else i
    dx, dy = numbers[j, X] - numbers[i, X], numbers[j, Y] - numbers[i, Y]
    ahead_of_i = dot2(fused, numbers[i, COS], numbers[i, SIN], dx, dy)
    ahead_of_j = dot2(fused, numbers[j, COS], numbers[j, SIN], -dx, -dy)
    return i if ahead_of_i > ahead_of_j else j


@jit_inline
def _release(lanes: Float, numbers: Float, whole: Whole) -> None:
    """Let everybody go who has yielded long enough."""
    for i in range(numbers.shape[0]):
        if not whole[i, YIELDING]:
            continue
        if whole[i, YIELD_TIMER] >= _YIELD_PASSES:
            numbers[i, TARGET_SPEED] = lanes[whole[i, LANE], SPEED_LIMIT]
            whole[i, YIELDING] = 0
        else:
            whole[i, YIELD_TIMER] += 1


@jit_allocating
def enforce_rules(
    lanes: Float,
    points: Float,
    fused: bool,
    road_codes: Int,
    route_roads: Int,
    route_lanes: Int,
    numbers: Float,
    whole: Whole,
) -> None:
    """Reassign who yields: target speed 0 until the next pass; conflicts are sought pair by pair in list order.

    SCRIPTED actors and objects take no part; MDP vehicles (with discrete target speeds) never yield.
    """
    _release(lanes, numbers, whole)
    count = numbers.shape[0]
    paths = np.empty((count, _HORIZON, 3))
    active = np.zeros(count, np.bool_)
    for i in range(count):
        if not whole[i, PRESENT] or whole[i, OBJECT]:
            continue
        if whole[i, KIND] == _KINEMATIC or whole[i, KIND] == _BICYCLE:
            _predict_freely(numbers[i], whole[i], paths[i])
            active[i] = True
        elif whole[i, HAS_TARGET]:
            owner = whole[i, OWNER]
            head, entries = whole[owner, HEAD], whole[owner, ENTRIES]
            _predict_on_route(
                lanes, points, fused, road_codes, numbers[i], whole[i, LANE], head, entries,
                route_roads[owner], route_lanes[owner], paths[i],
            )  # fmt: skip
            active[i] = True
    for i in range(count):
        for j in range(i + 1, count):
            if not (active[i] and active[j]):
                continue
            one, two = numbers[i], numbers[j]
            if not _conflict(fused, paths[i], one[LENGTH], one[WIDTH], paths[j], two[LENGTH], two[WIDTH]):
                continue
            stopped = _yielding(lanes, fused, numbers, whole, i, j)
            if whole[stopped, HAS_TARGET] and whole[stopped, NOTCHES] == 0:
                numbers[stopped, TARGET_SPEED] = 0.0
                whole[stopped, YIELDING], whole[stopped, YIELD_TIMER] = 1, 0


@jit_inline
def rules_due(steps: int, dt: float) -> bool:
    """Tell whether the rules are checked in the ``steps``-th step: twice a second, rounded down to whole steps."""
    return steps % int(1 / dt / _RULES_PER_S) == 0
