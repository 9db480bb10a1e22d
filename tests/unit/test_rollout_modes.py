"""The loop under the later modes and waiting policies: what the agent is told, what drives the car, what is written down."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from loop_kit import ZERO, Fake, flat, inputs, same_drive, straight_plans
from straight_worlds import case

from simdrive.agents.idm import Idm
from simdrive.errors import ParameterError
from simdrive.eval.adopting import first_part, moved, plan_at
from simdrive.eval.fast import guided_plan
from simdrive.eval.rollout import request_phase_us, rollout
from simdrive.latency.deadline import Deadline
from simdrive.latency.device import DeviceSpec, Job
from simdrive.latency.disturbed import Disturbed
from simdrive.latency.jitter import Jitter
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant, RequestBatch
from simdrive.latency.states import ClockStates
from simdrive.sim.plans import PLAN_TIMES
from simdrive.types import Float, Long, ObservationBatch, PlanBatch, TokenUsage

EARLY = next(n for n in range(99) if request_phase_us(case(n)) == 0)
STATES = ClockStates({"fast": {"dwell_s": 1.0}, "slow": {"compute": 0.5, "bandwidth": 0.5, "dwell_s": 1.0}})
JITTERY = Disturbed(
    Constant(230, {"prefill": 1, "decode": 2}), Jitter(1.5, burst_factor=2.0, cold_start_ms=150), STATES
)
EVERYTHING = [
    LatencySetting(JITTERY, Mode("dynamic")),
    LatencySetting(JITTERY, Mode("chunk_async", frozen_ms=150)),
    LatencySetting(JITTERY, Mode("dual_rate", fast="r157_human")),
    LatencySetting(JITTERY, Mode("rtmdp"), "extrapolate"),
    LatencySetting(JITTERY, Mode("streaming"), "follow_plan_stale_frame"),
    LatencySetting(JITTERY, Mode("queue"), "extrapolate", deadline=Deadline(300, "fallback_plan", mrm_after=3)),
    LatencySetting(JITTERY, Mode("streaming"), "hold_control", True, Deadline(300, "skip_next", mrm_after=2)),
    LatencySetting(JITTERY, device=DeviceSpec("preemptive", (Job("lidar", 50, 15, 1),)), deadline=Deadline(400, "early_exit")),
]  # fmt: skip


@pytest.mark.parametrize("setting", EVERYTHING)
def test_an_episode_does_not_depend_on_its_batch_and_repeats(setting: LatencySetting) -> None:
    episodes = inputs(3, brake_at_s=0.8, gap_m=20.0, time_limit_s=3.5)
    together = [flat(log) for log in rollout(episodes, Idm(), setting)]
    alone = [flat(rollout([episode], Idm(), setting)[0]) for episode in episodes]
    assert together == alone == [flat(log) for log in rollout(episodes, Idm(), setting)]


@pytest.mark.parametrize("name", ["fixed_delay", "dynamic", "rtmdp"])
def test_no_delay_is_zero_latency(name: Any) -> None:
    episodes = inputs(2, brake_at_s=0.8, gap_m=20.0, time_limit_s=3.0)
    zero = rollout(episodes, Idm(), ZERO)
    for waiting in ("follow_plan", "extrapolate", "follow_plan_stale_frame"):
        other = rollout(episodes, Idm(), LatencySetting(Constant(0), Mode(name), waiting))  # type: ignore[arg-type]
        assert all(same_drive(a, b) for a, b in zip(zero, other, strict=True))


def test_every_time_stamp_and_state_is_written_down() -> None:
    log = rollout(inputs(start=EARLY, gap_m=None, time_limit_s=4.0), Idm(), EVERYTHING[6])[0].requests
    done = log.t_publish_us >= 0
    assert done.sum() >= 4
    order = (log.t_obs_us, log.t_start_us, log.t_first_token_us, log.t_finish_us, log.t_publish_us)
    for before, after in zip(order, order[1:], strict=False):
        assert (before[done] <= after[done]).all()
    assert (log.deadline_us[done] == log.t_obs_us[done] + 300_000).all()
    assert (log.missed[done] == (log.t_publish_us > log.deadline_us)[done]).all()
    assert log.state[0].endswith("cold_start")
    assert {word for state in log.state for word in state.split("+")} <= {"fast", "slow", "burst", "cold_start", ""}


# --- what the agent is told ----------------------------------------------------------------------------------------


def seen_by(setting: LatencySetting, **fields: Any) -> tuple[list[ObservationBatch], Any]:
    seen: list[ObservationBatch] = []

    def drive(batch: ObservationBatch) -> Float:
        seen.append(batch)
        return straight_plans(batch)

    log = rollout(inputs(start=EARLY, gap_m=None, time_limit_s=2.0, **fields), Fake(drive), setting)[0]
    return seen, log


def test_rtmdp_shows_the_plans_that_drive_until_its_own() -> None:
    seen, _ = seen_by(LatencySetting(Constant(150), Mode("rtmdp")))
    pending = [batch.pending for batch in seen]
    assert all(plans is not None for plans in pending)
    counts = [int((~np.isnan(plans[0, :, 0, 0])).sum()) for plans in pending if plans is not None]
    assert counts[:4] == [0, 1, 2, 2]  # at 200 ms: that of 0 drives (since 150), that of 100 is in flight
    third = pending[2]
    assert third is not None
    assert third[0, :, 0, 0].tolist() == pytest.approx([-0.2, -0.1])  # times count from this observation
    assert third[0, 1, 0, 1] == pytest.approx(seen[1].ego[0, 0])


def test_chunk_async_shows_the_plan_in_use() -> None:
    seen, log = seen_by(LatencySetting(Constant(120), Mode("chunk_async", chunk_ms=600, threshold=0.5)))
    assert log.requests.t_start_us[:3].tolist() == [0, 300_000, 600_000]
    pending = seen[1].pending
    assert pending is not None
    assert pending.shape[1] == 1
    assert pending[0, 0, 0, 0] == pytest.approx(-0.3)
    assert np.isnan(seen[0].pending).all()  # type: ignore[arg-type]


def test_other_modes_tell_nothing() -> None:
    seen, _ = seen_by(LatencySetting(Constant(120), Mode("streaming")))
    assert all(batch.pending is None and batch.max_output_tokens is None for batch in seen)


def test_a_starved_chunk_brakes_past_its_end() -> None:
    setting = LatencySetting(Constant(900), Mode("chunk_async", chunk_ms=1000, threshold=0.1))
    _, log = seen_by(setting)  # a chunk of 0-1.0 s; its successor comes at 1.8 s
    assert log.saturated
    at = (log.t_us >= 1_300_000) & (log.t_us <= 1_700_000)
    assert log.acceleration[at, 0] == pytest.approx(-3.0, abs=0.2)


class PerToken:
    """Costs 5 ms per output token and nothing else."""

    def price(self, requests: RequestBatch) -> Long:
        stages = np.zeros((len(requests), 6), np.int64)
        stages[:, 4] = 5_000 * requests.usage.output
        return stages

    def identity(self) -> dict[str, Any]:
        return {"source": "per_token"}


def test_early_exit_says_how_many_tokens_fit_and_an_agent_that_listens_is_in_time() -> None:
    def talk(batch: ObservationBatch, listens: bool) -> PlanBatch:
        limit = batch.max_output_tokens
        assert limit is not None
        output = np.minimum(80, np.where(limit < 0, 80, limit)) if listens else np.full(len(batch), 80)
        return PlanBatch(straight_plans(batch), TokenUsage(output, 0 * output, output))

    setting = LatencySetting(PerToken(), Mode("streaming"), deadline=Deadline(203, "early_exit"))
    for listens, missed in ((True, False), (False, True)):
        agent = Fake(lambda batch, listens=listens: talk(batch, listens))
        log = rollout(inputs(start=EARLY, gap_m=None, time_limit_s=2.0), agent, setting)[0].requests
        done = log.t_publish_us >= 0
        assert log.max_output_tokens[0] == 40  # 40 x 5 ms = 200 ms, 41 would be 205 ms
        assert (log.missed[done] == missed).all()
        assert (log.output_tokens[done] == 80).any() == (not listens)
    jittery = dataclasses.replace(setting, source=Disturbed(PerToken(), Jitter(2.0)))
    assert rollout(inputs(start=EARLY, gap_m=None), agent, jittery)[0].requests.max_output_tokens[0] == 40


def test_early_exit_does_not_limit_where_tokens_do_not_matter() -> None:
    setting = LatencySetting(Constant(500), Mode("streaming"), deadline=Deadline(200, "early_exit"))
    seen, log = seen_by(setting)
    assert (log.requests.max_output_tokens == -1).all()
    assert (seen[0].max_output_tokens == -1).all()  # type: ignore[union-attr]


# --- waiting policies ----------------------------------------------------------------------------------------------


def test_extrapolate_shows_the_ego_where_it_will_be() -> None:
    seen, log = seen_by(LatencySetting(Constant(200), Mode("streaming", expected_ms=200), "extrapolate"))
    # Every answer takes what is expected: the ego is shown exactly where it is when the plan takes over.
    for batch, start in zip(seen[:5], log.requests.t_start_us, strict=False):
        at = np.searchsorted(log.t_us, start + 200_000)
        assert batch.ego[0, 0] == pytest.approx(log.x[at, 0], abs=1e-6)
        assert batch.ego[0, 0] - log.x[np.searchsorted(log.t_us, batch.t_obs_us[0]), 0] == pytest.approx(
            15.0 * (start + 200_000 - batch.t_obs_us[0]) * 1e-6
        )
    assert log.requests.plan[0, 0, 0] == pytest.approx(0.2)  # in the log a plan still counts from its observation
    assert seen[0].route_s[0] == pytest.approx(15.0 * 0.2, abs=1e-6)


def test_extrapolate_learns_what_to_expect() -> None:
    _, log = seen_by(LatencySetting(Constant(250), Mode("streaming"), "extrapolate"))
    shifts = log.requests.plan[:4, 0, 0]
    assert shifts[0] == 0.0  # nothing is known yet
    assert shifts[1] == pytest.approx((log.requests.t_start_us[1] + 250_000 - log.requests.t_obs_us[1]) * 1e-6)


def test_a_moved_world_view_has_its_ego_where_it_is_shown() -> None:
    seen: list[ObservationBatch] = []

    class Watching(Idm):
        def plan(self, batch: ObservationBatch) -> PlanBatch:
            seen.append(batch)
            return super().plan(batch)

    setting = LatencySetting(Constant(200), Mode("streaming", expected_ms=200), "extrapolate")
    log = rollout(inputs(start=EARLY, gap_m=40.0), Watching(), setting)[0]
    view = seen[1].world
    assert view is not None
    assert view.x[0, 0] == seen[1].ego[0, 0]
    assert view.x[0, 1] == log.x[np.searchsorted(log.t_us, seen[1].t_obs_us[0]), 1]  # others stay as they were seen


def test_a_plan_in_a_stale_frame_is_driven_from_where_it_takes_over() -> None:
    """A plan to stop after 2 s of braking stops one delay later and that way farther than by time stamp."""

    def stop(batch: ObservationBatch) -> Float:
        return straight_plans(batch, 5.0)

    ends = {}
    for waiting in ("follow_plan", "follow_plan_stale_frame"):
        mode = Mode("periodic", period_ms=9000)
        setting = LatencySetting(Constant(400), mode, waiting)  # type: ignore[arg-type]
        log = rollout(inputs(start=EARLY, gap_m=None, time_limit_s=8.0, lead_in_s=9.0), Fake(stop), setting)[0]
        ends[waiting] = float(log.x[-1, 0] - log.x[0, 0])
    assert ends["follow_plan"] == pytest.approx(15.0**2 / 10.0, abs=1.0)  # the tracker catches up with the plan
    assert ends["follow_plan_stale_frame"] == pytest.approx(15.0 * 0.4 + 15.0**2 / 10.0, abs=1.0)


def test_moved_turns_and_shifts_by_hand() -> None:
    plan = np.array([[0.0, 10.0, 5.0, 0.0, 3.0], [1.0, 13.0, 5.0, 0.0, 3.0]])
    turned = moved(plan, np.array([10.0, 5.0, 0.0]), np.array([20.0, 0.0, np.pi / 2]))
    assert turned[:, 1:4] == pytest.approx(np.array([[20.0, 0.0, np.pi / 2], [20.0, 3.0, np.pi / 2]]))
    assert turned[:, [0, 4]].tolist() == plan[:, [0, 4]].tolist()


def test_first_part_and_points_by_hand() -> None:
    plan = np.array([[0.0, 0.0, 0.0, 3.0, 2.0], [1.0, 2.0, 0.0, -3.1, 4.0], [2.0, 6.0, 0.0, -3.0, 4.0]])
    cut = first_part(plan, 1_500_000)
    assert cut[:, 0].tolist() == [0.0, 1.0, 1.5]
    assert cut[-1, 1:].tolist() == pytest.approx([4.0, 0.0, 2.0 * np.pi - 3.05, 4.0])
    assert first_part(plan, 2_000_000) is plan
    early = plan_at(np.array([[0.5, 3.0, 1.0, 0.0, 2.0], [1.0, 4.0, 1.0, 0.0, 2.0]]), np.array([0.0]))
    assert early[0].tolist() == pytest.approx([0.0, 2.0, 1.0, 0.0, 2.0])


# --- deadline misses -----------------------------------------------------------------------------------------------


def test_fallback_and_mrm_slow_the_car_down_and_the_log_says_so() -> None:
    setting = LatencySetting(Constant(900), Mode("streaming"), deadline=Deadline(300, "fallback_plan"))
    _, log = seen_by(setting)
    fallback = (log.t_us > 450_000) & (log.t_us < 900_000)
    assert log.acceleration[fallback, 0] == pytest.approx(-1.0, abs=0.1)
    assert (log.plan_request[fallback] == -1).all()
    assert (log.plan_age_us[fallback] == -1).all()
    assert log.requests.branch[0] == "fallback"
    brake = dataclasses.replace(setting, deadline=Deadline(300, mrm_after=2, mrm_braking_mps2=4.0))
    _, log = seen_by(brake)
    # Misses at 300 and at 900 + 300 (of frame 900): from 1.2 s on the car brakes, and the late plan at 1.8 s is not used.
    assert log.requests.branch[:2] == ("used_late", "mrm")
    assert (log.acceleration[(log.t_us > 1_000_000) & (log.t_us < 1_190_000), 0] > -0.1).all()
    assert log.acceleration[log.t_us > 1_700_000, 0] == pytest.approx(-4.0, abs=0.4)  # feedback on top of the plan
    assert (log.plan_request[log.t_us > 1_250_000] == -1).all()
    assert log.requests.t_actuate_us[1] == -1


def test_a_discarded_plan_never_drives() -> None:
    _, log = seen_by(LatencySetting(Constant(900), Mode("streaming"), deadline=Deadline(300, "discard_late")))
    assert (log.requests.t_actuate_us == -1).all()
    assert (log.plan_request == -1).all()
    assert log.speed[:, 0] == pytest.approx(15.0, abs=1e-6)  # the common start goes on


def test_the_car_goes_on_with_its_agent_once_a_plan_comes_in_time() -> None:
    slow_then_fast = Disturbed(Constant(50), Jitter(cold_start_ms=900))
    _, log = seen_by(LatencySetting(slow_then_fast, Mode("streaming"), deadline=Deadline(300, mrm_after=1)))
    assert log.requests.branch[0] == "mrm"
    assert (log.plan_request[log.t_us >= 1_000_000] >= 0).all()


# --- dual rate -----------------------------------------------------------------------------------------------------


def blind(batch: ObservationBatch) -> Float:
    return straight_plans(batch)


def test_the_fast_planner_brakes_where_the_slow_one_is_blind() -> None:
    episodes = inputs(3, gap_m=30.0, brake_at_s=1.5)
    alone = rollout(episodes, Fake(blind), LatencySetting(Constant(800)))
    led = rollout(episodes, Fake(blind), LatencySetting(Constant(800), Mode("dual_rate")))
    assert all(log.contact is not None for log in alone)
    assert all(log.contact is None for log in led)
    ages = np.concatenate([log.plan_age_us for log in led])
    assert ages[ages >= 0].min() >= 800_000  # what is in use is the guidance, and its age is written down


def test_the_slow_plan_caps_the_speed_and_leads_the_way() -> None:
    def slow_and_left(batch: ObservationBatch) -> Float:
        plans = straight_plans(batch)
        plans[:, :, 4] *= 0.6
        plans[:, :, 1] = batch.ego[:, :1] + plans[:, :, 4] * PLAN_TIMES
        plans[:, :, 2] += (3.5 - plans[:, :, 2]) * np.minimum(
            PLAN_TIMES / 2.0, 1.0
        )  # half a metre left of the lane centre
        plans[:, :, 3] = np.where(
            PLAN_TIMES < 2.0, np.arctan2(plans[:, 8, 2] - plans[:, 0, 2], plans[:, 8, 1] - plans[:, 0, 1])[:, None], 0.0
        )
        return plans

    first = LatencySetting(Constant(800), Mode("dual_rate"))
    log = rollout(inputs(start=EARLY, gap_m=None, time_limit_s=3.0), Fake(slow_and_left), first)[0]
    assert log.speed[-1, 0] < 0.6 * 15.0
    assert log.route_r[-1] < -0.15
    idm = rollout(inputs(start=EARLY, gap_m=None, time_limit_s=3.0), Idm(), first)[0]
    assert abs(idm.route_r[-1]) < 1e-3


def test_before_guidance_the_fast_planner_drives_alone() -> None:
    log = rollout(inputs(gap_m=30.0, brake_at_s=0.3), Fake(blind), LatencySetting(Constant(9000), Mode("dual_rate")))[0]
    assert log.contact is None
    assert (log.plan_age_us == -1).all()


def test_late_guidance_leaves_the_fast_planner_alone_or_brakes() -> None:
    for deadline, braking in ((Deadline(300, "fallback_plan"), False), (Deadline(300, mrm_after=1), True)):
        setting = LatencySetting(Constant(900), Mode("dual_rate"), deadline=deadline)
        log = rollout(inputs(start=EARLY, gap_m=None, time_limit_s=2.5), Idm(), setting)[0]
        late = (log.t_us > 400_000) & (log.t_us < 900_000)
        assert (log.plan_age_us[late] == -1).all()
        assert (log.speed[-1, 0] < 10.0) == braking
        assert (log.requests.t_actuate_us[0] >= 0) == (not braking)  # late guidance is used, but not while braking


def test_guided_plan_by_hand() -> None:
    """Guidance along +y at 4 m/s from (0, 0), fast plan at 6 then 2 m/s; the ego stands at (0.3, 1)."""
    guidance = np.stack(
        [PLAN_TIMES, 0 * PLAN_TIMES, 4.0 * PLAN_TIMES, np.full(21, np.pi / 2), np.full(21, 4.0)], axis=1
    )
    speed = np.where(PLAN_TIMES < 1.0, 6.0, 2.0)
    fast = np.stack([PLAN_TIMES, 0 * PLAN_TIMES, 0 * PLAN_TIMES, 0 * PLAN_TIMES, speed], axis=1)
    led = guided_plan(np.array([0.3, 1.0]), fast, 1_000_000, guidance, 500_000, 1_000_000)
    assert led[:, 4].tolist() == [4.0] * 4 + [2.0] * 15 + [2.0] * 2  # past the guidance (4.5 s) the fast one alone
    assert led[:5, 2].tolist() == pytest.approx([1.0, 2.0, 3.0, 4.0, 4.75])
    assert np.abs(led[:, 1]).max() < 1e-9
    assert led[:, 3] == pytest.approx(np.pi / 2)


def test_the_fast_planner_sees_guidance_and_its_age() -> None:
    from simdrive.eval import fast as module

    seen: list[ObservationBatch] = []
    ask = vars(module)["ask"]

    def spy(agent: Any, batch: ObservationBatch) -> Any:
        seen.append(batch)
        return ask(agent, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ask", spy)
        seen_by(LatencySetting(Constant(250), Mode("dual_rate")))
    ages = [int(batch.age_us[0]) for batch in seen[:6] if batch.age_us is not None]
    assert ages == [-1, -1, -1, 300_000, 400_000, 300_000]  # 0 answers at 250 ms, the frame of 200 ms at 500
    pending = seen[3].pending
    assert pending is not None
    assert pending.shape[1:] == (1, 21, 5)
    assert pending[0, 0, 0, 0] == pytest.approx(-0.3)


def test_a_fast_planner_must_be_a_rule_driver() -> None:
    with pytest.raises(ParameterError, match="the future"):
        rollout(inputs(), Idm(), LatencySetting(Constant(0), Mode("dual_rate", fast="oracle")))
