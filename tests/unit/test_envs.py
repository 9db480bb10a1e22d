"""The Gymnasium faces: registration, Gymnasium's own check, our vector check, errors, seeds, latency in
front."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import simdrive
from simdrive.build import config_names
from simdrive.envs.check import check_vector_env
from simdrive.envs.latency_injection import LatencyInjection
from simdrive.envs.register import environment_id
from simdrive.envs.scenario_env import ScenarioEnv
from simdrive.envs.vector_env import ScenarioVectorEnv
from simdrive.errors import ControlError, ParameterError, UnknownNameError
from simdrive.latency.source import Constant
from simdrive.scenarios.sampling import sample_cases
from simdrive.types import CameraSpec

SCENARIO = "cut_in"
IDS = [environment_id(name) for name in config_names("scenario")]


def test_importing_the_package_is_light() -> None:
    code = "import sys, simdrive; print([m for m in ('torch', 'pygame', 'numba', 'highway_env') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_scenario_has_an_id() -> None:
    assert simdrive.__version__
    assert environment_id("cut_in") == "simdrive/CutIn-v0"
    for name in config_names("scenario"):
        assert gymnasium.spec(environment_id(name)).kwargs == {"scenario": name}


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_accepts_every_environment_without_a_warning(name: str) -> None:
    env = gymnasium.make(name, render_mode="rgb_array").unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)
    env.close()


@pytest.mark.parametrize("name", IDS)
def test_same_seed_same_bytes(name: str) -> None:
    def drive() -> list[bytes]:
        env = gymnasium.make(name)
        observation, info = env.reset(seed=3)
        rows = [str(info).encode(), *(values.tobytes() for values in observation.values())]
        env.action_space.seed(3)
        for _ in range(10):
            observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
            rows += [repr((reward, terminated, truncated, info)).encode()]
            rows += [values.tobytes() for values in observation.values()]
            if terminated or truncated:
                break
        env.close()
        return rows

    assert drive() == drive()


def test_the_seed_decides_the_case() -> None:
    env = ScenarioEnv(SCENARIO)
    cases = [env.reset(seed=seed)[1]["case"] for seed in (1, 2, 1)]
    assert cases[0] == cases[2] != cases[1]
    following = env.reset()[1]["case"]
    assert following not in cases
    env.reset(seed=1)
    assert env.reset()[1]["case"] == following
    chosen = sample_cases(SCENARIO, 1, 77)[0]
    assert env.reset(options={"case": chosen})[1]["case"] == chosen.key
    with pytest.raises(ParameterError, match="cut_in"):
        env.reset(options={"case": "x"})


@pytest.mark.parametrize("bad", [[np.nan, 0.0], [0.0, np.inf], [1.01, 0.0], [0.0, -1.5], [0.0], [[0.0, 0.0]]])
def test_bad_controls_are_refused_and_change_nothing(bad: Any) -> None:
    env, twin = ScenarioEnv(SCENARIO), ScenarioEnv(SCENARIO)
    env.reset(seed=1)
    twin.reset(seed=1)
    with pytest.raises(ControlError):
        env.step(np.array(bad, dtype=np.float32))
    good = np.array([0.2, 0.0], np.float32)
    assert env.step(good)[0]["ego"].tobytes() == twin.step(good)[0]["ego"].tobytes()
    many = ScenarioVectorEnv(2, scenario=SCENARIO)
    many.reset(seed=1)
    with pytest.raises(ControlError):
        many.step(np.array([[0.0, 0.0], bad], dtype=np.float32) if len(bad) == 2 else np.zeros((2, 3)))


def test_the_error_names_slot_and_bounds() -> None:
    env = ScenarioVectorEnv(2, scenario=SCENARIO, actions="physical")
    env.reset(seed=1)
    with pytest.raises(ControlError, match=r"action 1: acceleration is 9.* allowed are -8 to 3"):
        env.step(np.array([[0.0, 0.0], [9.0, 0.0]]))


def test_physical_and_normalised_actions_agree() -> None:
    rows = []
    for actions, action in (("normalised", [-0.5, 0.1]), ("physical", [-4.0, 0.07])):
        env = ScenarioEnv(SCENARIO, actions=actions)  # type: ignore[arg-type]
        env.reset(seed=1)
        rows.append(env.step(np.array(action, np.float64))[0]["ego"])
    assert rows[0] == pytest.approx(rows[1], abs=1e-6)


def test_reward_by_hand() -> None:
    env = ScenarioEnv("free_drive")
    observation, _ = env.reset(seed=5)
    speed, cruise = float(observation["ego"][0]), float(observation["ego"][6])
    _, reward, _, _, info = env.step(np.array([0.5, 0.0], np.float32))
    assert info["t_us"] == 100_000
    assert reward == pytest.approx(info["route_s"] / (cruise * 0.1) - 0.01 * 1.5 / 0.1, abs=1e-6)
    assert info["route_s"] == pytest.approx(speed * 0.1 + 0.5 * 1.5 * 0.01, abs=0.02)


def test_braking_to_a_stop_and_running_out_of_time() -> None:
    env = ScenarioEnv("free_drive")
    env.reset(seed=5)
    for _ in range(2000):
        observation, _, terminated, truncated, info = env.step(np.array([-0.6, 0.0], np.float32))
        if terminated or truncated:
            break
    assert truncated != terminated
    if truncated:
        assert observation["ego"][0] == pytest.approx(0.0, abs=1e-6)
        assert not info["contact"]


def test_driving_off_the_road_terminates() -> None:
    env = ScenarioEnv("free_drive")
    env.reset(seed=5)
    for _ in range(200):
        _, reward, terminated, _, info = env.step(np.array([0.0, 0.3], np.float32))
        if terminated:
            break
    assert terminated
    assert info["off_road_m"] > 0.3 or info["contact"]
    assert reward < -10.0


def test_unknown_names_are_named() -> None:
    with pytest.raises(UnknownNameError, match="cut_in"):
        ScenarioEnv("cut_inn")
    with pytest.raises(UnknownNameError, match="normalised"):
        ScenarioEnv(SCENARIO, actions="normalized")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="rgb_array"):
        ScenarioEnv(SCENARIO, render_mode="human")
    with pytest.raises(ParameterError, match="sub_steps"):
        ScenarioEnv(SCENARIO, sub_steps=0)
    with pytest.raises(UnknownNameError, match="next_step"):
        ScenarioVectorEnv(2, scenario=SCENARIO, autoreset_mode="next")
    with pytest.raises(ParameterError, match="num_envs"):
        ScenarioVectorEnv(0, scenario=SCENARIO)


def test_pictures_in_the_observation_and_from_render() -> None:
    camera = CameraSpec(width=48, height=32)
    env = ScenarioEnv(SCENARIO, cameras=(camera,), render_mode="rgb_array")
    observation, _ = env.reset(seed=1)
    assert observation in env.observation_space
    assert observation["frames"].shape == (1, 32, 48, 3)
    assert len(np.unique(observation["frames"].reshape(-1, 3), axis=0)) > 10
    picture = env.render()
    assert picture is not None
    assert picture.dtype == np.uint8
    assert picture.std() > 10.0
    assert ScenarioEnv(SCENARIO).render() is None


# --- many slots
# -------------------------------------------------------------------------------------------------


def make(count: int, mode: AutoresetMode) -> ScenarioVectorEnv:
    return ScenarioVectorEnv(count, scenario=SCENARIO, autoreset_mode=mode)


def test_the_check_finds_breaches() -> None:
    class Forgetful(ScenarioVectorEnv):
        def reset(self, **given: Any) -> Any:
            given["seed"] = None
            return super().reset(**given)

    class Wrong(ScenarioVectorEnv):
        def step(self, actions: Any) -> Any:
            observation, reward, terminated, truncated, info = super().step(actions)
            return observation, reward, terminated.astype(np.int8), truncated, info

    class Aliased(ScenarioVectorEnv):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, copy=False, **named)

    for broken, message in ((Forgetful, "same seed"), (Wrong, "type"), (Aliased, "overwrote")):
        with pytest.raises(AssertionError, match=message):
            check_vector_env(lambda count, mode, kind=broken: kind(count, scenario=SCENARIO, autoreset_mode=mode))


def test_a_slot_is_the_single_environment() -> None:
    many, one = make(3, AutoresetMode.NEXT_STEP), ScenarioEnv(SCENARIO)
    rng = np.random.default_rng(0)
    observation, _ = many.reset(seed=40)
    alone, _ = one.reset(seed=42)
    over = False
    for _ in range(250):
        for name, values in observation.items():
            assert values[2].tobytes() == alone[name].tobytes()
        action = rng.uniform(-0.4, 0.4, (3, 2)).astype(np.float32)
        observation, reward, terminated, truncated, info = many.step(action)
        if over:
            alone, facts = one.reset()
            over = False
        else:
            alone, gained, ended, late, facts = one.step(action[2])
            assert (reward[2], terminated[2], truncated[2]) == (gained, ended, late)
            over = ended or late
        assert {name: info[name][2] for name in facts} == facts
    assert info["case"][2] != one.reset(seed=42)[1]["case"]  # an episode ended in between


def test_make_vec_makes_ours_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make_vec(environment_id(SCENARIO), num_envs=2)
    assert isinstance(env, ScenarioVectorEnv)
    env.close()


def test_stepping_a_finished_slot_needs_a_reset_when_autoreset_is_off() -> None:
    env = ScenarioVectorEnv(2, scenario="free_drive", autoreset_mode="disabled")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros((2, 2)))
    env.reset(seed=1)
    for _ in range(300):
        _, _, terminated, truncated, _ = env.step(np.array([[0.0, 0.4], [0.0, 0.0]]))
        if (terminated | truncated).any():
            break
    with pytest.raises(gymnasium.error.ResetNeeded, match="over"):
        env.step(np.zeros((2, 2)))
    for mask in (np.zeros(2, bool), np.ones(3, bool), [1, 0]):
        with pytest.raises(ParameterError, match="reset_mask"):
            env.reset(options={"reset_mask": mask})
    with pytest.raises(ParameterError, match="seeds"):
        env.reset(seed=[1, 2, 3])


# --- latency in front
# -------------------------------------------------------------------------------------------


def test_zero_latency_equals_the_environment() -> None:
    plain, wrapped = ScenarioEnv(SCENARIO), LatencyInjection(ScenarioEnv(SCENARIO), Constant(0))
    first, second = plain.reset(seed=9), wrapped.reset(seed=9)
    rng = np.random.default_rng(1)
    for _ in range(60):
        assert all(first[0][name].tobytes() == second[0][name].tobytes() for name in first[0])
        action = rng.uniform(-0.3, 0.3, 2).astype(np.float32)
        *one, info_one = plain.step(action)
        *two, info_two = wrapped.step(action)
        info_two.pop("latency")
        assert one[1:] == two[1:]
        assert info_one == info_two
        first, second = (one[0], {}), (two[0], {})
        if one[2] or one[3]:
            break


def test_an_answer_takes_effect_between_steps() -> None:
    env = LatencyInjection(ScenarioEnv("free_drive", actions="physical"), Constant(130))
    env.reset(seed=5)
    observation, _, _, _, info = env.step(np.array([-4.0, 0.0], np.float32))
    assert info["latency"]["now_us"] == 140_000  # the first tick at or after 130 ms
    assert (info["latency"]["t_obs_us"], info["latency"]["t_start_us"]) == (100_000, 130_000)
    assert observation["ego"][1] == 0.0  # seen at 100 ms, before the brakes
    observation, _, _, _, info = env.step(np.array([-4.0, 0.0], np.float32))
    assert info["latency"]["answer"]["t_actuate_us"] == 140_000
    assert observation["ego"][1] == -4.0
