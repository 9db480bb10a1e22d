"""Lane changes: MOBIL's test of a candidate lane, as in ``IDMVehicle.change_lane_policy`` and ``mobil``.

Kesting, Treiber, Helbing: General lane-changing model MOBIL for car-following models (2007).
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.kernel_frame import LANE, MAX_BRAKING, MIN_GAIN, POLITENESS, SPEED, X, Y
from simdrive.sim.kernel_idm import acceleration
from simdrive.sim.kernel_neighbours import front_of, lane_s, rear_of
from simdrive.sim.lanes import LANE_ID, ROAD_FIRST, ROAD_LAST, table_local, table_reachable
from simdrive.sim.state import Float, Int, Whole, Words


@jit_inline
def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


@jit
def _acceleration(
    lanes: Float,
    points: Float,
    fused: bool,
    numbers: Float,
    whole: Whole,
    s: Float,
    decider: int,
    ego: int,
    front: int,
    free: float,
) -> float:
    """Return ``acceleration`` as a call: MOBIL needs it up to six times, seldom."""
    return acceleration(lanes, points, fused, numbers, whole, s, decider, ego, front, free)


@jit
def _mobil(
    lanes: Float,
    points: Float,
    fused: bool,
    links: Int,
    connected: bool,
    numbers: Float,
    whole: Whole,
    s: Float,
    members: Words,
    i: int,
    candidate: int,
    target: int,
    route_id: int,
    front: int,
    free: float,
    now: float,
) -> bool:
    """Tell whether actor ``i`` should change to the lane ``candidate``; other arguments as in ``decide_change``.

    All tests must pass; the gain is tested before the braking of the new follower because it fails most often.
    """
    tables = (lanes, points, fused, numbers, whole, s)
    own_s = lane_s(lanes, points, fused, numbers, s, i, candidate)
    new_front = front_of(lanes, links, connected, s, members, i, candidate, own_s)
    then = _acceleration(*tables, i, i, new_front, free)
    politeness = numbers[i, POLITENESS]
    if route_id >= 0:
        target_id = int(lanes[target, LANE_ID])
        if _sign(int(lanes[candidate, LANE_ID]) - target_id) != _sign(route_id - target_id):
            return False
        if then < -numbers[i, MAX_BRAKING]:
            return False
    elif politeness == 0.0 and then - now < numbers[i, MIN_GAIN]:
        return False
    new_rear = rear_of(lanes, links, connected, s, members, i, candidate, own_s)
    new_rear_then = _acceleration(*tables, i, new_rear, i, math.nan)
    if new_rear_then < -numbers[i, MAX_BRAKING]:
        return False
    if route_id < 0 and politeness != 0.0:
        lane = whole[i, LANE]
        own_s = lane_s(lanes, points, fused, numbers, s, i, lane)
        rear = rear_of(lanes, links, connected, s, members, i, lane, own_s)
        new_rear_now = _acceleration(*tables, i, new_rear, new_front, math.nan)
        rear_now = _acceleration(*tables, i, rear, i, math.nan)
        rear_then = _acceleration(*tables, i, rear, front, math.nan)
        gain = then - now + politeness * (new_rear_then - new_rear_now + rear_then - rear_now)
        return not gain < numbers[i, MIN_GAIN]
    return True


@jit
def decide_change(
    lanes: Float,
    points: Float,
    fused: bool,
    links: Int,
    connected: bool,
    numbers: Float,
    whole: Whole,
    s: Float,
    members: Words,
    i: int,
    target: int,
    route_id: int,
    front: int,
    free: float,
    now: float,
) -> int:
    """Test the lane on the left, then the one on the right; return the last that passes, else ``target``.

    Args:
        lanes: lane table of the map.
        points: point table.
        fused: rounding of dot products.
        links: lane_link of RoadTables.
        connected: neighbours are also sought on connected lanes.
        numbers: frame.
        whole: frame.
        s: ``[actors, lanes]`` coordinates, m.
        members: ``[lanes, words]`` who is on which lane.
        i: who decides.
        target: lane that it targets now.
        route_id: lane id that its route demands next, -1 = none.
        front: whom it follows on its own lane, -1 = nobody.
        free: its acceleration on an empty road, m/s2.
        now: its acceleration behind ``front``, m/s2.
    """
    lane = whole[i, LANE]
    if abs(numbers[i, SPEED]) < 1:
        return target
    for candidate in (lane - 1, lane + 1):
        if candidate < lanes[lane, ROAD_FIRST] or candidate >= lanes[lane, ROAD_LAST]:
            continue
        own_s, own_r = table_local(lanes, points, fused, candidate, numbers[i, X], numbers[i, Y])
        if not table_reachable(lanes, points, candidate, own_s, own_r):
            continue
        if _mobil(
            lanes, points, fused, links, connected, numbers, whole, s, members, i, candidate, target, route_id, front,
            free, now,
        ):  # fmt: skip
            target = candidate
    return target
