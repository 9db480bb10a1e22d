"""What the car does with the plans it has: follows them by time stamp, or freezes, with or without a safety
brake.

Before an agent's first plan every car holds lane and speed, exactly as the avoidability search does. In an emergency
(a missed deadline that calls for it) it slows down in its lane until an agent's plan takes over again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simdrive.eval.adopting import braking_plan, first_part, moved
from simdrive.jit import jit
from simdrive.latency.modes import LatencySetting
from simdrive.latency.scheduler import NEVER
from simdrive.sim.aeb import aeb_monitor
from simdrive.sim.follow import hold_of
from simdrive.sim.tracker import (
    SATURATED,
    TrackerLimits,
    emergency_brake,
    limit_acceleration,
    planned_accelerations,
    track,
)
from simdrive.sim.worlds import Worlds
from simdrive.types import Bool, Float, Long

HOLD_RENEWED_US = 1_000_000  # the common start is laid anew this often, so that it never runs out
AEB_REACTION_S = 0.35  # half the build-up of the full brake (0.15 s), one frame (0.1 s), one frame of margin
_UNBOUND = 1e9


class Takeover(NamedTuple):
    """An answer that takes over."""

    world: int
    plan: Float  # [P, 5] world frame, times from t_obs_us
    t_obs_us: int
    made_at: Float  # [3] x, y, heading of the ego at t_obs_us


class Together(NamedTuple):
    """Answers that take over at once, at the time of their observations."""

    worlds: Long  # [N]
    plans: Float  # [N, P, 5] world frame, times from t_obs_us
    t_obs_us: int


class Emergency(NamedTuple):
    """A world whose car must do without a plan."""

    world: int
    kind: str  # fallback or mrm
    braking_mps2: float


@jit
def _ramp(wanted: Float, frozen: Bool, previous: Float, speed: Float, dt_s: float, limits: Float, out: Float) -> None:
    """Where ``frozen`` [B], drive towards ``wanted`` [B, 2] within the limits of the car; writes ``out``."""
    turn = limits[5] * dt_s
    for b in range(len(frozen)):
        if frozen[b]:
            out[b, 0] = limit_acceleration(wanted[b, 0], previous[b, 0], speed[b], dt_s, limits)
            out[b, 1] = min(max(wanted[b, 1], previous[b, 1] - turn), previous[b, 1] + turn)


class Driving:
    """Plans of a batch of worlds, and the controls that follow from them.

    ``hold_control`` keeps what a plan asks for when it arrives: its acceleration at that moment, and the steering that
    leads back to its line. What a car can do (jerk, steering rate) still bounds how it gets there. The tracker's feedback
    on speed is left out: held for as long as an answer takes, it would overshoot the plan.

    Attributes:
        has_plan: ``[B]`` an agent's plan is in use.
        plans: ``[B, P, 5]`` what drives the cars, the common start and emergencies included.
        plan_t_us: ``[B]`` time zero of these.
        plan_t_obs_us: ``[B]`` observation that the plan in use answers, -1 = none.
        saturated: ``[B]`` an agent's plan was used past its horizon.
        aeb_active: ``[B]`` the safety brake is on.
    """

    def __init__(self, worlds: Worlds, latency: LatencySetting, limits: TrackerLimits) -> None:
        """Start all worlds on the hold plan; they must stand at time zero."""
        count = worlds.size
        self.has_plan = np.zeros(count, np.bool_)
        self.saturated = np.zeros(count, np.bool_)
        self.aeb_active = np.zeros(count, np.bool_)
        self._worlds, self._freeze, self._aeb = worlds, latency.waiting == "hold_control", latency.aeb_monitor
        self._chunk_us = latency.mode.chunk_us
        self._stale_frame = latency.waiting == "follow_plan_stale_frame"
        self._start_speed = np.array([spec.ego.speed_mps for spec in worlds.specs])
        self.plans = hold_of(worlds, self._start_speed)
        self.plan_t_us = np.zeros(count, np.int64)
        self.plan_t_obs_us = np.full(count, -1, np.int64)
        self._emergency = np.zeros(count, np.bool_)
        self._limits = limits.array()
        if latency.deadline is not None and latency.deadline.mrm_after:
            self._limits[7] = latency.deadline.mrm_braking_mps2  # past the end of a plan
        loose = self._limits.copy()
        loose[[2, 3, 5]] = _UNBOUND  # jerks and steering rate
        self._loose_limits = loose
        self._arrived = np.zeros(count, np.bool_)
        self._controls, self._wanted, self._unbound = np.zeros((3, count, 2))
        self._flags = np.zeros(count, np.uint8)
        self._now_us = np.zeros(count, np.int64)
        self._renew_us = HOLD_RENEWED_US

    def take(self, now_us: int, taken: Sequence[Takeover] | Together, emergencies: Sequence[Emergency]) -> None:
        """Put answers in charge of their worlds, and slow down where one is missing."""
        if isinstance(taken, Together):
            self._follow_together(taken)
            return
        for takeover in taken:
            self._adopt(takeover, now_us)
        for emergency in emergencies:
            self.slow_down(emergency, now_us)

    def _adopt(self, taken: Takeover, now_us: int) -> None:
        plan, t_zero_us = taken.plan, taken.t_obs_us
        if self._chunk_us:
            plan = first_part(plan, self._chunk_us)
        if self._stale_frame:
            state = self._worlds.actors
            pose = np.array([column[taken.world, 0] for column in (state.x, state.y, state.heading)])
            plan, t_zero_us = moved(plan, taken.made_at, pose), now_us
        self.follow(taken.world, plan, taken.t_obs_us, t_zero_us)

    def follow(self, world: int, plan: Float, t_obs_us: int, t_zero_us: int) -> None:
        """Put a plan ``[P, 5]`` in charge of a world.

        Args:
            world: which.
            plan: world frame, times from ``t_zero_us``.
            t_obs_us: the observation that it answers; -1 = none of the agent's.
            t_zero_us: its time zero.
        """
        self._put(world, plan, t_zero_us)
        self.plan_t_obs_us[world] = t_obs_us
        self.has_plan[world] = self._arrived[world] = True
        self._emergency[world] = False

    def _follow_together(self, taken: Together) -> None:
        worlds, points = taken.worlds, taken.plans.shape[1]
        self._widen(points)
        self.plans[worlds, :points] = taken.plans
        self.plans[worlds, points:] = taken.plans[:, -1:]
        self.plan_t_us[worlds] = self.plan_t_obs_us[worlds] = taken.t_obs_us
        self.has_plan[worlds] = self._arrived[worlds] = True

    def slow_down(self, emergency: Emergency, now_us: int) -> None:
        """Let a world follow its lane and slow down until a plan takes over."""
        world = emergency.world
        self._put(world, braking_plan(self._worlds, world, emergency.braking_mps2), now_us)
        self.plan_t_obs_us[world] = -1
        self.has_plan[world] = self._arrived[world] = False
        self._emergency[world] = True

    def age_us(self, worlds: Long, now_us: int) -> Long:
        """Return the age ``[N]`` of the plan in use in some worlds [N], -1 = none."""
        t_obs_us = self.plan_t_obs_us[worlds]
        return np.where(t_obs_us >= 0, now_us - t_obs_us, -1)

    def watch(self, worlds: Long, seen: Bool) -> None:
        """Let the safety brake look at a frame of some worlds [N]; ``seen`` [N, V] is present and in
        sight."""
        if not self._aeb:
            return
        state, traits = self._worlds.actors, self._worlds.traits
        length = traits.length[worlds]
        curvature = 2.0 * np.sin(np.arctan(0.5 * np.tan(state.steering[worlds, 0]))) / length[:, 0]
        answer = np.zeros(len(worlds), np.bool_)
        aeb_monitor(
            state.x[worlds], state.y[worlds], state.heading[worlds], state.speed[worlds],
            state.lateral_speed[worlds], length, traits.width[worlds], seen, curvature,
            self.aeb_active[worlds], self._limits[1], AEB_REACTION_S, answer,
        )  # fmt: skip
        self.aeb_active[worlds] = answer

    def controls(self, now_us: int, active: Bool) -> Float:
        """Return acceleration (m/s2) and steering (rad) ``[B, 2]`` of the ``active`` worlds for the next
        tick."""
        worlds, speed = self._worlds, self._worlds.actors.speed[:, 0]
        previous, dt_s = worlds.ego_control, 1.0 / worlds.frequency_hz
        if now_us >= self._renew_us:
            self._renew_hold(now_us)
        self._track(now_us, active, self._limits, self._controls)
        if self._freeze:
            if self._arrived.any():
                self._track(now_us, active, self._loose_limits, self._unbound)
                planned_accelerations(
                    self.plans, self.plan_t_us, self._now_us, self._arrived, self._limits[7], self._unbound[:, 0]
                )
                self._wanted[self._arrived] = self._unbound[self._arrived]
            _ramp(self._wanted, self.has_plan, previous, speed, dt_s, self._limits, self._controls)
        else:
            self.saturated |= ((self._flags & SATURATED) != 0) & self.has_plan & active
        self._arrived[:] = False
        if self._aeb:
            emergency_brake(self.aeb_active, previous, speed, dt_s, self._limits, self._controls)
        return self._controls

    def _track(self, now_us: int, active: Bool, limits: Float, out: Float) -> None:
        worlds, state = self._worlds, self._worlds.actors
        self._now_us[:] = now_us
        track(
            self.plans, self.plan_t_us, self._now_us, active, state.x[:, 0], state.y[:, 0],
            state.heading[:, 0], state.speed[:, 0], worlds.traits.length[:, 0], worlds.ego_control,
            1.0 / worlds.frequency_hz, limits, out, self._flags,
        )  # fmt: skip

    def _renew_hold(self, now_us: int) -> None:
        fresh = np.flatnonzero(~self.has_plan & ~self._emergency)
        self._renew_us = now_us + HOLD_RENEWED_US if len(fresh) else NEVER
        hold = hold_of(self._worlds, self._start_speed)
        for world in fresh:
            self._put(int(world), hold[world], now_us)

    def _put(self, world: int, plan: Float, t_zero_us: int) -> None:
        self._widen(len(plan))
        self.plans[world, : len(plan)] = plan
        # Repeating the last point changes nothing for a plan: no time and no way lies between the copies.
        self.plans[world, len(plan) :] = plan[-1]
        self.plan_t_us[world] = t_zero_us

    def _widen(self, points: int) -> None:
        longer = points - self.plans.shape[1]
        if longer > 0:
            self.plans = np.concatenate([self.plans, np.repeat(self.plans[:, -1:], longer, axis=1)], axis=1)
