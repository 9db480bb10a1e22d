"""Writes down every world on its frame clock: what observations are made of, and what an episode log keeps.

Observations are built from these rows and not from the running worlds, so that a request which starts late on
an older frame sees that frame, and pictures of earlier frames can be drawn when they are wanted.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simdrive.eval.junctions import junction_lanes
from simdrive.jit import jit
from simdrive.sim.lanes import VEHICLE_LENGTH_M, lane_heading, lane_local, lane_width
from simdrive.sim.state import Actors, Bool, Float, Int, RoadTables, Small, Traits
from simdrive.sim.visibility import line_of_sight
from simdrive.sim.worlds import Worlds
from simdrive.types import FRAME_PERIOD_US, Long


class Rows(NamedTuple):
    """Recorded frames of a batch, ``[B, T, V]`` or, of the ego, ``[B, T]``; lane rows point into the batch's
    roads."""

    present: Bool
    x: Float
    y: Float
    heading: Float
    speed: Float
    lateral_speed: Float
    acceleration: Float
    yaw_rate: Float
    visible: Bool
    brake_light: Bool
    indicator: Small
    lane: Int
    lane_s: Float
    lane_r: Float
    t_us: Long  # [B, T] from here on
    steering: Float
    lane_heading: Float
    lane_width: Float
    in_junction: Bool
    on_several_lanes: Bool
    off_road_m: Float
    route_s: Float
    route_r: Float
    speed_limit_mps: Float
    driven_m: Float  # length of the path since the start
    plan_age_us: Long
    plan_request: Int
    aeb_active: Bool


_PER_ACTOR = Rows._fields.index("t_us")
_KINDS: dict[str, type] = {
    "present": np.bool_, "visible": np.bool_, "brake_light": np.bool_, "indicator": np.int8, "lane": np.int32,
    "t_us": np.int64, "in_junction": np.bool_, "on_several_lanes": np.bool_, "plan_age_us": np.int64,
    "plan_request": np.int32, "aeb_active": np.bool_,
}  # fmt: skip


def _empty_rows(worlds: int, frames: int, actors: int) -> Rows:
    full, ego = (worlds, frames, actors), (worlds, frames)
    columns: list[npt.NDArray[Any]] = [
        np.empty(full if number < _PER_ACTOR else ego, _KINDS.get(name, np.float64))
        for number, name in enumerate(Rows._fields)
    ]
    return Rows(*columns)


@jit
def _holds_corner(roads: RoadTables, lane: int, x: float, y: float) -> bool:
    s, r = lane_local(roads, lane, x, y)
    inside = -VEHICLE_LENGTH_M <= s < roads.lane_length[lane] + VEHICLE_LENGTH_M
    return inside and abs(r) <= 0.5 * lane_width(roads, lane, s)


@jit
def _on_several_lanes(
    roads: RoadTables, first: int, last: int, x: float, y: float, heading: float, length: float, width: float
) -> bool:
    """Tell whether corners of a box lie on different lanes and no lane holds all four."""
    cos, sin = math.cos(heading), math.sin(heading)
    touched = 0
    for lane in range(first, last):
        held = 0
        for corner in range(4):
            along = 0.5 * length if corner < 2 else -0.5 * length
            across = 0.5 * width if corner % 2 == 0 else -0.5 * width
            held += _holds_corner(roads, lane, x + along * cos - across * sin, y + along * sin + across * cos)
        if held == 4:
            return False
        touched += held > 0
    return touched > 1


@jit
def _record(
    worlds: Long,
    frames: Long,
    now_us: int,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    map_id: Int,
    junction: Bool,
    sight: Bool,
    outside_m: Float,
    route_s: Float,
    route_r: Float,
    driven_m: Float,
    rows: Rows,
) -> None:
    """Write row ``frames[i]`` of world ``worlds[i]``."""
    for i in range(len(worlds)):
        w, k = worlds[i], frames[i]
        for v in range(actors.x.shape[1]):
            rows.present[w, k, v] = actors.present[w, v]
            rows.x[w, k, v], rows.y[w, k, v] = actors.x[w, v], actors.y[w, v]
            rows.heading[w, k, v], rows.speed[w, k, v] = actors.heading[w, v], actors.speed[w, v]
            rows.lateral_speed[w, k, v] = actors.lateral_speed[w, v]
            rows.acceleration[w, k, v] = actors.acceleration[w, v]
            rows.yaw_rate[w, k, v] = actors.yaw_rate[w, v]
            rows.visible[w, k, v] = sight[i, v]
            rows.brake_light[w, k, v] = actors.brake_light[w, v]
            rows.indicator[w, k, v] = actors.indicator[w, v]
            lane = actors.lane[w, v]
            s, r = math.nan, math.nan
            if lane >= 0:
                s, r = lane_local(roads, lane, actors.x[w, v], actors.y[w, v])
            rows.lane[w, k, v], rows.lane_s[w, k, v], rows.lane_r[w, k, v] = lane, s, r
        lane, s, r = rows.lane[w, k, 0], rows.lane_s[w, k, 0], rows.lane_r[w, k, 0]
        rows.lane_heading[w, k] = lane_heading(roads, lane, s)
        rows.lane_width[w, k] = lane_width(roads, lane, s)
        on_lane = 0.0 <= s <= roads.lane_length[lane] and abs(r) <= 0.5 * rows.lane_width[w, k]
        rows.in_junction[w, k] = junction[lane] and on_lane
        rows.speed_limit_mps[w, k] = roads.lane_speed_limit[lane]
        rows.on_several_lanes[w, k] = _on_several_lanes(
            roads, roads.map_lane_start[map_id[w]], roads.map_lane_start[map_id[w] + 1], actors.x[w, 0],
            actors.y[w, 0], actors.heading[w, 0], traits.length[w, 0], traits.width[w, 0],
        )  # fmt: skip
        rows.t_us[w, k], rows.steering[w, k] = now_us, actors.steering[w, 0]
        rows.off_road_m[w, k], rows.driven_m[w, k] = outside_m[w], driven_m[w]
        rows.route_s[w, k], rows.route_r[w, k] = route_s[w], route_r[w]


class Recorder:
    """Rows of a batch of worlds, one per frame and one at the end of each episode.

    Attributes:
        rows: what was recorded.
        count: ``[B]`` rows so far.
        next_us: ``[B]`` when the next frame of each world arrives.
    """

    def __init__(self, worlds: Worlds, phase_us: Long, light: Float) -> None:
        """Make room for the episodes of ``worlds``.

        Args:
            worlds: a batch at time zero.
            phase_us: ``[B]`` when the first frames arrive.
            light: ``[B, LIGHT_COLUMNS]`` light and weather, which limit sight.
        """
        longest_s = max(spec.time_limit_s for spec in worlds.specs)
        frames = math.ceil(longest_s * 1e6 / FRAME_PERIOD_US) + 2
        self.rows = _empty_rows(worlds.size, frames, worlds.actors.x.shape[1])
        self.count = np.zeros(worlds.size, np.int64)
        self.next_us = phase_us.copy()
        self._worlds = worlds
        self._junction = junction_lanes(worlds.roads)
        self._light = light

    def record(self, chosen: npt.NDArray[np.int64], now_us: int, driven_m: Float) -> Long:
        """Write one row for each of the ``chosen`` worlds [N]; return the indices of these rows [N]."""
        worlds, rows = self._worlds, self.rows
        worlds.look_up_lanes(chosen)
        state, traits = worlds.actors, worlds.traits
        sight = line_of_sight(
            state.present[chosen], traits.shape[chosen], state.x[chosen], state.y[chosen],
            state.heading[chosen], traits.length[chosen], traits.width[chosen], traits.height[chosen],
            self._light[chosen],
        )  # fmt: skip
        written = self.count[chosen]
        _record(
            chosen, written, now_us, state, traits, worlds.roads, worlds.map_id, self._junction, sight,
            worlds.outside_m, worlds.route_s, worlds.route_r, driven_m, rows,
        )  # fmt: skip
        self.count[chosen] += 1
        self.next_us[chosen] += FRAME_PERIOD_US
        return written

    def record_drive(self, chosen: Long, written: Long, age_us: Long, request: Int, aeb_active: Bool) -> None:
        """Add to rows ``written`` at this time stamp what drives the car from there on.

        Args:
            chosen, written: ``[N]`` worlds and their rows.
            age_us: ``[N]`` age of the plan in use, -1 = none.
            request: ``[B]`` request of that plan, in the order of starts.
            aeb_active: ``[B]`` the safety brake is on.
        """
        self.rows.plan_age_us[chosen, written] = age_us
        self.rows.plan_request[chosen, written] = request[chosen]
        self.rows.aeb_active[chosen, written] = aeb_active[chosen]

    def in_sight(self, chosen: Long, written: Long) -> Bool:
        """Return ``[N, V]`` who is present and in line of sight in some rows."""
        seen: Bool = self.rows.present[chosen, written] & self.rows.visible[chosen, written]
        return seen
