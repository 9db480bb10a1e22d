"""All arrays of a batch of worlds in one place, so that copying, saving and repeating worlds is one loop."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from simdrive.sim.spec import EventState, EventTables, PathState, PathTables
from simdrive.sim.state import Actors, Extras, Float, Int, RoadTables, Routes, Scratch, Traits, WorldInfo

Long = npt.NDArray[np.int64]


class Ways(NamedTuple):
    """Where the ego of each world should go and may drive; rows beyond the count repeat the last one."""

    route: Float  # [worlds, points, 5] x, y, heading, s, curvature; world frame, m, rad, 1/m
    route_count: Int  # [worlds]
    lane_left_m: Float  # [worlds, points] drivable width left of the route, oncoming lanes included, m
    lane_right_m: Float  # [worlds, points] likewise to the right
    same_left_m: Float  # [worlds, points] the part of it on lanes that lead the same way, m
    same_right_m: Float
    polygon_begin: Int  # [worlds] extra drivable polygons of each world in Shared
    polygon_end: Int
    actor_count: Int  # [worlds] actors in use, the rest is padding
    locate_each_tick: npt.NDArray[np.bool_]  # [worlds] somebody drives by lanes (IDM and the like)


class Shared(NamedTuple):
    """What all worlds of a batch share."""

    polygon_points: Float  # [points, 2]
    polygon_starts: Int  # [polygons + 1]


class Record(NamedTuple):
    """What a world remembers of its ego, ``[worlds]``."""

    tick: Long
    control: Float  # [worlds, 2] acceleration (m/s2) and steering (rad) applied in the last tick
    route_s: Float  # m along the route
    route_r: Float  # m to the right of it
    route_index: Int  # nearest route point
    outside_m: Float  # largest distance of an ego corner outside the drivable area
    contact_tick: Long  # tick at whose state the ego first touched anything, -1 = not yet
    contact_actor: Int  # -1 = none
    contact_ego_speed: Float  # m/s
    contact_actor_speed: Float
    contact_impact_speed: Float  # magnitude of the relative velocity, m/s


@dataclass
class Batch:
    """The arrays of a batch. The tuples named in ``MUTABLE`` change during an episode."""

    roads: RoadTables
    shared: Shared
    traits: Traits
    routes: Routes
    info: WorldInfo
    tables: EventTables
    paths: PathTables
    ways: Ways
    actors: Actors
    extras: Extras
    scratch: Scratch
    events: EventState
    path: PathState
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


MUTABLE = ("info", "actors", "extras", "scratch", "events", "path", "record")
