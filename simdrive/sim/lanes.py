"""Lane geometry in compiled form, rounding exactly as highway-env's lane classes do.

A lane is a row of ``RoadTables``. Columns of ``lane_geometry`` by kind (``lane_kind``):

- straight (0), sine (1): start x, y; direction x, y; lateral x, y; heading; then amplitude, pulsation, phase.
- circular (2): centre x, y; radius; start phase; direction (+1 clockwise on screen, -1 the other way).
- poly (3): number of pose rows, of knot rows and of width rows, in this order from ``lane_point_start``.
  Pose: s, x, y, normal x, y, heading. Knot: arc length, x, y. Width: width (none = constant width).

Lane coordinates: s along the lane, m; r to the right of it, m. Headings in radians, world frame.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import dot2, norm2, wrap_to_pi
from simdrive.sim.state import RoadTables

STRAIGHT, SINE, CIRCULAR, POLY = 0, 1, 2, 3
VEHICLE_LENGTH_M = 5.0  # AbstractLane.VEHICLE_LENGTH: how far a lane reaches beyond its ends
_QUARTER_TURN = math.pi / 2


@jit_inline
def straight_local(roads: RoadTables, lane: int, x: float, y: float) -> tuple[float, float]:
    """Return (s, r) relative to the axis of a straight or sine lane."""
    geometry = roads.lane_geometry
    fused = roads.fused_dot[0]
    dx, dy = x - geometry[lane, 0], y - geometry[lane, 1]
    s = dot2(fused, dx, dy, geometry[lane, 2], geometry[lane, 3])
    return s, dot2(fused, dx, dy, geometry[lane, 4], geometry[lane, 5])


@jit_inline
def sine_offset(roads: RoadTables, lane: int, s: float) -> float:
    """Return the lateral offset of a sine lane from its axis, m."""
    geometry = roads.lane_geometry
    return geometry[lane, 7] * math.sin(geometry[lane, 8] * s + geometry[lane, 9])


@jit_inline
def circular_lateral(roads: RoadTables, lane: int, x: float, y: float) -> float:
    """Return r alone: it needs no arc tangent."""
    geometry = roads.lane_geometry
    distance = norm2(roads.fused_dot[0], x - geometry[lane, 0], y - geometry[lane, 1])
    return geometry[lane, 4] * (geometry[lane, 2] - distance)


@jit_inline
def circular_longitudinal(roads: RoadTables, lane: int, x: float, y: float) -> float:
    """Return s alone, wrapped around the start phase."""
    geometry = roads.lane_geometry
    start = geometry[lane, 3]
    phase = math.atan2(y - geometry[lane, 1], x - geometry[lane, 0])
    phase = start + wrap_to_pi(phase - start)
    return geometry[lane, 4] * (phase - start) * geometry[lane, 2]


@jit
def poly_local(roads: RoadTables, lane: int, x: float, y: float) -> tuple[float, float]:
    """Return (s, r) on a poly lane: the last pose that the point is not behind decides."""
    points = roads.points
    fused = roads.fused_dot[0]
    first = roads.lane_point_start[lane]
    poses = int(roads.lane_geometry[lane, 0])
    row = first + poses - 1
    while True:
        dx, dy = x - points[row, 1], y - points[row, 2]
        along = dot2(fused, points[row, 3], points[row, 4], dx, dy)
        if along >= 0.0 or row == first:
            return points[row, 0] + along, dot2(fused, -points[row, 4], points[row, 3], dx, dy)
        row -= 1


@jit
def poly_pose(roads: RoadTables, lane: int, s: float) -> int:
    """Return the row of the point table whose segment holds ``s``."""
    first = roads.lane_point_start[lane]
    last = first + int(roads.lane_geometry[lane, 0]) - 1
    for row in range(first, last + 1):
        if s < roads.points[row, 0]:
            return max(row - 1, first)
    return last


@jit
def _poly_curve(roads: RoadTables, lane: int, s: float) -> tuple[float, float]:
    """Return the point of the curve at ``s``: linear between knots, extrapolated beyond the ends."""
    points = roads.points
    low = roads.lane_point_start[lane] + int(roads.lane_geometry[lane, 0])
    end = low + int(roads.lane_geometry[lane, 1]) - 1
    while low < end - 1 and points[low + 1, 0] <= s:
        low += 1
    step = points[low + 1, 0] - points[low, 0]
    past = s - points[low, 0]
    x, y = points[low, 1], points[low, 2]
    dx, dy = (points[low + 1, 1] - x) / step, (points[low + 1, 2] - y) / step
    if s >= points[end, 0]:
        past, x, y = s - points[end, 0], points[end, 1], points[end, 2]
    return x + dx * past, y + dy * past


@jit_inline
def lane_local(roads: RoadTables, lane: int, x: float, y: float) -> tuple[float, float]:
    """Return the lane coordinates (s, r) of a world point, m."""
    kind = roads.lane_kind[lane]
    if kind == STRAIGHT:
        return straight_local(roads, lane, x, y)
    if kind == CIRCULAR:
        return circular_longitudinal(roads, lane, x, y), circular_lateral(roads, lane, x, y)
    if kind == SINE:
        s, r = straight_local(roads, lane, x, y)
        return s, r - sine_offset(roads, lane, s)
    return poly_local(roads, lane, x, y)


@jit_inline
def lane_heading(roads: RoadTables, lane: int, s: float) -> float:
    """Return the heading of the lane at ``s``, rad, not wrapped."""
    geometry = roads.lane_geometry
    kind = roads.lane_kind[lane]
    if kind == STRAIGHT:
        return geometry[lane, 6]
    if kind == CIRCULAR:
        turn = geometry[lane, 4]
        return turn * s / geometry[lane, 2] + geometry[lane, 3] + _QUARTER_TURN * turn
    if kind == SINE:
        slope = geometry[lane, 7] * geometry[lane, 8] * math.cos(geometry[lane, 8] * s + geometry[lane, 9])
        return geometry[lane, 6] + math.atan(slope)
    return roads.points[poly_pose(roads, lane, s), 5]


@jit
def lane_position(roads: RoadTables, lane: int, s: float, r: float) -> tuple[float, float]:
    """Return the world point (x, y) at lane coordinates (s, r), m."""
    geometry = roads.lane_geometry
    kind = roads.lane_kind[lane]
    if kind == CIRCULAR:
        turn = geometry[lane, 4]
        phase = turn * s / geometry[lane, 2] + geometry[lane, 3]
        radius = geometry[lane, 2] - r * turn
        return geometry[lane, 0] + radius * math.cos(phase), geometry[lane, 1] + radius * math.sin(phase)
    if kind == POLY:
        x, y = _poly_curve(roads, lane, s)
        heading = lane_heading(roads, lane, s)
        return x - math.sin(heading) * r, y + math.cos(heading) * r
    if kind == SINE:
        r = r + sine_offset(roads, lane, s)
    x = geometry[lane, 0] + s * geometry[lane, 2] + r * geometry[lane, 4]
    return x, geometry[lane, 1] + s * geometry[lane, 3] + r * geometry[lane, 5]


@jit_inline
def lane_width(roads: RoadTables, lane: int, s: float) -> float:
    """Return the width of the lane at ``s``, m; only poly lanes with borders vary."""
    if roads.lane_kind[lane] == POLY and roads.lane_geometry[lane, 2] > 0.0:
        samples = int(roads.lane_geometry[lane, 2])
        row = 0 if s < 0.0 else (samples - 1 if s > samples - 1 else int(s))
        skip = int(roads.lane_geometry[lane, 0]) + int(roads.lane_geometry[lane, 1])
        return roads.points[roads.lane_point_start[lane] + skip + row, 0]
    return roads.lane_width[lane]


@jit_inline
def lane_distance(roads: RoadTables, lane: int, x: float, y: float) -> float:
    """Return the L1 distance of a world point from the lane, m."""
    s, r = lane_local(roads, lane, x, y)
    return abs(r) + max(s - roads.lane_length[lane], 0.0) + max(0.0 - s, 0.0)


@jit_inline
def on_lane(roads: RoadTables, lane: int, s: float, r: float, margin_m: float) -> bool:
    """Tell whether lane coordinates lie on the lane, which reaches 5 m beyond its ends."""
    inside = -VEHICLE_LENGTH_M <= s < roads.lane_length[lane] + VEHICLE_LENGTH_M
    return inside and abs(r) <= lane_width(roads, lane, s) / 2 + margin_m


@jit_inline
def reachable(roads: RoadTables, lane: int, s: float, r: float) -> bool:
    """Tell whether a vehicle at (s, r) may change onto the lane."""
    if roads.lane_forbidden[lane] or not 0 <= s < roads.lane_length[lane] + VEHICLE_LENGTH_M:
        return False
    return abs(r) <= 2 * lane_width(roads, lane, s)


@jit
def closest_lane(
    roads: RoadTables, lane_begin: int, lane_end: int, x: float, y: float, heading: float
) -> int:
    """Return the lane row in [begin, end) of least L1 distance plus heading difference; ties: the first."""
    best, best_distance = lane_begin, math.inf
    for lane in range(lane_begin, lane_end):
        s, r = lane_local(roads, lane, x, y)
        angle = abs(wrap_to_pi(heading - lane_heading(roads, lane, s)))
        distance = abs(r) + max(s - roads.lane_length[lane], 0.0) + max(0.0 - s, 0.0) + angle
        if distance < best_distance:
            best, best_distance = lane, distance
    return best
