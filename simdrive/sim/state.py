"""The state of a batch of worlds as plain arrays: what the compiled kernels read and write.

All arrays are ``[worlds, actors]`` unless stated. Actor 0 of a scenario world is the ego. Angles are radians
and never wrapped; positions are metres in the world frame (x forward at heading 0, y to the **right** of the
driver as drawn by highway-env: heading grows from +x towards +y, and lateral offsets grow in the same sense).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int32]
Whole = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Small = npt.NDArray[np.int8]
Bool = npt.NDArray[np.bool_]


class Behaviour(IntEnum):
    """Which rule moves an actor; the first group follows highway-env exactly."""

    KINEMATIC = 0  # highway-env Vehicle: steering and acceleration are set from outside (the ego)
    CONTROLLED = 1  # ControlledVehicle / MDPVehicle: target lane and target speed
    IDM = 2  # IDMVehicle: IDM along the lane, MOBIL across lanes
    OBSTACLE = 3  # Obstacle: static and solid
    LANDMARK = 4  # Landmark: static, not solid, invisible to neighbours
    LINEAR = 5  # LinearVehicle and its aggressive / defensive variants
    BICYCLE = 6  # BicycleVehicle: dynamic bicycle model
    SCRIPTED = 7  # simdrive: moves along a path in its own frame, ruled by the event table


class Shape(IntEnum):
    """What an actor is: decides how it is drawn, and which class a contact belongs to."""

    CAR = 0
    VAN = 1
    TRUCK = 2
    BUS = 3
    MOTORCYCLE = 4
    PEDESTRIAN = 5
    CYCLIST = 6
    DEBRIS = 7
    CONE = 8
    BARRIER = 9
    BUILDING = 10  # opaque block or wall: occludes, can be hit
    EMERGENCY = 11


VULNERABLE = (Shape.PEDESTRIAN, Shape.CYCLIST)
VEHICLES = (Shape.CAR, Shape.VAN, Shape.TRUCK, Shape.BUS, Shape.MOTORCYCLE, Shape.EMERGENCY)


class Actors(NamedTuple):
    """What changes during an episode; a copy of these arrays is a snapshot."""

    x: Float
    y: Float
    heading: Float
    speed: Float  # along the heading, m/s, may be negative
    steering: Float  # the current action: front wheel angle, rad
    acceleration: Float  # the current action, m/s2
    target_speed: Float
    timer: Float  # IDM: time since the last lane-change decision, s
    impact_x: Float  # pending displacement of a collision, applied in the next step, m
    impact_y: Float
    has_impact: Bool
    crashed: Bool
    hit: Bool
    present: Bool  # absent actors neither move, nor collide, nor are seen
    lane: Int  # row of the closest lane in RoadTables
    target_lane: Int
    route_head: Int  # index of the next route entry
    speed_index: Int  # CONTROLLED with discrete target speeds
    brake_light: Bool
    indicator: Small  # -1 left (towards -r), +1 right (towards +r), 2 both, 0 off
    lateral_speed: Float  # BICYCLE
    yaw_rate: Float  # BICYCLE
    path_s: Float  # SCRIPTED: distance along its path, m
    path_r: Float  # SCRIPTED: lateral offset from its path, m
    path_lane: Int  # SCRIPTED: lane row followed, -1 = straight line from the path origin


class Traits(NamedTuple):
    """What stays fixed during an episode: sizes, limits and driver parameters per actor."""

    behaviour: Small
    shape: Small
    is_object: Bool  # listed under Road.objects (scanned after the vehicles), not Road.vehicles
    solid: Bool
    collidable: Bool
    check_collisions: Bool
    length: Float
    width: Float
    height: Float
    diagonal: Float
    max_speed: Float
    min_speed: Float
    colour: npt.NDArray[np.uint8]  # [worlds, actors, 3]
    # IDM and MOBIL, read from the instance (a class may have been rewritten by an environment)
    acc_max: Float
    comfort_acc_max: Float
    comfort_acc_min: Float
    distance_wanted: Float
    time_wanted: Float
    delta: Float
    politeness: Float
    lane_change_min_gain: Float
    lane_change_max_braking: Float
    lane_change_delay: Float
    enable_lane_change: Bool
    # SCRIPTED
    path_x0: Float  # origin and heading of a straight path (path_lane == -1)
    path_y0: Float
    path_heading: Float
    reactive: Bool  # brakes for whoever is ahead on its lane (IDM); else it only obeys its events


class RoadTables(NamedTuple):
    """The lanes of all maps of a batch, concatenated; lanes of a road, and roads of a map, are contiguous."""

    lane_kind: Small  # [L] 0 straight, 1 sine, 2 circular, 3 poly
    lane_map: Int  # [L] map id
    lane_road: Int  # [L] road row
    lane_id: Int  # [L] index within its road, 0 = leftmost in highway-env's order
    lane_geometry: Float  # [L, 27], columns: see simdrive.sim.lanes
    lane_length: Float  # [L]
    lane_width: Float  # [L]
    lane_speed_limit: Float  # [L], NaN = none
    lane_forbidden: Bool  # [L]
    lane_priority: Int  # [L]
    lane_lines: Small  # [L, 2] line type of the left (-r) and right (+r) border, highway-env LineType
    lane_point_start: Int  # [L + 1] rows of the point table (poly lanes)
    points: Float  # [P, 8]
    road_lane_start: Int  # [R + 1]
    road_from: Int  # [R] node id
    road_to: Int  # [R]
    road_next_start: Int  # [R + 1] roads that start where this one ends, in dict order
    road_next: Int
    map_lane_start: Int  # [M + 1]
    map_road_start: Int  # [M + 1]
    road_prev_start: Int  # [R + 1] roads that end where this one starts, in dict order
    road_prev: Int
    lane_link: Int  # where neighbours of a lane are sought: itself, next lanes, -1 - previous ones; within the map
    road_codes: Int  # [R, 6] columns: see simdrive.sim.kernel_routes
    fused_dot: Bool  # [1] whether dot products round once (fused multiply-add); see simdrive.sim.arithmetic


class Routes(NamedTuple):
    """Planned roads per actor; ``Actors.route_head`` points at the next entry instead of popping it."""

    road: Int  # [worlds, actors, entries] road row, -1 beyond count
    lane_id: Int  # [worlds, actors, entries] lane within the road, -1 = any
    entries: Int  # [worlds, actors] number of entries
    owner: Int  # [worlds, actors] actor whose list and head count (lists can be shared); normally itself


class Extras(NamedTuple):
    """Parameters of the rarer driver models."""

    linear: Float  # [worlds, actors, 5] LINEAR: three acceleration and two steering gains
    target_speeds: Float  # [worlds, actors, K] CONTROLLED: allowed target speeds, m/s, ascending
    target_speed_count: Int  # [worlds, actors] 0 = continuous target speed
    yielding: Bool  # [worlds, actors] regulated roads: stopped by a priority rule
    yield_timer: Int  # [worlds, actors] rule passes since the actor began to yield
    steering_held: Bool  # [worlds, actors] KINEMATIC: predicted with its present steering, else straight


class WorldInfo(NamedTuple):
    """Per-world settings, ``[worlds]``."""

    map_id: Int  # map in RoadTables
    connected: Bool  # neighbours are also sought on the next and previous lanes
    regulated: Bool  # priority rules of highway-env's RegulatedRoad
    rule_steps: Int  # regulated roads: steps taken so far


class Scratch(NamedTuple):
    """Working memory that carries exact lane coordinates from the end of one step to the next ``act``."""

    s: Float  # [worlds, actors, lanes] along every lane of the world's map, m; NaN = not needed yet
    r: Float  # [worlds, actors, lanes] lateral coordinate, m
    cos_heading: Float  # [worlds, actors]
    sin_heading: Float  # [worlds, actors]
    members: Words  # [worlds, lanes, words] a bit per actor that neighbours find on the lane


def snapshot(actors: Actors) -> Actors:
    """Return an independent copy of the mutable state."""
    return Actors._make(array.copy() for array in actors)


def restore(actors: Actors, saved: Actors) -> None:
    """Write a snapshot back into ``actors`` in place.

    Raises:
        ValueError: if the shapes differ.
    """
    for name in Actors._fields:
        array, old = getattr(actors, name), getattr(saved, name)
        if array.shape != old.shape:
            raise ValueError(f"snapshot of {name} has shape {old.shape}, the worlds have {array.shape}")
        array[...] = old
