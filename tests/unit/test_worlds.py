"""A batch of worlds: copies are exact, nothing depends on the batch, and senseless worlds are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from world_kit import actor, bent_map, ego, event, merge_map, run, state_bytes, straight_map, world

from simdrive.errors import ControlError, ParameterError
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Behaviour, Shape
from simdrive.sim.worlds import Worlds


def busy_world(speed: float = 18.0) -> WorldSpec:
    """Return a world with every kind of actor and channel in use, crash among others included."""
    actors = (
        actor("cutter", lane=("a", "b", 0), s_m=90.0, speed_mps=speed),
        actor("driver", behaviour=Behaviour.IDM, s_m=120.0, speed_mps=speed, lane_changes=True, target_speed_mps=25.0),
        actor("tail", s_m=20.0, speed_mps=speed, reactive=True),
        actor("parked", behaviour=Behaviour.OBSTACLE, lane=("a", "b", 2), s_m=180.0, speed_mps=0.0),
        actor("runner", lane=("a", "b", 2), s_m=130.0, speed_mps=15.0),
        actor(
            "walker", shape=Shape.PEDESTRIAN, lane=None, x_m=200.0, y_m=16.0, heading_rad=-math.pi / 2, speed_mps=1.2,
            length_m=0.5, width_m=0.6, present=False,
        ),
    )  # fmt: skip
    rows = (
        event(1, Trigger.EGO_DISTANCE, 30.0, Action.LANE_CHANGE, magnitude=1, rate=1.5),
        event(2, Trigger.TIME, 2.0, Action.STOP, magnitude=5.0, rate=15.0),
        event(2, Trigger.FIRED, 0.0, Action.RELEASE, after_row=1, delay_s=2.0),
        event(6, Trigger.EGO_TTA, 4.0, Action.APPEAR),
        event(3, Trigger.TIME, 1.0, Action.INDICATOR, magnitude=2),
    )
    return world(*actors, events=rows, hazard_actors=(1,), hazard_row=0)


def bent_world() -> WorldSpec:
    """Return a world whose actors follow a bend."""
    route = (("a", "b", 1), ("b", "c", 1), ("c", "d", 1))
    actors = (
        actor("lead", lane=route[0], route=route[1:], s_m=60.0, speed_mps=9.0),
        actor("driver", behaviour=Behaviour.IDM, lane=("a", "b", 0), route=(("b", "c", 0), ("c", "d", 0)), s_m=40.0),
    )
    start = ego(lane=route[0], s_m=10.0, speed_mps=10.0)
    return world(*actors, road=bent_map(), ego=start, ego_route=route, goal_m=150.0, hazard_actors=(1,))


def merge_world() -> WorldSpec:
    """Return a world on a sine lane with a lone ego."""
    route = (("a", "b", 0), ("b", "c", 0), ("c", "d", 0))
    follower = actor("follower", lane=route[0], route=route[1:], s_m=2.0, speed_mps=11.0)
    start = ego(lane=route[0], s_m=15.0, speed_mps=12.0)
    return world(follower, road=merge_map(), ego=start, ego_route=route, goal_m=200.0)


def steer(worlds: Worlds, seconds: float, order: list[int] | None = None) -> None:
    """Step with controls that differ per world (by ``order``) and over time."""
    names = order or list(range(worlds.size))
    for tick in range(round(seconds * 50)):
        time_s = tick / 50
        worlds.step([[math.sin(name + time_s), 0.01 * math.sin(2 * name + time_s)] for name in names])


# --- copies ----------------------------------------------------------------------------------------------------


def test_restore_replays_bit_for_bit() -> None:
    worlds = Worlds([busy_world(), bent_world()])
    steer(worlds, 2.5)
    saved = worlds.snapshot()
    steer(worlds, 3.0)
    first = [state_bytes(worlds, row) for row in range(2)]
    worlds.restore(saved)
    assert worlds.t_us.tolist() == [2_500_000, 2_500_000]
    steer(worlds, 3.0)
    assert [state_bytes(worlds, row) for row in range(2)] == first


def test_a_snapshot_is_untouched_by_later_steps() -> None:
    worlds = Worlds([busy_world()])
    saved = worlds.snapshot()
    steer(worlds, 1.0)
    worlds.restore(saved)
    assert state_bytes(worlds, 0) == state_bytes(Worlds([busy_world()]), 0)


def test_replicas_go_on_exactly_as_the_original_and_are_independent() -> None:
    worlds = Worlds([bent_world(), busy_world()])
    steer(worlds, 2.0, [7, 5])
    copies = worlds.replicate(1, 3)
    before = state_bytes(worlds, 1)
    assert copies.size == 3
    assert [state_bytes(copies, row) for row in range(3)] == [before] * 3
    steer(copies, 2.0, [5, 9, 5])
    assert state_bytes(worlds, 1) == before
    steer(worlds, 2.0, [7, 5])
    assert state_bytes(copies, 0) == state_bytes(worlds, 1)
    assert state_bytes(copies, 2) == state_bytes(worlds, 1)
    assert state_bytes(copies, 1) != state_bytes(worlds, 1)


def test_select_keeps_order_and_specs() -> None:
    worlds = Worlds([busy_world(), bent_world(), merge_world()])
    steer(worlds, 1.0)
    chosen = worlds.select([2, 0])
    assert [spec.road.key for spec in chosen.specs] == [merge_map().key, straight_map().key]
    assert state_bytes(chosen, 0) == state_bytes(worlds, 2)
    assert state_bytes(chosen, 1) == state_bytes(worlds, 0)


def test_a_snapshot_of_another_batch_is_refused() -> None:
    with pytest.raises(ParameterError, match="restore it into the worlds it came from"):
        Worlds([busy_world()]).restore(Worlds([bent_world()]).snapshot())


def test_no_copies_of_nobody() -> None:
    worlds = Worlds([busy_world()])
    with pytest.raises(ParameterError, match="world 1 does not exist"):
        worlds.replicate(1, 2)
    with pytest.raises(ParameterError, match="count is 0"):
        worlds.replicate(0, 0)


# --- invariance ------------------------------------------------------------------------------------------------


def test_results_do_not_depend_on_batch_slot_or_other_maps() -> None:
    specs = [busy_world(), bent_world(), merge_world(), busy_world(16.0)]
    alone = []
    for number, spec in enumerate(specs):
        worlds = Worlds([spec])
        steer(worlds, 4.0, [number])
        alone.append(state_bytes(worlds, 0))
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 0, 2, 3, 0]):
        worlds = Worlds([specs[number] for number in order])
        steer(worlds, 4.0, order)
        assert [state_bytes(worlds, row) for row in range(len(order))] == [alone[number] for number in order]


def test_many_ticks_in_one_call_are_single_ticks() -> None:
    specs = [busy_world(), bent_world(), merge_world()]
    single, multiple = Worlds(specs), Worlds(specs)
    run(single, 5.0, acceleration=-0.5, steering=0.002)
    run(multiple, 5.0, acceleration=-0.5, steering=0.002, ticks=25)
    for row in range(3):
        assert state_bytes(single, row) == state_bytes(multiple, row)


def test_inactive_worlds_stay_untouched() -> None:
    worlds = Worlds([busy_world(), busy_world()])
    steer(worlds, 0.5)
    before = state_bytes(worlds, 1)
    controls = np.array([[0.5, 0.0], [math.nan, math.inf]])
    for _ in range(20):
        worlds.step(controls, active=np.array([True, False]))
    assert state_bytes(worlds, 1) == before
    assert worlds.t_us.tolist() == [900_000, 500_000]


def test_clock_at_frequencies_that_do_not_divide_a_second() -> None:
    worlds = Worlds([world()], frequency_hz=15)
    assert worlds.t_us[0] == 0
    worlds.step([[0.0, 0.0]])
    assert worlds.t_us[0] == 66_667
    worlds.step([[0.0, 0.0]], ticks=2)
    assert worlds.t_us[0] == 200_000


# --- ego -------------------------------------------------------------------------------------------------------


def test_ego_follows_the_kinematic_bicycle_with_its_own_length() -> None:
    worlds = Worlds([world(ego=ego(length_m=5.2, speed_mps=10.0))])
    x, y, heading, speed = 50.0, 4.0, 0.0, 10.0
    for _ in range(50):
        worlds.step([[1.0, 0.05]])
        slip = math.atan(0.5 * math.tan(0.05))
        x, y = x + speed * math.cos(heading + slip) * 0.02, y + speed * math.sin(heading + slip) * 0.02
        heading, speed = heading + speed * math.sin(slip) / 2.6 * 0.02, speed + 0.02
    state = worlds.actors
    assert state.x[0, 0] == pytest.approx(x, abs=1e-9)
    assert state.y[0, 0] == pytest.approx(y, abs=1e-9)
    assert state.heading[0, 0] == pytest.approx(heading, abs=1e-12)
    assert state.yaw_rate[0, 0] == pytest.approx((speed - 0.02) * math.sin(slip) / 2.6, rel=1e-6)
    assert worlds.ego_control[0].tolist() == [1.0, 0.05]


def test_brakes_do_not_make_the_ego_reverse() -> None:
    worlds = Worlds([world(ego=ego(speed_mps=1.0))])
    run(worlds, 2.0, acceleration=-8.0)
    assert worlds.actors.speed[0, 0] == 0.0
    assert worlds.ego_control[0, 0] == 0.0
    assert worlds.actors.brake_light[0, 0]
    assert worlds.actors.x[0, 0] == pytest.approx(50.0 + 1.0 / 16.0, abs=0.02)


def test_route_progress_and_road_edge() -> None:
    worlds = Worlds([world(), bent_world()])
    run(worlds, 2.0)
    assert worlds.route_s[0] == pytest.approx(40.0)
    assert worlds.route_r[0] == pytest.approx(0.0, abs=1e-9)
    assert worlds.outside_m[0] == 0.0
    run(worlds, 4.0, steering=0.02)
    # y grows to the right: the road ends at y = 10.
    corner = worlds.actors.y[0, 0] + 2.3 * math.sin(worlds.actors.heading[0, 0])
    corner += 0.925 * math.cos(worlds.actors.heading[0, 0])
    assert worlds.outside_m[0] == pytest.approx(corner - 10.0, abs=1e-9)
    assert worlds.route_r[0] == pytest.approx(worlds.actors.y[0, 0] - 4.0, abs=1e-6)


def test_scripted_lead_follows_its_lanes_round_the_bend() -> None:
    worlds = Worlds([bent_world()])
    for _ in range(200):
        worlds.step([[-5.0, 0.0]])
        x, y = worlds.actors.x[0, 1], worlds.actors.y[0, 1]
        s = worlds.actors.path_s[0, 1]
        if s < 100.0:
            assert y == pytest.approx(2.0)
        elif s < 100.0 + 38.0 * math.pi / 2:
            assert math.hypot(x - 100.0, y - 40.0) == pytest.approx(38.0)
            assert worlds.actors.heading[0, 1] == pytest.approx((s - 100.0) / 38.0)
    assert worlds.actors.path_s[0, 1] == pytest.approx(60.0 + 36.0)
    run(worlds, 10.0)
    assert worlds.actors.x[0, 1] == pytest.approx(138.0)
    assert worlds.actors.path_lane[0, 1] == 5 - worlds.first_lane[0]


def test_scripted_speed_on_a_sine_lane_is_along_the_curve() -> None:
    worlds = Worlds([merge_world()])
    places = []
    for _ in range(400):
        worlds.step([[0.0, 0.0]])
        places.append((worlds.actors.x[0, 1], worlds.actors.y[0, 1]))
    steps = np.hypot(*np.diff(np.array(places), axis=0).T) / 0.02
    assert np.abs(steps - 11.0).max() < 0.03


def test_a_path_goes_straight_on_past_its_last_lane() -> None:
    worlds = Worlds([world(actor(s_m=590.0))])
    run(worlds, 3.0)
    assert worlds.actors.x[0, 1] == pytest.approx(650.0)
    assert worlds.actors.y[0, 1] == pytest.approx(4.0)


# --- hazard ----------------------------------------------------------------------------------------------------


def test_hazard_without_a_row_exists_after_the_lead_in() -> None:
    worlds = Worlds([world(actor(), hazard_actors=(1,), lead_in_s=1.0), world(actor(), lead_in_s=1.0)])
    run(worlds, 0.98)
    assert worlds.hazard_us.tolist() == [-1, -1]
    run(worlds, 1.0)
    assert worlds.hazard_us.tolist() == [1_000_000, -1]
    assert worlds.hazard_on.tolist() == [True, False]


# --- views -----------------------------------------------------------------------------------------------------


def test_a_view_hides_the_unseen_and_cannot_be_written() -> None:
    worlds = Worlds([busy_world(), bent_world()])
    visible = np.ones((1, worlds.actors.x.shape[1]), np.bool_)
    visible[0, 2] = False
    view = worlds.view([0], visible)
    assert view.present[0].tolist() == [True, True, False, True, True, True, False]
    assert np.isnan(view.x[0, 2])
    assert view.lane[0, 2] == -1
    assert view.x[0, 1] == 90.0
    assert view.simulator is None
    with pytest.raises(ValueError, match="read-only"):
        view.x[0, 1] = 0.0
    kept = view.x.copy()
    steer(worlds, 0.2)
    np.testing.assert_array_equal(view.x, kept)


def test_a_view_of_everything() -> None:
    worlds = Worlds([busy_world(), bent_world()])
    view = worlds.view([1, 0], clairvoyant=True)
    assert view.world.tolist() == [1, 0]
    assert view.map_id.tolist() == worlds.map_id[[1, 0]].tolist()
    assert view.simulator is worlds
    assert view.present.sum(axis=1).tolist() == [3, 6]
    with pytest.raises(ParameterError, match="visible has shape"):
        worlds.view([0], np.ones((2, 2), np.bool_))


# --- refusal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ([[0.0, math.nan]], "world 0: control 1"),
        ([[math.inf, 0.0]], "world 0: control 0"),
        ([[0.0, 0.0, 0.0]], "shape"),
    ],
)
def test_bad_controls_are_refused_before_anything_moves(controls: Any, words: str) -> None:
    worlds = Worlds([world()])
    with pytest.raises(ControlError, match=words):
        worlds.step(controls)
    assert worlds.tick[0] == 0


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (lambda: world(actor(s_m=53.0)), "world 1: actors 0 .'ego'. and 1 .'other'. overlap"),
        (lambda: world(actor(lane=("a", "b", 7))), "actor 1 .'other'.: unknown lane"),
        (lambda: world(actor("ego")), "names must differ"),
        (lambda: world(actor(length_m=0.0)), "length_m is 0"),
        (lambda: world(actor(speed_mps=math.nan)), "speed_mps is nan"),
        (lambda: world(actor(behaviour=Behaviour.LANDMARK)), "behaviour LANDMARK"),
        (lambda: world(actor(lane=None, reactive=True, x_m=150.0)), "need a lane"),
        (lambda: world(hazard_actors=(3,)), "hazard_actors: 3"),
        (lambda: world(hazard_row=0), "hazard_row: 0"),
        (lambda: world(goal_m=0.0), "goal_m is 0"),
        (lambda: world(goal_m=5000.0), "the ego route ends"),
        (lambda: world(ego=ego(r_m=3.0)), "beside its route"),
        (lambda: world(ego=ego(heading_rad=1.0)), "turned by 57 degrees"),
        (lambda: world(ego=ego(lane=("a", "b", 0))), "begin with that lane"),
        (lambda: world(ego=ego(present=False)), "must be present"),
        (lambda: world(ego=ego(behaviour=Behaviour.IDM)), "ego: behaviour IDM"),
        (lambda: world(ego_route=()), "ego_route"),
        (lambda: world(actor(), events=(event(7, Trigger.TIME, 0.0, Action.APPEAR),)), "event 0: actor 7"),
        (lambda: world(actor(indicator=5)), "indicator is 5"),
    ],
)
def test_senseless_worlds_are_refused_by_name(spec: Any, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        Worlds([world(), spec()])


def test_broken_paths_are_refused() -> None:
    route = (("a", "b", 0), ("b", "c", 0))
    start = ego(lane=route[0], s_m=10.0)
    jumper = actor(lane=("a", "b", 0), route=(("c", "d", 0),), s_m=50.0)
    with pytest.raises(ParameterError, match="a scripted path allows"):
        Worlds([world(jumper, road=bent_map(), ego=start, ego_route=route, goal_m=100.0)])


def test_empty_batches_and_odd_frequencies_are_refused() -> None:
    with pytest.raises(ParameterError, match="no world"):
        Worlds([])
    with pytest.raises(ParameterError, match="frequency_hz is 0"):
        Worlds([world()], frequency_hz=0)


def test_props_may_touch_but_cars_may_not() -> None:
    row = [
        actor(f"cone {number}", shape=Shape.CONE, lane=None, x_m=150.0 + 0.4 * number, y_m=0.0, speed_mps=0.0,
              length_m=0.5, width_m=0.5)
        for number in range(3)
    ]  # fmt: skip
    assert Worlds([world(*row)]).actor_count[0] == 4
