"""Which lane follows at the end of a lane (``RoadNetwork.next_lane``); no draw is involved.

A route is a list of roads with a pointer instead of popping. Several actors may share one list (``Routes.owner``).
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit
from simdrive.sim.lanes import LANE_ID, ROAD, table_distance, table_local, table_position
from simdrive.sim.state import Float, Int

# Columns of RoadTables.road_codes; the first two are counted within the map.
ROAD_FIRST_LANE, ROAD_LANE_COUNT, ROAD_FROM, ROAD_TO, ROAD_NEXT_START, ROAD_NEXT_END = range(6)


@jit
def _lane_on_road(
    lanes: Float, points: Float, fused: bool, start: int, count: int, same: int, x: float, y: float
) -> int:
    """Return the lane to take on the next road: ``same`` if not negative, else the closest to (x, y)."""
    if same >= 0:
        return start + same
    best, best_distance = start, math.inf
    for lane in range(start, start + count):
        distance = table_distance(lanes, points, fused, lane, x, y)
        if distance < best_distance:
            best, best_distance = lane, distance
    return best


@jit
def next_lane(
    lanes: Float,
    points: Float,
    fused: bool,
    road_codes: Int,
    road_next: Int,
    lane: int,
    x: float,
    y: float,
    next_road: int,
    wanted_id: int,
    first_road: int,
) -> int:
    """Return the lane that follows ``lane``; the lane itself where the network ends.

    Args:
        lanes: lane table of the map.
        points: point table.
        fused: rounding of dot products.
        road_codes: ``[R, 6]`` of all maps.
        road_next: next roads of all maps.
        lane: the lane being left.
        x: position of the vehicle, m.
        y: position of the vehicle, m.
        next_road: road row of the route's next entry, -1 without a route.
        wanted_id: lane id of that entry, -1 = open.
        first_road: row of the map's first road.
    """
    road, lane_id = first_road + int(lanes[lane, ROAD]), int(lanes[lane, LANE_ID])
    lane_count = road_codes[road, ROAD_LANE_COUNT]
    own_s, _ = table_local(lanes, points, fused, lane, x, y)
    x, y = table_position(lanes, points, lane, own_s, 0.0)
    if next_road >= 0 and road_codes[next_road, ROAD_FROM] == road_codes[road, ROAD_TO]:
        start, count = road_codes[next_road, ROAD_FIRST_LANE], road_codes[next_road, ROAD_LANE_COUNT]
        same = -1 if count != lane_count else (lane_id if wanted_id < 0 else wanted_id)
        return _lane_on_road(lanes, points, fused, start, count, same, x, y)
    best, best_distance = lane, math.inf
    for link in range(road_codes[road, ROAD_NEXT_START], road_codes[road, ROAD_NEXT_END]):
        start, count = road_codes[road_next[link], ROAD_FIRST_LANE], road_codes[road_next[link], ROAD_LANE_COUNT]
        same = -1 if count != lane_count else lane_id
        candidate = _lane_on_road(lanes, points, fused, start, count, same, x, y)
        distance = table_distance(lanes, points, fused, candidate, x, y)
        if distance < best_distance:
            best, best_distance = candidate, distance
    return best
