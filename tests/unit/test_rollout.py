"""The loop: zero latency is the plain simulation, batches change nothing, and no agent ends a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from straight_worlds import case, straight_world

from simdrive.agents.constant_speed import ConstantSpeed
from simdrive.agents.idm import Idm
from simdrive.errors import ParameterError
from simdrive.eval.asking import ask, plan_faults, single
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.rollout import request_phase_us, rollout
from simdrive.latency.lognormal import Lognormal
from simdrive.latency.modes import LatencySetting, Mode, Waiting
from simdrive.latency.source import Constant
from simdrive.latency.trace import Trace
from simdrive.latency.trace_files import rows_of_logs
from simdrive.sim.follow import hold_of
from simdrive.sim.plans import PLAN_TIMES
from simdrive.sim.tracker import TrackerLimits, track
from simdrive.sim.worlds import Worlds
from simdrive.types import (
    AgentCard,
    CameraSpec,
    Charge,
    EndReason,
    EpisodeLog,
    Float,
    Long,
    ObservationBatch,
    PlanBatch,
    RequestStatus,
    TokenUsage,
    Wants,
)

ZERO = LatencySetting(Constant(0), Mode("zero"))


class Fake:
    """An agent made of a function from an observation batch to plans (or to a whole answer)."""

    card = AgentCard("fake", "control", "for tests")
    charge = Charge("tiny", "w16a16")

    def __init__(self, function: Callable[[ObservationBatch], Any], wants: Wants = Wants()) -> None:  # noqa: B008
        self._function, self.wants = function, wants

    def reset(self, slots: Long) -> None:
        """Nothing to forget."""

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        answer = self._function(batch)
        if isinstance(answer, PlanBatch):
            return answer
        return PlanBatch(answer, TokenUsage(*np.full((3, len(batch)), 7)))


def straight_plans(batch: ObservationBatch, braking_mps2: float = 0.0) -> Float:
    """Return plans along +x that brake to a stop, or keep their speed."""
    speed, t = batch.ego[:, 3:4], PLAN_TIMES[None]
    end = np.minimum(t, speed / braking_mps2) if braking_mps2 else t
    x = batch.ego[:, 0:1] + speed * end - 0.5 * braking_mps2 * end**2
    y = np.repeat(batch.ego[:, 1:2], len(PLAN_TIMES), axis=1)
    return np.stack([np.repeat(t, len(batch), 0), x, y, 0 * x, speed - braking_mps2 * end], axis=2)


def inputs(count: int = 1, start: int = 0, **fields: Any) -> list[EpisodeInput]:
    """Return episodes whose cases differ in number, and so in phase."""
    return [EpisodeInput(case(start + number), straight_world(**fields)) for number in range(count)]


def flat(value: Any) -> Any:
    """Return a log as nested plain data that compares bit for bit, NaN included."""
    if dataclasses.is_dataclass(value):
        return {field.name: flat(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    return repr(value)


def same_drive(first: EpisodeLog, second: EpisodeLog) -> bool:
    names = ("t_us", "x", "y", "heading", "speed", "acceleration", "steering", "plan_age_us", "plan_request")
    return all(flat(getattr(first, name)) == flat(getattr(second, name)) for name in names)


# --- zero latency
# ----------------------------------------------------------------------------------------------


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


SETTINGS = [
    LatencySetting(Lognormal(median_ms=230, sigma=0.4), Mode("streaming")),
    LatencySetting(Constant(330), Mode("queue", depth=2), "hold_control", aeb_monitor=True),
]


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


# --- requests
# ---------------------------------------------------------------------------------------------------


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


# --- failures
# ---------------------------------------------------------------------------------------------------


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


# --- observations
# -----------------------------------------------------------------------------------------------


def test_agents_see_only_what_they_want() -> None:
    seen: list[ObservationBatch] = []

    def look(batch: ObservationBatch) -> Float:
        seen.append(batch)
        return straight_plans(batch)

    rollout(inputs(goal_m=12.0), Fake(look), ZERO)
    assert seen[0].world is None
    assert seen[0].frames is None
    rollout(inputs(goal_m=12.0), Fake(look, Wants(world="visible")), ZERO)
    assert seen[-1].world is not None
    assert seen[-1].world.simulator is None
    assert seen[-1].world.visible.tolist() == [[True, True]]
    rollout(inputs(goal_m=12.0), Fake(look, Wants(world="clairvoyant")), ZERO)
    assert isinstance(seen[-1].world and seen[-1].world.simulator, Worlds)


def test_a_late_start_sees_the_frame_it_is_made_of() -> None:
    seen: list[ObservationBatch] = []

    def look(batch: ObservationBatch) -> Float:
        seen.append(batch)
        return straight_plans(batch)

    log = rollout(inputs(gap_m=None, goal_m=30.0), Fake(look, Wants(world="visible")), LatencySetting(Constant(250)))[0]
    second = seen[1]
    assert second.t_obs_us[0] == log.requests.t_obs_us[1] < log.requests.t_start_us[1]
    row = int(np.flatnonzero(log.t_us == second.t_obs_us[0])[0])
    assert second.ego[0, 0] == log.x[row, 0]
    assert second.world is not None
    assert second.world.x[0, 0] == log.x[row, 0]


def test_pictures_are_those_of_the_frames_asked_for() -> None:
    seen: list[ObservationBatch] = []

    def look(batch: ObservationBatch) -> Float:
        seen.append(batch)
        return straight_plans(batch)

    camera = CameraSpec(width=40, height=24)
    now = Wants(cameras=(camera,))
    both = Wants(cameras=(camera,), frame_offsets_us=(0, -200_000))
    rollout(inputs(2, gap_m=25.0, goal_m=12.0), Fake(look, both), ZERO)
    pairs, seen = {(int(b.slot[i]), int(b.t_obs_us[i])): b.frames[i] for b in seen for i in range(len(b))}, []  # type: ignore[index]
    rollout(inputs(2, gap_m=25.0, goal_m=12.0), Fake(look, now), ZERO)
    single_frames = {(int(b.slot[i]), int(b.t_obs_us[i])): b.frames[i] for b in seen for i in range(len(b))}  # type: ignore[index]
    assert pairs.keys() == single_frames.keys()
    for (slot, t_us), frames in pairs.items():
        assert frames.shape == (1, 2, 24, 40, 3)
        assert np.array_equal(frames[0, 0], single_frames[slot, t_us][0, 0])
        first = request_phase_us(case(slot))
        earlier = single_frames[slot, max(t_us - 200_000, first)]
        assert np.array_equal(frames[0, 1], earlier[0, 0])
    with pytest.raises(ParameterError, match="frame_offsets_us"):
        rollout(inputs(), Fake(look, Wants(cameras=(camera,), frame_offsets_us=(-50_000,))), ZERO)


def test_single_rows_keep_everything() -> None:
    batches: list[ObservationBatch] = []

    def look(batch: ObservationBatch) -> Float:
        batches.append(batch)
        return straight_plans(batch)

    agent = Fake(look, Wants(cameras=(CameraSpec(width=8, height=6),), world="visible"))
    episodes = [EpisodeInput(case(5), straight_world(gap_m=20.0 + i, goal_m=12.0)) for i in range(2)]
    rollout(episodes, agent, ZERO)
    batch = batches[0]
    assert len(batch) == 2
    for row in range(2):
        part = single(batch, row)
        assert len(part) == 1
        assert part.world is not None
        assert batch.world is not None
        assert part.world.x.tobytes() == batch.world.x[row : row + 1].tobytes()
        assert part.frames is not None
        assert batch.frames is not None
        assert np.array_equal(part.frames[0], batch.frames[row])
        assert ask(agent, part)[0].status == RequestStatus.OK


# --- ends
# -------------------------------------------------------------------------------------------------------


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


# --- waiting
# ----------------------------------------------------------------------------------------------------


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


# --- the log
# ----------------------------------------------------------------------------------------------------


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
