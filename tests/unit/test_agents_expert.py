from __future__ import annotations

import math

import numpy as np
import pytest
from scenes import LANE_M, Actor, observe, two_lane_road

from simdrive.agents.expert import Expert
from simdrive.agents.lanemap import lane_map
from simdrive.agents.memory import SlotMemory
from simdrive.sim.plans import plan_errors
from simdrive.sim.roads import compile_network
from simdrive.sim.state import Shape
from simdrive.types import Float


def drive(actors: list[Actor], **scene: float) -> Float:
    plan = Expert().plan(observe(actors, **scene)).plan  # type: ignore[arg-type]
    assert not plan_errors(plan).any()
    one: Float = plan[0]
    return one


def test_free_road_is_driven_at_cruise_speed() -> None:
    plan = drive([], speed=15.0)
    assert np.all(plan[:, 4] == 15.0)
    assert np.all(plan[:, 2] == 0.0)
    assert drive([], speed=10.0)[-1, 4] > 13.5


def test_follows_a_slower_car_without_hard_braking() -> None:
    plan = drive([Actor(40.0, speed_mps=11.0)], lanes=1)
    assert plan[-1, 4] == pytest.approx(11.0, abs=2.0)
    assert np.diff(plan[:, 4]).min() / 0.2 > -3.0


def test_brakes_for_a_standing_car_where_it_cannot_pass() -> None:
    plan = drive([Actor(45.0)], lanes=1)
    assert plan[-1, 4] < 2.0
    assert plan[-1, 1] - 100.0 < 45.0 - 4.6


def test_brakes_fully_when_it_must() -> None:
    plan = drive([Actor(15.0**2 / 16 + 2.4 + 4.6 + 1.0)], lanes=1)
    assert np.diff(plan[:, 4]).min() / 0.2 < -7.0


def test_passes_a_standing_car_on_the_free_lane() -> None:
    plan = drive([Actor(50.0)])
    assert plan[-1, 2] == pytest.approx(LANE_M, abs=0.3)
    assert plan[:, 4].min() > 12.0


def test_stays_behind_when_the_next_lane_is_taken() -> None:
    plan = drive([Actor(45.0), Actor(-3.0, LANE_M, 15.0), Actor(8.0, LANE_M, 15.0), Actor(-14.0, LANE_M, 15.0)])
    assert abs(plan[-1, 2]) < 1.0
    assert plan[-1, 4] < 9.0


def test_stops_for_a_pedestrian_who_walks_into_the_road() -> None:
    walker = Actor(32.0, 4.5, 1.6, -math.pi / 2, shape=Shape.PEDESTRIAN, length_m=0.5, width_m=0.6)
    plan = drive([walker], lanes=1)
    at = np.interp(4.5 / 1.6, plan[:, 0], plan[:, 1]) - 100.0
    assert at < 32.0 - 2.3


def test_gives_way_to_an_announced_cut_in() -> None:
    quiet = drive([Actor(9.0, LANE_M, 11.0)])
    indicating = drive([Actor(9.0, LANE_M, 11.0, indicator=-1)])
    assert quiet[10, 4] > indicating[10, 4] + 1.0


def test_does_not_brake_for_a_faster_car_behind() -> None:
    assert np.all(drive([Actor(-15.0, speed_mps=25.0)])[:, 4] > 14.9)


def test_does_not_see_what_is_hidden() -> None:
    assert np.all(drive([Actor(20.0, seen=False)])[:, 4] == 15.0)


def test_remembers_which_way_it_was_going() -> None:
    agent = Expert()
    agent.plan(observe([Actor(50.0)], t_us=1_000_000))
    assert agent._memory.scalars[0, 0] == pytest.approx(LANE_M)
    agent.reset(np.array([0]))
    assert np.isnan(agent._memory.scalars[0]).all()


def test_lane_map_is_kept_per_road_table() -> None:
    tables = compile_network(two_lane_road()).tables
    assert lane_map(tables) is lane_map(tables)
    assert lane_map(tables).lanes.shape == (2, 9)


def test_memory_grows_and_forgets() -> None:
    memory = SlotMemory(scalars=2, per_actor=1)
    rows = memory.rows(np.arange(20), 30)
    memory.scalars[rows[7]] = 1.0
    memory.actors[rows[7], 0, 29] = 2.0
    assert memory.rows(np.array([7]), 3)[0] == rows[7]
    memory.forget(np.array([7, 99]))
    assert np.isnan(memory.scalars[rows[7]]).all()
    assert np.isnan(memory.actors[rows[7]]).all()
