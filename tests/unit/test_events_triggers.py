"""When a row of the event table fires: each trigger by hand, and rows that wait for others."""

from __future__ import annotations

import math

import pytest
from events_kit import DT, STOP, fired_at, hazard_world
from world_kit import actor, ego, event, world

from simdrive.sim.spec import Action, Trigger
from simdrive.sim.state import Behaviour, Shape
from simdrive.sim.worlds import Worlds


def test_time_fires_on_its_tick() -> None:
    assert fired_at(hazard_world(event(1, Trigger.TIME, 1.0, **STOP), actor()), 2.0) == 1.0
    assert fired_at(hazard_world(event(1, Trigger.TIME, 0.0, **STOP), actor()), 2.0) == 0.0
    # Between two ticks it waits for the next.
    assert fired_at(hazard_world(event(1, Trigger.TIME, 1.005, **STOP), actor()), 2.0) == pytest.approx(1.02)


def test_delay_counts_from_the_first_time_the_condition_held() -> None:
    row = event(1, Trigger.TIME, 1.0, delay_s=0.5, **STOP)
    assert fired_at(hazard_world(row, actor()), 3.0) == pytest.approx(1.5)


def test_ego_distance_is_bumper_to_bumper() -> None:
    # 45.4 m between bumpers at first, closing at 10 m/s: 20 m after 2.54 s.
    row = event(1, Trigger.EGO_DISTANCE, 20.0, **STOP)
    worlds = hazard_world(row, actor(speed_mps=10.0))
    assert fired_at(worlds, 5.0) == pytest.approx(2.54, abs=1.01 * DT)


def test_ego_distance_to_a_crossing_box_uses_its_width() -> None:
    truck = actor(shape=Shape.TRUCK, lane=None, x_m=100.0, y_m=-30.0, heading_rad=math.pi / 2, speed_mps=0.0)
    row = event(1, Trigger.EGO_DISTANCE, 30.0, **STOP)
    # 50 m between centres less 2.3 m less half of 1.85 m, at 20 m/s.
    assert fired_at(hazard_world(row, truck), 3.0) == pytest.approx((46.775 - 30.0) / 20.0, abs=1.01 * DT)


def test_ego_ttc_fires_at_its_time_to_contact_and_never_while_opening() -> None:
    row = event(1, Trigger.EGO_TTC, 2.0, **STOP)
    # 45.4 m at 10 m/s: TTC is 4.54 s at first, 2 s after 2.54 s.
    assert fired_at(hazard_world(row, actor(speed_mps=10.0)), 5.0) == pytest.approx(2.54, abs=1.01 * DT)
    assert math.isnan(fired_at(hazard_world(row, actor(speed_mps=20.0)), 3.0))
    assert math.isnan(fired_at(hazard_world(row, actor(speed_mps=25.0)), 3.0))


def test_an_actor_behind_the_ego_is_no_subject_of_distance_or_ttc() -> None:
    tail = actor(s_m=30.0, speed_mps=10.0)
    for trigger in (Trigger.EGO_DISTANCE, Trigger.EGO_TTC):
        assert math.isnan(fired_at(hazard_world(event(1, trigger, 5.0, **STOP), tail), 2.0))


def test_ego_lead_fires_once_the_subject_has_drawn_ahead() -> None:
    # Overtaking in the left lane at 30 m/s from 20 m behind: 15.4 m to 20 m/s ego's front plus 10 m gap.
    passer = actor(lane=("a", "b", 0), s_m=30.0, speed_mps=30.0)
    row = event(1, Trigger.EGO_LEAD, 10.0, **STOP)
    assert fired_at(hazard_world(row, passer), 6.0) == pytest.approx((20.0 + 4.6 + 10.0) / 10.0, abs=1.01 * DT)


def test_position_of_a_scripted_path_and_of_a_stock_vehicle() -> None:
    row = event(1, Trigger.POSITION, 130.0, **STOP)
    assert fired_at(hazard_world(row, actor(s_m=100.0)), 3.0) == pytest.approx(1.5, abs=1.01 * DT)
    stock = actor(s_m=100.0, behaviour=Behaviour.IDM, speed_mps=20.0)
    assert fired_at(hazard_world(row, stock), 3.0) == pytest.approx(1.5, abs=0.06)


def test_position_of_the_ego_as_subject() -> None:
    row = event(1, Trigger.POSITION, 80.0, subject=0, **STOP)
    assert fired_at(hazard_world(row, actor()), 3.0) == pytest.approx(1.5, abs=1.01 * DT)


def test_ego_position_counts_from_the_start() -> None:
    row = event(1, Trigger.EGO_POSITION, 30.0, **STOP)
    assert fired_at(hazard_world(row, actor()), 3.0) == pytest.approx(1.5, abs=1.01 * DT)


def test_ego_tta_projects_the_subject_on_the_route() -> None:
    # A walker waits 8 m beside s = 150: 100 m ahead, 97.7 m from the front bumper, 2 s away when 40 m are left.
    walker = actor(shape=Shape.PEDESTRIAN, lane=None, x_m=150.0, y_m=12.0, heading_rad=-math.pi / 2, speed_mps=0.0)
    row = event(1, Trigger.EGO_TTA, 2.0, Action.SPEED, magnitude=1.5, rate=10.0)
    assert fired_at(hazard_world(row, walker), 5.0) == pytest.approx((97.7 - 40.0) / 20.0, abs=1.01 * DT)


def test_ego_tta_never_fires_once_passed_or_standing() -> None:
    walker = actor(shape=Shape.PEDESTRIAN, lane=None, x_m=40.0, y_m=12.0, speed_mps=0.0)
    row = event(1, Trigger.EGO_TTA, 3.0, Action.SPEED, magnitude=1.5, rate=10.0)
    assert math.isnan(fired_at(hazard_world(row, walker), 1.0))
    ahead = actor(shape=Shape.PEDESTRIAN, lane=None, x_m=60.0, y_m=12.0, speed_mps=0.0)
    assert math.isnan(fired_at(hazard_world(row, ahead, ego=ego(speed_mps=0.0)), 1.0))


def test_chained_rows_fire_in_one_tick_whatever_their_order() -> None:
    # Row 0 waits for row 1: both fire at 1 s; row 2 follows 0.5 s later.
    rows = (
        event(1, Trigger.FIRED, 0.0, Action.SPEED, magnitude=5.0, rate=5.0, after_row=1),
        event(1, Trigger.TIME, 1.0, Action.INDICATOR, magnitude=1),
        event(1, Trigger.FIRED, 0.0, Action.INDICATOR, magnitude=0, after_row=0, delay_s=0.5),
    )
    for hazard_row, when in ((0, 1.0), (1, 1.0), (2, 1.5)):
        worlds = Worlds([world(actor(), events=rows, hazard_actors=(1,), hazard_row=hazard_row)])
        assert fired_at(worlds, 3.0) == pytest.approx(when)


def test_after_row_gates_a_condition_that_held_before() -> None:
    rows = (
        event(1, Trigger.TIME, 0.2, after_row=1, **STOP),
        event(1, Trigger.TIME, 1.0, Action.INDICATOR, magnitude=2),
    )
    worlds = Worlds([world(actor(), events=rows, hazard_actors=(1,), hazard_row=0)])
    assert fired_at(worlds, 3.0) == 1.0
