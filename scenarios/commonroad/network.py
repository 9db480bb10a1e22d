"""Lanelets as a road network: which of them are lanes of one road, where roads meet, and how to get along them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from highway_env.road.lane import AbstractLane, LineType, PolyLaneFixedWidth, StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.errors import ParameterError
from simdrive.scenarios.commonroad.frame import SceneFrame
from simdrive.scenarios.commonroad.recording import Lanelet, Skipped
from simdrive.scenarios.roads import Road
from simdrive.sim.roads import compile_network
from simdrive.sim.spec import LaneIndex
from simdrive.types import Float

_STRAIGHT_M = 0.03  # a lanelet whose middle strays less from its chord is a straight lane
_EVEN_M = 0.1  # ... if its width varies less
_SHORTEST_CURVE_M = 2.0
_CHANGE_M = 20.0  # a change of lane counts like this much of a detour
_FAR_TURN_RAD = math.radians(75.0)
_BEYOND_M = 3.0  # a lanelet still carries who is this far off its ends
_LINES = {
    "dashed": LineType.STRIPED,
    "broad_dashed": LineType.STRIPED,
    "solid": LineType.CONTINUOUS_LINE,
    "broad_solid": LineType.CONTINUOUS_LINE,
    "no_marking": LineType.NONE,
}


class _Joints:
    """Ends of lanelets that are one place (union-find)."""

    def __init__(self) -> None:
        self.parent: dict[tuple[int, str], tuple[int, str]] = {}

    def find(self, end: tuple[int, str]) -> tuple[int, str]:
        root = end
        while self.parent.get(root, root) != root:
            root = self.parent[root]
        self.parent[end] = root
        return root

    def join(self, one: tuple[int, str], other: tuple[int, str]) -> None:
        a, b = sorted((self.find(one), self.find(other)))
        self.parent[b] = a


@dataclass(frozen=True)
class Network:
    """A compiled road with its lanelets."""

    road: Road
    index: Mapping[int, LaneIndex]  # lane of each lanelet
    next: Mapping[int, tuple[int, ...]]
    beside: Mapping[int, tuple[int, ...]]  # same direction and same road, left one first
    length_m: Mapping[int, float]

    def at(self, x: float, y: float, heading: float, tolerance_m: float = 0.5) -> list[int]:
        """Return the lanelets that carry a pose of the world frame, best first; ties by id."""
        found = []
        for lanelet, index in self.index.items():
            lane = self.road.lane(index)
            s, r = lane.local_coordinates(np.array([x, y]))
            turn = abs(_wrapped(float(lane.heading_at(min(max(s, 0.0), lane.length))) - heading))
            beyond = max(-s, s - self.length_m[lanelet], 0.0)
            aside = abs(r) - 0.5 * lane.width
            if aside <= tolerance_m and beyond <= _BEYOND_M and turn <= _FAR_TURN_RAD:
                found.append((abs(r) + 2.0 * turn + beyond, lanelet))
        return [lanelet for _, lanelet in sorted(found)]

    def path(self, starts: Iterable[int], goals: Iterable[int]) -> tuple[int, ...] | None:
        """Return the shortest way from the first of the starts that reaches a goal; None if none does."""
        wanted = set(goals)
        return next((way for start in starts if (way := self._shortest(start, wanted)) is not None), None)

    def _shortest(self, start: int, goals: set[int]) -> tuple[int, ...] | None:
        best, before, queue = {start: 0.0}, dict[int, int](), [(0.0, start)]
        while queue:
            cost, here = heapq.heappop(queue)
            if here in goals:
                way = [here]
                while way[-1] in before:
                    way.append(before[way[-1]])
                return tuple(reversed(way))
            if cost > best[here]:
                continue
            steps = [(other, self.length_m[here]) for other in self.next[here]]
            steps += [(other, _CHANGE_M) for other in self.beside[here]]
            for other, more in steps:
                if cost + more < best.get(other, math.inf):
                    best[other], before[other] = cost + more, here
                    heapq.heappush(queue, (cost + more, other))
        return None

    def lanes(self, way: Iterable[int]) -> tuple[LaneIndex, ...]:
        """Return the lanes of a way: on its first road the lane it starts on, on later ones the lane it leaves by."""
        found: list[LaneIndex] = []
        for lanelet in way:
            index = self.index[lanelet]
            if found and found[-1][:2] == index[:2]:
                if len(found) > 1:
                    found[-1] = index
            else:
                found.append(index)
        return tuple(found)

    def onward(self, way: tuple[int, ...], more_m: float) -> tuple[int, ...]:
        """Return a way continued as straight as possible for at least ``more_m`` metres, where roads go on."""
        longer, left = list(way), more_m
        while left > 0.0:
            here = self.road.lane(self.index[longer[-1]])
            ahead = [other for other in self.next[longer[-1]] if other not in longer]
            if not ahead:
                break
            turns = [
                abs(_wrapped(float(lane.heading_at(lane.length)) - float(here.heading_at(here.length))))
                for lane in (self.road.lane(self.index[other]) for other in ahead)
            ]
            longer.append(ahead[int(np.argmin(turns))])
            left -= self.length_m[longer[-1]]
        return tuple(longer)


def _wrapped(angle: float) -> float:
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def build_network(lanelets: Mapping[int, Lanelet], frame: SceneFrame, skipped: Skipped | None = None) -> Network:
    """Return the road network of some lanelets in the world frame.

    Raises:
        ParameterError: if the lanelets give no road.
    """
    following = _following(lanelets, skipped)
    beside = _beside(lanelets)
    joints = _Joints()
    for key, others in following.items():
        for other in others:
            joints.join((key, "end"), (other, "start"))
    rows = _rows(lanelets, beside)
    for row in rows:
        _join_row(joints, row)
    roads: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        for key in row:
            place = _name(joints.find((key, "start"))), _name(joints.find((key, "end")))
            roads.setdefault(place, []).append(key)
    network, index = RoadNetwork(), dict[int, LaneIndex]()
    forks = {other for others in following.values() if len(others) > 1 for other in others}
    for (start, end), keys in roads.items():
        for number, key in enumerate(keys):
            network.add_lane(start, end, _lane(lanelets[key], frame, beside[key], key in forks))
            index[key] = (start, end, number)
    if not index:
        raise ParameterError("no lanelet can be driven on; there is no road")
    widths = [float(network.get_lane(lane).width) for lane in index.values()]
    sides = {key: tuple(o for o in beside[key] if o is not None and index[o][:2] == index[key][:2]) for key in lanelets}
    lengths = {key: float(network.get_lane(lane).length) for key, lane in index.items()}
    road = Road(compile_network(network), network, float(np.median(widths)))
    return Network(road, index, following, sides, lengths)


def _name(joint: tuple[int, str]) -> str:
    return f"{joint[1]}_{joint[0]}"


def _following(lanelets: Mapping[int, Lanelet], skipped: Skipped | None) -> dict[int, tuple[int, ...]]:
    """Return the lanelets that follow each one, whichever of the two says so."""
    found: dict[int, list[int]] = {key: [] for key in lanelets}
    pairs = [(lanelet.id, other) for lanelet in lanelets.values() for other in lanelet.successors]
    pairs += [(other, lanelet.id) for lanelet in lanelets.values() for other in lanelet.predecessors]
    for one, other in pairs:
        if one in lanelets and other in lanelets and one != other:
            if other not in found[one]:
                found[one].append(other)
        elif skipped is not None:
            skipped.add("lanelet", "refers to a neighbour that the file does not hold")
    return {key: tuple(others) for key, others in found.items()}


def _beside(lanelets: Mapping[int, Lanelet]) -> dict[int, tuple[int | None, int | None]]:
    """Return the neighbours (left, right) of each lanelet in its direction, where one says so and the other agrees or
    does not say; a lanelet is the neighbour of its neighbour.
    """
    left_of, right_of = dict[int, int](), dict[int, int]()
    claims: list[tuple[int | None, int | None]] = [(one.beside_left, key) for key, one in lanelets.items()]
    claims += [(key, one.beside_right) for key, one in lanelets.items()]
    for left, right in claims:
        if left is None or right is None or left == right or left not in lanelets or right not in lanelets:
            continue
        agreed = lanelets[left].beside_right in (right, None) and lanelets[right].beside_left in (left, None)
        if agreed and left not in right_of and right not in left_of:
            left_of[right], right_of[left] = left, right
    return {key: (left_of.get(key), right_of.get(key)) for key in lanelets}


def _rows(lanelets: Mapping[int, Lanelet], beside: Mapping[int, tuple[int | None, int | None]]) -> list[list[int]]:
    """Return rows of neighbours, leftmost first."""
    rows, done = list[list[int]](), set[int]()
    for key in lanelets:
        if key in done:
            continue
        first, seen = key, {key}
        while (left := beside[first][0]) is not None and left not in seen and left not in done:
            first = left
            seen.add(first)
        row = list[int]()
        here: int | None = first
        while here is not None and here not in done:
            row.append(here)
            done.add(here)
            here = beside[here][1]
        rows.append(row)
    return rows


def _join_row(joints: _Joints, row: list[int]) -> None:
    """Make the lanes of a row one road, unless that would bend a road back into its own start."""
    for one, other in zip(row, row[1:], strict=False):
        starts = joints.find((one, "start")), joints.find((other, "start"))
        ends = joints.find((one, "end")), joints.find((other, "end"))
        if not set(starts) & set(ends):
            joints.join(*starts)
            joints.join(*ends)


def _lane(lanelet: Lanelet, frame: SceneFrame, beside: tuple[int | None, int | None], fork: bool) -> AbstractLane:
    left, right = frame.points(lanelet.left), frame.points(lanelet.right)
    centre, width = 0.5 * (left + right), np.hypot(*(left - right).T)
    lines = _lines(lanelet, beside, fork)
    chord = centre[-1] - centre[0]
    size = float(np.hypot(*chord))
    limit = lanelet.speed_limit_mps
    length = float(np.hypot(*np.diff(centre, axis=0).T).sum())
    aside = np.abs((centre - centre[0]) @ np.array([-chord[1], chord[0]])) / max(size, 1e-9)
    if length < _SHORTEST_CURVE_M or (aside.max() < _STRAIGHT_M and np.ptp(width) < _EVEN_M):
        return StraightLane(centre[0], centre[-1], width=float(width.mean()), line_types=lines, speed_limit=limit)
    lane = PolyLaneFixedWidth(centre.tolist(), float(width.mean()), lines, speed_limit=limit)
    lane.width_samples = _widths(centre, width, lane.length)  # else it would not be narrower than 4 m anywhere
    return lane


def _widths(centre: Float, width: Float, length: float) -> list[float]:
    """Return the width at every metre."""
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(centre, axis=0).T))])
    samples: list[float] = np.interp(np.linspace(0.0, length, int(math.ceil(length)) + 1), arc, width).tolist()
    return samples


def _lines(lanelet: Lanelet, beside: tuple[int | None, int | None], fork: bool) -> tuple[LineType, LineType]:
    """Return line types as the file says, else by what lies beside; a lane draws no line between it and its right."""
    if lanelet.inside_junction:  # drawn bounds would be a tangle across the junction
        return LineType.NONE, LineType.NONE
    found = []
    for side, marking in enumerate((lanelet.marking_left, lanelet.marking_right)):
        neighbour = beside[side] is not None
        usual = (LineType.NONE if side else LineType.STRIPED) if neighbour else LineType.CONTINUOUS_LINE
        usual = LineType.NONE if fork else usual
        found.append(_LINES.get(marking or "", usual))
    return found[0], found[1]
