"""All arrays of a batch of worlds in one place, so that copying, saving and repeating worlds is one loop."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from simdrive.sim.state import Actors, Bool, Float, Int, RoadTables, Traits, Whole, Words


class Frame(NamedTuple):
    """What the kernels of simdrive.sim.kernel work on; ``Actors`` is a copy of it that others read."""

    numbers: Float  # [worlds, actors, NUMBERS] columns in simdrive.sim.kernel_frame
    whole: Whole  # [worlds, actors, WHOLE_NUMBERS]
    s: Float  # [worlds, actors, lanes] see simdrive.sim.state.Scratch
    r: Float
    members: Words  # [worlds, lanes, words]


class Setting(NamedTuple):
    """Where each world plays and what its actors are."""

    map_id: Int  # [worlds]
    connected: Bool  # [worlds] neighbours are also sought on the next and previous lanes
    route_road: Int  # [worlds, actors, entries] planned roads, see simdrive.sim.state.Routes
    route_lane: Int
    shape: npt.NDArray[np.int8]  # [worlds, actors]
    reactive: Bool  # [worlds, actors]


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
    """Where the ego of each world should go; route rows beyond the count repeat the last one."""

    route: Float  # [worlds, points, 5] x, y, heading, s, curvature; world frame, m, rad, 1/m
    route_count: Whole  # [worlds]
    polygons: Whole  # [worlds, 2] first and after-last extra drivable polygon of each world in Shared
    actor_count: Whole  # [worlds] actors in use, the rest is padding
    by_lanes: Bool  # [worlds] somebody drives by lanes (IDM and the like)


class Widths(NamedTuple):
    """Road beside the ego route, ``[worlds, points]``, m."""

    left: Float  # drivable, oncoming lanes included
    right: Float
    same_left: Float  # the part of it on lanes that lead the same way
    same_right: Float


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
    setting: Setting
    script: Script
    ways: Ways
    widths: Widths
    actors: Actors
    frame: Frame
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


MUTABLE = ("actors", "frame", "play", "record")
