"""How wide the road is beside the ego's route: what a driver may use to go round something."""

from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit
from simdrive.sim.drivable import polygon_outside_m
from simdrive.sim.lanes import LENGTH, table_heading, table_local, table_width
from simdrive.sim.state import Float, Int

WIDTH_LIMIT_M = 12.0  # how far to look; junctions are wider
_STEP_M = 0.25
_SEAM_M = 0.05  # cracks between neighbouring lanes that do not count
_LANE_SHARE = 0.8


@jit
def _room(
    lanes: Float, points: Float, fused: bool, polygon_points: Float, polygon_starts: Int, polygon_begin: int,
    polygon_end: int, x: float, y: float, heading: float, same_way: bool,
) -> float:  # fmt: skip
    """Return how far one can surely go in any direction from a world point and stay free, m; negative: not free.

    Free is what is drivable, or with ``same_way`` a lane that leads within 60 degrees of ``heading``.
    """
    best = -1.0
    for lane in range(lanes.shape[0]):
        s, r = table_local(lanes, points, fused, lane, x, y)
        ends = min(s, lanes[lane, LENGTH] - s) + _SEAM_M
        if ends < 0.0:
            continue
        side = 0.5 * table_width(lanes, points, lane, s) + _SEAM_M - abs(r)
        # A point moves sideways in a lane hardly faster than in the world, bends and waves included.
        room = _LANE_SHARE * min(side, ends)
        if room <= best:
            continue
        if not same_way or math.cos(table_heading(lanes, points, lane, s) - heading) > 0.5:
            best = room
    if best < 0.0 and not same_way:
        for polygon in range(polygon_begin, polygon_end):
            begin, end = np.int64(polygon_starts[polygon]), np.int64(polygon_starts[polygon + 1])
            if polygon_outside_m(polygon_points, begin, end, x, y) <= _SEAM_M:
                return 0.0
    return best


@jit
def free_widths(
    lanes: Float, points: Float, fused: bool, polygon_points: Float, polygon_starts: Int, polygon_begin: int,
    polygon_end: int, route: Float, count: int, widths: Float,
) -> None:  # fmt: skip
    """Fill ``widths`` [4, points] along a route, m, at most ``WIDTH_LIMIT_M``; rows beyond ``count`` repeat the last.

    The four are: drivable to the left, to the right, and what of it leads the same way, left, right.

    Args:
        lanes, points, fused: lanes of the map, point table, rounding of dot products (``RoadTables``).
        polygon_points, polygon_starts: extra drivable polygons (``simdrive.sim.drivable.pack_polygons``).
        polygon_begin, polygon_end: those of this world.
        route: ``[points, 5]`` as from ``simdrive.sim.route.build_route``.
        count: valid rows of it.
        widths: output.
    """
    for row in range(count):
        x, y, heading = route[row, 0], route[row, 1], route[row, 2]
        for column in range(4):
            side = -1.0 if column % 2 == 0 else 1.0
            dx, dy = -math.sin(heading) * side, math.cos(heading) * side
            good, bad, room = 0.0, math.inf, 0.0
            # Walk outwards, then close in on the edge.
            while bad - good > 0.01 and good < WIDTH_LIMIT_M:
                reach = good + max(_STEP_M, room) if math.isinf(bad) else 0.5 * (good + bad)
                room = _room(
                    lanes, points, fused, polygon_points, polygon_starts, polygon_begin, polygon_end, x + reach * dx,
                    y + reach * dy, heading, column >= 2,
                )  # fmt: skip
                if room >= 0.0:
                    good = reach
                else:
                    bad = reach
            widths[column, row] = min(max(good - _SEAM_M, 0.0), WIDTH_LIMIT_M)
    for row in range(count, widths.shape[1]):
        for column in range(4):
            widths[column, row] = widths[column, count - 1]
