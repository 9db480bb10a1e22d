"""LatencyInjection: zero latency changes nothing, and hand-computed schedules on a world that only counts."""

from __future__ import annotations

from typing import Any

import gymnasium
import highway_env  # noqa: F401 - registers the stock environments
import numpy as np
import pytest
from gymnasium import spaces

from simdrive.envs.latency_injection import LatencyInjection
from simdrive.envs.substeps import HighwaySteps
from simdrive.errors import ParameterError, UnknownNameError, UnsupportedError
from simdrive.latency.lognormal import Lognormal
from simdrive.latency.source import Constant
from simdrive.latency.trace import Trace
from simdrive.latency.trace_files import rows_of_durations


class Counter(gymnasium.Env[Any, Any]):
    """Observes its step count and remembers every action; one step counts as 100 ms in the tests."""

    def __init__(self, length: int = 30, space: spaces.Space[Any] | None = None) -> None:
        self.observation_space = spaces.Box(0, 1000, (1,))
        self.action_space = space or spaces.Box(-1000, 1000, (1,))
        self._length = length
        self.applied: list[float] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.applied = []
        return np.zeros(1, np.float32), {"count": 0}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.applied.append(float(np.asarray(action).item()))
        count = len(self.applied)
        return np.full(1, count, np.float32), 1.0, False, count >= self._length, {"count": count}


def drive(env: LatencyInjection, steps: int) -> list[tuple[int, float, dict[str, Any]]]:
    """Answer every observation n with the action n + 1; return (observation, reward, latency info) per step."""
    observation, _ = env.reset(seed=0)
    seen = []
    for _ in range(steps):
        observation, reward, _, truncated, info = env.step(observation + 1)
        seen.append((int(observation[0]), float(reward), info["latency"]))
        if truncated:
            break
    return seen


def test_streaming_by_hand() -> None:
    env = LatencyInjection(Counter(length=12), Constant(250), step_us=100_000)
    seen = drive(env, 10)
    # Frame 0 is answered at 250 ms; then the newest frame is 2 (200 ms), asked at once, and so on.
    assert [count for count, _, _ in seen] == [2, 5, 7, 10, 12]
    assert [info["t_start_us"] for _, _, info in seen[:4]] == [250_000, 500_000, 750_000, 1_000_000]
    # Whole steps: the answer of 250 ms takes effect with the step that begins at 300 ms.
    assert env.unwrapped.applied == [0, 0, 0, 1, 1, 3, 3, 3, 6, 6, 8, 8]  # type: ignore[attr-defined]
    assert [reward for _, reward, _ in seen] == [3, 2, 3, 2, 2]
    assert seen[0][2]["answer"]["t_obs_us"] == -1  # the neutral action drove until then
    assert seen[1][2]["answer"]["t_actuate_us"] == 300_000
    assert seen[1][2]["age_us"] == 500_000
    assert seen[-1][2]["dropped_frames"] == 6


def test_neutral_lets_an_answer_go_after_one_frame() -> None:
    env = LatencyInjection(Counter(length=9), Constant(250), waiting="neutral", neutral=[-7.0], step_us=100_000)
    drive(env, 10)
    assert env.unwrapped.applied == [-7, -7, -7, 1, -7, 3, -7, -7, 6]  # type: ignore[attr-defined]


def test_fixed_delay_asks_for_every_frame() -> None:
    env = LatencyInjection(Counter(length=6), Constant(200), mode="fixed_delay", step_us=100_000)
    assert [count for count, _, _ in drive(env, 10)] == [1, 2, 3, 4, 5, 6]
    assert env.unwrapped.applied == [0, 0, 1, 2, 3, 4]  # type: ignore[attr-defined]


def test_queue_and_periodic_run_to_the_end() -> None:
    mode: dict[str, Any] = {"name": "queue", "depth": 2}
    queue = LatencyInjection(Counter(length=8), Constant(150), mode=mode, step_us=100_000)
    assert [count for count, _, _ in drive(queue, 20)][:4] == [1, 2, 3, 4]
    mode = {"name": "periodic", "period_ms": 300, "publish_ms": 200}
    periodic = LatencyInjection(Counter(length=8), Constant(150), mode=mode, step_us=100_000)
    assert [count for count, _, _ in drive(periodic, 20)] == [3, 6, 8]
    assert periodic.unwrapped.applied == [0, 0, 1, 1, 1, 4, 4, 4]  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["zero", "fixed_delay", "streaming", "queue"])
def test_no_time_changes_nothing(mode: str) -> None:
    env = LatencyInjection(Counter(length=9), Constant(0), mode=mode, step_us=100_000)
    assert [(count, reward) for count, reward, _ in drive(env, 20)] == [(n + 1, 1.0) for n in range(9)]
    assert env.unwrapped.applied == list(range(1, 10))  # type: ignore[attr-defined]


def test_same_seed_same_schedule() -> None:
    def stamps() -> list[int]:
        env = LatencyInjection(Counter(), Lognormal(median_ms=150, sigma=0.5), step_us=100_000)
        first = [info["now_us"] for _, _, info in drive(env, 30)]
        env.reset()
        second = [env.step(np.ones(1))[4]["latency"]["now_us"] for _ in range(5)]
        assert second != first[:5]  # the next episode draws its own times
        return first + second

    assert stamps() == stamps()


def test_what_an_answer_cost_reaches_the_source() -> None:
    class PerToken:
        def price(self, requests: Any) -> Any:
            assert requests.charge.architecture == "tiny"
            return np.array([[0, 0, 0, 0, 1000, 0]]) * requests.usage.output[:, None]

        def identity(self) -> dict[str, Any]:
            return {}

    from simdrive.types import Charge

    env = LatencyInjection(Counter(), PerToken(), step_us=100_000, charge=Charge("tiny", "w4a16"))
    env.reset(seed=1)
    env.charge_next(output=310)
    assert env.step(np.ones(1))[0][0] == 3
    assert env.step(np.ones(1))[4]["latency"]["now_us"] == 400_000  # no cost given: no time


def test_misuse_is_named() -> None:
    with pytest.raises(ParameterError, match="step_us"):
        LatencyInjection(Counter(), Constant())
    with pytest.raises(ParameterError, match="step_us"):
        LatencyInjection(Counter(), Constant(), step_us=0)
    with pytest.raises(ParameterError, match="neutral"):
        LatencyInjection(Counter(space=spaces.Discrete(3)), Constant(), step_us=1)
    with pytest.raises(UnknownNameError, match="hold_control"):
        LatencyInjection(Counter(), Constant(), waiting="follow_plan", step_us=1)  # type: ignore[arg-type]
    env = LatencyInjection(Counter(length=1), Constant(), step_us=100_000)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(1))
    env.reset(seed=0)
    assert env.step(np.zeros(1))[3]
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(1))


# --- stock highway-env ---------------------------------------------------------------------------------

CONTINUOUS = {
    "action": {"type": "ContinuousAction"}, "vehicles_count": 8, "policy_frequency": 5, "duration": 4,
}  # fmt: skip


def highway(env_id: str = "highway-v0", **config: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(env_id, config=config)


def trajectory(env: gymnasium.Env[Any, Any], seed: int) -> list[Any]:
    """Drive with seeded random actions to the end; return everything that came back."""
    observation, _ = env.reset(seed=seed)  # the info of a reset holds an unseeded random action
    env.action_space.seed(seed)
    rows: list[Any] = [observation.tolist()]
    for _ in range(60):
        action = env.action_space.sample()
        observation, reward, terminated, truncated, info = env.step(action)
        info.pop("latency", None)
        vehicles = [(*v.position, v.heading, v.speed, v.crashed) for v in env.unwrapped.road.vehicles]  # type: ignore[attr-defined]
        rows.append((observation.tolist(), reward, terminated, truncated, str(info), vehicles))
        if terminated or truncated:
            break
    return rows


@pytest.mark.parametrize(
    ("env_id", "config"),
    [
        ("highway-v0", {"vehicles_count": 8, "duration": 8}),
        ("highway-v0", CONTINUOUS),
        ("intersection-v2", {"duration": 4, "initial_vehicle_count": 4}),
        ("racetrack-v1", {"duration": 3}),
    ],
)
@pytest.mark.parametrize("mode", ["zero", "streaming"])
def test_zero_latency_equals_stock_highway_env(env_id: str, config: dict[str, Any], mode: str) -> None:
    plain = trajectory(highway(env_id, **config), 3)
    wrapped = trajectory(LatencyInjection(highway(env_id, **config), Constant(0), mode=mode), 3)
    assert len(plain) > 3
    assert wrapped == plain


def test_a_meta_action_takes_effect_within_the_policy_step() -> None:
    faster = 3

    def speeds(delay_ms: float) -> list[float]:
        env = LatencyInjection(highway(vehicles_count=1, duration=10), Constant(delay_ms))
        env.reset(seed=0)
        base: Any = env.unwrapped
        recorded = []
        step = base.road.step
        base.road.step = lambda dt: (step(dt), recorded.append(base.vehicle.speed))  # type: ignore[func-returns-value]
        env.step(faster)
        return recorded[:15]

    now, later = speeds(0), speeds(400)
    assert len(now) == len(later) == 15
    assert now[0] > 25.0
    assert later[:6] == [25.0] * 6  # 400 ms = 6 frames at 15 Hz
    assert later[6:] == now[:9]


def test_a_slow_answer_is_asked_on_the_newest_policy_frame() -> None:
    env = LatencyInjection(highway(vehicles_count=1, duration=10), Constant(1500))
    env.reset(seed=0)
    info = env.step(1)[4]["latency"]
    assert (info["now_us"], info["t_obs_us"], info["t_start_us"]) == (1_533_333, 1_000_000, 1_500_000)


def test_frequencies_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ParameterError, match="multiple"):
        LatencyInjection(highway(simulation_frequency=15, policy_frequency=4), Constant())


def test_a_step_that_cannot_be_taken_apart_says_so() -> None:
    env = LatencyInjection(gymnasium.make("lane-keeping-v0"), Constant())
    env.reset(seed=0)
    with pytest.raises(UnsupportedError, match="step_us"):
        env.step(np.zeros(env.action_space.shape or (1, 1)))
    whole = LatencyInjection(gymnasium.make("lane-keeping-v0"), Constant(200), step_us=100_000)
    whole.reset(seed=0)
    assert whole.step(np.zeros(env.action_space.shape or (1, 1)))[4]["latency"]["now_us"] == 200_000


def test_several_agents_have_an_idle_action_each() -> None:
    action = {"type": "MultiAgentAction", "action_config": {"type": "DiscreteMetaAction"}}
    env = highway(vehicles_count=2, controlled_vehicles=2, action=action)
    env.reset(seed=0)
    assert HighwaySteps(env).neutral() == (1, 1)


def test_dynamic_by_hand() -> None:
    env = LatencyInjection(Counter(length=9), Constant(150), mode="dynamic", step_us=100_000)
    # At 150 ms frame 1 is 50 ms old and the job would end 50 ms into a period: it waits for frame 2, then for 4.
    assert [count for count, _, _ in drive(env, 4)] == [2, 4, 6, 8]


def test_rtmdp_shows_the_actions_that_act_until_the_answer() -> None:
    env = LatencyInjection(Counter(length=6), Constant(150), mode="rtmdp", step_us=100_000)
    observation, info = env.reset(seed=0)
    shown = [info["latency"]["pending"]]
    for _ in range(3):
        observation, _, _, _, info = env.step(observation + 1)
        shown.append(info["latency"]["pending"])
    assert [[float(np.asarray(action).item()) for action in row] for row in shown] == [[0], [0, 1], [1, 2], [2, 3]]


def test_pending_leaves_out_what_a_newer_answer_has_overtaken() -> None:
    source = Trace(rows=tuple(rows_of_durations([450.0, 100.0, 100.0, 100.0, 100.0])))
    env = LatencyInjection(Counter(length=6), source, mode="rtmdp", step_us=100_000)
    observation, info = env.reset(seed=0)
    shown = []
    for _ in range(4):
        observation, _, _, _, info = env.step(observation + 1)
        shown.append([float(np.asarray(action).item()) for action in info["latency"]["pending"]])
    assert shown == [[0, 1], [2], [3], [4]]  # the answer to frame 0 is overtaken at 200 ms


def test_late_actions_are_discarded_or_used() -> None:
    applied = {}
    for miss in ("use_late", "discard_late"):
        env = LatencyInjection(Counter(length=6), Constant(250), step_us=100_000, deadline={"ms": 260, "miss": miss})
        seen = drive(env, 10)
        applied[miss] = env.unwrapped.applied  # type: ignore[attr-defined]
        assert seen[-1][2]["misses"] == 1  # frame 2 starts at 250 and is answered at 500: 300 ms old
    assert applied["use_late"] == [0, 0, 0, 1, 1, 3]
    assert applied["discard_late"] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"mode": "chunk_async"}, "no chunk"),
        ({"mode": "dual_rate"}, "no fast planner"),
        ({"deadline": {"ms": 200, "miss": "early_exit"}}, "early_exit"),
        ({"deadline": {"ms": 200, "miss": "fallback_plan"}}, "fallback_plan"),
        ({"deadline": {"ms": 200, "mrm_after": 2}}, "mrm_after"),
        ({"mode": "fixed_delay", "deadline": {"ms": 200, "miss": "skip_next"}}, "skip"),
    ],
)
def test_what_needs_plans_is_refused(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        LatencyInjection(Counter(), Constant(250), step_us=100_000, **arguments)
