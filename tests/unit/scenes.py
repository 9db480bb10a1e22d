"""Small synthetic observations for driver tests: a straight road of parallel lanes with actors put on it by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from highway_env.road.lane import StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.sim.roads import compile_network
from simdrive.sim.state import Shape
from simdrive.types import ObservationBatch, WorldView

LANE_M = 3.5


@dataclass(frozen=True)
class Actor:
    """One actor: metres ahead of the ego's centre and to the right of it."""

    ahead_m: float
    right_m: float = 0.0
    speed_mps: float = 0.0
    heading: float = 0.0
    lateral_mps: float = 0.0
    acceleration: float = 0.0
    shape: Shape = Shape.CAR
    length_m: float = 4.6
    width_m: float = 1.85
    indicator: int = 0
    seen: bool = True


def two_lane_road(lanes: int = 2) -> RoadNetwork:
    """Lanes 0 .. n - 1 along +x, lane 0 at y = 0."""
    net = RoadNetwork()
    for lane in range(lanes):
        net.add_lane("a", "b", StraightLane([0, LANE_M * lane], [1000, LANE_M * lane], width=LANE_M))
    return net


def observe(
    actors: list[Actor] | list[list[Actor]],
    speed: float = 15.0,
    cruise: float = 15.0,
    own_lane: int = 0,
    lanes: int = 2,
    r_m: float = 0.0,
    t_us: int = 3_000_000,
    slots: list[int] | None = None,
) -> ObservationBatch:
    """Observation of one world (or of several, given a list of lists) with the ego at x = 100 m."""
    worlds = [actors] if not actors or isinstance(actors[0], Actor) else actors
    scenes: list[list[Actor]] = [list(world) for world in worlds]  # type: ignore[arg-type]
    count, width = len(scenes), 1 + max(len(scene) for scene in scenes)
    tables = compile_network(two_lane_road(lanes)).tables
    columns = {
        name: np.full((count, width), np.nan)
        for name in ("x", "y", "heading", "speed", "lateral_speed", "acceleration", "yaw_rate", "length", "width")
    }
    present = np.zeros((count, width), np.bool_)
    shape, indicator = np.full((count, width), -1, np.int8), np.zeros((count, width), np.int8)
    lane_of = np.full((count, width), -1, np.int32)
    centre = LANE_M * own_lane
    for row, scene in enumerate(scenes):
        for column, a in enumerate([Actor(0.0, r_m, speed), *scene]):
            if not a.seen:
                continue
            present[row, column] = True
            y = centre + a.right_m
            values = (100.0 + a.ahead_m, y, a.heading, a.speed_mps, a.lateral_mps, a.acceleration, 0.0)
            for name, value in zip(columns, (*values, a.length_m, a.width_m), strict=True):
                columns[name][row, column] = value
            shape[row, column], indicator[row, column] = a.shape, a.indicator
            lane_of[row, column] = min(max(round(y / LANE_M), 0), lanes - 1)
    s = np.arange(-40.0, 300.0)
    points = np.column_stack([100.0 + s, 0 * s + centre, 0 * s, s, 0 * s])
    left, right = LANE_M * (own_lane + 0.5), LANE_M * (lanes - own_lane - 0.5)
    view = WorldView(
        present=present, visible=present, shape=shape, **columns,
        height=np.where(present, 1.5, np.nan), brake_light=columns["acceleration"] < -1.0, indicator=indicator,
        lane=lane_of, world=np.arange(count, dtype=np.int32), map_id=np.zeros(count, np.int32), roads=tables,
    )  # fmt: skip
    ego = np.tile([100.0, centre + r_m, 0.0, speed, 0.0, 0.0, 0.0], (count, 1))
    return ObservationBatch(
        slot=np.array(slots if slots is not None else range(count), np.int64),
        t_obs_us=np.full(count, t_us, np.int64),
        ego=ego,
        route=np.repeat(points[None], count, axis=0),
        route_s=np.zeros(count),
        route_r=np.full(count, r_m),
        lane_left_m=np.full((count, len(s)), left),
        lane_right_m=np.full((count, len(s)), right),
        cruise_speed_mps=np.full(count, cruise),
        speed_limit_mps=np.full(count, np.nan),
        command=np.zeros(count, np.int32),
        ego_size=np.tile([4.6, 1.85], (count, 1)),
        world=view,
        same_left_m=np.full((count, len(s)), left),
        same_right_m=np.full((count, len(s)), right),
    )


def select(batch: ObservationBatch, rows: list[int]) -> ObservationBatch:
    """The same observations in another order or number."""
    picked = {}
    for name, value in vars(batch).items():
        picked[name] = value[rows] if isinstance(value, np.ndarray) else value
    view = {}
    for name, value in vars(batch.world).items():
        view[name] = value[rows] if isinstance(value, np.ndarray) else value
    picked["world"] = WorldView(**view)
    return ObservationBatch(**picked)
