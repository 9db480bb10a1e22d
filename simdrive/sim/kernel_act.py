"""What every stock driver decides in a step: target lane, steering, acceleration. Positions stay frozen."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import clip
from simdrive.sim.kernel_frame import (
    ACC_MAX,
    ACCELERATION,
    CHANGES_LANE,
    CRASHED,
    DELAY,
    ENTRIES,
    HAS_TARGET,
    HEAD,
    HEADING,
    KIND,
    LANE,
    LENGTH,
    OWNER,
    PRESENT,
    SPEED,
    STEERING,
    TARGET_LANE,
    TARGET_SPEED,
    TIMER,
    X,
    Y,
)
from simdrive.sim.kernel_idm import acceleration, desired_gap, free_acceleration, lane_gap
from simdrive.sim.kernel_mobil import decide_change
from simdrive.sim.kernel_neighbours import front_of, lane_s
from simdrive.sim.kernel_routes import next_lane
from simdrive.sim.kernel_steering import SPEED_GAIN, linear_steering, steering
from simdrive.sim.lanes import LENGTH as LANE_LENGTH
from simdrive.sim.lanes import ROAD, VEHICLE_LENGTH_M, table_local
from simdrive.sim.state import Behaviour, Float, Int, Whole, Words

_CONTROLLED, _LINEAR = int(Behaviour.CONTROLLED), int(Behaviour.LINEAR)


@jit
def switch_road(
    lanes: Float,
    points: Float,
    fused: bool,
    road_codes: Int,
    road_next: Int,
    numbers: Float,
    whole: Whole,
    route_roads: Int,
    route_lanes: Int,
    i: int,
    first_road: int,
) -> int:
    """Return the lane after the present target, following the route; drops a finished route entry."""
    lane, owner = whole[i, TARGET_LANE], whole[i, OWNER]
    head, entries = whole[owner, HEAD], whole[owner, ENTRIES]
    if head < entries and route_roads[owner, head] == first_road + int(lanes[lane, ROAD]):
        head += 1
        whole[owner, HEAD] = head
    road, wanted = -1, -1
    if head < entries:
        road, wanted = route_roads[owner, head], route_lanes[owner, head]
    x, y = numbers[i, X], numbers[i, Y]
    return next_lane(lanes, points, fused, road_codes, road_next, lane, x, y, road, wanted, first_road)


@jit
def _keeps_target(lanes: Float, points: Float, fused: bool, numbers: Float, whole: Whole, s: Float, i: int) -> bool:
    """Tell whether nobody closely ahead is already changing to the target of ``i``."""
    lane, target = whole[i, LANE], whole[i, TARGET_LANE]
    if lanes[lane, ROAD] != lanes[target, ROAD]:
        return True
    for other in range(numbers.shape[0]):
        if whole[other, TARGET_LANE] != target or whole[other, LANE] == target or other == i:
            continue
        if whole[other, PRESENT] and whole[other, HAS_TARGET]:
            gap = lane_gap(lanes, points, fused, numbers, s, lane, i, other)
            if 0 < gap < desired_gap(numbers, fused, i, i, other):
                return False
    return True


@jit_inline
def control_to_target(
    lanes: Float, points: Float, fused: bool, numbers: Float, whole: Whole, s: Float, r: Float, i: int
) -> None:
    """Write the steering angle towards the target lane, and for a plain controlled vehicle its acceleration."""
    target = whole[i, TARGET_LANE]
    own_s, own_r = s[i, target], r[i, target]
    if own_s != own_s or own_r != own_r:
        own_s, own_r = table_local(lanes, points, fused, target, numbers[i, X], numbers[i, Y])
    speed, kind = numbers[i, SPEED], whole[i, KIND]
    if kind == _LINEAR:
        numbers[i, STEERING] = linear_steering(lanes, points, fused, target, own_s, own_r, numbers[i])
    else:
        heading, length = numbers[i, HEADING], numbers[i, LENGTH]
        numbers[i, STEERING] = steering(lanes, points, target, own_s, own_r, speed, heading, length)
    if kind == _CONTROLLED:
        numbers[i, ACCELERATION] = SPEED_GAIN * (numbers[i, TARGET_SPEED] - speed)


@jit
def follow(
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
    lane: int,
    free: float,
) -> float:
    """Return the acceleration of ``i`` behind its front neighbour on ``lane``, m/s2; ``free``: see ``acceleration``."""
    own_s = lane_s(lanes, points, fused, numbers, s, i, lane)
    front = front_of(lanes, links, connected, s, members, i, lane, own_s)
    return acceleration(lanes, points, fused, numbers, whole, s, i, i, front, free)


@jit_inline
def after_end(lanes: Float, points: Float, fused: bool, numbers: Float, whole: Whole, s: Float, i: int) -> bool:
    """Tell whether actor ``i`` is within 2.5 m of the end of its target lane, or beyond."""
    lane = whole[i, TARGET_LANE]
    along = lane_s(lanes, points, fused, numbers, s, i, lane)
    return along > lanes[lane, LANE_LENGTH] - VEHICLE_LENGTH_M / 2


@jit_inline
def act(
    lanes: Float,
    points: Float,
    fused: bool,
    links: Int,
    road_codes: Int,
    road_next: Int,
    first_road: int,
    connected: bool,
    route_roads: Int,
    route_lanes: Int,
    numbers: Float,
    whole: Whole,
    s: Float,
    r: Float,
    members: Words,
) -> None:
    """Set steering and acceleration of every present CONTROLLED, IDM and LINEAR actor of a frame, in list order."""
    for i in range(numbers.shape[0]):
        if not (whole[i, PRESENT] and whole[i, HAS_TARGET]):
            continue
        idm = whole[i, KIND] != _CONTROLLED
        if idm and whole[i, CRASHED]:  # keeps its last controls
            continue
        if after_end(lanes, points, fused, numbers, whole, s, i):
            whole[i, TARGET_LANE] = switch_road(
                lanes, points, fused, road_codes, road_next, numbers, whole, route_roads, route_lanes, i, first_road
            )
        if not idm:
            control_to_target(lanes, points, fused, numbers, whole, s, r, i)
            continue
        lane = whole[i, LANE]
        # Nothing below changes what the own lane demands, so it is computed once, for MOBIL and for the controls.
        own_s = lane_s(lanes, points, fused, numbers, s, i, lane)
        front = front_of(lanes, links, connected, s, members, i, lane, own_s)
        free = free_acceleration(numbers, i, i)
        result = acceleration(lanes, points, fused, numbers, whole, s, i, i, front, free)
        if whole[i, CHANGES_LANE]:
            if lane != whole[i, TARGET_LANE]:
                if not _keeps_target(lanes, points, fused, numbers, whole, s, i):
                    whole[i, TARGET_LANE] = lane
            elif numbers[i, DELAY] < numbers[i, TIMER]:
                numbers[i, TIMER] = 0.0
                owner = whole[i, OWNER]
                head = whole[owner, HEAD]
                route_id = route_lanes[owner, head] if head < whole[owner, ENTRIES] else -1
                whole[i, TARGET_LANE] = decide_change(
                    lanes, points, fused, links, connected, numbers, whole, s, members, i, lane, route_id, front,
                    free, result,
                )  # fmt: skip
        control_to_target(lanes, points, fused, numbers, whole, s, r, i)
        target = whole[i, TARGET_LANE]
        if lane != target:
            there = follow(lanes, points, fused, links, connected, numbers, whole, s, members, i, target, free)
            result = min(result, there)
        numbers[i, ACCELERATION] = clip(result, -numbers[i, ACC_MAX], numbers[i, ACC_MAX])
