"""The loop: zero latency is the plain simulation, batches change nothing, episodes end for a reason and log what was true."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from loop_kit import SETTINGS, ZERO, Fake, flat, inputs, straight_plans
from straight_worlds import case, straight_world

from simdrive.agents.constant_speed import ConstantSpeed
from simdrive.agents.idm import Idm
from simdrive.errors import ParameterError
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.rollout import request_phase_us, rollout
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.sim.follow import hold_of
from simdrive.sim.tracker import TrackerLimits, track
from simdrive.sim.worlds import Worlds
from simdrive.types import (
    EndReason,
    Float,
    ObservationBatch,
)

# --- zero latency --------------------------------------------------------------------------------------------------


def test_zero_latency_is_the_plain_simulation() -> None:
    episode = inputs(start=4, brake_at_s=1.5, gap_m=30.0)[0]
    log = rollout([episode], Idm(), ZERO)[0]

    worlds, agent = Worlds([episode.spec]), Idm()
    plans = hold_of(worlds, [15.0])
    t_obs, flags, controls = np.zeros(1, np.int64), np.zeros(1, np.uint8), np.zeros((1, 2))
    phase = request_phase_us(episode.case)
    state, xs, steers = worlds.actors, [], []
    while worlds.t_us[0] <= log.t_us[-2]:
        if (worlds.t_us[0] - phase) % 100_000 == 0 and worlds.t_us[0] >= phase:
            xs.append(state.x[0].copy())
            steers.append(float(state.steering[0, 0]))
            ego = np.array([[state.x[0, 0], state.y[0, 0], state.heading[0, 0], state.speed[0, 0],
                             state.acceleration[0, 0], state.steering[0, 0], state.yaw_rate[0, 0]]])  # fmt: skip
            seen = ObservationBatch(
                slot=np.zeros(1, np.int64), t_obs_us=worlds.t_us, ego=ego, route=worlds.route,
                route_s=worlds.route_s, route_r=worlds.route_r, lane_left_m=worlds.lane_left_m,
                lane_right_m=worlds.lane_right_m, cruise_speed_mps=np.array([15.0]),
                speed_limit_mps=np.array([25.0]), command=np.zeros(1, np.int32), ego_size=np.array([[4.6, 1.85]]),
                world=worlds.view([0]),
            )  # fmt: skip
            plans, t_obs = agent.plan(seen).plan, worlds.t_us
        track(
            plans, t_obs, worlds.t_us, np.ones(1, np.bool_), state.x[:, 0], state.y[:, 0], state.heading[:, 0],
            state.speed[:, 0], worlds.traits.length[:, 0], worlds.ego_control, 0.02, TrackerLimits().array(),
            controls, flags,
        )  # fmt: skip
        worlds.step(controls)
    assert len(xs) > 20
    assert np.array(xs).tobytes() == np.ascontiguousarray(log.x[: len(xs)]).tobytes()
    assert np.array(steers).tobytes() == np.ascontiguousarray(log.steering[: len(xs)]).tobytes()


@pytest.mark.parametrize("mode", ["fixed_delay", "streaming", "queue"])
def test_no_delay_is_zero_latency_whatever_the_mode(mode: Any) -> None:
    episodes = inputs(3, brake_at_s=1.5, gap_m=30.0)
    zero = rollout(episodes, Idm(), ZERO)
    other = rollout(episodes, Idm(), LatencySetting(Constant(0), Mode(mode)))
    assert [flat(log) for log in zero] == [flat(log) for log in other]
    assert all((log.plan_age_us[:-1] == 0).all() for log in zero)


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_episode_does_not_depend_on_its_batch(setting: LatencySetting) -> None:
    episodes = [
        EpisodeInput(case(i), straight_world(brake_at_s=1.0 + 0.3 * i, gap_m=25.0 + 3 * i if i != 2 else None))
        for i in range(5)
    ]
    together = [flat(log) for log in rollout(episodes, Idm(), setting)]
    alone = [flat(rollout([episode], Idm(), setting)[0]) for episode in episodes]
    turned = [flat(log) for log in rollout(episodes[::-1], Idm(), setting)][::-1]
    assert together == alone == turned


def test_same_input_same_bytes() -> None:
    episodes = inputs(2, brake_at_s=1.5)
    first, second = (rollout(episodes, Idm(), SETTINGS[0]) for _ in range(2))
    assert [flat(log) for log in first] == [flat(log) for log in second]


def test_the_phase_is_a_tick_and_belongs_to_the_case() -> None:
    phases = [request_phase_us(case(number)) for number in range(60)]
    assert set(phases) == {0, 20_000, 40_000, 60_000, 80_000}
    log = rollout(inputs(start=3), ConstantSpeed(), ZERO)[0]
    assert log.t_us[0] == phases[3]
    assert (np.diff(log.t_us[:-1]) == 100_000).all()
    with pytest.raises(ParameterError, match="multiple of 10"):
        request_phase_us(case(0), 15)


# --- ends ----------------------------------------------------------------------------------------------------------


def test_goal_time_limit_and_contact() -> None:
    goal = rollout(inputs(gap_m=None, goal_m=50.0), ConstantSpeed(), ZERO)[0]
    assert goal.end == EndReason.GOAL
    assert goal.route_s[-1] >= 50.0 > goal.route_s[-2]
    assert goal.t_us[-1] == pytest.approx(50 / 15 * 1e6, abs=20_000)
    limit = rollout(inputs(gap_m=None, time_limit_s=2.0), ConstantSpeed(), ZERO)[0]
    assert (limit.end, limit.t_us[-1]) == (EndReason.TIME_LIMIT, 2_000_000)
    crash = rollout(inputs(gap_m=30.0, lead_mps=5.0), ConstantSpeed(), ZERO)[0]
    assert crash.end == EndReason.CONTACT
    assert crash.contact is not None
    assert (crash.contact.actor, crash.contact.t_us) == (1, crash.t_us[-1])
    assert crash.contact.t_us == pytest.approx(3.0e6, abs=20_001)
    assert crash.contact.impact_speed_mps == pytest.approx(10.0, abs=1e-4)  # plans are said to 0.1 mm
    assert crash.actors.name == ("ego", "lead")


def test_standing_still_is_stuck_after_the_lead_in() -> None:
    stop = Fake(lambda batch: straight_plans(batch, 6.0))
    log = rollout(inputs(gap_m=None, time_limit_s=40.0), stop, ZERO)[0]
    assert log.end == EndReason.STUCK
    moving = np.flatnonzero(np.abs(log.speed[:, 0]) >= 0.1)[-1]
    assert log.t_us[-1] - log.t_us[moving] == pytest.approx(10e6, abs=200_000)


def test_leaving_the_road_ends_the_episode() -> None:
    def swerve(batch: ObservationBatch) -> Float:
        plans = straight_plans(batch)
        plans[:, :, 2] += np.minimum(8.0 * plans[:, :, 0] ** 2, 40.0)
        plans[:, :, 3] = 0.5
        return plans

    log = rollout(inputs(gap_m=None), Fake(swerve), ZERO)[0]
    assert log.end == EndReason.OFF_ROAD
    assert log.off_road_m[-1] > 2.0
    assert log.off_road_m[0] == 0.0


def test_a_crash_among_others_ahead_makes_the_case_invalid() -> None:
    from simdrive.sim.spec import ActorSpec

    spec = straight_world(gap_m=45.0, lead_mps=10.0)
    wall = ActorSpec("other", lane=("0", "1", 1), s_m=60.0 + 45.0 + 25.0, speed_mps=0.0)
    crashing = dataclasses.replace(spec, actors=(*spec.actors, wall))
    log = rollout([EpisodeInput(case(1), crashing)], ConstantSpeed(), ZERO)[0]
    assert log.end == EndReason.BLOCKED
    assert log.contact is None
    beside = dataclasses.replace(
        spec,
        actors=tuple(dataclasses.replace(actor, lane=("0", "1", 0)) for actor in (*spec.actors, wall)),
    )
    assert rollout([EpisodeInput(case(1), beside)], ConstantSpeed(), ZERO)[0].end == EndReason.GOAL


# --- the log -------------------------------------------------------------------------------------------------------


def test_columns_of_the_log_are_true() -> None:
    log = rollout(inputs(brake_at_s=1.5), Idm(), ZERO)[0]
    rows, actors = log.x.shape
    assert actors == 2
    for name in ("present", "x", "y", "heading", "speed", "acceleration", "visible", "brake_light", "indicator",
                 "lane", "lane_s", "lane_r"):  # fmt: skip
        assert getattr(log, name).shape == (rows, actors), name
    assert log.lane_s[:, 0] == pytest.approx(log.x[:, 0])
    assert log.lane_r[:, 0] == pytest.approx(log.y[:, 0] - 4.0)
    assert (log.lane[:, 0] == 1).all()
    assert log.route_s == pytest.approx(log.x[:, 0] - 60.0, abs=1e-6)
    assert (log.lane_heading == 0.0).all()
    assert (log.lane_width == 4.0).all()
    assert (log.speed_limit_mps == 25.0).all()
    assert not log.in_junction.any()
    assert not log.on_several_lanes.any()
    assert log.visible.all()
    assert log.actors.is_hazard.tolist() == [False, True]
    braking = (log.acceleration[:, 1] < -1.0) & (log.speed[:, 1] > 1.0)
    assert braking.any()
    assert log.brake_light[braking, 1].all()
    assert log.requests.t_obs_us.tolist() == log.t_us[:-1].tolist() or log.end == EndReason.CONTACT
    assert log.plan_request[:-1].tolist() == list(range(rows - 1))


def test_changing_lanes_is_being_on_several() -> None:
    def change(batch: ObservationBatch) -> Float:
        plans = straight_plans(batch)
        left = np.maximum(batch.ego[:, 1:2] - 1.0 * plans[:, :, 0], 0.0)
        plans[:, :, 2] = left
        plans[:, :, 3] = np.where(left > 0.0, -np.arctan2(1.0, 15.0), 0.0)
        return plans

    log = rollout(inputs(gap_m=None, goal_m=110.0), Fake(change), ZERO)[0]
    between = (log.y[:, 0] > 1.5) & (log.y[:, 0] < 2.5)
    assert between.any()
    assert log.on_several_lanes[between].all()
    assert not log.on_several_lanes[log.y[:, 0] > 3.5].any()
    assert log.lane[log.y[:, 0] < 1.5, 0].tolist() == [0] * int((log.y[:, 0] < 1.5).sum())


def test_nothing_to_drive() -> None:
    assert rollout([], ConstantSpeed(), ZERO) == []
