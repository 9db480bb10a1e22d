"""Which lane follows at the end of a lane (``RoadNetwork.next_lane``); no draw is involved.

A route is a list of roads with a pointer instead of popping. Several actors may share one list (``Routes.owner``).
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit
from simdrive.sim.lanes import lane_distance, lane_local, lane_position
from simdrive.sim.state import Actors, RoadTables, Routes


@jit
def _lane_on_road(
    road: int, next_road: int, lane_id: int, wanted_id: int, x: float, y: float, roads: RoadTables
) -> int:
    """Return the lane row to take on the next road: the same lane, the wanted one, or the closest."""
    start, count = roads.road_lane_start[next_road], roads.road_lane_start[next_road + 1]
    if roads.road_lane_start[road + 1] - roads.road_lane_start[road] == count - start:
        return start + (lane_id if wanted_id < 0 else wanted_id)
    best, best_distance = start, math.inf
    for lane in range(start, count):
        distance = lane_distance(roads, lane, x, y)
        if distance < best_distance:
            best, best_distance = lane, distance
    return best


@jit
def route_step(b: int, i: int, road: int, actors: Actors, routes: Routes, roads: RoadTables) -> tuple[int, int]:
    """Drop a finished entry and return (next road, wanted lane id) of the route of actor ``i``, -1 = open."""
    owner = routes.owner[b, i]
    head, entries = actors.route_head[b, owner], routes.entries[b, owner]
    if head < entries and routes.road[b, owner, head] == road:
        head += 1
        actors.route_head[b, owner] = head
    if head < entries:
        following = routes.road[b, owner, head]
        if roads.road_from[following] == roads.road_to[road]:
            return following, routes.lane_id[b, owner, head]
    return -1, -1


@jit
def next_lane(b: int, i: int, lane: int, actors: Actors, routes: Routes, roads: RoadTables) -> int:
    """Return the lane row that follows ``lane``; the lane itself where the network ends."""
    road, lane_id = roads.lane_road[lane], roads.lane_id[lane]
    following, wanted_id = route_step(b, i, road, actors, routes, roads)
    s, _ = lane_local(roads, lane, actors.x[b, i], actors.y[b, i])
    x, y = lane_position(roads, lane, s, 0.0)
    if following >= 0:
        return _lane_on_road(road, following, lane_id, wanted_id, x, y, roads)
    best, best_distance = lane, math.inf
    for link in range(roads.road_next_start[road], roads.road_next_start[road + 1]):
        candidate = _lane_on_road(road, roads.road_next[link], lane_id, -1, x, y, roads)
        distance = lane_distance(roads, candidate, x, y)
        if distance < best_distance:
            best, best_distance = candidate, distance
    return best
