"""Where every actor is on every lane: exact coordinates, closest lane, lane membership.

The closest lane is the first minimum of L1 distance plus heading difference over all lanes
(``RoadNetwork.get_closest_lane_index``). A lane whose lateral distance alone exceeds the best distance so far cannot
win, so its longitudinal coordinate is left out; it is computed later if somebody asks for it.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit_inner_inline
from simdrive.sim.arithmetic import bit, wrap_to_pi
from simdrive.sim.kernel_frame import COS, HEADING, LANE, PRESENT, SIN, X, Y
from simdrive.sim.kernel_frame import KIND as ACTOR_KIND
from simdrive.sim.lanes import (
    CIRCULAR,
    KIND,
    LENGTH,
    NEIGHBOUR_MARGIN_M,
    POLY,
    REACH,
    SINE,
    base_distance,
    table_circular_r,
    table_circular_s,
    table_heading,
    table_local,
    table_on_lane,
    table_poly,
    table_sine_offset,
    table_straight,
)
from simdrive.sim.state import Behaviour, Float, Whole, Words

_OBSTACLE, _LANDMARK = int(Behaviour.OBSTACLE), int(Behaviour.LANDMARK)
_SINE_SLACK_M = 1e-6  # far above the rounding of a sine offset, so that pruning stays exact


@jit_inner_inline
def _coordinates_within(
    lanes: Float, points: Float, fused: bool, lane: int, x: float, y: float, reach: float
) -> tuple[float, float]:
    """Return (s, r), or NaN for both if the lane is certainly more than ``reach`` metres away sideways."""
    kind = lanes[lane, KIND]
    if kind == CIRCULAR:
        r = table_circular_r(lanes, fused, lane, x, y)
        if abs(r) > reach:
            return math.nan, math.nan
        return table_circular_s(lanes, lane, x, y), r
    if kind == POLY:
        return table_poly(lanes, points, fused, lane, x, y)
    s, r = table_straight(lanes, fused, lane, x, y)
    if kind == SINE:
        if abs(r) - abs(lanes[lane, 7]) - _SINE_SLACK_M > reach:
            return math.nan, math.nan
        r -= table_sine_offset(lanes, lane, s)
    return s, r


@jit_inner_inline
def _locate_actor(
    lanes: Float,
    points: Float,
    fused: bool,
    s: Float,
    r: Float,
    members: Words,
    i: int,
    seen: bool,
    moving: bool,
    lane_now: int,
    x: float,
    y: float,
    heading: float,
) -> int:
    """Fill the coordinates of one actor and return its closest lane."""
    best, best_distance = lane_now, -math.inf
    if moving:  # the present lane first: it is nearly always the answer, so the others can be pruned against it
        own_s, own_r = table_local(lanes, points, fused, best, x, y)
        angle = abs(wrap_to_pi(heading - table_heading(lanes, points, best, own_s)))
        best_distance = base_distance(own_s, own_r, lanes[best, LENGTH]) + angle
    for lane in range(lanes.shape[0]):
        reach = max(best_distance, lanes[lane, REACH])
        own_s, own_r = _coordinates_within(lanes, points, fused, lane, x, y, reach)
        s[i, lane], r[i, lane] = own_s, own_r
        if own_s != own_s:
            continue
        if seen and table_on_lane(lanes, points, lane, own_s, own_r, NEIGHBOUR_MARGIN_M):
            members[lane, i >> 6] |= bit(i & 63)
        base = base_distance(own_s, own_r, lanes[lane, LENGTH])
        if base <= best_distance:
            distance = base + abs(wrap_to_pi(heading - table_heading(lanes, points, lane, own_s)))
            if distance < best_distance or (distance == best_distance and lane < best):
                best, best_distance = lane, distance
    return best


@jit_inner_inline
def locate(
    update_lanes: bool,
    lanes: Float,
    points: Float,
    fused: bool,
    numbers: Float,
    whole: Whole,
    s: Float,
    r: Float,
    members: Words,
) -> None:
    """Refresh coordinates, members and cosines of a frame, and the lanes of moving actors if asked."""
    for lane in range(lanes.shape[0]):
        for word in range(members.shape[1]):
            members[lane, word] = np.uint64(0)
    for i in range(numbers.shape[0]):
        if not whole[i, PRESENT]:
            continue
        kind = whole[i, ACTOR_KIND]
        moving = kind != _OBSTACLE and kind != _LANDMARK
        heading = numbers[i, HEADING]
        numbers[i, COS], numbers[i, SIN] = math.cos(heading), math.sin(heading)
        x, y, seen, lane_now = numbers[i, X], numbers[i, Y], kind != _LANDMARK, whole[i, LANE]
        lane = _locate_actor(lanes, points, fused, s, r, members, i, seen, moving, lane_now, x, y, heading)
        if update_lanes and moving:
            whole[i, LANE] = lane
