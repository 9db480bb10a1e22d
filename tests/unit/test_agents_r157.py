"""The regulation's reference drivers as agents: when they brake, how hard, and that rows stay apart."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import Actor, observe

from simdrive.agents.r157_drivers import R157Driver
from simdrive.build import build
from simdrive.errors import UnknownNameError
from simdrive.r157.parameters import FULL_BRAKE_MPS2
from simdrive.sim.plans import plan_errors
from simdrive.types import Float

CUTTER = Actor(24.0, 2.4, 7.0, -0.2)  # slower by 8 m/s, half a metre beside the path, coming in


def _speeds(agent: R157Driver, actors: list[Actor], t_s: float = 0.0) -> Float:
    plan = agent.plan(observe(actors, speed=15.0, t_us=round(t_s * 1e6))).plan
    assert not plan_errors(plan).any()
    speed: Float = plan[0, :, 4]
    return speed


@pytest.mark.parametrize(("name", "reaction_s"), [("reg157", 0.35), ("rss", 0.75), ("fsm", 0.75)])
def test_brakes_for_a_standing_car_after_its_reaction(name: str, reaction_s: float) -> None:
    batch = observe([Actor(12.0)], speed=15.0)
    plan = build("agent", name).plan(batch).plan[0]
    early = plan[:, 0] <= reaction_s
    assert np.allclose(plan[early, 4], 15.0)
    hardest = float((np.diff(plan[:, 4]) / np.diff(plan[:, 0])).min())
    assert hardest == pytest.approx(-6.0 if name != "rss" else -FULL_BRAKE_MPS2, abs=0.05)
    assert plan[-1, 4] == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize("name", ["reg157", "rss", "fsm", "cc_human"])
def test_leaves_who_stays_on_the_next_lane_or_behind_alone(name: str) -> None:
    for actor in (Actor(25.0, 3.5, 15.0), Actor(-12.0, 0.0, 25.0), Actor(25.0, 0.0, seen=False)):
        plan = build("agent", name).plan(observe([actor], speed=15.0)).plan[0]
        assert plan[:, 4].min() > 14.9


def test_only_reg157_waits_for_the_intrusion() -> None:
    """1.5 m beside the path and coming in: within RSS's lateral distance and FSM's foresight, beyond 0.5 m."""
    beside = Actor(18.0, 3.4, 7.0, -0.2)
    for name, brakes in (("reg157", False), ("rss", True), ("fsm", True)):
        assert (_speeds(build("agent", name), [beside])[-1] < 14.0) == brakes


def test_reaction_goes_on_between_observations_and_is_forgotten_on_reset() -> None:
    agent = build("agent", "rss")
    first = _speeds(agent, [Actor(12.0)])
    assert first[2] == pytest.approx(15.0)  # 0.5 s
    later = _speeds(agent, [Actor(12.0)], 0.7)
    assert later[2] == pytest.approx(15.0 - 0.5 * 12.65 * 0.45**2, abs=0.3)  # 0.5 s on: 0.45 s into the ramp
    agent.reset(np.array([0]))
    assert _speeds(agent, [Actor(12.0)], 5.0)[2] == pytest.approx(15.0)


def test_unknown_model_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'RSS'"):
        R157Driver("mine", "RS")


@pytest.mark.parametrize("name", ["reg157", "rss", "fsm"])
def test_rows_do_not_touch_each_other(name: str) -> None:
    alone = _speeds(build("agent", name), [CUTTER])
    agent = build("agent", name)
    _speeds(agent, [Actor(6.0)], 0.0)
    agent.reset(np.array([0]))
    assert np.array_equal(_speeds(agent, [CUTTER]), alone)
