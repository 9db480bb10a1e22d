"""Drives worlds along given plans without any driver: for the avoidability search and for look-ahead on copies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simdrive.sim.plans import hold_plans, route_slopes
from simdrive.sim.tracker import TrackerLimits, track
from simdrive.sim.worlds import Worlds
from simdrive.types import Bool, Float, Long

OFF_ROAD_M = 0.3  # a corner this far outside the drivable area counts (nuPlan's drivable-area metric)


@dataclass
class Follower:
    """Tracks one plan per world of a batch; owns the controls between ticks."""

    worlds: Worlds
    plans: Float  # [B, P, 5]
    t_obs_us: Long  # [B]
    limits: TrackerLimits = field(default_factory=TrackerLimits)

    def __post_init__(self) -> None:
        self._limits = self.limits.array()
        self._controls = np.ascontiguousarray(self.worlds.ego_control)
        self._flags = np.zeros(self.worlds.size, np.uint8)

    def step(self, active: Bool) -> None:
        """Advance the ``active`` worlds [B] by one tick along their plans; lanes are not looked up."""
        worlds, state = self.worlds, self.worlds.actors
        track(
            self.plans, self.t_obs_us, worlds.t_us, active, state.x[:, 0], state.y[:, 0], state.heading[:, 0],
            state.speed[:, 0], worlds.traits.length[:, 0], worlds.ego_control, 1.0 / worlds.frequency_hz,
            self._limits, self._controls, self._flags,
        )  # fmt: skip
        worlds.step(self._controls, active, look_up_lanes=False)


def failed(worlds: Worlds) -> Bool:
    """Return ``[B]`` whether the ego has touched anything or left the road by now."""
    bad: Bool = (worlds.contact_tick >= 0) | (worlds.outside_m > OFF_ROAD_M)
    return bad


def hold_of(worlds: Worlds, speed: npt.ArrayLike) -> Float:
    """Return plans ``[B, P, 5]`` from the present state that hold the lane at ``speed`` [B] (m/s)."""
    slope = route_slopes(
        worlds.route, worlds.route_s, worlds.actors.heading[:, 0], np.ascontiguousarray(worlds.ego_control[:, 1])
    )
    return hold_plans(worlds.route, worlds.route_s, worlds.route_r, slope, np.asarray(speed, np.float64))
