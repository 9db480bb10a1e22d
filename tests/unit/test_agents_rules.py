from __future__ import annotations

import math

import numpy as np
import pytest
from scenes import Actor, observe, select

from simdrive.agents.constant_speed import ConstantSpeed
from simdrive.agents.following import FREE_M, idm_acceleration
from simdrive.agents.idm import Idm
from simdrive.agents.r157_human import BRAKE_MPS2, R157Human, braking
from simdrive.build import build, config_names, load_config
from simdrive.errors import SimdriveError
from simdrive.sim.plans import plan_errors
from simdrive.sim.state import Shape
from simdrive.types import Agent, Float

WALKER = {"shape": Shape.PEDESTRIAN, "length_m": 0.5, "width_m": 0.6}


def speeds(agent: Agent, actors: list[Actor], **scene: float) -> Float:
    plan = agent.plan(observe(actors, **scene)).plan  # type: ignore[arg-type]
    assert not plan_errors(plan).any()
    speed: Float = plan[0, :, 4]
    return speed


def test_constant_speed_is_blind() -> None:
    agent = ConstantSpeed()
    assert np.all(speeds(agent, [Actor(12.0)], speed=13.0) == 13.0)
    assert agent.wants.world == "none"


def test_idm_law_by_hand() -> None:
    driver = np.array([3.0, 5.0, 5.0, 1.5, 6.0])
    assert idm_acceleration(10.0, 20.0, FREE_M, 0.0, driver) == pytest.approx(3.0 * (1 - 0.5**4))
    # Desired gap 5 + 10 * 1.5 + 10 * 4 / (2 sqrt 15) = 25.164; at 40 m: 3 (1 - 1/16) - 3 (25.164 / 40)^2.
    wanted = 5.0 + 15.0 + 40.0 / (2.0 * math.sqrt(15.0))
    expected = 3.0 * (1 - 1 / 16) - 3.0 * (wanted / 40.0) ** 2
    assert idm_acceleration(10.0, 20.0, 40.0, 6.0, driver) == pytest.approx(expected)
    assert idm_acceleration(10.0, 20.0, 2.0, 0.0, driver) == -6.0  # hardest braking


def test_idm_follows_and_stops() -> None:
    agent = Idm()
    assert speeds(agent, [])[-1] == pytest.approx(15.0, abs=0.01)
    assert speeds(agent, [Actor(30.0, speed_mps=8.0)])[-1] == pytest.approx(8.0, abs=0.5)
    assert speeds(agent, [Actor(25.0)])[-1] == pytest.approx(0.0, abs=0.3)
    assert speeds(agent, [Actor(20.0, shape=Shape.PEDESTRIAN, length_m=0.5, width_m=0.5)])[-1] < 0.3
    assert np.all(speeds(agent, [Actor(25.0, right_m=3.5)]) > 14.9)  # next lane
    assert np.all(speeds(agent, [Actor(-12.0, speed_mps=25.0)]) > 14.9)  # behind
    assert np.all(speeds(agent, [Actor(25.0, seen=False)]) > 14.9)


def test_idm_takes_bends_slowly() -> None:
    batch = observe([], speed=15.0)
    batch.route[0, 60:, 4] = 1 / 20.0  # a bend 20 m ahead
    plan = Idm().plan(batch).plan[0]
    assert plan[-1, 4] == pytest.approx(math.sqrt(2.5 * 20.0), abs=0.3)


def test_regulation_brake_ramp() -> None:
    assert braking(0.74) == 0.4
    assert braking(0.75 + 0.2) == pytest.approx(0.4 + 12.65 * 0.2)
    assert braking(2.0) == BRAKE_MPS2 == pytest.approx(7.593, abs=1e-3)


def cutter(t: float, gap: float = 26.0, rate: float = 1.4) -> Actor:
    """A car from the right lane that moves into the ego's at ``rate`` from t = 0, 8 m/s slower than the ego."""
    heading = -math.atan2(rate, 7.0)
    return Actor(gap - 8.0 * t, 3.5 - rate * t, math.hypot(7.0, rate), heading)


def test_human_perceives_then_reacts_then_brakes() -> None:
    agent = R157Human()
    times = np.arange(20) * 0.1
    began, hardest = math.inf, []
    for t in times:
        plan = agent.plan(observe([cutter(t)], speed=15.0, t_us=round(t * 1e6))).plan[0]
        drop = (plan[0, 4] - plan[:, 4]) / np.maximum(plan[:, 0], 1e-9)
        hardest.append(float(np.diff(plan[:, 4]).min() / 0.25))
        if drop[1] > 0.2 and began == math.inf:
            began = float(t)
    # Wandered 0.375 m after 0.27 s, perceived 0.4 s later; TTC is below 2 s from then on: 0.7 s at 10 Hz.
    assert began == pytest.approx(0.7, abs=0.11)
    assert min(hardest) == pytest.approx(-BRAKE_MPS2, abs=0.05)
    agent.reset(np.array([0]))
    plan = agent.plan(observe([cutter(1.0)], speed=15.0, t_us=5_000_000)).plan[0]
    assert plan[2, 4] > 14.5  # forgotten: nothing is perceived yet


def test_human_follows_at_two_seconds() -> None:
    agent = R157Human()
    near = speeds(agent, [Actor(15.0 * 1.0 + 4.6, speed_mps=15.0)])
    far = speeds(R157Human(), [Actor(15.0 * 4.0 + 4.6, speed_mps=15.0)])
    assert near[4] < 14.5
    assert far[4] > 14.5


def test_human_reacts_late_to_a_standing_car_that_appears() -> None:
    plan = R157Human().plan(observe([Actor(24.0)], speed=15.0)).plan[0]
    assert plan[2, 4] == pytest.approx(15.0 - 0.4 * 0.5, abs=0.02)  # release deceleration during the reaction
    assert np.diff(plan[:, 4]).min() / 0.25 == pytest.approx(-BRAKE_MPS2, abs=0.05)


@pytest.mark.parametrize("name", ["constant_speed", "idm", "r157_human", "expert"])
def test_rows_do_not_touch_each_other(name: str) -> None:
    scenes = [
        [],
        [Actor(30.0, speed_mps=8.0), Actor(8.0, 3.5, 14.0)],
        [Actor(40.0)],
        [Actor(25.0, 4.0, 1.5, -math.pi / 2, shape=Shape.PEDESTRIAN, length_m=0.5, width_m=0.6)],
        [Actor(12.0, 3.5, 12.0, -0.1, indicator=-1), Actor(-20.0, 3.5, 18.0), Actor(60.0, 0.0, 15.0)],
    ]
    batch = observe(scenes)
    together = build("agent", name).plan(batch).plan
    order = [3, 0, 4, 2, 1]
    assert np.array_equal(build("agent", name).plan(select(batch, order)).plan, together[order])
    alone = [build("agent", name).plan(select(batch, [row])).plan[0] for row in range(len(scenes))]
    assert np.array_equal(np.stack(alone), together)


def test_agents_that_see_need_a_view() -> None:
    batch = observe([])
    blind = type(batch)(**{**vars(batch), "world": None})
    with pytest.raises(SimdriveError, match="visible world"):
        Idm().plan(blind)


def test_every_agent_config_builds() -> None:
    for name in config_names("agent"):
        if "???" in map(str, load_config("agent", name).values()):  # a model that only the user has
            continue
        agent = build("agent", name)
        assert agent.card.name == name
        assert agent.card.description
