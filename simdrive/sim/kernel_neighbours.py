"""Who drives ahead and behind, from lane membership bits instead of a scan over all vehicles.

Follows ``Road.neighbour_vehicles``: in a tie the vehicle ahead is the last of the list, the one behind the first;
with connected lanes the first lane of the search order that holds a vehicle wins for that vehicle.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import bit, lowest_bit, without_lowest_bit
from simdrive.sim.lanes import lane_local
from simdrive.sim.state import Actors, RoadTables, Scratch, WorldInfo


@jit
def _fill_coordinates(
    b: int, actor: int, lane: int, first_lane: int, x: float, y: float, roads: RoadTables, scratch: Scratch
) -> float:
    """Compute coordinates that the lane search could leave out, and keep them."""
    s, r = lane_local(roads, lane, x, y)
    scratch.s[b, actor, lane - first_lane] = s
    scratch.r[b, actor, lane - first_lane] = r
    return s


@jit_inline
def lane_s(
    b: int, actor: int, lane: int, first_lane: int, actors: Actors, roads: RoadTables, scratch: Scratch
) -> float:
    """Return the coordinate of an actor along a lane of its map, m; also makes ``scratch.r`` valid there."""
    s = scratch.s[b, actor, lane - first_lane]
    if s != s:
        s = _fill_coordinates(b, actor, lane, first_lane, actors.x[b, actor], actors.y[b, actor], roads, scratch)
    return s


@jit_inline
def front_of(
    b: int, actor: int, lane: int, s: float, first_lane: int, info: WorldInfo, roads: RoadTables, scratch: Scratch
) -> int:
    """Return the actor ahead on ``lane`` (connected lanes included where the world says so), or -1.

    Args:
        s: the searching actor's own coordinate along ``lane``, m.
    """
    best, best_s = -1, math.inf
    words = scratch.members.shape[2]
    start = roads.lane_link_start[lane]
    end = roads.lane_link_start[lane + 1] if info.connected[b] else start + 1
    for word in range(words):
        seen = bit(actor & 63) if actor >> 6 == word else bit(0) ^ bit(0)
        for link in range(start, end):
            column = roads.lane_link[link] - first_lane
            offset = roads.lane_link_offset[link]
            here = scratch.members[b, column, word]
            left = here & ~seen
            seen |= here
            while left:
                other = (word << 6) + lowest_bit(left)
                left = without_lowest_bit(left)
                other_s = scratch.s[b, other, column] + offset
                if s <= other_s and (other_s < best_s or (other_s == best_s and other > best)):
                    best, best_s = other, other_s
    return best


@jit_inline
def rear_of(
    b: int, actor: int, lane: int, s: float, first_lane: int, info: WorldInfo, roads: RoadTables, scratch: Scratch
) -> int:
    """Return the actor behind on ``lane``, or -1; arguments as in ``front_of``."""
    best, best_s = -1, -math.inf
    words = scratch.members.shape[2]
    start = roads.lane_link_start[lane]
    end = roads.lane_link_start[lane + 1] if info.connected[b] else start + 1
    for word in range(words):
        seen = bit(actor & 63) if actor >> 6 == word else bit(0) ^ bit(0)
        for link in range(start, end):
            column = roads.lane_link[link] - first_lane
            offset = roads.lane_link_offset[link]
            here = scratch.members[b, column, word]
            left = here & ~seen
            seen |= here
            while left:
                other = (word << 6) + lowest_bit(left)
                left = without_lowest_bit(left)
                other_s = scratch.s[b, other, column] + offset
                if other_s < s and (other_s > best_s or (other_s == best_s and other < best)):
                    best, best_s = other, other_s
    return best
