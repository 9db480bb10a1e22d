"""What rows of the event table do: speed, lane and heading of an actor, its presence and its lights."""

from __future__ import annotations

import math

import pytest
from events_kit import DT, STOP
from world_kit import actor, ego, event, run, world

from simdrive.sim.spec import Action, ActorSpec, Trigger
from simdrive.sim.state import Behaviour, Shape
from simdrive.sim.worlds import Worlds


def test_stop_covers_v2_over_2a_and_lights_the_brakes() -> None:
    worlds = Worlds([world(actor(), events=(event(1, Trigger.TIME, 1.0, **STOP),))])
    run(worlds, 1.0)
    assert not worlds.actors.brake_light[0, 1]
    before = worlds.actors.x[0, 1]
    run(worlds, 0.1)
    assert worlds.actors.brake_light[0, 1]
    assert worlds.actors.acceleration[0, 1] == pytest.approx(-6.0)
    run(worlds, 3.4)
    assert worlds.actors.x[0, 1] - before == pytest.approx(20.0**2 / 12.0, abs=1e-9)
    assert worlds.actors.speed[0, 1] == 0.0
    assert worlds.actors.brake_light[0, 1]  # held at rest


def test_speed_profile_as_chained_rows_then_release() -> None:
    rows = (
        event(1, Trigger.TIME, 0.0, Action.SPEED, magnitude=10.0, rate=5.0),
        event(1, Trigger.FIRED, 0.0, Action.SPEED, magnitude=15.0, rate=2.5, after_row=0, delay_s=3.0),
        event(1, Trigger.FIRED, 0.0, Action.RELEASE, after_row=1, delay_s=1.0),
    )
    worlds = Worlds([world(actor(), events=rows)])
    run(worlds, 2.5)
    assert worlds.actors.speed[0, 1] == pytest.approx(10.0)
    run(worlds, 1.5)
    assert worlds.actors.speed[0, 1] == pytest.approx(12.5)
    run(worlds, 1.0)
    assert worlds.actors.speed[0, 1] == pytest.approx(12.5)  # released: holds what it has


def test_events_override_an_idm_driver_until_released() -> None:
    rows = (
        event(1, Trigger.TIME, 1.0, Action.ACCELERATE, magnitude=-4.0, rate=8.0),
        event(1, Trigger.TIME, 3.0, Action.RELEASE),
    )
    driver = actor(behaviour=Behaviour.IDM, target_speed_mps=20.0)
    worlds = Worlds([world(driver, events=rows)])
    run(worlds, 1.0)
    assert worlds.actors.speed[0, 1] == pytest.approx(20.0, abs=0.1)
    run(worlds, 0.25)
    assert worlds.actors.acceleration[0, 1] == pytest.approx(-2.0, abs=8.0 * DT)
    run(worlds, 1.75)
    assert worlds.actors.acceleration[0, 1] == pytest.approx(-4.0)
    assert worlds.actors.brake_light[0, 1]
    low = worlds.actors.speed[0, 1]
    run(worlds, 4.0)
    assert worlds.actors.speed[0, 1] > low + 3.0  # its own driver speeds up again


def test_stop_holds_an_idm_driver_at_standstill() -> None:
    driver = actor(behaviour=Behaviour.IDM)
    worlds = Worlds([world(driver, events=(event(1, Trigger.TIME, 0.0, **STOP),), ego=ego(speed_mps=0.0))])
    run(worlds, 6.0)
    assert worlds.actors.speed[0, 1] == 0.0
    assert worlds.actors.brake_light[0, 1]
    assert worlds.actors.x[0, 1] == pytest.approx(100.0 + 20.0**2 / 12.0, abs=0.3)


def test_reactive_actor_keeps_its_gap_to_the_ego() -> None:
    tail = actor(s_m=20.0, speed_mps=20.0, reactive=True, jam_gap_m=3.0)
    worlds = Worlds([world(tail)])
    for _ in range(12 * 50):
        worlds.step([[-4.0, 0.0]])
    gap = worlds.actors.x[0, 0] - worlds.actors.x[0, 1] - 4.6
    assert worlds.contact_tick[0] == -1
    assert worlds.actors.speed[0, 1] < 0.1
    assert 2.5 < gap < 4.5
    assert worlds.actors.brake_light[0, 1]


def test_an_unreactive_actor_runs_into_the_ego() -> None:
    worlds = Worlds([world(actor(s_m=20.0))])
    run(worlds, 8.0, acceleration=-4.0)
    assert worlds.contact_actor[0] == 1


def test_cut_in_at_lateral_speed_reaches_its_offset_in_time() -> None:
    cutter = actor(lane=("a", "b", 0))
    row = event(1, Trigger.TIME, 1.0, Action.LATERAL_SPEED, magnitude=1.6, until=4.0)
    worlds = Worlds([world(cutter, events=(row,))])
    run(worlds, 1.0 + 2.0)
    assert worlds.actors.path_r[0, 1] == pytest.approx(3.2, abs=1e-9)
    assert worlds.actors.heading[0, 1] == pytest.approx(math.atan(1.6 / 20.0))
    run(worlds, 0.5)
    assert worlds.actors.y[0, 1] == pytest.approx(4.0)
    run(worlds, 0.5)
    assert worlds.actors.heading[0, 1] == pytest.approx(0.0)
    assert worlds.actors.lane[0, 1] == 1


def test_lane_change_signals_ends_on_the_neighbour_lane_and_goes_out() -> None:
    row = event(1, Trigger.TIME, 0.0, Action.LANE_CHANGE, magnitude=-1, rate=1.0)
    worlds = Worlds([world(actor(), events=(row,))])
    run(worlds, 1.0)
    assert worlds.actors.indicator[0, 1] == -1
    run(worlds, 3.6)  # 4 m at 1 m/s plus 0.5 s for the ramps
    assert worlds.actors.y[0, 1] == pytest.approx(0.0, abs=1e-9)
    assert worlds.actors.indicator[0, 1] == 0
    assert worlds.actors.lane[0, 1] == 0


def test_lane_change_off_the_road_counts_lane_widths() -> None:
    row = event(1, Trigger.TIME, 0.0, Action.LANE_CHANGE, magnitude=1, rate=2.0)
    worlds = Worlds([world(actor(lane=("a", "b", 2)), events=(row,))])
    run(worlds, 4.0)
    assert worlds.actors.y[0, 1] == pytest.approx(12.0)


def test_lane_change_of_an_idm_driver_sets_its_target() -> None:
    row = event(1, Trigger.TIME, 0.5, Action.LANE_CHANGE, magnitude=1)
    worlds = Worlds([world(actor(behaviour=Behaviour.IDM), events=(row,))])
    run(worlds, 0.6)
    assert worlds.actors.target_lane[0, 1] == 2
    assert worlds.actors.indicator[0, 1] == 1
    run(worlds, 5.0)
    assert worlds.actors.y[0, 1] == pytest.approx(8.0, abs=0.2)
    assert worlds.actors.indicator[0, 1] == 0


def test_later_row_takes_over_a_channel_midway() -> None:
    rows = (
        event(1, Trigger.TIME, 0.0, Action.OFFSET, magnitude=3.0, rate=1.0),
        event(1, Trigger.TIME, 2.0, Action.OFFSET, magnitude=0.0, rate=1.0),
    )
    worlds = Worlds([world(actor(), events=rows)])
    run(worlds, 2.0)
    assert worlds.actors.path_r[0, 1] == pytest.approx(1.75, abs=0.05)
    run(worlds, 4.0)
    assert worlds.actors.path_r[0, 1] == 0.0


def test_rows_of_one_tick_act_in_table_order() -> None:
    rows = (
        event(1, Trigger.TIME, 0.0, Action.SPEED, magnitude=5.0, rate=5.0),
        event(1, Trigger.TIME, 0.0, Action.SPEED, magnitude=25.0, rate=5.0),
    )
    worlds = Worlds([world(actor(), events=rows)])
    run(worlds, 1.0)
    assert worlds.actors.speed[0, 1] == pytest.approx(25.0)


def test_heading_turns_a_walker_where_it_stands() -> None:
    walker = actor(
        shape=Shape.PEDESTRIAN, lane=None, x_m=150.0, y_m=20.0, heading_rad=-math.pi / 2, speed_mps=1.5,
        length_m=0.5, width_m=0.6,
    )  # fmt: skip
    rows = (event(1, Trigger.TIME, 2.0, Action.HEADING, magnitude=math.pi),)
    worlds = Worlds([world(walker, events=rows)])
    run(worlds, 2.0)
    assert worlds.actors.y[0, 1] == pytest.approx(17.0)
    run(worlds, 1.0)
    assert worlds.actors.y[0, 1] == pytest.approx(18.5)
    assert worlds.actors.x[0, 1] == pytest.approx(150.0)


def test_heading_with_a_rate_turns_gradually() -> None:
    cyclist = actor(shape=Shape.CYCLIST, lane=None, x_m=150.0, y_m=40.0, speed_mps=4.0, length_m=1.8, width_m=0.6)
    rows = (event(1, Trigger.TIME, 0.0, Action.HEADING, magnitude=math.pi / 2, rate=0.5),)
    worlds = Worlds([world(cyclist, events=rows)])
    run(worlds, 2.0)
    assert worlds.actors.heading[0, 1] == pytest.approx(1.0)
    run(worlds, 2.0)
    assert worlds.actors.heading[0, 1] == pytest.approx(math.pi / 2)
    # A quarter circle of radius v / rate = 8 m.
    x = 150.0 + 8.0
    assert worlds.actors.x[0, 1] == pytest.approx(x, abs=0.1)


def test_appear_and_vanish() -> None:
    rows = (
        event(1, Trigger.TIME, 1.0, Action.APPEAR),
        event(1, Trigger.TIME, 2.0, Action.VANISH),
    )
    worlds = Worlds([world(actor(present=False), events=rows)])
    run(worlds, 1.0)
    assert not worlds.actors.present[0, 1]
    assert worlds.actors.x[0, 1] == 100.0  # waits where it is
    run(worlds, 0.5)
    assert worlds.actors.present[0, 1]
    assert worlds.actors.x[0, 1] == pytest.approx(110.0)
    run(worlds, 1.0)
    assert not worlds.actors.present[0, 1]
    assert worlds.actors.x[0, 1] == pytest.approx(120.0)


def test_idm_traffic_brakes_for_a_walker_on_the_lane_but_not_for_an_absent_one() -> None:
    def walker(present: bool) -> ActorSpec:
        return actor(
            "walker", shape=Shape.PEDESTRIAN, lane=None, x_m=160.0, y_m=0.0, speed_mps=0.0, length_m=0.5,
            width_m=0.6, present=present,
        )  # fmt: skip

    driver = actor("driver", behaviour=Behaviour.IDM, lane=("a", "b", 0), s_m=100.0, speed_mps=15.0)
    worlds = Worlds([world(driver, walker(True)), world(driver, walker(False))])
    run(worlds, 8.0)
    assert worlds.actors.speed[0, 1] < 0.5
    assert worlds.actors.x[0, 1] < 158.0
    assert worlds.actors.speed[1, 1] > 14.0


def test_an_idm_driver_that_appears_sees_its_leader_at_once() -> None:
    leader = actor("leader", s_m=130.0, speed_mps=0.0)
    driver = actor("driver", behaviour=Behaviour.IDM, s_m=100.0, speed_mps=8.0, present=False)
    row = event(2, Trigger.TIME, 0.5, Action.APPEAR)
    worlds = Worlds([world(leader, driver, events=(row,), ego=ego(speed_mps=0.0))])
    run(worlds, 0.52)
    assert worlds.actors.acceleration[0, 2] < -1.0
    run(worlds, 8.0)
    assert not worlds.others_crashed[0]


def test_indicator_event() -> None:
    worlds = Worlds([world(actor(), events=(event(1, Trigger.TIME, 0.5, Action.INDICATOR, magnitude=2),))])
    run(worlds, 0.5)
    assert worlds.actors.indicator[0, 1] == 0
    run(worlds, DT)
    assert worlds.actors.indicator[0, 1] == 2
