"""Worlds put together by hand for camera tests: a straight road and actors with poses of one's own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from highway_env.road.road import RoadNetwork

from simdrive.sim.camera import SceneState
from simdrive.sim.lighting import light_row
from simdrive.sim.roads import compile_network
from simdrive.sim.scene import Scene, build_scene, tunnel_walls
from simdrive.sim.spec import Lighting
from simdrive.sim.state import Shape

SIZES = {
    Shape.CAR: (4.6, 1.85, 1.5),
    Shape.VAN: (5.2, 2.0, 2.2),
    Shape.TRUCK: (11.0, 2.5, 3.4),
    Shape.BUS: (12.0, 2.55, 3.2),
    Shape.MOTORCYCLE: (2.1, 0.8, 1.5),
    Shape.PEDESTRIAN: (0.5, 0.5, 1.75),
    Shape.CYCLIST: (1.8, 0.6, 1.75),
    Shape.DEBRIS: (1.0, 0.9, 0.5),
    Shape.CONE: (0.4, 0.4, 0.75),
    Shape.BARRIER: (2.0, 0.5, 1.0),
    Shape.BUILDING: (14.0, 10.0, 9.0),
    Shape.EMERGENCY: (4.8, 1.9, 1.7),
}


@dataclass(frozen=True)
class Prop:
    """One actor."""

    x: float
    y: float
    shape: Shape = Shape.CAR
    heading: float = 0.0
    size: tuple[float, float, float] | None = None
    colour: tuple[int, int, int] = (200, 40, 160)
    brake: bool = False
    indicator: int = 0
    present: bool = True


@dataclass(frozen=True)
class World:
    """One world: the ego's pose, its props, light."""

    props: tuple[Prop, ...] = ()
    ego: tuple[float, float, float] = (0.0, 0.0, 0.0)
    light: Lighting = field(default_factory=Lighting)
    t_us: int = 0
    ego_lane: int = -1


def straight_scene(lanes: int = 3, length_m: float = 600.0) -> Scene:
    """A straight road along +x, lane 0 centred on y = 0."""
    return build_scene(compile_network(RoadNetwork.straight_road_network(lanes, length=length_m)))


def state_of(worlds: list[World], scene: Scene | None = None) -> SceneState:
    """Return what cameras see of hand-made worlds; all stand on scene 0."""
    count, actors = len(worlds), 1 + max(len(world.props) for world in worlds)
    numbers = {name: np.zeros((count, actors)) for name in ("x", "y", "heading")}
    sizes = np.ones((count, actors, 3))
    present, brake = np.zeros((count, actors), np.bool_), np.zeros((count, actors), np.bool_)
    shape, indicator = np.zeros((count, actors), np.int8), np.zeros((count, actors), np.int8)
    colour = np.zeros((count, actors, 3), np.uint8)
    for row, world in enumerate(worlds):
        for column, prop in enumerate((Prop(world.ego[0], world.ego[1], heading=world.ego[2]), *world.props)):
            numbers["x"][row, column], numbers["y"][row, column] = prop.x, prop.y
            numbers["heading"][row, column] = prop.heading
            sizes[row, column] = prop.size or SIZES[prop.shape]
            present[row, column], brake[row, column] = prop.present, prop.brake
            shape[row, column], indicator[row, column] = prop.shape, prop.indicator
            colour[row, column] = prop.colour
    none = (math.nan, math.nan)
    walls = [none if scene is None else tunnel_walls(scene, world.light) for world in worlds]
    return SceneState(
        scene=np.zeros(count, np.int32),
        t_us=np.array([world.t_us for world in worlds], np.int64),
        light=np.stack([light_row(world.light, wall) for world, wall in zip(worlds, walls, strict=True)]),
        ego_lane=np.array([world.ego_lane for world in worlds], np.int32),
        present=present,
        shape=shape,
        length=sizes[:, :, 0],
        width=sizes[:, :, 1],
        height=sizes[:, :, 2],
        colour=colour,
        brake_light=brake,
        indicator=indicator,
        **numbers,
    )
