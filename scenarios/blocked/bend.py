"""Country road bends to the right with a hedge on their inside, so that one sees what is ahead late."""

from __future__ import annotations

import math

from simdrive.scenarios.cast import Generator, standing
from simdrive.scenarios.roads import RURAL_LIMIT_MPS, URBAN_WIDTH_M, Road, two_way
from simdrive.scenarios.stage import Stage
from simdrive.sim.spec import LaneIndex
from simdrive.sim.state import Shape

_RADII_M = (110.0, 140.0, 180.0)
_LENGTH_M = 460.0
_PIECE_M = 11.0
_THICKNESS_M = 0.7
_GREEN = (62, 92, 48)


def hedged_bend(rng: Generator) -> tuple[Road, float]:
    """Return a road with one lane each way that bends to the right, and the radius of the ego's lane, m."""
    radius = _RADII_M[int(rng.integers(len(_RADII_M)))]
    road = two_way(1, "right", radius_m=radius, length_m=_LENGTH_M, width_m=URBAN_WIDTH_M, limit_mps=RURAL_LIMIT_MPS)
    return road, radius


def bend_sight_m(road: Road, radius_m: float, gap_m: float) -> float:
    """Return how far one sees along the lane past a hedge ``gap_m`` beside it: the chord that touches it."""
    return math.sqrt(8.0 * radius_m * (0.5 * road.lane_width_m + gap_m))


def hedge(stage: Stage, rng: Generator, lane: LaneIndex, span: tuple[float, float], gap_m: float) -> None:
    """Plant a hedge along the right of a lane; the strip before it is drivable."""
    height, inner = float(rng.uniform(2.2, 3.2)), 0.5 * stage.road.lane_width_m + gap_m
    s = span[1] - 0.5 * _PIECE_M
    while s > span[0]:
        pose = stage.road.pose(lane, s, inner + 0.5 * _THICKNESS_M)
        stage.add(standing(
            rng, "hedge", Shape.BUILDING, pose, length_m=_PIECE_M, width_m=_THICKNESS_M, height_m=height, colour=_GREEN,
        ))  # fmt: skip
        s -= _PIECE_M
    stage.drivable.extend(stage.road.strip(lane, span, (0.5 * stage.road.lane_width_m, inner)))
