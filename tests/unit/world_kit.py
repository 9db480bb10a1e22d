"""Small maps and worlds that several tests build on."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from highway_env.road.lane import CircularLane, SineLane, StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.sim.roads import RoadMap, compile_network
from simdrive.sim.spec import CHANNEL_OF, Action, ActorSpec, Event, Trigger, WorldSpec
from simdrive.sim.worlds import Worlds

LANE = ("a", "b", 1)


@functools.cache
def straight_map(lanes: int = 3, length: float = 600.0, limit: float = 30.0) -> RoadMap:
    """Return one straight road a -> b along x; lane i at y = 4 i."""
    network = RoadNetwork()
    for lane in range(lanes):
        network.add_lane("a", "b", StraightLane([0, 4 * lane], [length, 4 * lane], speed_limit=limit))
    return compile_network(network)


@functools.cache
def bent_map() -> RoadMap:
    """Return 100 m straight along x, a quarter circle to the right of radius 40 m, 100 m straight along y."""
    network = RoadNetwork()
    for lane in range(2):
        radius = 42.0 - 4.0 * lane
        y = -2.0 + 4.0 * lane
        network.add_lane("a", "b", StraightLane([0, y], [100, y]))
        network.add_lane("b", "c", CircularLane([100, 40], radius, math.radians(-90), math.radians(0), True))
        network.add_lane("c", "d", StraightLane([100 + radius, 40], [100 + radius, 140]))
    return compile_network(network)


@functools.cache
def merge_map() -> RoadMap:
    """Return a sine lane that swings 4 m to the right over 80 m between straights of 50 m."""
    network = RoadNetwork()
    network.add_lane("a", "b", StraightLane([0, 0], [50, 0]))
    network.add_lane("b", "c", SineLane([50, 2], [130, 2], 2.0, math.pi / 80, -math.pi / 2))
    network.add_lane("c", "d", StraightLane([130, 4], [400, 4]))
    return compile_network(network)


def ego(**fields: Any) -> ActorSpec:
    """Return an ego on the middle lane of ``straight_map`` at 20 m/s."""
    return ActorSpec(**{"name": "ego", "lane": LANE, "s_m": 50.0, "speed_mps": 20.0} | fields)


def actor(name: str = "other", **fields: Any) -> ActorSpec:
    """Return a car on the middle lane of ``straight_map``, 50 m ahead of ``ego``."""
    return ActorSpec(**{"name": name, "lane": LANE, "s_m": 100.0, "speed_mps": 20.0} | fields)


def event(actor_index: int, trigger: Trigger, threshold: float, action: Action, **fields: Any) -> Event:
    """Return an event row on the channel that fits its action."""
    return Event(actor_index, trigger, threshold, CHANNEL_OF[action], action, **fields)


def world(*actors: ActorSpec, events: tuple[Event, ...] = (), **fields: Any) -> WorldSpec:
    """Return a world on ``straight_map`` whose ego follows the middle lane."""
    defaults: dict[str, Any] = {
        "road": straight_map(), "ego": ego(), "ego_route": (LANE,), "goal_m": 300.0, "cruise_speed_mps": 20.0,
        "time_limit_s": 30.0,
    }  # fmt: skip
    return WorldSpec(actors=actors, events=events, **(defaults | fields))


def run(worlds: Worlds, seconds: float, acceleration: float = 0.0, steering: float = 0.0, ticks: int = 1) -> None:
    """Step all worlds under constant controls."""
    controls = np.tile([acceleration, steering], (worlds.size, 1))
    for _ in range(round(seconds * worlds.frequency_hz / ticks)):
        worlds.step(controls, ticks=ticks)


def state_bytes(worlds: Worlds, row: int) -> list[bytes]:
    """Return everything about one world that changes, as bytes, without what depends on the batch it is in."""
    count = int(worlds.actor_count[row])
    first = int(worlds.first_lane[row])
    parts = []
    for name, array in worlds.actors._asdict().items():
        values = array[row, :count]
        if name in ("lane", "target_lane", "path_lane"):
            values = np.where(values < 0, -1, values - first)
        parts.append(name.encode() + values.astype(np.float64).tobytes())
    for name in ("tick", "route_s", "route_r", "outside_m", "ego_control", "contact_tick", "contact_actor"):
        parts.append(name.encode() + np.asarray(getattr(worlds, name)[row], np.float64).tobytes())
    for name in ("contact_ego_speed", "contact_actor_speed", "contact_impact_speed", "hazard_us", "others_crashed"):
        parts.append(name.encode() + np.asarray(getattr(worlds, name)[row], np.float64).tobytes())
    return parts
