"""Where every actor is on every lane: exact coordinates, closest lane, lane membership.

The closest lane is the first minimum of L1 distance plus heading difference over all lanes
(``RoadNetwork.get_closest_lane_index``). A lane whose lateral distance alone exceeds the best distance so far cannot
win, so its longitudinal coordinate is left out; it is computed later if somebody asks for it.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import bit, wrap_to_pi
from simdrive.sim.lanes import (
    CIRCULAR,
    POLY,
    SINE,
    VEHICLE_LENGTH_M,
    circular_lateral,
    circular_longitudinal,
    lane_heading,
    lane_width,
    poly_local,
    sine_offset,
    straight_local,
)
from simdrive.sim.state import Actors, Behaviour, RoadTables, Scratch, Traits, WorldInfo

_OBSTACLE, _LANDMARK = int(Behaviour.OBSTACLE), int(Behaviour.LANDMARK)
_MARGIN_M = 1.0  # Road.neighbour_vehicles: margin of on_lane
_SINE_SLACK_M = 1e-6  # far above the rounding of a sine offset, so that pruning stays exact


@jit_inline
def _coordinates_within(
    roads: RoadTables, lane: int, x: float, y: float, reach: float
) -> tuple[float, float]:
    """Return (s, r), or NaN for both if the lane is certainly more than ``reach`` metres away sideways."""
    kind = roads.lane_kind[lane]
    if kind == CIRCULAR:
        r = circular_lateral(roads, lane, x, y)
        if abs(r) > reach:
            return math.nan, math.nan
        return circular_longitudinal(roads, lane, x, y), r
    if kind == POLY:
        return poly_local(roads, lane, x, y)
    s, r = straight_local(roads, lane, x, y)
    if kind == SINE:
        if abs(r) - abs(roads.lane_geometry[lane, 7]) - _SINE_SLACK_M > reach:
            return math.nan, math.nan
        r -= sine_offset(roads, lane, s)
    return s, r


@jit_inline
def _base_distance(s: float, r: float, length: float) -> float:
    return abs(r) + max(s - length, 0.0) + max(0.0 - s, 0.0)


@jit_inline
def _locate_actor(
    b: int,
    i: int,
    moving: bool,
    visible: bool,
    first_lane: int,
    last_lane: int,
    actors: Actors,
    roads: RoadTables,
    scratch: Scratch,
) -> int:
    """Fill the coordinates of one actor and return its closest lane."""
    x, y, heading = actors.x[b, i], actors.y[b, i], actors.heading[b, i]
    best, best_distance = actors.lane[b, i], -math.inf
    if moving:  # the present lane first: it is nearly always the answer, so the others can be pruned against it
        s, r = _coordinates_within(roads, best, x, y, math.inf)
        angle = abs(wrap_to_pi(heading - lane_heading(roads, best, s)))
        best_distance = _base_distance(s, r, roads.lane_length[best]) + angle
    for lane in range(first_lane, last_lane):
        reach = max(best_distance, roads.lane_width[lane] / 2 + _MARGIN_M)
        s, r = _coordinates_within(roads, lane, x, y, reach)
        scratch.s[b, i, lane - first_lane] = s
        scratch.r[b, i, lane - first_lane] = r
        if s != s:
            continue
        length = roads.lane_length[lane]
        if visible and -VEHICLE_LENGTH_M <= s < length + VEHICLE_LENGTH_M:
            if abs(r) <= lane_width(roads, lane, s) / 2 + _MARGIN_M:
                scratch.members[b, lane - first_lane, i >> 6] |= bit(i & 63)
        base = _base_distance(s, r, length)
        if base <= best_distance:
            distance = base + abs(wrap_to_pi(heading - lane_heading(roads, lane, s)))
            if distance < best_distance or (distance == best_distance and lane < best):
                best, best_distance = lane, distance
    return best


@jit_inline
def locate_world(
    b: int,
    update_lanes: bool,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    info: WorldInfo,
    scratch: Scratch,
) -> None:
    """Refresh everything in ``scratch`` from positions and headings; call it after anything moved.

    Args:
        b: world.
        update_lanes: also set ``actors.lane`` of moving actors to the closest lane (the end of a step); False only
            fills ``scratch``, as before the very first step, where highway-env still uses the lanes of creation.
    """
    first_lane = roads.map_lane_start[info.map_id[b]]
    last_lane = roads.map_lane_start[info.map_id[b] + 1]
    for column in range(last_lane - first_lane):
        for word in range(scratch.members.shape[2]):
            scratch.members[b, column, word] = np.uint64(0)
    for i in range(actors.x.shape[1]):
        if not actors.present[b, i]:
            continue
        kind = traits.behaviour[b, i]
        moving = kind != _OBSTACLE and kind != _LANDMARK
        scratch.cos_heading[b, i] = math.cos(actors.heading[b, i])
        scratch.sin_heading[b, i] = math.sin(actors.heading[b, i])
        lane = _locate_actor(
            b, i, moving, kind != _LANDMARK, first_lane, last_lane, actors, roads, scratch
        )
        if update_lanes and moving:
            actors.lane[b, i] = lane


@jit
def locate_worlds(
    update_lanes: bool, actors: Actors, traits: Traits, roads: RoadTables, info: WorldInfo, scratch: Scratch
) -> None:
    """Refresh the scratch arrays of every world; arguments as in ``locate_world``."""
    for b in range(actors.x.shape[0]):
        locate_world(b, update_lanes, actors, traits, roads, info, scratch)
