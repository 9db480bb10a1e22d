"""What surrounds the road: light, weather, pavements, parked cars, buildings, people who just walk along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from simdrive.scenarios.cast import Generator, Span, anywhere, draw_size, on_lane, standing
from simdrive.scenarios.roads import (
    HIGHWAY_LIMIT_MPS,
    RURAL_LIMIT_MPS,
    SHAPES,
    URBAN_LIMIT_MPS,
    URBAN_WIDTH_M,
    Road,
    one_way,
    two_way,
)
from simdrive.scenarios.stage import Stage
from simdrive.sim.spec import LaneIndex, Lighting
from simdrive.sim.state import Shape

PAVEMENT_M = 2.6


def pick(rng: Generator, values: tuple[str, ...]) -> str:
    """Return one of the values, all equally likely."""
    return values[int(rng.integers(len(values)))]


def highway(rng: Generator, lanes: tuple[int, ...] = (2, 3, 4)) -> Road:
    """Return a motorway carriageway, straight or gently bent."""
    shape = pick(rng, SHAPES)
    return one_way(int(lanes[int(rng.integers(len(lanes)))]), shape, limit_mps=HIGHWAY_LIMIT_MPS)


def rural(rng: Generator, lanes_each: int = 1) -> Road:
    """Return a country road with oncoming traffic, straight or bent."""
    shape = pick(rng, SHAPES)
    return two_way(lanes_each, shape, radius_m=450.0, limit_mps=RURAL_LIMIT_MPS)


def urban(rng: Generator) -> Road:
    """Return a street with one lane each way, mostly straight."""
    shape = pick(rng, ("straight", "straight", "sine", "left", "right"))
    return two_way(1, shape, radius_m=260.0, width_m=URBAN_WIDTH_M, limit_mps=URBAN_LIMIT_MPS)


def draw_light(rng: Generator, *, tunnel: tuple[float, float] | None = None, glare: float = 0.0) -> Lighting:
    """Return light and weather that make the picture different but hide nothing nearer than 220 m."""
    kind = rng.random()
    sun: dict[str, Any] = {
        "sun_elevation_deg": float(rng.uniform(25.0, 70.0)),
        "sun_azimuth_deg": float(rng.uniform(0.0, 360.0)),
        "cloud": float(rng.uniform(0.0, 0.5)),
    }
    low, night = float(rng.uniform(4.0, 12.0)), float(rng.uniform(-30.0, -8.0))
    fog, rain = float(rng.uniform(220.0, 700.0)), float(rng.uniform(0.2, 0.7))
    more: dict[str, Any] = {}
    if tunnel is not None:
        more = {"tunnel_start_x_m": tunnel[0], "tunnel_end_x_m": tunnel[1], "exit_glare": glare}
    if kind < 0.4 or tunnel is not None:  # glare needs daylight
        return Lighting(**sun, **more)
    if kind < 0.58:
        return Lighting(**(sun | {"cloud": 0.9}), **more)
    if kind < 0.70:
        return Lighting(**(sun | {"sun_elevation_deg": low}), **more)
    if kind < 0.80:
        return Lighting(**(sun | {"sun_elevation_deg": night}), street_lights=True, **more)
    if kind < 0.88:
        return Lighting(**(sun | {"cloud": 1.0}), fog_visibility_m=fog, **more)
    return Lighting(**(sun | {"cloud": 1.0}), rain=rain, **more)


def shoulder(stage: Stage, lane: LaneIndex, span: Span, width_m: float, *, left: bool = False) -> None:
    """Pave a strip beside a lane, drivable but no lane."""
    half = 0.5 * stage.road.lane_width_m
    edges = (-half - width_m, -half) if left else (half, half + width_m)
    stage.drivable.extend(stage.road.strip(lane, span, edges))


def pavement(stage: Stage, lane: LaneIndex, span: Span, offset_m: float, width_m: float = PAVEMENT_M) -> None:
    """Lay a pavement to the right of a lane; it begins ``offset_m`` to the right of the lane centre."""
    stage.walkable.extend(stage.road.strip(lane, span, (offset_m, offset_m + width_m)))


def park(
    stage: Stage, rng: Generator, lane: LaneIndex, s_m: float, inner_m: float, shape: Shape, align: int = 0
) -> float:
    """Park a vehicle with its near side ``inner_m`` to the right of the lane centre; return its length, m.

    ``s_m`` is the place of its middle, its front (``align`` -1) or its rear end (1).
    """
    size = draw_size(rng, shape)
    middle = s_m + 0.5 * align * size["length_m"]
    pose = stage.road.pose(lane, middle, inner_m + 0.5 * size["width_m"])
    stage.add(standing(rng, "parked", shape, pose, **size))
    return size["length_m"]


def parked_row(stage: Stage, rng: Generator, lane: LaneIndex, span: Span, inner_m: float, share: float = 0.8) -> None:
    """Park cars and vans along the right of a lane, their near sides ``inner_m`` from its centre."""
    s = span[0] + float(rng.uniform(2.0, 4.0))
    while s + 2.5 < span[1]:
        shape = Shape.VAN if rng.random() < 0.15 else Shape.CAR
        wobble, step = float(rng.uniform(0.0, 0.15)), float(rng.uniform(5.6, 6.8))
        if rng.random() < share:
            park(stage, rng, lane, s, inner_m + wobble, shape)
        s += step + (1.0 if shape == Shape.VAN else 0.0)


def buildings(stage: Stage, rng: Generator, lane: LaneIndex, span: Span, inner_m: float, share: float = 0.75) -> None:
    """Build houses to the right of a lane, their fronts ``inner_m`` from its centre."""
    s = span[0] + float(rng.uniform(0.0, 6.0))
    while True:
        length, taken = float(rng.uniform(14.0, 26.0)), rng.random() < share
        depth, back = float(rng.uniform(8.0, 12.0)), float(rng.uniform(0.0, 2.5))
        if s + length > span[1]:
            return
        if taken:
            pose = stage.road.pose(lane, s + 0.5 * length, inner_m + back + 0.5 * depth)
            stage.add(standing(rng, "building", Shape.BUILDING, pose, length_m=length, width_m=depth))
        s += length + float(rng.uniform(2.0, 12.0))


def walkers(
    stage: Stage,
    rng: Generator,
    lane: LaneIndex,
    span: Span,
    r_m: float,
    most: int,
    *,
    against: bool = False,
    keep_free: Sequence[Span] = (),
) -> None:
    """Let up to ``most`` people walk along a pavement ``r_m`` to the right of a lane, forwards or backwards.

    Nobody starts at an s in ``keep_free``.
    """
    count = int(rng.integers(0, most + 1))
    room = (span[1] - span[0]) / max(count, 1)
    for number in range(count):
        s = span[0] + (number + float(rng.uniform(0.1, 0.9))) * room
        speed = float(rng.uniform(0.6, 1.4))
        offset = r_m + (0.6 if against else -0.6) + float(rng.uniform(-0.15, 0.15))  # each keeps to the right
        if against:  # paths along lanes lead forwards only
            x, y, heading = stage.road.pose(lane, s, offset)
            walker = anywhere(rng, "walker", Shape.PEDESTRIAN, (x, y, heading + math.pi), speed)
        else:
            walker = on_lane(rng, "walker", Shape.PEDESTRIAN, lane, s, speed, r_m=offset)
        if not any(low <= s <= high for low, high in keep_free):
            stage.add(walker)


def rectangle(x_m: Span, y_m: Span) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return an axis-aligned rectangle as a polygon [4, 2], world frame."""
    (left, right), (top, bottom) = x_m, y_m
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)
