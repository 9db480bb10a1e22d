"""Event tables: every trigger and action on cases worked out by hand, and refusal of tables that make no sense."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import actor, ego, event, run, world

from simdrive.errors import ParameterError
from simdrive.sim.checks import check_events
from simdrive.sim.spec import CHANNEL_OF, Action, ActorSpec, Channel, Event, Trigger
from simdrive.sim.state import Behaviour, Shape
from simdrive.sim.worlds import Worlds

DT = 0.02
STOP = {"action": Action.STOP, "magnitude": 6.0}


def fired_at(worlds: Worlds, seconds: float, row: int = 0) -> float:
    """Step until the hazard row fires; return that time, NaN if it does not within ``seconds``."""
    for _ in range(round(seconds / DT)):
        run(worlds, DT)
        if worlds.hazard_us[row] >= 0:
            return float(worlds.hazard_us[row]) / 1e6
    return math.nan


def hazard_world(event_row: Event, *actors: ActorSpec, **fields: Any) -> Worlds:
    """Return one world whose hazard row is its only event."""
    return Worlds([world(*actors, events=(event_row,), hazard_actors=(1,), hazard_row=0, **fields)])


# --- triggers --------------------------------------------------------------------------------------------------


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


# --- longitudinal actions --------------------------------------------------------------------------------------


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


# --- lateral actions -------------------------------------------------------------------------------------------


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


# --- presence and light ----------------------------------------------------------------------------------------


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


# --- refusal ---------------------------------------------------------------------------------------------------

ACTORS = (ego(), actor("a"), actor("b", behaviour=Behaviour.IDM), actor("c", lane=None, x_m=150.0, y_m=30.0))
GOOD = event(1, Trigger.TIME, 1.0, **STOP)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"actor": 0}, "event 0: actor 0"),
        ({"actor": 4}, "event 0: actor 4"),
        ({"subject": 9}, "event 0: subject 9"),
        ({"trigger": Trigger.EGO_TTC, "subject": 0}, "event 0: subject 0"),
        ({"threshold": math.nan}, "event 0: threshold"),
        ({"magnitude": math.inf}, "event 0: magnitude"),
        ({"magnitude": 0.0}, "event 0: magnitude"),
        ({"rate": -1.0}, "event 0: rate"),
        ({"delay_s": -0.1}, "event 0: delay_s"),
        ({"after_row": 0}, "event 0: after_row"),
        ({"after_row": 5}, "event 0: after_row"),
        ({"trigger": Trigger.FIRED}, "event 0: after_row"),
        ({"trigger": 99}, "event 0: trigger"),
        ({"action": 99}, "event 0: action"),
        ({"channel": Channel.LIGHT}, "event 0: channel"),
        ({"until": 3.0}, "event 0: until"),
    ],
)
def test_a_bad_field_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        check_events((GOOD._replace(**changes),), ACTORS)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (event(2, Trigger.TIME, 1.0, Action.OFFSET, magnitude=1.0, rate=1.0), "needs SCRIPTED"),
        (event(1, Trigger.TIME, 1.0, Action.HEADING, magnitude=1.0), "free straight path"),
        (event(3, Trigger.TIME, 1.0, Action.LANE_CHANGE, magnitude=1.0, rate=1.0), "needs `lane`"),
        (event(1, Trigger.TIME, 1.0, Action.LANE_CHANGE, magnitude=0.5, rate=1.0), "whole number"),
        (event(1, Trigger.TIME, 1.0, Action.LANE_CHANGE, magnitude=1.0), "rate"),
        (event(1, Trigger.TIME, 1.0, Action.SPEED, magnitude=5.0), "rate"),
        (event(1, Trigger.TIME, 1.0, Action.LATERAL_SPEED), "direction"),
        (event(1, Trigger.TIME, 1.0, Action.INDICATOR, magnitude=3), "INDICATOR"),
    ],
)
def test_an_action_that_its_actor_cannot_do_is_refused(row: Event, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        check_events((row,), ACTORS)


def test_a_circle_of_rows_is_refused() -> None:
    rows = tuple(event(1, Trigger.FIRED, 0.0, after_row=(row + 1) % 3, **STOP) for row in range(3))
    with pytest.raises(ParameterError, match="circle"):
        check_events(rows, ACTORS)


def test_obstacles_do_not_drive() -> None:
    wall = actor("wall", behaviour=Behaviour.OBSTACLE)
    with pytest.raises(ParameterError, match="OBSTACLE and cannot STOP"):
        check_events((GOOD,), (ego(), wall))


numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True, width=32), st.sampled_from([0.0, 1.0, -1.0, 2.0]))
rows = st.builds(
    Event,
    actor=st.integers(-1, 5),
    trigger=st.sampled_from(list(Trigger)),
    threshold=numbers,
    channel=st.sampled_from(list(Channel)),
    action=st.sampled_from(list(Action)),
    magnitude=numbers,
    rate=numbers,
    until=numbers,
    subject=st.integers(-2, 5),
    after_row=st.integers(-2, 4),
    delay_s=numbers,
)


@given(table=st.lists(rows, max_size=4), fit=st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_table_is_either_refused_with_its_row_or_safe_to_run(table: list[Event], fit: bool) -> None:
    if fit:
        table = [row._replace(channel=CHANNEL_OF[row.action]) for row in table]
    try:
        check_events(table, ACTORS)
    except ParameterError as error:
        assert str(error).startswith("event ")  # noqa: PT017  (which row is checked by the examples above)
        return
    for number, row in enumerate(table):
        assert 1 <= row.actor < len(ACTORS)
        assert -1 <= row.subject < len(ACTORS)
        assert row.after_row != number
        assert all(math.isfinite(value) for value in (row.threshold, row.magnitude, row.rate, row.delay_s))
        assert not math.isinf(row.until)
        assert row.channel == CHANNEL_OF[row.action]
