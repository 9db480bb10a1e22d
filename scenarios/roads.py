"""Roads without junctions, built from highway-env lanes: few distinct maps, so that a batch shares most of them.

Frames: world x forward along the start of the ego's road, y to the right of it. Lane 0 is the leftmost lane of its
direction. Every builder is cached; equal arguments give the same object.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from highway_env.road.lane import AbstractLane, CircularLane, LineType, SineLane, StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.sim.roads import RoadMap, compile_network
from simdrive.sim.spec import LaneIndex
from simdrive.types import Float

SHAPES = ("straight", "sine", "left", "right")
HIGHWAY_WIDTH_M, URBAN_WIDTH_M = 3.75, 3.5
HIGHWAY_LIMIT_MPS, RURAL_LIMIT_MPS, URBAN_LIMIT_MPS = 36.11, 27.78, 16.67  # 130, 100 and 60 km/h
_SINE_AMPLITUDE_M, _SINE_WAVELENGTH_M = 6.0, 500.0
_SAGITTA_M = 0.08  # how far the edge of a strip polygon may stray from a curve


@dataclass(frozen=True)
class Road:
    """A compiled map beside the network that it came from, for placing things before anything runs."""

    map: RoadMap
    network: RoadNetwork
    lane_width_m: float

    def lane(self, index: LaneIndex) -> AbstractLane:
        """Return the highway-env lane of an index."""
        return self.network.get_lane(index)

    def pose(self, index: LaneIndex, s_m: float, r_m: float = 0.0) -> tuple[float, float, float]:
        """Return world (x, y, heading) at lane coordinates."""
        lane = self.lane(index)
        x, y = lane.position(s_m, r_m)
        return float(x), float(y), float(lane.heading_at(s_m))

    def beside(self, index: LaneIndex, s_m: float, other: LaneIndex) -> float:
        """Return the s on lane ``other`` (same or opposite direction) that lies level with ``s_m`` on ``index``."""
        x, y, _ = self.pose(index, s_m)
        return float(self.lane(other).local_coordinates(np.array([x, y]))[0])

    def lanes(self, index: LaneIndex) -> int:
        """Return the number of lanes of the road that ``index`` is on."""
        return len(self.network.all_side_lanes(index))

    def strip(self, index: LaneIndex, s_m: tuple[float, float], r_m: tuple[float, float]) -> tuple[Float, ...]:
        """Return quadrilaterals [4, 2] that cover lane coordinates s_m x r_m, short enough to follow a curve."""
        lane, (begin, end) = self.lane(index), s_m
        steps = max(1, math.ceil((end - begin) / _chord_m(lane)))
        at = np.linspace(begin, end, steps + 1)
        near = np.array([lane.position(s, r_m[0]) for s in at], dtype=np.float64)
        far = np.array([lane.position(s, r_m[1]) for s in at], dtype=np.float64)
        return tuple(np.array([near[i], near[i + 1], far[i + 1], far[i]]) for i in range(steps))


def _chord_m(lane: AbstractLane) -> float:
    if isinstance(lane, CircularLane):
        return math.sqrt(8.0 * _SAGITTA_M * float(lane.radius))
    if isinstance(lane, SineLane):
        sharpest = abs(float(lane.amplitude)) * float(lane.pulsation) ** 2
        return math.sqrt(8.0 * _SAGITTA_M / sharpest)
    return math.inf


def along(
    shape: str, radius_m: float, offset_m: float, length_m: float, lines: Sequence[int], **traits: float
) -> AbstractLane:
    """Return a lane that starts at x = 0, ``offset_m`` to the right of the axis, and follows the shape of the road.

    Args:
        shape: one of ``SHAPES``.
        radius_m: radius of the axis of a left or right bend.
        offset_m: lateral offset of the lane from the axis, > 0 to the right.
        length_m: length along the axis.
        lines: highway-env line types of the left and right border.
        **traits: width, speed_limit.

    Raises:
        UnknownNameError: if the shape is unknown.
    """
    if shape not in SHAPES:
        raise UnknownNameError("road shape", shape, SHAPES)
    if shape in ("left", "right"):
        turn = 1.0 if shape == "right" else -1.0
        radius = radius_m - turn * offset_m
        start = -turn * math.pi / 2
        return CircularLane(
            [0.0, turn * radius_m], radius, start, start + turn * length_m / radius_m, shape == "right",
            line_types=list(lines), **traits,
        )  # fmt: skip
    ends = [0.0, offset_m], [length_m, offset_m]
    if shape == "straight":
        return StraightLane(*ends, line_types=list(lines), **traits)
    pulsation = 2.0 * math.pi / _SINE_WAVELENGTH_M
    return SineLane(*ends, _SINE_AMPLITUDE_M, pulsation, 0.0, line_types=list(lines), **traits)


def against(
    shape: str, radius_m: float, offset_m: float, length_m: float, lines: Sequence[int], **traits: float
) -> AbstractLane:
    """Return the lane at the same place as ``along`` gives, for traffic of the opposite direction."""
    if shape in ("left", "right"):
        lane = along(shape, radius_m, offset_m, length_m, lines, **traits)
        return CircularLane(
            lane.center, lane.radius, lane.end_phase, lane.start_phase, not lane.clockwise,
            line_types=list(lines), **traits,
        )  # fmt: skip
    ends = [length_m, offset_m], [0.0, offset_m]
    if shape == "straight":
        return StraightLane(*ends, line_types=list(lines), **traits)
    pulsation = 2.0 * math.pi / _SINE_WAVELENGTH_M
    # Seen from the other end both s and r change sign, and sin(k(L - s)) = -sin(ks - kL).
    return SineLane(*ends, _SINE_AMPLITUDE_M, pulsation, -pulsation * length_m, line_types=list(lines), **traits)


@functools.cache
def one_way(
    lanes: int,
    shape: str = "straight",
    radius_m: float = 900.0,
    length_m: float = 1100.0,
    width_m: float = HIGHWAY_WIDTH_M,
    limit_mps: float = HIGHWAY_LIMIT_MPS,
) -> Road:
    """Return a carriageway ``("a", "b", 0..lanes-1)`` of one direction; lane 0 starts on y = 0.

    Raises:
        ParameterError: if there would be no lane.
    """
    if lanes < 1:
        raise ParameterError(f"a road needs at least one lane, got {lanes}")
    network = RoadNetwork()
    for lane in range(lanes):
        left = LineType.CONTINUOUS_LINE if lane == 0 else LineType.STRIPED
        right = LineType.CONTINUOUS_LINE if lane == lanes - 1 else LineType.NONE
        network.add_lane(
            "a", "b",
            along(shape, radius_m, lane * width_m, length_m, (left, right), width=width_m, speed_limit=limit_mps),
        )  # fmt: skip
    return Road(compile_network(network), network, width_m)


@functools.cache
def two_way(
    lanes_each: int,
    shape: str = "straight",
    radius_m: float = 400.0,
    length_m: float = 800.0,
    width_m: float = URBAN_WIDTH_M,
    limit_mps: float = URBAN_LIMIT_MPS,
) -> Road:
    """Return a road with ``("a", "b", i)`` in the ego's direction and ``("b", "a", i)`` oncoming on its left.

    Lane 0 of either direction lies at the centre line; ego lane 0 starts on y = 0.

    Raises:
        ParameterError: if there would be no lane.
    """
    if lanes_each < 1:
        raise ParameterError(f"a road needs at least one lane each way, got {lanes_each}")
    network = RoadNetwork()
    striped, solid, none = LineType.STRIPED, LineType.CONTINUOUS_LINE, LineType.NONE
    for lane in range(lanes_each):
        right = solid if lane == lanes_each - 1 else none
        traits = {"width": width_m, "speed_limit": limit_mps}
        network.add_lane("a", "b", along(shape, radius_m, lane * width_m, length_m, (striped, right), **traits))
        left = none if lane == 0 else striped  # the centre line is drawn once
        network.add_lane("b", "a", against(shape, radius_m, -(lane + 1) * width_m, length_m, (left, right), **traits))
    return Road(compile_network(network), network, width_m)


@functools.cache
def merge_ramp(lanes: int, auxiliary_m: float, limit_mps: float = 27.78) -> Road:
    """Return a main road with a ramp from the right that becomes its last lane after a parallel stretch.

    Main road ``("a", "m", i)`` then ``("m", "z", i)``, node m at x = 0. Ramp: ``("r", "s")`` beside the road,
    ``("s", "t")`` towards it, ``("t", "u")`` parallel for ``auxiliary_m``, ``("u", "m")`` into the last lane.
    """
    width = HIGHWAY_WIDTH_M
    network = RoadNetwork()
    striped, solid, none = LineType.STRIPED, LineType.CONTINUOUS_LINE, LineType.NONE
    traits = {"width": width, "speed_limit": limit_mps}
    for lane in range(lanes):
        left = solid if lane == 0 else striped
        right = none if lane < lanes - 1 else striped
        y = lane * width
        network.add_lane("a", "m", StraightLane([-420.0, y], [0.0, y], line_types=[left, right], **traits))
        right = none if lane < lanes - 1 else solid
        network.add_lane("m", "z", StraightLane([0.0, y], [620.0, y], line_types=[left, right], **traits))
    last, converge_m, taper_m, apart_m = (lanes - 1) * width, 100.0, 60.0, 7.0
    u, t = -taper_m, -taper_m - auxiliary_m
    s = t - converge_m
    beside, far = last + width, last + width + apart_m
    network.add_lane("r", "s", StraightLane([s - 220.0, far], [s, far], line_types=[solid, solid], **traits))
    network.add_lane("s", "t", _shift([s, far], [t, beside], (solid, solid), traits))
    network.add_lane("t", "u", StraightLane([t, beside], [u, beside], line_types=[none, solid], **traits))
    network.add_lane("u", "m", _shift([u, beside], [0.0, last], (none, solid), traits))
    return Road(compile_network(network), network, width)


def _shift(start: Sequence[float], end: Sequence[float], lines: Sequence[int], traits: dict[str, float]) -> SineLane:
    """Return half a sine wave from ``start`` to ``end``, straight ahead at both ends; heading along +x."""
    length, middle = end[0] - start[0], 0.5 * (start[1] + end[1])
    return SineLane(
        [start[0], middle], [end[0], middle], start[1] - middle, math.pi / length, math.pi / 2,
        line_types=list(lines), **traits,
    )  # fmt: skip
