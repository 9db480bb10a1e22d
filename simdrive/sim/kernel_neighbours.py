"""Who drives ahead and behind, from lane membership bits instead of a scan over all vehicles.

Follows ``Road.neighbour_vehicles``: in a tie the vehicle ahead is the last of the list, the one behind the first;
with connected lanes the first lane of the search order that holds a vehicle wins for that vehicle.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import bit, lowest_bit, without_lowest_bit
from simdrive.sim.kernel_frame import X, Y
from simdrive.sim.lanes import LENGTH, LINK_END, LINK_START, table_local
from simdrive.sim.state import Float, Int, Words


@jit
def _local_s(lanes: Float, points: Float, fused: bool, numbers: Float, actor: int, lane: int) -> float:
    return table_local(lanes, points, fused, lane, numbers[actor, X], numbers[actor, Y])[0]


@jit_inline
def lane_s(lanes: Float, points: Float, fused: bool, numbers: Float, s: Float, actor: int, lane: int) -> float:
    """Return the coordinate of an actor along a lane, m; the lane search leaves out those of far lanes."""
    value = s[actor, lane]
    if value != value:
        value = _local_s(lanes, points, fused, numbers, actor, lane)
        s[actor, lane] = value
    return value


@jit_inline
def _link(lanes: Float, links: Int, link: int, start: int, lane: int) -> tuple[int, float]:
    """Return (lane to search, what its s lacks to count along ``lane``)."""
    if link == start:
        return lane, 0.0
    other = links[link]
    if other >= 0:
        return other, lanes[lane, LENGTH]
    other = -1 - other
    return other, -lanes[other, LENGTH]


@jit_inline
def front_of(
    lanes: Float, links: Int, connected: bool, s: Float, members: Words, actor: int, lane: int, own_s: float
) -> int:
    """Return the actor ahead on ``lane``, or -1.

    Args:
        lanes: lane table of the map.
        links: lane_link of RoadTables.
        connected: look into next and previous lanes too.
        s: ``[actors, lanes]`` coordinates, m.
        members: ``[lanes, words]`` who is on which lane.
        actor: who looks.
        lane: where.
        own_s: coordinate of the looking actor along ``lane``, m.
    """
    best, best_s = -1, math.inf
    start = int(lanes[lane, LINK_START])
    end = int(lanes[lane, LINK_END]) if connected else start + 1
    for word in range(members.shape[1]):
        seen = bit(actor & 63) if actor >> 6 == word else bit(0) ^ bit(0)
        for link in range(start, end):
            other_lane, offset = _link(lanes, links, link, start, lane)
            here = members[other_lane, word]
            left = here & ~seen
            seen |= here
            while left:
                other = (word << 6) + lowest_bit(left)
                left = without_lowest_bit(left)
                other_s = s[other, other_lane] + offset
                if own_s <= other_s and (other_s < best_s or (other_s == best_s and other > best)):
                    best, best_s = other, other_s
    return best


@jit
def rear_of(
    lanes: Float, links: Int, connected: bool, s: Float, members: Words, actor: int, lane: int, own_s: float
) -> int:
    """Return the actor behind on ``lane``, or -1; arguments as in ``front_of``."""
    best, best_s = -1, -math.inf
    start = int(lanes[lane, LINK_START])
    end = int(lanes[lane, LINK_END]) if connected else start + 1
    for word in range(members.shape[1]):
        seen = bit(actor & 63) if actor >> 6 == word else bit(0) ^ bit(0)
        for link in range(start, end):
            other_lane, offset = _link(lanes, links, link, start, lane)
            here = members[other_lane, word]
            left = here & ~seen
            seen |= here
            while left:
                other = (word << 6) + lowest_bit(left)
                left = without_lowest_bit(left)
                other_s = s[other, other_lane] + offset
                if other_s < own_s and (other_s > best_s or (other_s == best_s and other < best)):
                    best, best_s = other, other_s
    return best
