"""How wide the road is beside the ego's route: what a driver may use to go round something."""

from __future__ import annotations

import math

from simdrive.jit import jit
from simdrive.sim.drivable import outside_distance_m
from simdrive.sim.lanes import LENGTH, table_heading, table_local, table_width
from simdrive.sim.state import Float, Int, RoadTables

WIDTH_LIMIT_M = 12.0  # how far to look; junctions are wider
_STEP_M = 0.25
_SEAM_M = 0.05  # cracks between neighbouring lanes that do not count


@jit
def _same_way(roads: RoadTables, lane_begin: int, lane_end: int, x: float, y: float, heading: float) -> bool:
    """Tell whether a world point lies on a lane that leads within 60 degrees of ``heading``."""
    lanes, points, fused = roads.lane_geometry, roads.points, roads.fused_dot[0]
    for lane in range(lane_begin, lane_end):
        s, r = table_local(lanes, points, fused, lane, x, y)
        if not -_SEAM_M <= s <= lanes[lane, LENGTH] + _SEAM_M:
            continue
        beside = abs(r) > 0.5 * table_width(lanes, points, lane, s) + _SEAM_M
        if not beside and math.cos(table_heading(lanes, points, lane, s) - heading) > 0.5:
            return True
    return False


@jit
def free_width(
    roads: RoadTables, lane_begin: int, lane_end: int, points: Float, starts: Int, polygon_begin: int,
    polygon_end: int, x: float, y: float, heading: float, side: float, same_way: bool,
) -> float:  # fmt: skip
    """Return how far one can go sideways from a world point before the road ends, m, at most ``WIDTH_LIMIT_M``.

    Args:
        roads, lane_begin, lane_end, points, starts, polygon_begin, polygon_end: the drivable area, as for
            ``simdrive.sim.drivable.outside_distance_m``.
        x, y, heading: point and driving direction.
        side: -1 left, +1 right.
        same_way: stop already where the lanes of this direction end.
    """
    dx, dy = -math.sin(heading) * side, math.cos(heading) * side
    good, bad = 0.0, -1.0
    while bad < 0.0 or bad - good > 0.01:
        reach = good + _STEP_M if bad < 0.0 else 0.5 * (good + bad)
        if reach > WIDTH_LIMIT_M:
            return WIDTH_LIMIT_M
        px, py = x + reach * dx, y + reach * dy
        if same_way:
            free = _same_way(roads, lane_begin, lane_end, px, py, heading)
        else:
            free = (
                outside_distance_m(roads, lane_begin, lane_end, points, starts, polygon_begin, polygon_end, px, py)
                <= _SEAM_M
            )
        if free:
            good = reach
        else:
            bad = reach
    return max(good - _SEAM_M, 0.0)


@jit
def free_widths(
    roads: RoadTables, lane_begin: int, lane_end: int, points: Float, starts: Int, polygon_begin: int,
    polygon_end: int, route: Float, count: int, widths: Float,
) -> None:  # fmt: skip
    """Fill ``widths`` [4, points]: drivable left, right, then same-direction left, right of a route, m."""
    for row in range(count):
        x, y, heading = route[row, 0], route[row, 1], route[row, 2]
        for column in range(4):
            side = -1.0 if column % 2 == 0 else 1.0
            widths[column, row] = free_width(
                roads, lane_begin, lane_end, points, starts, polygon_begin, polygon_end, x, y, heading, side,
                column >= 2,
            )  # fmt: skip
    for row in range(count, widths.shape[1]):
        for column in range(4):
            widths[column, row] = widths[column, count - 1]
