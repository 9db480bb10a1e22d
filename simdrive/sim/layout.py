"""Puts the actors of a spec in their places: poses, driver parameters, scripted paths, planned roads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simdrive.sim.lanes import table_closest, table_heading, table_position
from simdrive.sim.play import (
    FREE_HEADING,
    FREE_X,
    FREE_Y,
    GAP_LIMIT,
    MOTION_NUMBERS,
    OFFSET,
    PATH_LANE,
    PATH_R,
    PATH_S,
    PATH_SPEED,
    TURN_GOAL,
)
from simdrive.sim.scripted import lane_pose
from simdrive.sim.spec import ActorSpec, LaneIndex, WorldSpec
from simdrive.sim.state import VEHICLES, Actors, Behaviour, Float, RoadTables, Routes, Shape, Traits, Whole

OBJECTS = (Shape.PEDESTRIAN, Shape.CYCLIST, Shape.DEBRIS, Shape.CONE, Shape.BARRIER, Shape.BUILDING)
_BOOL = np.bool_
_KINDS: dict[str, npt.DTypeLike] = {  # columns of Actors and Traits that are not float64
    **dict.fromkeys(("has_impact", "crashed", "hit", "present", "brake_light"), _BOOL),
    **dict.fromkeys(("is_object", "solid", "collidable", "check_collisions"), _BOOL),
    **dict.fromkeys(("enable_lane_change", "reactive"), _BOOL),
    **dict.fromkeys(("lane", "target_lane", "route_head", "speed_index", "path_lane"), np.int32),
    **dict.fromkeys(("indicator", "behaviour", "shape"), np.int8),
}


@dataclass(frozen=True)
class Places:
    """The arrays that describe who stands where and who goes where."""

    actors: Actors
    traits: Traits
    routes: Routes
    path_lane: Whole  # [worlds, actors, entries] rows within the map; see simdrive.sim.batch.Script
    path_start: Float
    path_count: Whole
    motion: Float  # [worlds, actors, 15] columns in simdrive.sim.play


def empty_places(specs: Sequence[WorldSpec]) -> Places:
    """Return arrays large enough for every actor of a batch; unused actors are absent."""
    size, width = len(specs), 1 + max(len(spec.actors) for spec in specs)
    entries = 1 + max(len(actor.route) for spec in specs for actor in (spec.ego, *spec.actors))
    lists = (size, width, entries)
    traits = {name: np.zeros((size, width), _KINDS.get(name, np.float64)) for name in Traits._fields}
    traits["colour"] = np.zeros((size, width, 3), np.uint8)
    traits["behaviour"] += np.int8(Behaviour.SCRIPTED)
    for name in ("length", "width", "comfort_acc_max"):  # padding must not divide by zero
        traits[name] += 1.0
    traits["comfort_acc_min"] -= 1.0
    motion = np.zeros((size, width, MOTION_NUMBERS))
    motion[..., TURN_GOAL], motion[..., PATH_LANE], motion[..., GAP_LIMIT] = math.nan, -1.0, math.inf
    return Places(
        actors=Actors(*(np.zeros((size, width), _KINDS.get(name, np.float64)) for name in Actors._fields)),
        traits=Traits(**traits),
        routes=Routes(
            road=np.full(lists, -1, np.int32),
            lane_id=np.full(lists, -1, np.int32),
            entries=np.zeros((size, width), np.int32),
            owner=np.tile(np.arange(width, dtype=np.int32), (size, 1)),
        ),
        path_lane=np.full(lists, -1, np.int64),
        path_start=np.zeros(lists),
        path_count=np.zeros((size, width), np.int64),
        motion=motion,
    )


def place_world(places: Places, roads: RoadTables, first_lane: int, last_lane: int, spec: WorldSpec, w: int) -> None:
    """Write all actors of one checked world.

    Args:
        places: arrays of the batch.
        roads: lane tables of the batch; rows [first_lane, last_lane) are the world's map.
        spec: the world.
        w: its row in the batch.
    """
    places.actors.lane[w], places.actors.target_lane[w] = first_lane, first_lane  # padding needs a lane of the map
    for v, actor in enumerate((spec.ego, *spec.actors)):
        _write_traits(places.traits, w, v, spec, actor)
        _write_paths(places, roads, first_lane, spec, actor, w, v)
        _write_state(places, roads, first_lane, last_lane, spec, actor, w, v)


def _behaviour(actor: ActorSpec, v: int) -> Behaviour:
    if v == 0:
        return Behaviour.KINEMATIC
    # Walls stay where they are whatever drives into them.
    return Behaviour.OBSTACLE if actor.shape == Shape.BUILDING else actor.behaviour


def _write_traits(traits: Traits, w: int, v: int, spec: WorldSpec, actor: ActorSpec) -> None:
    longest = max(other.length_m for other in (spec.ego, *spec.actors) if other.shape in VEHICLES)
    values = {
        "behaviour": _behaviour(actor, v),
        "shape": actor.shape,
        "is_object": actor.shape in OBJECTS or actor.behaviour == Behaviour.OBSTACLE,
        "solid": True,
        "collidable": v > 0,  # nobody is pushed by the ego: its contacts are found exactly (simdrive.sim.contacts)
        "check_collisions": True,
        "length": actor.length_m,
        "width": actor.width_m,
        "height": actor.height_m,
        "diagonal": math.hypot(actor.length_m, actor.width_m),
        "max_speed": 60.0,
        "min_speed": -40.0,
        "colour": actor.colour,
        # IDMVehicle's own values; its gaps are centre to centre, so the longest vehicle decides.
        "acc_max": 6.0,
        "comfort_acc_max": 3.0,
        "comfort_acc_min": -5.0,
        "distance_wanted": actor.jam_gap_m + 0.5 * (actor.length_m + longest),
        "time_wanted": actor.time_wanted_s,
        "delta": 4.0,
        "politeness": 0.0,
        "lane_change_min_gain": 0.2,
        "lane_change_max_braking": 2.0,
        "lane_change_delay": 1.0,
        "enable_lane_change": actor.lane_changes,
        "path_x0": actor.x_m,
        "path_y0": actor.y_m,
        "path_heading": actor.heading_rad,
        "reactive": actor.reactive,
    }
    for name, value in values.items():
        getattr(traits, name)[w, v] = value
    if actor.reactive:  # reactive actors measure bumper to bumper
        traits.distance_wanted[w, v] = actor.jam_gap_m + actor.length_m


def _write_paths(
    places: Places, roads: RoadTables, first_lane: int, spec: WorldSpec, actor: ActorSpec, w: int, v: int
) -> None:
    """Fill the scripted path of an actor, or the planned roads of one that drives itself."""
    lanes: tuple[LaneIndex, ...] = () if actor.lane is None else (actor.lane, *actor.route)
    rows = np.array([spec.road.row(lane) for lane in lanes], np.int64)
    count = len(rows)
    if places.traits.behaviour[w, v] != Behaviour.SCRIPTED:
        if v > 0 and actor.route:
            places.routes.entries[w, v] = count
            places.routes.road[w, v, :count] = roads.lane_road[first_lane + rows]
            places.routes.lane_id[w, v, :count] = spec.road.tables.lane_id[rows]
        return
    places.path_count[w, v] = count
    places.path_lane[w, v, :count] = rows
    lengths = np.concatenate([[0.0], np.cumsum(roads.lane_length[first_lane + rows])])
    places.path_start[w, v, :count] = lengths[:count]


def _write_state(
    places: Places, roads: RoadTables, first_lane: int, last_lane: int, spec: WorldSpec, actor: ActorSpec,
    w: int, v: int,
) -> None:  # fmt: skip
    actors, motion = places.actors, places.motion[w, v]
    scripted = places.traits.behaviour[w, v] == Behaviour.SCRIPTED
    target = -1
    if actor.lane is None:
        x, y, heading = float(actor.x_m), float(actor.y_m), float(actor.heading_rad)
        motion[FREE_X], motion[FREE_Y], motion[FREE_HEADING] = x, y, heading
    else:
        target = first_lane + spec.road.row(actor.lane)
        tables, s, r = (roads.lane_geometry, roads.points), float(actor.s_m), float(actor.r_m)
        if scripted:
            x, y, heading = lane_pose(*tables, target, s, r)
            motion[PATH_LANE] = target - first_lane
        else:
            x, y = table_position(*tables, target, s, r)
            heading = table_heading(*tables, target, s)
        motion[PATH_S], motion[PATH_R], motion[OFFSET] = s, r, actor.heading_rad
        heading += actor.heading_rad
    motion[PATH_SPEED] = actor.speed_mps
    closest = table_closest(roads.lane_geometry, roads.points, roads.fused_dot[0], first_lane, last_lane, x, y, heading)
    actors.x[w, v], actors.y[w, v], actors.heading[w, v] = x, y, heading
    actors.speed[w, v] = actor.speed_mps
    actors.target_speed[w, v] = actor.speed_mps if actor.target_speed_mps is None else actor.target_speed_mps
    actors.timer[w, v] = ((x + y) * math.pi) % 1.0  # as IDMVehicle draws it from its position
    actors.present[w, v] = actor.present
    actors.lane[w, v] = closest
    actors.target_lane[w, v] = closest if target < 0 else target
    actors.indicator[w, v] = actor.indicator
    actors.path_s[w, v], actors.path_r[w, v] = motion[PATH_S], motion[PATH_R]
    actors.path_lane[w, v] = target if scripted else -1
