"""The lanes of a batch as plain pose rows, so that predicting along lanes compiles fast and runs fast.

A lane is a chain of poses at equal steps (two for a straight lane). ``lanes`` float64 ``[L, 9]``: first pose row,
number of poses, step (m), length (m), width (m), first and end row of the lanes of its road, first entry and number
of entries in ``following``. ``poses`` float64 ``[P, 3]``: x, y, heading (world frame). ``following`` int64: the lane
that carries on on each road that starts where this one ends.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from simdrive.jit import jit
from simdrive.sim.lanes import STRAIGHT, table_heading, table_position
from simdrive.sim.plans import fold
from simdrive.sim.state import RoadTables
from simdrive.types import Float, Long

FIRST, COUNT, STEP, LENGTH, WIDTH, ROAD_FIRST, ROAD_END, NEXT, NEXT_COUNT = range(9)
SPACING_M = 2.0
_KEPT = 8
_cache: OrderedDict[int, tuple[RoadTables, LaneMap]] = OrderedDict()


@dataclass(frozen=True)
class LaneMap:
    """Arrays described at the head of this file."""

    lanes: Float
    poses: Float
    following: Long


def lane_map(roads: RoadTables) -> LaneMap:
    """Return the lane map of road tables; the last few are kept."""
    known = _cache.get(id(roads))
    if known is not None and known[0] is roads:
        return known[1]
    made = _build(roads)
    _cache[id(roads)] = (roads, made)
    while len(_cache) > _KEPT:
        _cache.popitem(last=False)
    return made


def _build(roads: RoadTables) -> LaneMap:
    lanes = np.zeros((len(roads.lane_kind), 9))
    following: list[int] = []
    poses: list[Float] = []
    start = 0
    for row in range(len(lanes)):
        length, road = float(roads.lane_length[row]), int(roads.lane_road[row])
        pieces = 1 if roads.lane_kind[row] == STRAIGHT else max(1, math.ceil(length / SPACING_M))
        ways = _ways_on(roads, row, road)
        lanes[row] = [
            start,
            pieces + 1,
            length / pieces,
            length,
            float(roads.lane_width[row]) or 3.5,
            roads.road_lane_start[road],
            roads.road_lane_start[road + 1],
            len(following),
            len(ways),
        ]
        following += ways
        poses.append(np.empty((pieces + 1, 3)))
        _sample(roads.lane_geometry, roads.points, row, length / pieces, poses[-1])
        start += pieces + 1
    return LaneMap(lanes, np.concatenate(poses), np.array(following or [-1], np.int64))


@jit
def _sample(lanes, points, row, step, poses):  # type: ignore[no-untyped-def]
    """Write the poses at every ``step`` metres of a lane of the road tables."""
    for i in range(poses.shape[0]):
        poses[i, 0], poses[i, 1] = table_position(lanes, points, row, i * step, 0.0)
        poses[i, 2] = table_heading(lanes, points, row, i * step)


def _ways_on(roads: RoadTables, row: int, road: int) -> list[int]:
    ways = []
    for other in roads.road_next[roads.road_next_start[road] : roads.road_next_start[road + 1]]:
        first, end = int(roads.road_lane_start[other]), int(roads.road_lane_start[other + 1])
        ways.append(first + min(int(roads.lane_id[row]), end - first - 1))
    return ways


@jit
def place(lanes, poses, lane, s, r):  # type: ignore[no-untyped-def]
    """Return (x, y, heading) at lane coordinates; beyond its ends a lane goes straight on."""
    first, pieces, step = int(lanes[lane, FIRST]), int(lanes[lane, COUNT]) - 1, lanes[lane, STEP]
    piece = min(max(int(s / step), 0), pieces - 1)
    u = min(max(s / step - piece, 0.0), 1.0)
    a, b = poses[first + piece], poses[first + piece + 1]
    heading = a[2] + u * fold(b[2] - a[2])
    past = s - (piece + u) * step
    cos, sin = math.cos(heading), math.sin(heading)
    x, y = a[0] + u * (b[0] - a[0]), a[1] + u * (b[1] - a[1])
    return x + past * cos - r * sin, y + past * sin + r * cos, heading


@jit
def locate_on(lanes, poses, lane, x, y):  # type: ignore[no-untyped-def]
    """Return (s, r, heading of the lane) of a world point."""
    first, pieces, step = int(lanes[lane, FIRST]), int(lanes[lane, COUNT]) - 1, lanes[lane, STEP]
    best, best_s, best_r = 1e300, 0.0, 0.0
    for piece in range(pieces):
        a, b = poses[first + piece], poses[first + piece + 1]
        ux, uy = b[0] - a[0], b[1] - a[1]
        span = math.sqrt(ux * ux + uy * uy)
        ux, uy = ux / span, uy / span
        dx, dy = x - a[0], y - a[1]
        along, across = dx * ux + dy * uy, dy * ux - dx * uy
        outside = 0.0
        if along < 0.0 and piece > 0:
            outside = -along
        elif along > span and piece < pieces - 1:
            outside = along - span
        square = outside * outside + across * across
        if square < best:
            best, best_s, best_r = square, piece * step + along / span * step, across
    _, _, heading = place(lanes, poses, lane, min(max(best_s, 0.0), lanes[lane, LENGTH]), 0.0)
    return best_s, best_r, heading


@jit
def next_lane(lanes, poses, following, lane, indicator, rank):  # type: ignore[no-untyped-def]
    """Return the lane that carries on, -1 if none; rank 0 is the likeliest way, 1 the next likely one.

    With an indicator on, the way that turns most to that side is likeliest; else the straightest.
    """
    _, _, out = place(lanes, poses, lane, lanes[lane, LENGTH], 0.0)
    best, second, best_cost, second_cost = -1, -1, 1e300, 1e300
    begin = int(lanes[lane, NEXT])
    for entry in range(begin, begin + int(lanes[lane, NEXT_COUNT])):
        other = following[entry]
        _, _, heading = place(lanes, poses, other, 0.5 * lanes[other, LENGTH], 0.0)
        turn = fold(heading - out)
        cost = -indicator * turn if abs(indicator) == 1.0 else abs(turn)
        if cost < best_cost:
            second, second_cost = best, best_cost
            best, best_cost = other, cost
        elif cost < second_cost:
            second, second_cost = other, cost
    return second if rank == 1 and second >= 0 else best
