"""How far a point or a box lies outside the drivable area: the off-road rule needs it at every physics tick.

The drivable area of a map is the union of its lanes (cut at their ends) and of extra polygons such as junction
areas. Distances to straight and circular lanes are exact; those to sine and point lanes are taken in lane coordinates.

nuPlan calls a car off-road when a corner lies more than 0.3 m outside (nuplan-devkit, ``drivable_area_compliance``).
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simdrive.errors import ParameterError
from simdrive.jit import jit, jit_allocating, jit_inline
from simdrive.sim.lanes import CIRCULAR, circular_lateral, circular_longitudinal, lane_local, lane_width
from simdrive.sim.state import Float, Int, RoadTables


def pack_polygons(polygons: Sequence[npt.NDArray[np.float64]]) -> tuple[Float, Int]:
    """Return (points ``[P, 2]``, starts ``[K + 1]``) of K polygons ``[n, 2]`` in the world frame, as kernels take them.

    Raises:
        ParameterError: if a polygon is not an array ``[n >= 3, 2]`` of finite numbers.
    """
    for number, polygon in enumerate(polygons):
        shape = np.shape(polygon)
        if len(shape) != 2 or shape[1] != 2 or shape[0] < 3 or not np.all(np.isfinite(polygon)):
            raise ParameterError(f"polygon {number} must be finite [n >= 3, 2] points, got shape {shape}")
    starts = np.concatenate([[0], np.cumsum([len(polygon) for polygon in polygons])]).astype(np.int32)
    points = np.concatenate([np.zeros((0, 2)), *[np.asarray(p, np.float64) for p in polygons]])
    return points, starts


@jit_inline
def lane_outside_m(roads: RoadTables, lane: int, x: float, y: float, best: float) -> float:
    """Return the distance of a world point from a lane, 0 on it; anything >= ``best`` may be cut short."""
    if roads.lane_kind[lane] == CIRCULAR:
        side = abs(circular_lateral(roads, lane, x, y)) - 0.5 * roads.lane_width[lane]
        if side >= best:
            return side  # the arc tangent is the costly part
        s = circular_longitudinal(roads, lane, x, y)
        end = max(s - roads.lane_length[lane], -s, 0.0)
        if end > 0.0:
            side, end = _beyond_arc(roads.lane_geometry, lane, x, y, end, 0.5 * roads.lane_width[lane])
    else:
        s, r = lane_local(roads, lane, x, y)
        side = abs(r) - 0.5 * lane_width(roads, lane, s)
        end = max(s - roads.lane_length[lane], -s, 0.0)
    side = max(side, 0.0)
    return math.sqrt(side * side + end * end)


@jit_inline
def _beyond_arc(geometry: Float, lane: int, x: float, y: float, end_m: float, half_width: float) -> tuple[float, float]:
    """Return how far a point ``end_m`` of arc beyond a circular lane lies beside its end line and off that line, m."""
    radius, angle = geometry[lane, 2], end_m / geometry[lane, 2]
    from_centre = math.hypot(x - geometry[lane, 0], y - geometry[lane, 1])
    return abs(from_centre * math.cos(angle) - radius) - half_width, from_centre * math.sin(angle)


@jit
def polygon_outside_m(points: Float, begin: int, end: int, x: float, y: float) -> float:
    """Return the distance of a world point from a polygon (rows [begin, end) of ``points``), 0 inside or on it."""
    inside = False
    nearest = math.inf
    previous = end - 1
    for row in range(begin, end):
        ax, ay = points[previous, 0], points[previous, 1]
        bx, by = points[row, 0], points[row, 1]
        if (by > y) != (ay > y) and x < (ax - bx) * (y - by) / (ay - by) + bx:
            inside = not inside
        dx, dy = bx - ax, by - ay
        square = dx * dx + dy * dy
        along = ((x - ax) * dx + (y - ay) * dy) / square if square > 0.0 else 0.0
        along = min(max(along, 0.0), 1.0)
        nearest = min(nearest, math.hypot(x - ax - along * dx, y - ay - along * dy))
        previous = row
    return 0.0 if inside else nearest


@jit
def outside_distance_m(
    roads: RoadTables,
    lane_begin: int,
    lane_end: int,
    points: Float,
    starts: Int,
    polygon_begin: int,
    polygon_end: int,
    x: float,
    y: float,
) -> float:
    """Return how far a world point lies outside lanes [begin, end) and polygons [begin, end), m, 0 inside."""
    best = math.inf
    for lane in range(lane_begin, lane_end):
        best = min(best, lane_outside_m(roads, lane, x, y, best))
        if best == 0.0:
            return 0.0
    for polygon in range(polygon_begin, polygon_end):
        best = min(best, polygon_outside_m(points, starts[polygon], starts[polygon + 1], x, y))
        if best == 0.0:
            return 0.0
    return best


@jit_allocating
def corners_outside_m(
    roads: RoadTables,
    lane_begin: int,
    lane_end: int,
    points: Float,
    starts: Int,
    polygon_begin: int,
    polygon_end: int,
    x: float,
    y: float,
    heading: float,
    length: float,
    width: float,
) -> float:
    """Return the largest distance of the four corners of a box outside the drivable area, m, 0 if all are inside.

    It costs about 1 us on 4 lanes and 4 us on 32. A caller that knows the box's own lane may ask with that lane
    alone first: 0 there is 0 everywhere.

    Args:
        roads: lane tables; rows [lane_begin, lane_end) belong to the box's map.
        points: polygon points ``[P, 2]``, world frame, m (``pack_polygons``).
        starts: first point of each polygon, ``[K + 1]``; polygons [polygon_begin, polygon_end) belong to the map.
        x, y, heading: centre of the box, world frame, m and rad.
        length, width: of the box, m.
    """
    return corners_outside_in(
        roads, lane_begin, lane_end, points, starts, polygon_begin, polygon_end, x, y, heading, length, width,
        np.empty((3, 4)),
    )  # fmt: skip


@jit
def corners_outside_in(
    roads: RoadTables,
    lane_begin: int,
    lane_end: int,
    points: Float,
    starts: Int,
    polygon_begin: int,
    polygon_end: int,
    x: float,
    y: float,
    heading: float,
    length: float,
    width: float,
    corners: Float,
) -> float:
    """Return what ``corners_outside_m`` does; ``corners`` [3, 4] is working memory."""
    cos, sin = math.cos(heading), math.sin(heading)
    corner_x, corner_y, outside = corners[0], corners[1], corners[2]
    outside[:] = math.inf
    for corner in range(4):
        along = 0.5 * length if corner < 2 else -0.5 * length
        across = 0.5 * width if corner % 2 == 0 else -0.5 * width
        corner_x[corner] = x + along * cos - across * sin
        corner_y[corner] = y + along * sin + across * cos
    for lane in range(lane_begin, lane_end):
        worst = 0.0
        for corner in range(4):
            best = outside[corner]
            if best > 0.0:
                best = min(best, lane_outside_m(roads, lane, corner_x[corner], corner_y[corner], best))
                outside[corner] = best
                worst = max(worst, best)
        if worst == 0.0:
            return 0.0
    worst = 0.0
    for corner in range(4):
        best = outside[corner]
        for polygon in range(polygon_begin, polygon_end):
            if best > 0.0:
                begin, end = starts[polygon], starts[polygon + 1]
                best = min(best, polygon_outside_m(points, begin, end, corner_x[corner], corner_y[corner]))
        worst = max(worst, best)
    return worst
