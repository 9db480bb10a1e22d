"""Requests in the loop: their times and prices, failing agents that end no run, and what drives the car meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from loop_kit import SETTINGS, ZERO, Fake, flat, inputs, same_drive, straight_plans
from straight_worlds import case

from simdrive.agents.constant_speed import ConstantSpeed
from simdrive.agents.idm import Idm
from simdrive.eval.asking import plan_faults
from simdrive.eval.rollout import request_phase_us, rollout
from simdrive.latency.modes import LatencySetting, Mode, Waiting
from simdrive.latency.source import Constant
from simdrive.latency.trace import Trace
from simdrive.latency.trace_files import rows_of_logs
from simdrive.sim.plans import PLAN_TIMES
from simdrive.types import (
    CameraSpec,
    Charge,
    EndReason,
    Float,
    ObservationBatch,
    PlanBatch,
    RequestStatus,
    TokenUsage,
    Wants,
)

# --- requests ------------------------------------------------------------------------------------------------------


def test_time_stamps_by_hand() -> None:
    number = next(n for n in range(99) if request_phase_us(case(n)) == 40_000)
    setting = LatencySetting(Constant(250, {"prefill": 2, "decode": 3}), Mode("streaming"))
    log = rollout(inputs(start=number, gap_m=None, goal_m=20.0), Fake(straight_plans), setting)[0]
    requests = log.requests
    assert requests.t_obs_us[:3].tolist() == [40_000, 240_000, 540_000]
    assert requests.t_start_us[:3].tolist() == [40_000, 290_000, 540_000]
    assert requests.t_first_token_us[:3].tolist() == [140_000, 390_000, 640_000]
    assert requests.t_finish_us[:3].tolist() == [290_000, 540_000, 790_000]
    assert requests.t_actuate_us[:3].tolist() == [300_000, 540_000, 800_000]
    assert requests.blind_m[:2] == pytest.approx([15 * 0.26, 15 * 0.30], abs=1e-9)
    assert requests.stages_us[0].tolist() == [0, 0, 0, 100_000, 150_000, 0]
    assert requests.prompt_tokens[0] == requests.output_tokens[0] == 7
    assert requests.dropped_frames == 7  # those of 140, 340, 440, 640, 840, 940, 1140 ms
    assert log.plan_request[:8].tolist() == [-1, -1, -1, 0, 0, 1, 1, 1]
    assert log.plan_age_us[:6].tolist() == [-1, -1, -1, 300_000, 400_000, 300_000]
    assert requests.plan.shape == (len(requests.t_obs_us), 21, 5)
    assert np.isfinite(requests.plan[0]).all()


def test_a_recorded_trace_replays_exactly() -> None:
    episodes = inputs(2, brake_at_s=1.5)
    logs = rollout(episodes, Idm(), SETTINGS[0])
    replayed = rollout(episodes, Idm(), LatencySetting(Trace(rows=tuple(rows_of_logs(logs))), Mode("streaming")))
    assert [flat(log) for log in replayed] == [flat(log) for log in logs]


def test_requests_are_priced_by_what_they_show() -> None:
    seen: list[Any] = []

    class Recording(Constant):
        def price(self, requests: Any) -> Any:
            seen.append(requests)
            return super().price(requests)

    camera = CameraSpec(width=16, height=12)
    agent = Fake(straight_plans, Wants(cameras=(camera, dataclasses.replace(camera, yaw_deg=60.0)),
                                       frame_offsets_us=(0, -300_000)))  # fmt: skip
    rollout(inputs(gap_m=None, goal_m=12.0), agent, LatencySetting(Recording(150)))
    assert [batch.index.tolist() for batch in seen[:3]] == [[0], [1], [2]]
    assert seen[0].case_key == (case(0).key,)
    assert (seen[0].images[0], seen[0].pixels[0]) == (4, 4 * 16 * 12)
    assert seen[0].charge == Charge("tiny", "w16a16")


# --- failures ------------------------------------------------------------------------------------------------------


def fail_in(slot: int, how: str) -> Callable[[ObservationBatch], Any]:
    """Return a driver that fails in one slot from 1 s on."""

    def drive(batch: ObservationBatch) -> Any:
        plans = straight_plans(batch)
        bad = (batch.slot == slot) & (batch.t_obs_us > 1_000_000)
        if how == "exception" and bad.any():
            raise KeyError("no such thing")
        if how == "timeout" and bad.any():
            raise TimeoutError("too slow")
        if how == "nan":
            plans[bad, 5] = np.nan
        if how == "short":
            plans[bad, :, 0] *= 0.5
        if how == "descending":
            plans[bad, 3, 0] = 0.1
        if how == "jump":
            plans[bad, :, 2] += 30.0
        if how == "leap":
            plans[bad, 10:, 1] += 900.0
        if how == "shape":
            plans = plans[:, :, :4] if bad.any() else plans
        if how == "rows":
            plans = plans[:-1] if bad.any() else plans
        error = tuple("unparsable" if how == "unparsable" and row else None for row in bad)
        usage = TokenUsage(*np.full((3, len(batch)), 5))
        return PlanBatch(plans, usage, ("text",) * len(batch), error)

    return drive


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("exception", RequestStatus.EXCEPTION),
        ("timeout", RequestStatus.TIMEOUT),
        ("unparsable", RequestStatus.UNPARSABLE),
        ("nan", RequestStatus.INVALID),
        ("short", RequestStatus.INVALID),
        ("descending", RequestStatus.INVALID),
        ("jump", RequestStatus.INVALID),
        ("leap", RequestStatus.INVALID),
        ("shape", RequestStatus.EXCEPTION),
        ("rows", RequestStatus.EXCEPTION),
    ],
)
def test_a_failing_row_is_recorded_and_costs_only_itself(how: str, status: RequestStatus) -> None:
    episodes = inputs(3, gap_m=None, goal_m=60.0)
    fine = rollout(episodes, Fake(straight_plans), ZERO)
    logs = rollout(episodes, Fake(fail_in(1, how)), ZERO)
    for index in (0, 2):
        assert same_drive(logs[index], fine[index])
        assert (logs[index].requests.status == RequestStatus.OK).all()
    requests = logs[1].requests
    late = requests.t_obs_us > 1_000_000
    assert late.sum() > 10
    assert (requests.status[late] == status).all()
    assert (requests.status[~late] == RequestStatus.OK).all()
    assert np.isnan(requests.plan[late]).all()
    assert (requests.t_actuate_us[late] == -1).all()
    known = how not in ("exception", "timeout", "shape", "rows")
    assert (requests.output_tokens[late] == (5 if known else -1)).all()
    if not known:
        assert all(":" in text for text in np.array(requests.text)[late])
    assert logs[1].plan_request[-1] == np.flatnonzero(~late)[-1]  # the last good plan drives on
    assert logs[1].end == EndReason.GOAL


def test_an_agent_that_never_answers_holds_lane_and_speed() -> None:
    def refuse(batch: ObservationBatch) -> Any:
        raise RuntimeError("never")

    log = rollout(inputs(gap_m=None, time_limit_s=12.0, goal_m=150.0), Fake(refuse), ZERO)[0]
    assert log.end == EndReason.GOAL
    assert log.speed[:, 0] == pytest.approx(15.0, abs=1e-6)
    assert np.abs(log.route_r).max() < 1e-6
    assert (log.plan_age_us == -1).all()
    assert not log.saturated


def test_trailing_nan_rows_are_padding() -> None:
    def padded(batch: ObservationBatch) -> Float:
        return np.concatenate([straight_plans(batch), np.full((len(batch), 3, 5), np.nan)], axis=1)

    plain, other = (rollout(inputs(gap_m=None), Fake(f), ZERO)[0] for f in (straight_plans, padded))
    assert same_drive(plain, other)
    assert other.requests.plan.shape[1] == 21


def test_plans_of_changing_length_drive_alike() -> None:
    def changing(batch: ObservationBatch) -> Float:
        plans = straight_plans(batch)
        if int(batch.t_obs_us[0]) // 100_000 % 2:
            tail = plans[:, -1:].repeat(6, axis=1)
            tail[:, :, 0] += 0.25 * np.arange(1, 7)
            tail[:, :, 1] += 15.0 * 0.25 * np.arange(1, 7)
            plans = np.concatenate([plans, tail], axis=1)
        return plans

    log = rollout(inputs(gap_m=None), Fake(changing), ZERO)[0]
    assert log.speed[:, 0] == pytest.approx(15.0, abs=1e-6)
    assert log.requests.plan.shape[1] == 27


def test_plan_faults_name_rows() -> None:
    ego = np.zeros((2, 2))
    plans = np.zeros((2, 21, 5))
    plans[:, :, 0] = PLAN_TIMES
    assert plan_faults(plans, ego).tolist() == [False, False]
    plans[1, 4, 4] = -1.0
    assert plan_faults(plans, ego).tolist() == [False, True]
    assert plan_faults(plans[:, :1], ego).all()
    assert plan_faults(np.full((1, 21, 5), np.nan), ego[:1]).all()
    assert plan_faults(np.full((1, 21, 5), np.inf), ego[:1]).all()


# --- waiting -------------------------------------------------------------------------------------------------------


def brake_once(batch: ObservationBatch) -> Float:
    """Keep the speed until 1 s, then brake at 4 m/s2."""
    late = batch.t_obs_us > 1_000_000
    return np.where(late[:, None, None], straight_plans(batch, 4.0), straight_plans(batch))


@pytest.mark.parametrize("waiting", ["follow_plan", "hold_control"])
def test_waiting_policies(waiting: Waiting) -> None:
    setting = LatencySetting(Constant(0), Mode("periodic", period_ms=6000), waiting)
    answers = inputs(gap_m=None, goal_m=150.0, time_limit_s=5.5)
    log = rollout(answers, Fake(lambda batch: straight_plans(batch, 2.0)), setting)[0]
    assert len(log.requests.t_obs_us) == 1  # one plan for the whole episode
    late = log.t_us > 5_100_000 + log.t_us[0]
    if waiting == "follow_plan":  # past its horizon of 5 s a plan brakes at 3 m/s2
        assert log.acceleration[10:40, 0] == pytest.approx(-2.0, abs=0.1)
        assert log.acceleration[late, 0] == pytest.approx(-3.0, abs=0.3)
    else:  # the acceleration asked for when the plan arrived stays, whatever the plan said about later
        assert np.ptp(log.acceleration[10:, 0]) < 1e-9
    assert log.saturated == (waiting == "follow_plan")


def test_holding_control_is_not_safer_than_following_the_plan() -> None:
    episodes = inputs(12, brake_at_s=1.5, braking_mps2=4.0, gap_m=22.0)
    contacts = {}
    for waiting in ("follow_plan", "hold_control"):
        setting = LatencySetting(Constant(400), Mode("streaming"), waiting)  # type: ignore[arg-type]
        contacts[waiting] = sum(log.contact is not None for log in rollout(episodes, Idm(), setting))
    assert contacts["hold_control"] >= contacts["follow_plan"]


def test_the_safety_brake_works_beside_a_blind_driver() -> None:
    episodes = inputs(3, gap_m=50.0, lead_mps=3.0, time_limit_s=8.0)
    blind = rollout(episodes, ConstantSpeed(), ZERO)
    saved = rollout(episodes, ConstantSpeed(), dataclasses.replace(ZERO, aeb_monitor=True))
    assert all(log.end == EndReason.CONTACT for log in blind)
    assert all(log.contact is None for log in saved)
    assert all(log.aeb_active.any() and not log.aeb_active[0] for log in saved)
    assert not any(log.aeb_active.any() for log in blind)


@pytest.mark.parametrize("delay_ms", [0, 300])
def test_delay_costs_the_way_driven_meanwhile(delay_ms: int) -> None:
    """With stop distance s0 and age tau at the first brake, contact is avoided exactly from a gap of s0 + v
    tau on."""

    def brake(batch: ObservationBatch) -> Float:
        return straight_plans(batch, 8.0)

    setting = LatencySetting(Constant(delay_ms), Mode("streaming"))
    free = rollout(inputs(gap_m=None, time_limit_s=6.0, lead_in_s=9.0), Fake(brake), setting)[0]
    stop_m = float(free.x[-1, 0] - free.x[0, 0])
    age_s = float(free.requests.t_actuate_us[0] - free.requests.t_obs_us[0]) * 1e-6
    zero = rollout(inputs(gap_m=None, time_limit_s=6.0, lead_in_s=9.0), Fake(brake), ZERO)[0]
    assert stop_m == pytest.approx(float(zero.x[-1, 0] - zero.x[0, 0]) + 15.0 * age_s, abs=15.0 * 0.02)
    driven_m = stop_m + 15.0 * float(free.t_us[0]) * 1e-6
    for slack_m, hit in ((-0.3, True), (0.3, False)):
        episode = inputs(gap_m=driven_m + slack_m, lead_mps=0.0, time_limit_s=6.0, lead_in_s=9.0)
        assert (rollout(episode, Fake(brake), setting)[0].contact is not None) == hit


def test_cold_start_means_no_plan_when_the_hazard_appeared() -> None:
    episode = dataclasses.replace(inputs(gap_m=None, goal_m=40.0)[0], hazard_us=500_000)
    for delay_ms, cold in ((100, False), (900, True)):
        log = rollout([episode], Fake(straight_plans), LatencySetting(Constant(delay_ms)))[0]
        assert log.cold_start == cold
    assert not rollout(inputs(gap_m=None), Fake(straight_plans), LatencySetting(Constant(900)))[0].cold_start
