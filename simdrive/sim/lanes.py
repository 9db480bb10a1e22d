"""Lane geometry in compiled form, rounding exactly as highway-env's lane classes do.

A lane is a row of ``RoadTables``. Columns of ``lane_geometry`` by kind (``lane_kind``):

- straight (0), sine (1): start x, y; direction x, y; lateral x, y; heading; then amplitude, pulsation, phase.
- circular (2): centre x, y; radius; start phase; direction (+1 clockwise on screen, -1 the other way).
- poly (3): number of pose rows, of knot rows and of width rows, in this order from ``lane_point_start``.
  Pose: s, x, y, normal x, y, heading. Knot: arc length, x, y. Width: width (none = constant width).

Columns of every kind: 10 length, 11 width, 12 speed limit (NaN = none), 13 half width plus 1 m, 14 kind, 15 lane
id, 16 forbidden, 17 first point row, 18 link start, 19 link end, 20 priority; counted within the map: 21 road, 22 its
first lane, 23 the lane after its last; 24 .. 26 centre and radius of a circle such that the lane's L1 distance is never
less than the distance to that circle.

The functions named ``table_*`` take this array, the point table and the rounding of dot products; the others take
``RoadTables``. Inside kernels prefer the former: every use of a tuple of many arrays makes compiling slower.

Lane coordinates: s along the lane, m; r to the right of it, m. Headings in radians, world frame.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import dot2, norm2, wrap_to_pi
from simdrive.sim.state import Float, RoadTables

STRAIGHT, SINE, CIRCULAR, POLY = 0, 1, 2, 3
# Columns of lane_geometry for every kind.
LENGTH, WIDTH, SPEED_LIMIT, REACH, KIND, LANE_ID, FORBIDDEN = range(10, 17)
POINT_START, LINK_START, LINK_END, PRIORITY, ROAD, ROAD_FIRST, ROAD_LAST = range(17, 24)
BOUND_X, BOUND_Y, BOUND_RADIUS = range(24, 27)
LANE_COLUMNS = 27
VEHICLE_LENGTH_M = 5.0  # AbstractLane.VEHICLE_LENGTH: how far a lane reaches beyond its ends
NEIGHBOUR_MARGIN_M = 1.0  # Road.neighbour_vehicles: margin of on_lane
_QUARTER_TURN = math.pi / 2


@jit_inline
def table_straight(lanes: Float, fused: bool, lane: int, x: float, y: float) -> tuple[float, float]:
    """Return (s, r) relative to the axis of a straight or sine lane."""
    dx, dy = x - lanes[lane, 0], y - lanes[lane, 1]
    s = dot2(fused, dx, dy, lanes[lane, 2], lanes[lane, 3])
    return s, dot2(fused, dx, dy, lanes[lane, 4], lanes[lane, 5])


@jit_inline
def table_sine_offset(lanes: Float, lane: int, s: float) -> float:
    """Return the lateral offset of a sine lane from its axis, m."""
    return lanes[lane, 7] * math.sin(lanes[lane, 8] * s + lanes[lane, 9])


@jit_inline
def circular_coordinates(lanes: Float, lane: int, phase: float, radius: float) -> tuple[float, float]:
    """Return (s, r) on a circular lane of a point in polar coordinates; s wraps at the start phase."""
    start, turn = lanes[lane, 3], lanes[lane, 4]
    wrapped = start + wrap_to_pi(phase - start)
    return turn * (wrapped - start) * lanes[lane, 2], turn * (lanes[lane, 2] - radius)


@jit_inline
def table_circular(lanes: Float, fused: bool, lane: int, x: float, y: float) -> tuple[float, float]:
    """Return (s, r) on a circular lane."""
    dx, dy = x - lanes[lane, 0], y - lanes[lane, 1]
    return circular_coordinates(lanes, lane, math.atan2(dy, dx), norm2(fused, dx, dy))


@jit
def table_poly(lanes: Float, points: Float, fused: bool, lane: int, x: float, y: float) -> tuple[float, float]:
    """Return (s, r) on a poly lane: the last pose that the point is not behind decides."""
    first = int(lanes[lane, POINT_START])
    row = first + int(lanes[lane, 0]) - 1
    while True:
        dx, dy = x - points[row, 1], y - points[row, 2]
        along = dot2(fused, points[row, 3], points[row, 4], dx, dy)
        if along >= 0.0 or row == first:
            return points[row, 0] + along, dot2(fused, -points[row, 4], points[row, 3], dx, dy)
        row -= 1


@jit
def table_poly_heading(lanes: Float, points: Float, lane: int, s: float) -> float:
    """Return the heading of the segment of a poly lane that holds ``s``, rad."""
    first = int(lanes[lane, POINT_START])
    last = first + int(lanes[lane, 0]) - 1
    for row in range(first, last + 1):
        if s < points[row, 0]:
            return points[max(row - 1, first), 5]
    return points[last, 5]


@jit
def _poly_curve(lanes: Float, points: Float, lane: int, s: float) -> tuple[float, float]:
    """Return the point of the curve at ``s``: linear between knots, extrapolated beyond the ends."""
    low = int(lanes[lane, POINT_START]) + int(lanes[lane, 0])
    end = low + int(lanes[lane, 1]) - 1
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
def table_local(lanes: Float, points: Float, fused: bool, lane: int, x: float, y: float) -> tuple[float, float]:
    """Return the lane coordinates (s, r) of a world point, m."""
    kind = lanes[lane, KIND]
    if kind == CIRCULAR:
        return table_circular(lanes, fused, lane, x, y)
    if kind == POLY:
        return table_poly(lanes, points, fused, lane, x, y)
    s, r = table_straight(lanes, fused, lane, x, y)
    if kind == SINE:
        r -= table_sine_offset(lanes, lane, s)
    return s, r


@jit_inline
def table_heading(lanes: Float, points: Float, lane: int, s: float) -> float:
    """Return the heading of the lane at ``s``, rad, not wrapped."""
    kind = lanes[lane, KIND]
    if kind == CIRCULAR:
        turn = lanes[lane, 4]
        return turn * s / lanes[lane, 2] + lanes[lane, 3] + _QUARTER_TURN * turn
    if kind == POLY:
        return table_poly_heading(lanes, points, lane, s)
    if kind == SINE:
        slope = lanes[lane, 7] * lanes[lane, 8] * math.cos(lanes[lane, 8] * s + lanes[lane, 9])
        return lanes[lane, 6] + math.atan(slope)
    return lanes[lane, 6]


@jit
def table_position(lanes: Float, points: Float, lane: int, s: float, r: float) -> tuple[float, float]:
    """Return the world point (x, y) at lane coordinates (s, r), m."""
    kind = lanes[lane, KIND]
    if kind == CIRCULAR:
        turn = lanes[lane, 4]
        phase = turn * s / lanes[lane, 2] + lanes[lane, 3]
        radius = lanes[lane, 2] - r * turn
        return lanes[lane, 0] + radius * math.cos(phase), lanes[lane, 1] + radius * math.sin(phase)
    if kind == POLY:
        x, y = _poly_curve(lanes, points, lane, s)
        heading = table_poly_heading(lanes, points, lane, s)
        return x - math.sin(heading) * r, y + math.cos(heading) * r
    if kind == SINE:
        r = r + table_sine_offset(lanes, lane, s)
    x = lanes[lane, 0] + s * lanes[lane, 2] + r * lanes[lane, 4]
    return x, lanes[lane, 1] + s * lanes[lane, 3] + r * lanes[lane, 5]


@jit
def _poly_width(lanes: Float, points: Float, lane: int, s: float) -> float:
    samples = int(lanes[lane, 2])
    row = 0 if s < 0.0 else (samples - 1 if s > samples - 1 else int(s))
    return points[int(lanes[lane, POINT_START]) + int(lanes[lane, 0]) + int(lanes[lane, 1]) + row, 0]


@jit_inline
def table_width(lanes: Float, points: Float, lane: int, s: float) -> float:
    """Return the width of the lane at ``s``, m; only poly lanes with borders vary."""
    if lanes[lane, KIND] == POLY and lanes[lane, 2] > 0.0:
        return _poly_width(lanes, points, lane, s)
    return lanes[lane, WIDTH]


@jit_inline
def base_distance(s: float, r: float, length: float) -> float:
    """Return the L1 distance of lane coordinates from a lane, m."""
    return abs(r) + max(s - length, 0.0) + max(0.0 - s, 0.0)


@jit_inline
def table_distance(lanes: Float, points: Float, fused: bool, lane: int, x: float, y: float) -> float:
    """Return the L1 distance of a world point from the lane, m."""
    s, r = table_local(lanes, points, fused, lane, x, y)
    return base_distance(s, r, lanes[lane, LENGTH])


@jit_inline
def table_on_lane(lanes: Float, points: Float, lane: int, s: float, r: float, margin_m: float) -> bool:
    """Tell whether lane coordinates lie on the lane, which reaches 5 m beyond its ends."""
    inside = -VEHICLE_LENGTH_M <= s < lanes[lane, LENGTH] + VEHICLE_LENGTH_M
    return inside and abs(r) <= table_width(lanes, points, lane, s) / 2 + margin_m


@jit_inline
def table_reachable(lanes: Float, points: Float, lane: int, s: float, r: float) -> bool:
    """Tell whether a vehicle at (s, r) may change onto the lane."""
    if lanes[lane, FORBIDDEN] != 0.0 or not 0 <= s < lanes[lane, LENGTH] + VEHICLE_LENGTH_M:
        return False
    return abs(r) <= 2 * table_width(lanes, points, lane, s)


@jit
def table_closest(
    lanes: Float, points: Float, fused: bool, begin: int, end: int, x: float, y: float, heading: float
) -> int:
    """Return the lane row in [begin, end) of least L1 distance plus heading difference; ties: the first."""
    best, best_distance = begin, math.inf
    for lane in range(begin, end):
        s, r = table_local(lanes, points, fused, lane, x, y)
        angle = abs(wrap_to_pi(heading - table_heading(lanes, points, lane, s)))
        distance = base_distance(s, r, lanes[lane, LENGTH]) + angle
        if distance < best_distance:
            best, best_distance = lane, distance
    return best


@jit_inline
def circular_lateral(roads: RoadTables, lane: int, x: float, y: float) -> float:
    """Return r on a circular lane, m."""
    return table_circular(roads.lane_geometry, roads.fused_dot[0], lane, x, y)[1]


@jit_inline
def circular_longitudinal(roads: RoadTables, lane: int, x: float, y: float) -> float:
    """Return s on a circular lane, m, wrapped around the start phase."""
    return table_circular(roads.lane_geometry, False, lane, x, y)[0]


@jit_inline
def lane_local(roads: RoadTables, lane: int, x: float, y: float) -> tuple[float, float]:
    """Return the lane coordinates (s, r) of a world point, m."""
    return table_local(roads.lane_geometry, roads.points, roads.fused_dot[0], lane, x, y)


@jit_inline
def lane_heading(roads: RoadTables, lane: int, s: float) -> float:
    """Return the heading of the lane at ``s``, rad, not wrapped."""
    return table_heading(roads.lane_geometry, roads.points, lane, s)


@jit_inline
def lane_position(roads: RoadTables, lane: int, s: float, r: float) -> tuple[float, float]:
    """Return the world point (x, y) at lane coordinates (s, r), m."""
    return table_position(roads.lane_geometry, roads.points, lane, s, r)


@jit_inline
def lane_width(roads: RoadTables, lane: int, s: float) -> float:
    """Return the width of the lane at ``s``, m; only poly lanes with borders vary."""
    return table_width(roads.lane_geometry, roads.points, lane, s)


@jit_inline
def lane_distance(roads: RoadTables, lane: int, x: float, y: float) -> float:
    """Return the L1 distance of a world point from the lane, m."""
    return table_distance(roads.lane_geometry, roads.points, roads.fused_dot[0], lane, x, y)


@jit_inline
def on_lane(roads: RoadTables, lane: int, s: float, r: float, margin_m: float) -> bool:
    """Tell whether lane coordinates lie on the lane, which reaches 5 m beyond its ends."""
    return table_on_lane(roads.lane_geometry, roads.points, lane, s, r, margin_m)


@jit_inline
def reachable(roads: RoadTables, lane: int, s: float, r: float) -> bool:
    """Tell whether a vehicle at (s, r) may change onto the lane."""
    return table_reachable(roads.lane_geometry, roads.points, lane, s, r)


@jit_inline
def closest_lane(roads: RoadTables, lane_begin: int, lane_end: int, x: float, y: float, heading: float) -> int:
    """Return the lane row in [begin, end) of least L1 distance plus heading difference; ties: the first."""
    return table_closest(roads.lane_geometry, roads.points, roads.fused_dot[0], lane_begin, lane_end, x, y, heading)
