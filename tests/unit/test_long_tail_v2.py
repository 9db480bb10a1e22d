"""The second long-tail suite: what it covers, and that its new scenarios are what their tags say.

That each of them builds, starts clear, is met by an ego that holds on, and has a clear twin, is what
``test_scenarios.py`` asks of every scenario.
"""

from __future__ import annotations

import numpy as np
import pytest

from simdrive.errors import ParameterError
from simdrive.scenarios.lanes.layouts import exit_road, layby_street, sections
from simdrive.scenarios.sampling import HAZARD, build_case, load_suite, sample_cases, scenario, suite_cases
from simdrive.scenarios.taxonomy import VOCABULARIES
from simdrive.scenarios.turning.encounter import Entrance, drive_s, meeting
from simdrive.scenarios.turning.tee import tee, tee_area
from simdrive.sim.spec import Action, WorldSpec
from simdrive.sim.state import Shape

SUITE = load_suite("long_tail_v2")
NAMES = tuple(entry.scenario for entry in SUITE.entries)
OLD = {entry.scenario for entry in load_suite("long_tail_v1").entries}
NEW = tuple(name for name in NAMES if name not in OLD)


def specs_of(name: str, count: int = 4, hazard: bool = True) -> list[WorldSpec]:
    return [build_case(case) for case in sample_cases(name, count, seed=31, hazard=hazard)]


def hazard_shapes(name: str) -> set[Shape]:
    return {spec.actors[actor - 1].shape for spec in specs_of(name) for actor in spec.hazard_actors}


def test_the_suite_holds_the_first_one_and_many_more() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 40
    assert set(NAMES) > OLD
    assert len(NEW) >= 26
    cases = suite_cases(SUITE)
    assert len(cases) == 25 * len(NAMES)
    assert all(case.param(HAZARD) for case in cases)


def test_the_control_suite_holds_the_same_scenarios_without_their_danger() -> None:
    control = load_suite("control_v2")
    assert {entry.scenario for entry in control.entries} == {*NAMES, "free_drive"}
    assert not any(case.param(HAZARD) for case in suite_cases(control))


def test_every_type_of_bench2drive_is_covered() -> None:
    tags = {tag for name in NAMES for tag in scenario(name).tags}
    covered = {code for code in VOCABULARIES["bench2drive"] if f"bench2drive:{code}" in tags}
    assert covered == set(VOCABULARIES["bench2drive"])
    others = {tag.partition(":")[0] for tag in tags}
    assert others == set(VOCABULARIES)


@pytest.mark.parametrize("name", NEW)
def test_the_hazard_is_keyed_to_the_ego_or_to_a_time_and_waits_for_the_calm_start(name: str) -> None:
    for spec in specs_of(name):
        assert spec.hazard_actors
        if spec.hazard_row < 0:  # it stands there from the start, out of sight: test_scenarios looks at when it shows
            continue
        row = spec.events[spec.hazard_row]
        first = [event for event in spec.events if event.after_row < 0 and event.trigger == 0]
        assert row.after_row >= 0 or row.threshold >= spec.lead_in_s
        assert all(event.threshold >= spec.lead_in_s for event in first)


@pytest.mark.parametrize("name", NEW)
def test_nothing_that_is_drawn_hangs_on_the_hazard(name: str) -> None:
    """The last thing that is drawn is the light: it differs if anything before it was drawn in one twin only."""
    for spec, twin in zip(specs_of(name), specs_of(name, hazard=False), strict=True):
        assert repr(spec.lighting) == repr(twin.lighting)
        assert spec.goal_m == twin.goal_m


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("emergency_crossing", {Shape.EMERGENCY}),
        ("emergency_oncoming", {Shape.EMERGENCY}),
        ("turning_cyclist", {Shape.CYCLIST}),
        ("turning_pedestrian", {Shape.PEDESTRIAN}),
        ("zebra_crossing", {Shape.PEDESTRIAN}),
        ("ball_and_child", {Shape.PEDESTRIAN}),
        ("bus_stop", {Shape.PEDESTRIAN}),
        ("door_opens", {Shape.DEBRIS}),
        ("debris_motorway", {Shape.DEBRIS}),
        ("animal_crossing", {Shape.DEBRIS}),
    ],
)
def test_who_causes_the_danger(name: str, shapes: set[Shape]) -> None:
    assert hazard_shapes(name) == shapes


def test_the_post_turns_red_and_later_green_again() -> None:
    for spec, twin in zip(specs_of("red_light"), specs_of("red_light", hazard=False), strict=True):
        posts = [number for number, actor in enumerate(spec.actors, start=1) if actor.name.startswith("post")]
        green, red = posts
        assert spec.actors[green - 1].present
        assert not spec.actors[red - 1].present
        changes = [
            (event.actor, event.action) for event in spec.events if event.action in (Action.APPEAR, Action.VANISH)
        ]
        assert changes == [(red, Action.APPEAR), (green, Action.VANISH), (green, Action.APPEAR), (red, Action.VANISH)]
        assert spec.events[spec.hazard_row].actor == red
        assert not any(event.action in (Action.APPEAR, Action.VANISH) for event in twin.events)


# --- roads and meetings ----------------------------------------------------------------------------------------


def test_the_t_junction_has_no_far_arm() -> None:
    scene = tee()
    lanes = {lane[:2] for lane in scene.road.map.lane_index}
    assert ("stop0", "leave1") in lanes
    assert ("stop0", "leave3") in lanes
    assert not any("out0" in pair or "in2" in pair or "stop2" in pair for pair in lanes)
    assert tee_area(scene).shape == (6, 2)
    assert tee() is scene


def test_two_paths_over_a_crossing_meet_where_they_cross() -> None:
    scene = tee()
    width = scene.road.lane_width_m
    left = (("in0", "stop0", 0), ("stop0", "leave3", 0), ("leave3", "out3", 0))
    across = (("in1", "stop1", 0), ("stop1", "leave1", 0), ("leave1", "out1", 0))
    found = meeting(scene.road, left, across)
    # Traffic from the left drives at x = -width / 2; the ego comes within 1.6 m of that line before it.
    assert found.x_m == pytest.approx(-0.5 * width - 1.6, abs=0.6)
    assert found.ego_m > 170.0
    right = (("in0", "stop0", 0), ("stop0", "leave1", 0), ("leave1", "out1", 0))
    from_right = (("in3", "stop3", 0), ("stop3", "leave3", 0), ("leave3", "out3", 0))
    with pytest.raises(ParameterError, match="do not meet"):
        meeting(scene.road, right, from_right)


def test_who_waits_needs_longer_than_who_is_under_way() -> None:
    scene = tee()
    left = (("in0", "stop0", 0), ("stop0", "leave3", 0), ("leave3", "out3", 0))
    across = (("in1", "stop1", 0), ("stop1", "leave1", 0), ("leave1", "out1", 0))
    found = meeting(scene.road, left, across)
    assert drive_s(found, Entrance(10.0, 0.0, hidden_s=3.4)) == 3.4
    waits = Entrance(10.0, 0.0, waits_m=found.other_m - 8.0, gain_mps2=4.0)
    assert drive_s(found, waits) == pytest.approx(2.0)  # 8 m = 4 m/s2 * (2 s)^2 / 2


def test_roads_with_a_change_of_lane_join_up() -> None:
    exit_lanes = exit_road(2)
    end = exit_lanes.pose(("b", "c", 2), float(exit_lanes.lane(("b", "c", 2)).length))
    assert end == pytest.approx(exit_lanes.pose(("c", "x", 0), 0.0), abs=1e-6)
    ramp = float(exit_lanes.lane(("c", "x", 0)).length)
    assert exit_lanes.pose(("c", "x", 0), ramp) == pytest.approx(exit_lanes.pose(("x", "y", 0), 0.0), abs=1e-6)
    street = layby_street()
    bay = street.pose(("a", "b", 1), 50.0)
    assert bay[1] - street.pose(("a", "b", 0), 50.0)[1] == pytest.approx(street.lane_width_m)
    motorway = sections(3)
    assert motorway.pose(("n1", "n2", 2), 0.0) == pytest.approx(motorway.pose(("n0", "n1", 2), 330.0))
    assert np.isclose(motorway.lanes(("n2", "n3", 0)), 3)
