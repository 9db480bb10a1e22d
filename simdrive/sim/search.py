"""Decides which cases are avoidable: a zero-delay search over a fixed set of brake and steer manoeuvres.

Up to the moment at which the hazard first exists and is in line of sight (any bearing) the ego holds lane and speed,
as every driver does before its first plan. From there each manoeuvre is driven through the true dynamics, reactive
traffic included, by the same tracker that follows everybody's plans. A case is avoidable if one of them touches
nobody and stays on the road until the ego has stood for a second or the horizon is over. Whether a hazard-free case
counts as avoidable is decided by holding lane and speed alone, since there is nothing to avoid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrive.sim.follow import Follower, failed, hold_of
from simdrive.sim.lighting import light_rows
from simdrive.sim.plans import route_slopes, write_manoeuvre
from simdrive.sim.tracker import TrackerLimits
from simdrive.sim.visibility import line_of_sight
from simdrive.sim.worlds import Worlds
from simdrive.types import Bool, Float, Long

HORIZON_S = 7.0
STAND_S = 1.0
HOLD = "hold"
_RENEW_US = 1_000_000  # the hold plan is renewed this often, so that it never ends


@dataclass(frozen=True)
class Manoeuvre:
    """Constant acceleration to an end speed while shifting sideways, relative to the route."""

    name: str
    acceleration_mps2: float
    shift_m: float = 0.0  # > 0 to the right
    lateral_mps2: float = 3.0


def _manoeuvres() -> tuple[Manoeuvre, ...]:
    """Full brake first, then brake and steer, steer alone, gentler brakes, and driving on.

    Steering stays below 3 m/s2 across, the most that UN R79 lets an automatic steering function use (category B1).
    """
    evade = (-2.0, 2.0, -3.5, 3.5)
    found = [Manoeuvre("brake 8", -8.0)]
    for braking, shifts in ((8.0, (-1.0, 1.0, *evade)), (5.0, evade), (0.0, evade)):
        found += [Manoeuvre(f"brake {braking:g} shift {shift:+g}", -braking, shift) for shift in shifts]
    found += [Manoeuvre(f"brake {braking:g}", -braking) for braking in (5.0, 3.0, 1.5)]
    found += [Manoeuvre(HOLD, 0.0), Manoeuvre("accelerate 2.5", 2.5)]
    return tuple(found)


MANOEUVRES = _manoeuvres()


@dataclass(frozen=True)
class Avoidability:
    """What the search found for one case."""

    avoidable: bool
    hazard_us: int  # the hazard first existed and was in line of sight while the ego held lane and speed; -1 = never
    survivor: str | None  # name of the first manoeuvre that survived
    tried: int  # manoeuvres driven


def search(worlds: Worlds, limits: TrackerLimits) -> list[Avoidability]:
    """Return what the search finds for each of some worlds at time zero, which are used up.

    Results do not depend on how worlds are grouped.
    """
    specs = worlds.specs
    hazard_us = drive_to_hazard(worlds, limits)
    seen = hazard_us >= 0
    survivor: list[str | None] = [None] * len(specs)
    tried = np.zeros(len(specs), np.int64)
    for row in np.flatnonzero(~seen & ~failed(worlds)):
        survivor[row] = HOLD
    open_rows = np.flatnonzero(seen & ~failed(worlds))
    for manoeuvre in MANOEUVRES:
        if not len(open_rows):
            break
        survived = _survives(worlds.select(open_rows), manoeuvre, limits)
        tried[open_rows] += 1
        for row in open_rows[survived]:
            survivor[row] = manoeuvre.name
        open_rows = open_rows[~survived]
    return [
        Avoidability(survivor[row] is not None, int(hazard_us[row]), survivor[row], int(tried[row]))
        for row in range(len(specs))
    ]


def sight(worlds: Worlds, rows: Long, light: Float) -> Bool:
    """Return the line of sight ``[N, V]`` of the worlds ``rows`` [N]; ``light`` [B] from ``lighting.light_rows``."""
    state, traits = worlds.actors, worlds.traits
    return line_of_sight(
        state.present[rows], traits.shape[rows], state.x[rows], state.y[rows], state.heading[rows],
        traits.length[rows], traits.width[rows], traits.height[rows], light[rows],
    )  # fmt: skip


def drive_to_hazard(worlds: Worlds, limits: TrackerLimits) -> Long:
    """Hold lane and speed until each hazard is in sight; return that time ``[B]`` in microseconds, -1 = never.

    Each world is left at that tick; one without such a moment at its goal, time limit, first contact or road edge.
    """
    specs = worlds.specs
    light = light_rows([spec.lighting for spec in specs])
    hazards = np.zeros(worlds.actors.x.shape, np.bool_)
    for row, spec in enumerate(specs):
        hazards[row, list(spec.hazard_actors)] = True
    speed = np.array([spec.ego.speed_mps for spec in specs])
    limit_us = np.array([round(spec.time_limit_s * 1e6) for spec in specs])
    goal_m = np.array([spec.goal_m for spec in specs])
    follower = Follower(worlds, hold_of(worlds, speed), worlds.t_us.copy(), limits)
    hazard_us = np.full(worlds.size, -1, np.int64)
    active = np.ones(worlds.size, np.bool_)
    while active.any():
        watch = active & worlds.hazard_on
        if watch.any():
            rows = np.flatnonzero(watch)
            hit = (sight(worlds, rows, light) & hazards[rows]).any(axis=1)
            hazard_us[rows[hit]] = worlds.t_us[rows[hit]]
            active[rows[hit]] = False
        renew = worlds.t_us - follower.t_obs_us >= _RENEW_US
        if renew.any():
            follower.plans[renew] = hold_of(worlds, speed)[renew]
            follower.t_obs_us[renew] = worlds.t_us[renew]
        follower.step(active)
        active &= ~failed(worlds) & (worlds.t_us < limit_us) & (worlds.route_s < goal_m)
    return hazard_us


def manoeuvre_plans(worlds: Worlds, manoeuvre: Manoeuvre, horizon_s: float = HORIZON_S) -> Float:
    """Return plans ``[B, P, 5]`` of one manoeuvre from the present state of all worlds."""
    times = np.arange(0.0, horizon_s + 0.25, 0.25)
    plans = np.empty((worlds.size, len(times), 5))
    state = worlds.actors
    slope = route_slopes(
        worlds.route, worlds.route_s, state.heading[:, 0], np.ascontiguousarray(worlds.ego_control[:, 1])
    )
    for row, spec in enumerate(worlds.specs):
        speed = max(float(state.speed[row, 0]), 0.0)
        gain = manoeuvre.acceleration_mps2
        end = 0.0 if gain < 0.0 else max(speed, 1.2 * spec.cruise_speed_mps)
        write_manoeuvre(
            worlds.route[row], worlds.route_s[row], worlds.route_r[row], slope[row], 0.0, speed, gain, end,
            manoeuvre.shift_m, manoeuvre.lateral_mps2, times, plans[row],
        )  # fmt: skip
    return plans


def _survives(worlds: Worlds, manoeuvre: Manoeuvre, limits: TrackerLimits) -> Bool:
    """Drive one manoeuvre in all worlds (which are used up); return ``[B]`` whether it survived."""
    plans = manoeuvre_plans(worlds, manoeuvre)
    return drive(worlds, Follower(worlds, plans, worlds.t_us.copy(), limits), HORIZON_S)


def drive(worlds: Worlds, follower: Follower, horizon_s: float) -> Bool:
    """Follow plans through the true dynamics; return ``[B]`` whether the ego touched nothing and kept to the road.

    A world is over after ``horizon_s`` or once its ego has stood for ``STAND_S``.
    """
    active = ~failed(worlds)
    stood = np.zeros(worlds.size, np.int64)
    for _ in range(round(horizon_s * worlds.frequency_hz)):
        follower.step(active)
        stood = np.where(worlds.actors.speed[:, 0] < 0.05, stood + 1, 0)
        active &= ~failed(worlds) & (stood < STAND_S * worlds.frequency_hz)
        if not active.any():
            break
    return ~failed(worlds)
