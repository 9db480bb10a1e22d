"""The way the ego is told to go: a polyline through its lanes, and where on it something is."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from simdrive.errors import ParameterError
from simdrive.jit import jit, jit_allocating
from simdrive.sim.lanes import table_local, table_position
from simdrive.sim.roads import LaneIndex, RoadMap
from simdrive.sim.state import Float, RoadTables

SPACING_M = 1.0
_RAW_SPACING_M = 0.25
_BLEND_PER_METRE = 12.0  # length of a change of lane on the route per metre sideways
_BLEND_RANGE_M = (10.0, 60.0)
_LARGEST_GAP_M = 12.0  # between the end of a lane and the start of the next one


def build_route(
    road_map: RoadMap,
    lanes: Sequence[LaneIndex],
    start_m: float = 0.0,
    behind_m: float = math.inf,
    ahead_m: float = math.inf,
) -> Float:
    """Lay the route that the ego follows along the centres of its lanes.

    Where the next lane starts beside the end of the present one, the route changes over smoothly: before the joint
    if the present lane ends there while its neighbour goes on, else behind it. Beyond the last lane it goes no further.

    Args:
        road_map: the map.
        lanes: lanes in driving order; each leads to the node where the next one starts.
        start_m: position on the first lane that becomes s = 0.
        behind_m, ahead_m: how much of the route to keep behind and ahead of s = 0.

    Returns:
        ``[n, 5]`` x, y (m), heading (rad, unwrapped), s (m), curvature (1/m) every metre.

    Raises:
        UnknownNameError: if the map has no such lane.
        ParameterError: if the lanes do not follow one another, or no metre of route is left.
    """
    if not lanes:
        raise ParameterError("ego_route is empty; give at least the lane that the ego starts on")
    rows = [road_map.row(lane) for lane in lanes]
    for before, after in pairwise(lanes):
        if before[1] != after[0]:
            raise ParameterError(
                f"ego_route: lane {after} does not start at node {before[1]!r} where lane {before} ends"
            )
    s, r = _lateral_profile(road_map.tables, rows)
    tables = road_map.tables
    lanes_points = (tables.lane_geometry, tables.points)
    raw = [_sample(*lanes_points, row, s[i], r[i]) for i, row in enumerate(rows)]
    points = np.concatenate([raw[0], *(part[1:] for part in raw[1:])])
    return _resample(points, start_m, behind_m, ahead_m)


def _lateral_profile(tables: RoadTables, rows: Sequence[int]) -> tuple[list[Float], list[Float]]:
    """Return for every lane of the route its sample positions s and the lateral offset of the route there."""
    samples = [_positions(float(tables.lane_length[row])) for row in rows]
    offsets = [np.zeros_like(s) for s in samples]
    for i, (row, after) in enumerate(pairwise(rows)):
        ahead = _end_offset(tables, row, after)
        back = _start_offset(tables, row, after)
        if max(abs(ahead), abs(back)) < 0.02:
            continue
        if _goes_on(tables, row, after):
            blend = min(_blend_length(back), float(tables.lane_length[after]))
            offsets[i + 1] += back * (1.0 - _ease(samples[i + 1], 0.0, blend))
        else:
            length = float(tables.lane_length[row])
            offsets[i] += ahead * _ease(samples[i], max(0.0, length - _blend_length(ahead)), length)
    return samples, offsets


def _positions(length: float) -> Float:
    return np.linspace(0.0, length, max(2, math.ceil(length / _RAW_SPACING_M) + 1))


def _blend_length(offset: float) -> float:
    return float(np.clip(_BLEND_PER_METRE * abs(offset), *_BLEND_RANGE_M))


def _ease(s: Float, begin: float, end: float) -> Float:
    u = np.clip((s - begin) / (end - begin), 0.0, 1.0)
    eased: Float = u * u * u * (10.0 - 15.0 * u + 6.0 * u * u)  # no jump in curvature
    return eased


def _end_offset(tables: RoadTables, row: int, after: int) -> float:
    """Return how far to the right of the end of ``row`` the lane ``after`` starts, m."""
    x, y = _position(tables, after, 0.0)
    end = float(tables.lane_length[row])
    s, r = _local(tables, row, x, y)
    if math.hypot(s - end, r) > _LARGEST_GAP_M:
        raise ParameterError(f"ego_route: {math.hypot(s - end, r):.1f} m lie between two lanes that should meet")
    return float(r)


def _start_offset(tables: RoadTables, row: int, after: int) -> float:
    """Return how far to the right of the start of ``after`` the lane ``row`` ends, m."""
    x, y = _position(tables, row, float(tables.lane_length[row]))
    return float(_local(tables, after, x, y)[1])


def _goes_on(tables: RoadTables, row: int, after: int) -> bool:
    """Tell whether some lane beside ``after`` carries the lane ``row`` on."""
    x, y = _position(tables, row, float(tables.lane_length[row]))
    road = int(tables.lane_road[after])
    beside = range(int(tables.road_lane_start[road]), int(tables.road_lane_start[road + 1]))
    return any(abs(_local(tables, lane, x, y)[1]) < 0.5 * tables.lane_width[lane] for lane in beside)


def _local(tables: RoadTables, row: int, x: float, y: float) -> tuple[float, float]:
    return table_local(tables.lane_geometry, tables.points, False, row, x, y)


def _position(tables: RoadTables, row: int, s: float) -> tuple[float, float]:
    return table_position(tables.lane_geometry, tables.points, row, s, 0.0)


@jit_allocating
def _sample(lanes: Float, points: Float, row: int, s: Float, r: Float) -> Float:
    sampled = np.empty((len(s), 2))
    for i in range(len(s)):
        sampled[i, 0], sampled[i, 1] = table_position(lanes, points, row, s[i], r[i])
    return sampled


def _resample(points: Float, start_m: float, behind_m: float, ahead_m: float) -> Float:
    steps = np.hypot(*np.diff(points, axis=0).T)
    keep = np.concatenate([[True], steps > 1e-9])
    points, steps = points[keep], steps[keep[1:]]
    arc = np.concatenate([[0.0], np.cumsum(steps)]) - start_m
    first = max(math.ceil(arc[0] / SPACING_M), -math.floor(min(behind_m, 1e9) / SPACING_M))
    last = min(math.floor((arc[-1] + 1e-6) / SPACING_M), math.floor(min(ahead_m, 1e9) / SPACING_M))
    if last < 1 or first > 0:
        raise ParameterError(
            f"ego_route: the lanes reach from s = {arc[0]:.1f} m to {arc[-1]:.1f} m of the ego; "
            "the route must begin behind it or at it and end at least a metre ahead"
        )
    s = np.arange(first, last + 1) * SPACING_M
    x, y = np.interp(s, arc, points[:, 0]), np.interp(s, arc, points[:, 1])
    heading = np.unwrap(np.arctan2(np.gradient(y), np.gradient(x)))
    return np.column_stack([x, y, heading, s, np.gradient(heading) / SPACING_M])


@jit
def project(route: Float, count: int, x: float, y: float, hint: int) -> tuple[float, float, int]:
    """Find a point on a route.

    Args:
        route: ``[n, 5]`` as from ``build_route``.
        count: number of valid rows, at least 2.
        x, y: world point, m.
        hint: row to walk from towards nearer rows; negative = look at every row.

    Returns:
        s along the route (m, extended straight beyond its ends), r to its right (m), the nearest row.
    """
    near = hint
    if hint < 0 or hint >= count:
        near, least = 0, math.inf
        for row in range(count):
            distance = (route[row, 0] - x) ** 2 + (route[row, 1] - y) ** 2
            if distance < least:
                near, least = row, distance
    else:
        least = (route[near, 0] - x) ** 2 + (route[near, 1] - y) ** 2
        for step in (1, -1):
            while 0 <= near + step < count:
                distance = (route[near + step, 0] - x) ** 2 + (route[near + step, 1] - y) ** 2
                if distance >= least:
                    break
                near, least = near + step, distance
    row = min(near, count - 2)
    along = (x - route[row, 0]) * (route[row + 1, 0] - route[row, 0]) + (y - route[row, 1]) * (
        route[row + 1, 1] - route[row, 1]
    )
    stepped_back = along < 0.0 and row > 0
    if stepped_back:
        row -= 1
    dx, dy = route[row + 1, 0] - route[row, 0], route[row + 1, 1] - route[row, 1]
    length = math.sqrt(dx * dx + dy * dy)
    along = ((x - route[row, 0]) * dx + (y - route[row, 1]) * dy) / length
    across = ((y - route[row, 1]) * dx - (x - route[row, 0]) * dy) / length
    share = along / length
    if stepped_back:
        share = min(share, 1.0)  # outside a bend a point can lie between two segments: it belongs to their corner
    return route[row, 3] + share * (route[row + 1, 3] - route[row, 3]), across, near
