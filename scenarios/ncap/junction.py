"""The crossing of the protocol: one lane each way, 3.5 m wide, kerbs of 8 m radius, long arms."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from highway_env.road.lane import LineType, PolyLaneFixedWidth, StraightLane

from simdrive.scenarios.junctions import Crossing, crossing
from simdrive.scenarios.ncap.protocol import ARM_M, CORNER_M, LANE_M
from simdrive.scenarios.ncap.track import PAVED_M
from simdrive.scenarios.roads import RURAL_LIMIT_MPS, Road
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.sim.roads import compile_network
from simdrive.sim.spec import LaneIndex
from simdrive.types import Float

MIDDLE_M = 0.5 * LANE_M  # of the lanes, beside the axis of their road
STRAIGHT_ON: tuple[LaneIndex, ...] = (("in0", "stop0", 0), ("stop0", "leave0", 0), ("leave0", "out0", 0))
TURN_LEFT: tuple[LaneIndex, ...] = (("in0", "begin", 0), ("begin", "end", 0), ("end", "out3", 0))
_STEP_M, _KNOT_M = 0.01, 0.5


@dataclass(frozen=True)
class TurnPath:
    """A left turn of the protocol: clothoid, arc, clothoid; radii in m, angles in degrees."""

    first_radius_m: float
    radius_m: float
    clothoid_deg: float
    arc_deg: float

    def points(self) -> Float:
        """Return the path ``[n, 2]``, from (0, 0) along +x to the left (towards -y), a knot every half metre."""
        first, tight = 1.0 / self.first_radius_m, 1.0 / self.radius_m
        ramp = 2.0 * math.radians(self.clothoid_deg) / (first + tight)
        arc = math.radians(self.arc_deg) * self.radius_m
        total = 2.0 * ramp + arc
        s = np.linspace(0.0, total, math.ceil(total / _STEP_M) + 1)
        bend = np.interp(s, [0.0, ramp, ramp + arc, total], [first, tight, tight, first])
        step = s[1] - s[0]
        turned = np.concatenate([[0.0], np.cumsum(0.5 * (bend[1:] + bend[:-1])) * step])
        middle = 0.5 * (turned[1:] + turned[:-1])
        x = np.concatenate([[0.0], np.cumsum(np.cos(middle)) * step])
        y = -np.concatenate([[0.0], np.cumsum(np.sin(middle)) * step])
        knots = np.linspace(0.0, total, math.ceil(total / _KNOT_M) + 1)
        return np.column_stack([np.interp(knots, s, x), np.interp(knots, s, y)])


def plain() -> Crossing:
    """Return the crossing with its ordinary lanes."""
    return crossing(1, CORNER_M, LANE_M, ARM_M, RURAL_LIMIT_MPS)


@functools.cache
def with_turn(path: TurnPath) -> Road:
    """Return the crossing with a left turn of the ego along ``path``, node ``begin`` to node ``end``.

    The lane that the ego comes on ends where the path begins, the one that it leaves on begins where the path ends;
    what is left of both stays drawn.
    """
    scene = plain()
    half, network = scene.half_m, crossing.__wrapped__(1, CORNER_M, LANE_M, ARM_M, RURAL_LIMIT_MPS).road.network
    points = path.points()
    start_x, end_y = MIDDLE_M - points[-1, 0], MIDDLE_M + points[-1, 1]
    points += np.array([start_x, MIDDLE_M])
    solid, none = LineType.CONTINUOUS_LINE, LineType.NONE
    traits = {"width": LANE_M, "speed_limit": RURAL_LIMIT_MPS}

    def straight(begin: tuple[float, float], end: tuple[float, float], lines: list[int]) -> StraightLane:
        return StraightLane(list(begin), list(end), line_types=lines, priority=3, **traits)

    del network.graph["in0"]["stop0"], network.graph["leave3"]["out3"]
    far = half + ARM_M
    network.add_lane("in0", "begin", straight((-far, MIDDLE_M), (start_x, MIDDLE_M), [solid, solid]))
    network.add_lane("begin", "end", PolyLaneFixedWidth(points.tolist(), line_types=(none, none), priority=2, **traits))
    network.add_lane("end", "out3", straight((MIDDLE_M, end_y), (MIDDLE_M, -far), [none, solid]))
    if start_x < -half:
        network.add_lane("begin", "stop0", straight((start_x, MIDDLE_M), (-half, MIDDLE_M), [solid, solid]))
    if end_y < -half:
        network.add_lane("leave3", "end", straight((MIDDLE_M, -half), (MIDDLE_M, end_y), [none, solid]))
    return Road(compile_network(network), network, LANE_M)


def on_crossing(road: Road, route: tuple[LaneIndex, ...], x_m: float, speed_mps: float) -> Stage:
    """Put the ego on arm 0 with its middle at world x = ``x_m``, paved ground along all arms."""
    scene = plain()
    stage = Stage(road, ego_on(route[0], x_m + scene.half_m + ARM_M, speed_mps), route)
    near, far, inner = LANE_M, LANE_M + PAVED_M, scene.half_m
    stage.drivable.append(scene.area)
    for begin, end in ((-inner - ARM_M, -inner), (inner, inner + ARM_M)):
        for left, right in ((-far, -near), (near, far)):
            along = np.array([(begin, left), (end, left), (end, right), (begin, right)])
            stage.drivable += [along, along[:, ::-1].copy()]
    return stage
