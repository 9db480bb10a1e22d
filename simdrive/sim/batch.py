"""All arrays of a batch of worlds in one place, so that copying, saving and repeating worlds is one loop."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from simdrive.sim.state import Actors, Bool, Extras, Float, Int, RoadTables, Routes, Scratch, Traits, Whole, WorldInfo


class Script(NamedTuple):
    """What scripted actors are told, fixed during an episode; columns in simdrive.sim.play."""

    event_numbers: Float  # [worlds, rows, 5]
    event_codes: Whole  # [worlds, rows, 6]
    path_lane: Whole  # [worlds, actors, entries] lane rows within the map, -1 beyond count
    path_start: Float  # [worlds, actors, entries] path_s at the start of each lane, m
    path_count: Whole  # [worlds, actors] lanes of the path; 0 = free straight path


class Play(NamedTuple):
    """How far the script has come; columns in simdrive.sim.play."""

    event_times: Float  # [worlds, rows, 2]
    nearest: Whole  # [worlds, rows] EGO_TTA: route point nearest to the subject when last looked at
    charge: Whole  # [worlds, actors, channels] event row in charge, -1 = none
    motion: Float  # [worlds, actors, 15]


class Ways(NamedTuple):
    """Where the ego of each world should go and may drive; route rows beyond the count repeat the last one."""

    route: Float  # [worlds, points, 5] x, y, heading, s, curvature; world frame, m, rad, 1/m
    route_count: Whole  # [worlds]
    lane_left_m: Float  # [worlds, points] drivable width left of the route, oncoming lanes included, m
    lane_right_m: Float  # [worlds, points] likewise to the right
    same_left_m: Float  # [worlds, points] the part of it on lanes that lead the same way, m
    same_right_m: Float
    polygons: Whole  # [worlds, 2] first and after-last extra drivable polygon of each world in Shared
    actor_count: Whole  # [worlds] actors in use, the rest is padding
    by_lanes: Bool  # [worlds] somebody drives by lanes (IDM and the like)


class Shared(NamedTuple):
    """What all worlds of a batch share beside the roads."""

    polygon_points: Float  # [points, 2]
    polygon_starts: Int  # [polygons + 1]


class Record(NamedTuple):
    """What a world remembers of its ego; columns in simdrive.sim.play."""

    numbers: Float  # [worlds, 8]
    codes: Whole  # [worlds, 4]


@dataclass
class Batch:
    """The arrays of a batch. The tuples named in ``MUTABLE`` change during an episode."""

    roads: RoadTables
    shared: Shared
    traits: Traits
    routes: Routes
    info: WorldInfo
    script: Script
    ways: Ways
    actors: Actors
    extras: Extras
    scratch: Scratch
    play: Play
    record: Record

    def select(self, rows: npt.NDArray[np.intp]) -> Self:
        """Return independent copies of the worlds ``rows`` (repeats allowed); roads and polygons are shared."""
        parts: dict[str, Any] = {}
        for part in fields(self):
            value: Any = getattr(self, part.name)
            if part.name not in ("roads", "shared"):
                value = type(value)(*(array[rows] for array in value))
            parts[part.name] = value
        return type(self)(**parts)


MUTABLE = ("info", "actors", "extras", "scratch", "play", "record")
