"""Crossings and roundabouts, built from highway-env lanes like its own intersection, with right-hand traffic.

Arm k is named after the heading of the traffic that comes in on it: k * 90 degrees in the world frame, so the ego
comes in on arm 0 along +x, arm 2 faces it, arm 1 comes from its left and arm 3 from its right. The centre is the
origin.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from highway_env.road.lane import AbstractLane, CircularLane, LineType, StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.scenarios.roads import URBAN_LIMIT_MPS, URBAN_WIDTH_M, Road
from simdrive.sim.roads import compile_network
from simdrive.sim.spec import LaneIndex
from simdrive.types import Float

ARM_M = 170.0
_TURN_OVER_M = 4.0


@dataclass(frozen=True)
class Crossing:
    """A four-way crossing; lanes ``("in{k}", "stop{k}")``, ``("stop{k}", "leave{j}")``, ``("leave{j}", "out{j}")``."""

    road: Road
    lanes_each: int
    half_m: float  # from the centre to the stop lines

    @property
    def area(self) -> Float:
        """The junction area as a polygon [8, 2], world frame."""
        edge, side = self.half_m, self.lanes_each * self.road.lane_width_m
        return _turned_octagon(edge, side)


def _turned_octagon(edge: float, side: float) -> Float:
    corner = np.array([[edge, -side], [edge, side]])
    return np.concatenate([corner @ _rotation(k).T for k in range(4)])


def _rotation(k: int) -> Float:
    cos, sin = (1, 0, -1, 0)[k % 4], (0, 1, 0, -1)[k % 4]
    return np.array([[cos, -sin], [sin, cos]], dtype=np.float64)


@functools.cache
def crossing(
    lanes_each: int,
    corner_m: float = 7.0,
    width_m: float = URBAN_WIDTH_M,
    arm_m: float = ARM_M,
    limit_mps: float = URBAN_LIMIT_MPS,
) -> Crossing:
    """Return a crossing whose arms have ``lanes_each`` lanes in and out and corners of radius ``corner_m``.

    Arms 0 and 2 have priority. Left turns leave from lane 0, right turns from the last lane.
    """
    network, half = RoadNetwork(), corner_m + lanes_each * width_m
    for arm in range(4):
        _add_arm(network, arm, lanes_each, half, {"width": width_m, "speed_limit": limit_mps}, arm_m)
    return Crossing(Road(compile_network(network), network, width_m), lanes_each, half)


def _add_arm(
    network: RoadNetwork, arm: int, lanes_each: int, half: float, traits: dict[str, float], arm_m: float
) -> None:
    turn, angle = _rotation(arm), arm * math.pi / 2
    none, striped, solid = LineType.NONE, LineType.STRIPED, LineType.CONTINUOUS_LINE
    priority = 3 if arm % 2 == 0 else 1
    width = traits["width"]

    def straight(begin: float, end: float, lane: int, lines: tuple[int, int]) -> AbstractLane:
        y = (lane + 0.5) * width
        return StraightLane(turn @ [begin, y], turn @ [end, y], line_types=list(lines), priority=priority, **traits)

    def arc(y: float, radius: float, clockwise: bool, rank: int) -> AbstractLane:
        sign = 1.0 if clockwise else -1.0
        start = angle - sign * math.pi / 2
        return CircularLane(
            turn @ [-half, y], radius, start, start + sign * math.pi / 2, clockwise,
            line_types=[none, none], priority=rank, **traits,
        )  # fmt: skip

    stop, last = f"stop{arm}", lanes_each - 1
    for lane in range(lanes_each):
        inner = solid if lane == 0 else striped
        outer = solid if lane == last else none
        network.add_lane(f"in{arm}", stop, straight(-half - arm_m, -half, lane, (inner, outer)))
        network.add_lane(stop, f"leave{arm}", straight(-half, half, lane, (none, none)))
        inner = none if lane == 0 else striped  # the centre line is drawn by the lane that comes in
        network.add_lane(f"leave{arm}", f"out{arm}", straight(half, half + arm_m, lane, (inner, outer)))
    left, right = (arm - 1) % 4, (arm + 1) % 4
    network.add_lane(stop, f"leave{left}", arc(-half, half + width / 2, False, priority - 1))
    kerb = half - (last + 0.5) * width
    network.add_lane(stop, f"leave{right}", arc(half, kerb, True, priority))


@dataclass(frozen=True)
class Roundabout:
    """A single-lane roundabout, driven to the left around its island.

    Lanes: ``("in{k}", "yield{k}")``, a right bend to ``n{k}``, straight on to ``e{k}`` where traffic of arm k enters
    the ring; ring pieces between the nodes ``e{k}`` and ``x{k}``, where traffic leaves with heading k, straight on to
    ``o{k}``, a right bend to ``leave{k}``, and ``("leave{k}", "out{k}")``.
    """

    road: Road
    radius_m: float
    ring: tuple[str, ...]  # ring nodes in driving order, starting at e0

    def path(self, enter: int, leave: int) -> tuple[LaneIndex, ...]:
        """Return the lanes from arm ``enter`` to the exit with heading ``leave``."""
        nodes = [f"in{enter}", f"yield{enter}", f"n{enter}", f"e{enter}"]
        at = self.ring.index(f"e{enter}")
        while self.ring[at] != f"x{leave}":
            at = (at + 1) % len(self.ring)
            nodes.append(self.ring[at])
        nodes += [f"o{leave}", f"leave{leave}", f"out{leave}"]
        return tuple((start, end, 0) for start, end in zip(nodes, nodes[1:], strict=False))


@functools.cache
def roundabout(radius_m: float = 20.0, entry_m: float = 15.0, width_m: float = 4.4) -> Roundabout:
    """Return a roundabout whose ring has its centre line at ``radius_m``; entries and exits bend at ``entry_m``.

    A short straight piece lies between each bend and the ring, so that a wheel can be turned over in between.
    """
    network = RoadNetwork()
    y = 0.5 * width_m + 1.5  # room for a splitter island between the two directions
    reach = radius_m + entry_m
    x = math.sqrt(reach**2 + _TURN_OVER_M**2 - (y + entry_m) ** 2)
    # Phase at which arm 0 meets the ring: from the centre of the bend, back by what the straight piece takes.
    touch = math.atan2(y + entry_m, -x) - math.atan2(_TURN_OVER_M, reach)
    traits = {"width": width_m, "speed_limit": URBAN_LIMIT_MPS}
    phases = {f"e{k}": touch + k * math.pi / 2 for k in range(4)}
    phases |= {f"x{k}": math.pi - touch + k * math.pi / 2 for k in range(4)}
    around = {name: (touch - phase) % (2.0 * math.pi) for name, phase in phases.items()}
    around = {name: 0.0 if 2.0 * math.pi - value < 1e-9 else value for name, value in around.items()}
    ring = tuple(sorted(around, key=lambda name: around[name]))
    for number, name in enumerate(ring):
        after = ring[(number + 1) % len(ring)]
        begin = touch - around[name]
        swept = (around[after] - around[name]) % (2.0 * math.pi)
        lines = [LineType.CONTINUOUS_LINE, LineType.NONE]
        network.add_lane(
            name, after,
            CircularLane([0.0, 0.0], radius_m, begin, begin - swept, False, line_types=lines, **traits),
        )  # fmt: skip
    for arm in range(4):
        _add_access(network, arm, _Access(x, y, entry_m, touch, radius_m), traits)
    return Roundabout(Road(compile_network(network), network, width_m), radius_m, ring)


@dataclass(frozen=True)
class _Access:
    """Arm 0 of a roundabout; the other arms are turned copies, exits mirrored ones."""

    x_m: float  # the bend begins at (-x, y)
    y_m: float
    bend_m: float  # its radius
    touch_rad: float  # phase where it meets the ring
    ring_m: float


def _add_access(network: RoadNetwork, arm: int, access: _Access, traits: dict[str, float]) -> None:
    turn, angle = _rotation(arm), arm * math.pi / 2
    solid, none = LineType.CONTINUOUS_LINE, LineType.NONE
    x, y, radius = access.x_m, access.y_m, access.bend_m
    bend = access.touch_rad - math.pi / 2  # from straight ahead to the direction of the ring
    start = angle - math.pi / 2

    def straight(begin: Float, end: Float, lines: tuple[int, int], priority: int) -> AbstractLane:
        return StraightLane(turn @ begin, turn @ end, line_types=list(lines), priority=priority, **traits)

    def arc(center: list[float], begin: float, end: float, priority: int) -> AbstractLane:
        return CircularLane(
            turn @ center, radius, begin, end, True, line_types=[none, solid], priority=priority, **traits
        )

    touch = access.ring_m * np.array([math.cos(access.touch_rad), math.sin(access.touch_rad)])
    before = touch - _TURN_OVER_M * np.array([math.sin(access.touch_rad), -math.cos(access.touch_rad)])
    mirror = np.array([-1.0, 1.0])
    far = np.array([ARM_M, 0.0])
    left, right = np.array([-x, y]), np.array([x, y])
    network.add_lane(f"in{arm}", f"yield{arm}", straight(left - far, left, (solid, solid), 0))
    network.add_lane(f"yield{arm}", f"n{arm}", arc([-x, y + radius], start, start + bend, 0))
    network.add_lane(f"n{arm}", f"e{arm}", straight(before, touch, (none, none), 0))
    network.add_lane(f"x{arm}", f"o{arm}", straight(touch * mirror, before * mirror, (none, none), 1))
    network.add_lane(f"o{arm}", f"leave{arm}", arc([x, y + radius], start - bend, start, 1))
    network.add_lane(f"leave{arm}", f"out{arm}", straight(right, right + far, (solid, solid), 1))
