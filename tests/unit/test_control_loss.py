"""The scenario on slick ground: where the vehicle ahead stops, and that the slick is what makes it dangerous."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scenes import observe

from simdrive.agents.slippery import careful_speeds
from simdrive.scenarios.lanes.control_loss import stopping_m
from simdrive.scenarios.sampling import build_case, sample_cases
from simdrive.sim.follow import Follower, failed, hold_of
from simdrive.sim.grip import GRAVITY_MPS2
from simdrive.sim.search import HORIZON_S, Manoeuvre, drive, drive_to_hazard, manoeuvre_plans
from simdrive.sim.spec import WorldSpec
from simdrive.sim.tracker import TrackerLimits
from simdrive.sim.worlds import Worlds

COUNT, LATE_S = 8, 1.0
LIMITS = TrackerLimits()


def specs() -> list[WorldSpec]:
    return [build_case(case) for case in sample_cases("control_loss", COUNT, seed=4)]


def test_the_way_to_a_standstill_by_hand() -> None:
    """From 20 m/s: 50 m at 1.962 m/s2 leave 200 - 98.1 m2/s2, which 8 m/s2 take in 12.74 m; 3 m until they do."""
    assert stopping_m(20.0, 0.2, 50.0) == pytest.approx(50.0 + 101.9 / 8.0 + 3.0)
    assert stopping_m(16.0, 0.3, 0.0) == pytest.approx(16.0 + 2.4)


def test_the_vehicle_ahead_stops_on_the_slick_or_just_behind_it() -> None:
    worlds, cases = Worlds(specs()), sample_cases("control_loss", COUNT, seed=4)
    stood = np.full(COUNT, math.nan)  # where each of them comes to rest, m along its lane
    for _ in range(28):  # it rests for two seconds at least; the ego stops far behind
        worlds.step(np.tile([-8.0, 0.0], (COUNT, 1)), ticks=20)
        rests = np.isnan(stood) & (worlds.actors.speed[:, 1] < 1e-6)
        stood[rests] = worlds.actors.path_s[rests, 1]
    for case, spec, place in zip(cases, worlds.specs, stood, strict=True):
        slick, lead = spec.slicks[0], spec.actors[spec.hazard_actors[0] - 1]
        length, share = float(case.param("slick_m")), float(case.param("stop_share"))
        rear = place - 0.5 * lead.length_m - spec.ego.s_m
        assert spec.hazard_actors == (1,)
        assert (slick.end_m - slick.start_m, slick.friction) == pytest.approx((length, float(case.param("friction"))))
        assert slick.start_m < rear <= slick.start_m + share * length + 0.6


def late_brakes(chosen: list[WorldSpec]) -> int:
    """Return how many egos fail that brake in full ``LATE_S`` after the vehicle ahead."""
    worlds = Worlds(chosen)
    drive_to_hazard(worlds, LIMITS)
    follower = Follower(worlds, hold_of(worlds, worlds.actors.speed[:, 0].copy()), worlds.t_us.copy(), LIMITS)
    for _ in range(round(LATE_S * worlds.frequency_hz)):
        follower.step(~failed(worlds))
    brake = manoeuvre_plans(worlds, Manoeuvre("brake", -8.0))
    return int((~drive(worlds, Follower(worlds, brake, worlds.t_us.copy(), LIMITS), HORIZON_S)).sum())


def test_who_brakes_late_fails_for_the_slick() -> None:
    slick = specs()
    assert late_brakes(slick) >= late_brakes([replace(spec, slicks=()) for spec in slick]) + 2


# --- the reference driver --------------------------------------------------------------------------------------


def test_slick_ground_in_view_asks_for_a_careful_speed() -> None:
    hold = 0.3 * GRAVITY_MPS2
    free = np.full(4, 20.0)
    slicks = np.array([[[50.0, 90.0, hold]], [[50.0, 90.0, hold]], [[50.0, 90.0, hold]], [[math.nan] * 3]])
    speeds = careful_speeds(free, slicks, np.array([60.0, 35.0, 91.0, 60.0]))
    # On it 4 s of braking; 10 m and the margin of 5 m before it a little more; behind it and without it what is free.
    assert speeds == pytest.approx([4.0 * hold, math.sqrt((4.0 * hold) ** 2 + 30.0), 20.0, 20.0])
    assert careful_speeds(free, None, free) is free


def test_the_reference_driver_slows_down_for_it() -> None:
    from simdrive.agents.expert import Expert

    batch = observe([], speed=15.0)
    assert batch.world is not None
    slick = np.array([[[30.0, 70.0, 0.2 * GRAVITY_MPS2]]])
    warned = replace(batch, world=replace(batch.world, slicks=slick))
    assert Expert().plan(batch).plan[0, -1, 4] == pytest.approx(15.0)
    assert Expert().plan(warned).plan[0, -1, 4] < 12.0
