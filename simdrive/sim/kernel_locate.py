"""Where every actor is on every lane: exact coordinates, closest lane, lane membership.

The closest lane is the first minimum of L1 distance plus heading difference over all lanes
(``RoadNetwork.get_closest_lane_index``). A lane whose bounding circle is further away than the best distance so far
cannot win; if nobody can be on it either, its coordinates are left out (NaN) and computed if somebody asks for them.
Arcs around one centre share the polar coordinates of the point.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit_inline
from simdrive.sim.arithmetic import bit, norm2, wrap_to_pi
from simdrive.sim.kernel_frame import COS, COURSE, HEADING, LANE, PRESENT, SIN, X, Y
from simdrive.sim.kernel_frame import KIND as ACTOR_KIND
from simdrive.sim.lanes import (
    BOUND_RADIUS,
    BOUND_X,
    BOUND_Y,
    CIRCULAR,
    KIND,
    LENGTH,
    NEIGHBOUR_MARGIN_M,
    POLY,
    REACH,
    SINE,
    VEHICLE_LENGTH_M,
    base_distance,
    circular_coordinates,
    table_heading,
    table_local,
    table_on_lane,
    table_poly,
    table_sine_offset,
    table_straight,
)
from simdrive.sim.state import Behaviour, Float, Whole, Words

_OBSTACLE, _LANDMARK = int(Behaviour.OBSTACLE), int(Behaviour.LANDMARK)


@jit_inline
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
    now_s, now_r = table_local(lanes, points, fused, lane_now, x, y)
    if moving:  # the present lane first: it is nearly always the answer, so the others can be pruned against it
        angle = abs(wrap_to_pi(heading - table_heading(lanes, points, lane_now, now_s)))
        best_distance = base_distance(now_s, now_r, lanes[lane_now, LENGTH]) + angle
    centre_x, centre_y, phase, radius = math.nan, math.nan, 0.0, 0.0
    for lane in range(lanes.shape[0]):
        own_s, own_r = now_s, now_r
        if lane != lane_now:
            s[i, lane], r[i, lane] = math.nan, math.nan
            reach = max(best_distance, lanes[lane, REACH] + VEHICLE_LENGTH_M) + lanes[lane, BOUND_RADIUS]
            dx, dy = x - lanes[lane, BOUND_X], y - lanes[lane, BOUND_Y]
            if dx * dx + dy * dy > reach * reach:
                continue
            kind = lanes[lane, KIND]
            if kind == CIRCULAR:
                if lanes[lane, 0] != centre_x or lanes[lane, 1] != centre_y:
                    centre_x, centre_y = lanes[lane, 0], lanes[lane, 1]
                    radius = norm2(fused, x - centre_x, y - centre_y)
                    phase = math.atan2(y - centre_y, x - centre_x)
                own_s, own_r = circular_coordinates(lanes, lane, phase, radius)
            elif kind == POLY:
                own_s, own_r = table_poly(lanes, points, fused, lane, x, y)
            else:
                own_s, own_r = table_straight(lanes, fused, lane, x, y)
                if kind == SINE:
                    own_r -= table_sine_offset(lanes, lane, own_s)
        s[i, lane], r[i, lane] = own_s, own_r
        if seen and table_on_lane(lanes, points, lane, own_s, own_r, NEIGHBOUR_MARGIN_M):
            members[lane, i >> 6] |= bit(i & 63)
        base = base_distance(own_s, own_r, lanes[lane, LENGTH])
        if base <= best_distance and lane != lane_now:
            distance = base + abs(wrap_to_pi(heading - table_heading(lanes, points, lane, own_s)))
            if distance < best_distance or (distance == best_distance and lane < best):
                best, best_distance = lane, distance
    return best


@jit_inline
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
        if heading != numbers[i, COURSE]:
            numbers[i, COS], numbers[i, SIN] = math.cos(heading), math.sin(heading)
            numbers[i, COURSE] = heading
        x, y, seen, lane_now = numbers[i, X], numbers[i, Y], kind != _LANDMARK, whole[i, LANE]
        lane = _locate_actor(lanes, points, fused, s, r, members, i, seen, moving, lane_now, x, y, heading)
        if update_lanes and moving:
            whole[i, LANE] = lane
