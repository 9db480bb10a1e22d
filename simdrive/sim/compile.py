"""Turn highway-env roads with their vehicles into arrays, or refuse by name what has no exact counterpart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np
from highway_env.road.regulation import RegulatedRoad
from highway_env.road.road import Road
from highway_env.vehicle.behavior import AggressiveVehicle, DefensiveVehicle, IDMVehicle, LinearVehicle
from highway_env.vehicle.controller import ControlledVehicle, MDPVehicle
from highway_env.vehicle.dynamics import BicycleVehicle
from highway_env.vehicle.kinematics import Vehicle
from highway_env.vehicle.objects import Landmark, Obstacle

from simdrive.errors import ParameterError, UnsupportedError
from simdrive.sim.arithmetic import numpy_dot_is_fused
from simdrive.sim.roads import RoadMap, compile_network, join_maps
from simdrive.sim.state import (
    Actors,
    Behaviour,
    Bool,
    Extras,
    Float,
    Int,
    RoadTables,
    Routes,
    Scratch,
    Shape,
    Small,
    Traits,
    WorldInfo,
)

_BEHAVIOURS: dict[type, Behaviour] = {
    Vehicle: Behaviour.KINEMATIC,
    ControlledVehicle: Behaviour.CONTROLLED,
    MDPVehicle: Behaviour.CONTROLLED,
    IDMVehicle: Behaviour.IDM,
    LinearVehicle: Behaviour.LINEAR,
    AggressiveVehicle: Behaviour.LINEAR,
    DefensiveVehicle: Behaviour.LINEAR,
    BicycleVehicle: Behaviour.BICYCLE,
    Obstacle: Behaviour.OBSTACLE,
    Landmark: Behaviour.LANDMARK,
}
_ROADS = (Road, RegulatedRoad)
# Constants that the kernels have built in: a vehicle that carries another value cannot be reproduced.
_GAINS = ("TAU_PURSUIT", "KP_A", "KP_HEADING", "KP_LATERAL", "MAX_STEERING_ANGLE", "DELTA_SPEED")
_TYRES = ("MASS", "LENGTH_A", "LENGTH_B", "INERTIA_Z", "FRICTION_FRONT", "FRICTION_REAR", "MAX_ANGULAR_SPEED")
_IDM_TRAITS = {
    "acc_max": "ACC_MAX",
    "comfort_acc_max": "COMFORT_ACC_MAX",
    "comfort_acc_min": "COMFORT_ACC_MIN",
    "distance_wanted": "DISTANCE_WANTED",
    "time_wanted": "TIME_WANTED",
    "delta": "DELTA",
    "politeness": "POLITENESS",
    "lane_change_min_gain": "LANE_CHANGE_MIN_ACC_GAIN",
    "lane_change_max_braking": "LANE_CHANGE_MAX_BRAKING_IMPOSED",
    "lane_change_delay": "LANE_CHANGE_DELAY",
}
CAR_HEIGHT_M = 1.5


@dataclass(frozen=True)
class StockBatch:
    """Stock roads as arrays: what ``simdrive.sim.stock`` packs into frames."""

    actors: Actors
    traits: Traits
    routes: Routes
    roads: RoadTables
    extras: Extras
    info: WorldInfo
    scratch: Scratch
    maps: tuple[RoadMap, ...]


def blank_actors(worlds: int, actors: int) -> Actors:
    """Return zeroed state arrays in which every actor is absent."""
    return Actors(**{name: np.zeros((worlds, actors), _dtype(Actors, name)) for name in Actors._fields})


def blank_traits(worlds: int, actors: int) -> Traits:
    """Return zeroed trait arrays; lengths, widths and the IDM numbers must be filled for present actors."""
    arrays = {name: np.zeros((worlds, actors), _dtype(Traits, name)) for name in Traits._fields}
    arrays["colour"] = np.zeros((worlds, actors, 3), np.uint8)
    return Traits(**arrays)


def blank_scratch(worlds: int, actors: int, lanes: int) -> Scratch:
    """Return working memory for worlds of up to ``lanes`` lanes; ``locate_worlds`` fills it."""
    return Scratch(
        s=np.full((worlds, actors, lanes), np.nan),
        r=np.full((worlds, actors, lanes), np.nan),
        cos_heading=np.ones((worlds, actors)),
        sin_heading=np.zeros((worlds, actors)),
        members=np.zeros((worlds, lanes, (actors + 63) // 64), np.uint64),
    )


def _dtype(kind: Any, name: str) -> Any:
    hint = get_type_hints(kind)[name]
    return {Float: np.float64, Int: np.int32, Small: np.int8, Bool: np.bool_}.get(hint, np.uint8)


def compile_roads(roads: Sequence[Road]) -> StockBatch:
    """Compile highway-env roads, one world each; vehicles come first in list order, then objects.

    Roads that share a network object, or have equal networks, share a map. A road given several times is compiled
    once and becomes as many equal worlds.

    Raises:
        UnsupportedError: for a road, lane or vehicle class, or a changed constant, that the kernels do not reproduce.
        ParameterError: if no road is given.
    """
    if not roads:
        raise ParameterError("roads is empty; give at least one highway-env Road")
    for road in roads:
        if type(road) not in _ROADS:
            raise UnsupportedError(f"road class {type(road).__qualname__} is not supported; {_known(_ROADS)}")
    distinct = list({id(road): road for road in roads}.values())
    if len(distinct) < len(roads):
        place = {id(road): row for row, road in enumerate(distinct)}
        return _chosen_worlds(compile_roads(distinct), [place[id(road)] for road in roads])
    maps, map_ids = _distinct_maps(roads)
    tables = join_maps(maps, fused_dot=numpy_dot_is_fused())
    crowds = [[*road.vehicles, *road.objects] for road in roads]
    shape = (len(roads), max(1, *(len(crowd) for crowd in crowds)))
    actors, traits = blank_actors(*shape), blank_traits(*shape)
    batch = StockBatch(
        actors=actors,
        traits=traits,
        routes=_routes(roads, crowds, maps, map_ids, tables, shape),
        roads=tables,
        extras=_extras(crowds, shape),
        info=WorldInfo(
            map_id=np.array(map_ids, np.int32),
            connected=np.array([bool(road.neighbour_vehicles_connected_lanes) for road in roads]),
            regulated=np.array([isinstance(road, RegulatedRoad) for road in roads]),
            rule_steps=np.array([getattr(road, "steps", 0) for road in roads], np.int32),
        ),
        scratch=blank_scratch(*shape, int(np.diff(tables.map_lane_start).max())),
        maps=tuple(maps),
    )
    for b, (road, crowd) in enumerate(zip(roads, crowds, strict=True)):
        first = int(tables.map_lane_start[map_ids[b]])
        for i, body in enumerate(crowd):
            _check(body, road, is_object=i >= len(road.vehicles))
            _write_body(batch, b, i, body, maps[map_ids[b]], first)
            traits.is_object[b, i] = i >= len(road.vehicles)
    return batch


def _chosen_worlds(batch: StockBatch, rows: Sequence[int]) -> StockBatch:
    """Return a batch whose world b is a copy of world ``rows[b]``."""
    return StockBatch(
        actors=Actors._make(array[rows] for array in batch.actors),
        traits=Traits._make(array[rows] for array in batch.traits),
        routes=Routes._make(array[rows] for array in batch.routes),
        roads=batch.roads,
        extras=Extras._make(array[rows] for array in batch.extras),
        info=WorldInfo._make(array[rows] for array in batch.info),
        scratch=Scratch._make(array[rows] for array in batch.scratch),
        maps=batch.maps,
    )


def _known(classes: Sequence[type]) -> str:
    return "supported are " + ", ".join(sorted(kind.__name__ for kind in classes))


def _distinct_maps(roads: Sequence[Road]) -> tuple[list[RoadMap], list[int]]:
    maps: list[RoadMap] = []
    number: dict[bytes, int] = {}
    by_network: dict[int, int] = {}
    for road in roads:
        if id(road.network) not in by_network:
            compiled = compile_network(road.network)
            # The key rounds; bit parity needs maps that agree in every bit.
            exact = repr(compiled.lane_index).encode() + b"".join(
                np.ascontiguousarray(column).tobytes() for column in compiled.tables
            )
            if exact not in number:
                number[exact] = len(maps)
                maps.append(compiled)
            by_network[id(road.network)] = number[exact]
    return maps, [by_network[id(road.network)] for road in roads]


def _check(body: Any, road: Road, is_object: bool) -> None:
    """Refuse what the kernels would not reproduce exactly."""
    kind = type(body)
    if kind not in _BEHAVIOURS:
        known = _known(tuple(_BEHAVIOURS))
        raise UnsupportedError(f"{kind.__qualname__} on the road is not supported; {known}")
    if is_object != (kind in (Obstacle, Landmark)):
        here, there = ("objects", "vehicles") if is_object else ("vehicles", "objects")
        raise UnsupportedError(f"{kind.__qualname__} in Road.{here} is not supported: it belongs in Road.{there}")
    reference: type | None = None
    names: tuple[str, ...] = ()
    if isinstance(body, ControlledVehicle):
        reference, names = ControlledVehicle, _GAINS
    elif isinstance(body, BicycleVehicle):
        reference, names = BicycleVehicle, _TYRES
    for name in names:
        if getattr(body, name) != getattr(reference, name):
            built_in = getattr(reference, name)
            raise UnsupportedError(f"{name} of {kind.__qualname__} is {getattr(body, name)}, built in is {built_in}")
    if isinstance(body, LinearVehicle) and len(body.ACCELERATION_PARAMETERS) != 3:
        raise UnsupportedError(f"ACCELERATION_PARAMETERS needs 3 entries, got {body.ACCELERATION_PARAMETERS}")
    if body.lane is not road.network.get_lane(body.lane_index):
        raise UnsupportedError(f"lane of {body} is not the lane of its lane_index {body.lane_index}; keep them equal")


def _write_body(batch: StockBatch, b: int, i: int, body: Any, road_map: RoadMap, first: int) -> None:
    """Copy one vehicle or object into its slot; every number is read from the instance."""
    actors, traits = batch.actors, batch.traits
    actors.present[b, i] = True
    actors.x[b, i], actors.y[b, i] = body.position
    actors.heading[b, i], actors.speed[b, i] = body.heading, body.speed
    actors.lane[b, i] = actors.target_lane[b, i] = first + road_map.row(body.lane_index)
    actors.crashed[b, i], actors.hit[b, i] = body.crashed, body.hit
    traits.behaviour[b, i] = _BEHAVIOURS[type(body)]
    traits.shape[b, i] = Shape.CAR if isinstance(body, Vehicle) else Shape.DEBRIS
    traits.length[b, i], traits.width[b, i], traits.height[b, i] = body.LENGTH, body.WIDTH, CAR_HEIGHT_M
    traits.diagonal[b, i] = body.diagonal
    traits.solid[b, i], traits.collidable[b, i] = body.solid, body.collidable
    traits.check_collisions[b, i] = body.check_collisions
    traits.colour[b, i] = (150, 150, 155)
    if isinstance(body, Vehicle):
        actors.steering[b, i] = body.action["steering"]
        actors.acceleration[b, i] = body.action["acceleration"]
        traits.max_speed[b, i], traits.min_speed[b, i] = body.MAX_SPEED, body.MIN_SPEED
        if body.impact is not None:
            actors.has_impact[b, i] = True
            actors.impact_x[b, i], actors.impact_y[b, i] = body.impact
    if isinstance(body, BicycleVehicle):
        actors.lateral_speed[b, i], actors.yaw_rate[b, i] = body.lateral_speed, body.yaw_rate
    if isinstance(body, ControlledVehicle):
        actors.target_lane[b, i] = first + road_map.row(body.target_lane_index)
        actors.target_speed[b, i] = body.target_speed
        actors.speed_index[b, i] = getattr(body, "speed_index", 0)
    if isinstance(body, IDMVehicle):
        actors.timer[b, i] = body.timer
        traits.enable_lane_change[b, i] = body.enable_lane_change
        for field, name in _IDM_TRAITS.items():
            getattr(traits, field)[b, i] = getattr(body, name)


def _extras(crowds: Sequence[Sequence[Any]], shape: tuple[int, int]) -> Extras:
    speeds = [getattr(body, "target_speeds", ()) for crowd in crowds for body in crowd]
    extras = Extras(
        linear=np.zeros((*shape, 5)),
        target_speeds=np.zeros((*shape, max(1, *(len(row) for row in speeds), 1))),
        target_speed_count=np.zeros(shape, np.int32),
        yielding=np.zeros(shape, np.bool_),
        yield_timer=np.zeros(shape, np.int32),
        steering_held=np.zeros(shape, np.bool_),
    )
    for b, crowd in enumerate(crowds):
        for i, body in enumerate(crowd):
            allowed = getattr(body, "target_speeds", ())
            extras.target_speeds[b, i, : len(allowed)] = allowed
            extras.target_speed_count[b, i] = len(allowed)
            extras.yielding[b, i] = getattr(body, "is_yielding", False)
            extras.yield_timer[b, i] = getattr(body, "yield_timer", 0)
            extras.steering_held[b, i] = getattr(body, "prediction_type", "") == "constant_steering"
            if isinstance(body, LinearVehicle):
                extras.linear[b, i] = _linear_parameters(body)
    return extras


def _linear_parameters(body: LinearVehicle) -> list[float]:
    """Return the five gains of a linear driver; the kernels hold three for the acceleration, two for the steering."""
    for name, count in (("ACCELERATION_PARAMETERS", 3), ("STEERING_PARAMETERS", 2)):
        found = np.shape(getattr(body, name))
        if found != (count,):
            raise UnsupportedError(
                f"{type(body).__qualname__}.{name} must hold {count} numbers, got an array of shape {found}"
            )
    return [*body.ACCELERATION_PARAMETERS, *body.STEERING_PARAMETERS]


def _routes(
    roads: Sequence[Road],
    crowds: Sequence[Sequence[Any]],
    maps: Sequence[RoadMap],
    map_ids: Sequence[int],
    tables: RoadTables,
    shape: tuple[int, int],
) -> Routes:
    """Write routes; vehicles that share one list object share its entries and head."""
    lists = [[getattr(body, "route", None) or [] for body in crowd] for crowd in crowds]
    longest = max(1, *(len(route) for row in lists for route in row), 1)
    routes = Routes(
        road=np.full((*shape, longest), -1, np.int32),
        lane_id=np.full((*shape, longest), -1, np.int32),
        entries=np.zeros(shape, np.int32),
        owner=np.tile(np.arange(shape[1], dtype=np.int32), (shape[0], 1)),
    )
    for b, row in enumerate(lists):
        first_road = int(tables.map_road_start[map_ids[b]])
        owners: dict[int, int] = {}
        for i, route in enumerate(row):
            if route:
                routes.owner[b, i] = owners.setdefault(id(route), i)
            routes.entries[b, i] = len(route)
            for entry, (start, end, lane_id) in enumerate(route):
                routes.road[b, i, entry] = first_road + maps[map_ids[b]].road(start, end)
                routes.lane_id[b, i, entry] = -1 if lane_id is None else lane_id
    return routes
