"""Every scenario: same case same world, twins without the hazard, valid at both ends, calm before the hazard."""

from __future__ import annotations

import functools
import math
from dataclasses import fields

import numpy as np
import pytest

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.scenarios.chain_braking import follow_braking
from simdrive.scenarios.contract import Scenario
from simdrive.scenarios.junctions import crossing, roundabout
from simdrive.scenarios.parameters import Value
from simdrive.scenarios.roads import SHAPES, Road, merge_ramp, one_way, two_way
from simdrive.scenarios.sampling import build_case, make_case, sample_cases, scenario, scenario_names
from simdrive.scenarios.tables import BEGIN, END, scenario_tables, write_into
from simdrive.scenarios.taxonomy import VOCABULARIES, describe_tag
from simdrive.scenarios.timing import shift_rate_mps, shift_time_s, shortest_shift_s, start_up_time_s
from simdrive.sim.follow import Follower, hold_of
from simdrive.sim.search import HORIZON_S, drive, drive_to_hazard
from simdrive.sim.spec import WorldSpec
from simdrive.sim.tracker import TrackerLimits
from simdrive.sim.worlds import Worlds
from simdrive.types import Case

# Worlds of test protocols are bare and synchronised on purpose, recordings as they are; they have tests of their own.
NAMES = tuple(name for name in scenario_names() if not name.startswith(("ncap_", "r157_", "recorded")))
DANGEROUS = tuple(name for name in NAMES if scenario(name).has_hazard)
LIMITS = TrackerLimits()
COUNT = 6


@functools.cache
def worlds_of(name: str, hazard: bool) -> tuple[tuple[Case, ...], tuple[WorldSpec, ...]]:
    cases = sample_cases(name, COUNT, seed=9, hazard=hazard)
    return cases, tuple(build_case(case) for case in cases)


def corner_case(kind: Scenario, fraction: float) -> Case:
    params: dict[str, Value] = {name: parameter.at(fraction) for name, parameter in kind.parameters.items()}
    return make_case(kind.name, params, seed=1)


def assert_equal_specs(one: WorldSpec, other: WorldSpec) -> None:
    assert one.road is other.road
    for field in fields(WorldSpec):
        if field.name in ("walkable", "extra_drivable"):
            for a, b in zip(getattr(one, field.name), getattr(other, field.name), strict=True):
                np.testing.assert_array_equal(a, b)
        elif field.name == "events":
            np.testing.assert_array_equal(np.array(one.events), np.array(other.events))
        elif field.name not in ("road", "lighting"):
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert repr(one.lighting) == repr(other.lighting)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_case_gives_the_same_world(name: str) -> None:
    cases, specs = worlds_of(name, True)
    for case, spec in zip(cases[:3], specs[:3], strict=True):
        assert_equal_specs(build_case(case), spec)


@pytest.mark.parametrize("name", NAMES)
def test_incidentals_vary_from_case_to_case(name: str) -> None:
    _, specs = worlds_of(name, True)
    assert len({repr(spec.lighting) for spec in specs}) >= COUNT - 1
    assert len({repr(spec.actors) for spec in specs}) == COUNT


@pytest.mark.parametrize("name", DANGEROUS)
def test_the_twin_without_hazard_is_the_same_place_with_the_same_people(name: str) -> None:
    for spec, twin in zip(worlds_of(name, True)[1], worlds_of(name, False)[1], strict=True):
        assert spec.hazard_actors
        assert twin.hazard_actors == ()
        assert twin.hazard_row == -1
        assert twin.road.key == spec.road.key
        assert twin.ego == spec.ego
        assert repr(twin.lighting) == repr(spec.lighting)
        seen = [(actor.shape, actor.colour, actor.length_m) for actor in spec.actors if actor.name != "meet"]
        twins = [(actor.shape, actor.colour, actor.length_m) for actor in twin.actors]
        common = [actor for actor in twins if actor in seen]
        assert len(common) >= 0.5 * len(twins)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_both_ends_of_all_ranges_build_a_world_that_can_run(name: str, fraction: float) -> None:
    spec = build_case(corner_case(scenario(name), fraction))
    worlds = Worlds([spec])
    worlds.step(np.zeros((1, 2)), ticks=5)
    assert np.isfinite(worlds.actors.x).all()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_touches_before_the_hazard(name: str) -> None:
    _, specs = worlds_of(name, True)
    worlds = Worlds(specs)
    hazard_us = drive_to_hazard(worlds, LIMITS)
    assert (worlds.contact_tick < 0).all()
    assert not worlds.actors.crashed.any()
    assert (worlds.outside_m <= 0.3).all()
    if scenario(name).has_hazard:
        lead_in_us = np.array([spec.lead_in_s * 1e6 for spec in specs])
        assert (hazard_us >= lead_in_us).all()
    else:
        assert (hazard_us < 0).all()


@pytest.mark.parametrize("name", DANGEROUS)
def test_an_ego_that_holds_on_meets_the_hazard_more_often_than_not(name: str) -> None:
    _, specs = worlds_of(name, True)
    worlds = Worlds(specs)
    drive_to_hazard(worlds, LIMITS)
    plans = hold_of(worlds, worlds.actors.speed[:, 0].copy())
    drive(worlds, Follower(worlds, plans, worlds.t_us.copy(), LIMITS), HORIZON_S)
    hits = [actor in spec.hazard_actors for actor, spec in zip(worlds.contact_actor, specs, strict=True)]
    assert np.mean(hits) > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_without_the_hazard_holding_on_reaches_the_goal_untouched(name: str) -> None:
    _, specs = worlds_of(name, False)
    worlds = Worlds(specs)
    drive_to_hazard(worlds, LIMITS)
    goals = np.array([spec.goal_m for spec in specs])
    assert (worlds.contact_tick < 0).all()
    assert not worlds.actors.crashed.any()
    assert (worlds.route_s >= goals - 0.5).all()
    assert (worlds.t_us <= [0.75e6 * spec.time_limit_s for spec in specs]).all()


@pytest.mark.parametrize("name", NAMES)
def test_tags_are_known_and_descriptions_say_something(name: str) -> None:
    kind = scenario(name)
    assert bool(kind.tags) == kind.has_hazard
    for tag in kind.tags:
        assert describe_tag(tag)
    assert len(kind.description) > 40


def test_taxonomies_have_their_published_sizes() -> None:
    assert {name: len(codes) for name, codes in VOCABULARIES.items() if name != "euro_ncap"} == {
        "bench2drive": 44,
        "nhtsa": 37,
        "r157": 3,
    }
    assert describe_tag("nhtsa:25") == "lead vehicle decelerating"
    with pytest.raises(UnknownNameError, match="Did you mean 'cut-in'"):
        describe_tag("r157:cutin")
    with pytest.raises(UnknownNameError, match="taxonomy"):
        describe_tag("ncap:CCRs")
    with pytest.raises(ParameterError, match="must read"):
        describe_tag("cut-in")


# --- roads -----------------------------------------------------------------------------------------------------


def joints(road: Road) -> list[tuple[float, float]]:
    """Return (gap m, bend rad) of the best continuation of every lane that has one."""
    lanes = road.network.lanes_dict()
    found = []
    for (_, end, _), lane in lanes.items():
        x, y = lane.position(lane.length, 0.0)
        heading = lane.heading_at(lane.length)
        nexts = [other for (start, _, _), other in lanes.items() if start == end]
        gaps = [
            (
                math.dist(other.position(0.0, 0.0), (x, y)),
                abs((other.heading_at(0.0) - heading + math.pi) % (2 * math.pi) - math.pi),
            )
            for other in nexts
        ]
        if gaps:
            found.append(min(gaps))
    return found


@pytest.mark.parametrize(
    "road",
    [crossing(1).road, crossing(2).road, roundabout(20.0).road, roundabout(23.0).road, merge_ramp(2, 40.0)],
)
def test_lanes_join_without_gap_or_bend(road: Road) -> None:
    found = joints(road)
    assert found
    assert np.max(found) < 1e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_lanes_lie_one_width_apart_in_both_directions(shape: str) -> None:
    road = two_way(2, shape)
    for s in (50.0, 200.0, 400.0):
        x, y, heading = road.pose(("a", "b", 0), s)
        across = np.array([-math.sin(heading), math.cos(heading)])
        for lane, places in ((("a", "b", 1), 1), (("b", "a", 0), -1), (("b", "a", 1), -2)):
            ox, oy, other = road.pose(lane, road.beside(("a", "b", 0), s, lane))
            offset = float(across @ [ox - x, oy - y])
            assert offset == pytest.approx(places * road.lane_width_m, abs=0.05)
            turned = (other - heading + math.pi) % (2 * math.pi) - math.pi
            assert abs(turned) == pytest.approx(0.0 if places > 0 else math.pi, abs=0.01)


def test_equal_roads_are_built_once_and_wrong_ones_refused() -> None:
    assert one_way(3, "left") is one_way(3, "left")
    assert one_way(2).map.key != one_way(3).map.key
    with pytest.raises(UnknownNameError, match="Did you mean 'straight'"):
        one_way(2, "strait")
    for build in (one_way, two_way):
        with pytest.raises(ParameterError, match="at least one lane"):
            build(0)


@pytest.mark.parametrize("shape", SHAPES)
def test_strips_cover_the_edge_of_a_curve(shape: str) -> None:
    road = one_way(2, shape)
    lane = ("a", "b", 1)
    quads = road.strip(lane, (100.0, 300.0), (1.0, 3.0))
    area = sum(0.5 * abs(np.dot(q[:, 0], np.roll(q[:, 1], 1)) - np.dot(q[:, 1], np.roll(q[:, 0], 1))) for q in quads)
    assert area == pytest.approx(400.0, rel=0.01)


def test_roundabout_paths_go_round_to_the_right_exit() -> None:
    scene = roundabout(20.0)
    assert len(scene.ring) == 8
    straight, left = scene.path(0, 0), scene.path(0, 3)
    assert straight[0] == ("in0", "yield0", 0)
    assert straight[-1] == ("leave0", "out0", 0)
    assert len(left) == len(straight) + 2
    assert crossing(2).area.shape == (8, 2)


# --- closed forms ----------------------------------------------------------------------------------------------


def test_start_up_time_by_hand_and_by_integration() -> None:
    assert start_up_time_s(4.0, 10.0, 2.0) == pytest.approx(2.0)  # still accelerating: 2 = sqrt(2 * 4 / 2)
    assert start_up_time_s(13.0, 4.0, 2.0) == pytest.approx(2.0 + 9.0 / 4.0)  # 4 m while accelerating, then 4 m/s
    time, place, speed = 0.0, 0.0, 0.0
    while place < 13.0:
        speed = min(speed + 2.0 * 1e-4, 4.0)
        place, time = place + speed * 1e-4, time + 1e-4
    assert start_up_time_s(13.0, 4.0, 2.0) == pytest.approx(time, abs=1e-3)
    with pytest.raises(ParameterError):
        start_up_time_s(1.0, 0.0, 1.0)


def test_shift_times_by_hand() -> None:
    assert shift_time_s(1.0, 3.75, 1.0) == pytest.approx(0.5 + 0.75)  # 0.25 m in 0.5 s, the rest at 1 m/s
    assert shift_time_s(0.25, 3.75, 2.0) == pytest.approx(0.5)
    with pytest.raises(ParameterError, match="within the total"):
        shift_time_s(4.0, 3.75, 1.0)


@pytest.mark.parametrize("time_s", [1.6, 2.0, 3.0])
def test_shift_rate_inverts_the_time(time_s: float) -> None:
    assert shift_time_s(2.4, 50.0, shift_rate_mps(2.4, time_s)) == pytest.approx(time_s)


def test_a_shift_cannot_be_arbitrarily_fast() -> None:
    with pytest.raises(ParameterError, match="at least"):
        shift_rate_mps(2.4, 1.0)
    for distance_m in np.linspace(0.5, 4.0, 200):
        assert shift_rate_mps(distance_m, shortest_shift_s(distance_m)) == pytest.approx(math.sqrt(4.0 * distance_m))


def test_the_shortest_cut_out_is_built_for_any_two_vehicles() -> None:
    """Two broad ones need a little more than the time that the range leaves them."""
    for seed in range(80):
        for speed in (20.0, 34.0):
            params = {"ego_speed_mps": speed, "time_gap_s": 0.9, "reveal_s": 1.82, "lead": "truck", "side": "left"}
            build_case(make_case("cut_out", params, seed))


@pytest.mark.parametrize("gap_m", [8.0, 20.0, 40.0])
def test_the_chain_stops_short_of_each_other(gap_m: float) -> None:
    speed, ahead = 25.0, 6.0
    braking, delay = follow_braking(speed, gap_m, ahead, 0.8)
    stop_ahead, stop = 0.5 * speed**2 / ahead, speed * delay + 0.5 * speed**2 / braking
    assert 0.0 <= delay <= 0.8
    assert braking <= 9.5
    assert gap_m + stop_ahead - stop >= 1.5 - 1e-9


# --- documentation ---------------------------------------------------------------------------------------------


def test_the_tables_name_every_scenario_and_parameter(tmp_path: pytest.TempPathFactory) -> None:
    text = scenario_tables()
    for name in NAMES:
        assert f"| `{name}` |" in text
        assert all(f"| `{parameter}` |" in text for parameter in scenario(name).parameters)


def test_the_documented_tables_are_up_to_date() -> None:
    from pathlib import Path

    page = Path(__file__).resolve().parents[2] / "docs" / "scenarios.md"
    text = page.read_text(encoding="utf-8")
    between = text.split(BEGIN, 1)[1].split(END, 1)[0].strip()
    assert between == scenario_tables().strip(), "run: python -m simdrive.scenarios.tables docs/scenarios.md"


def test_tables_need_their_markers() -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.md"
        page.write_text("nothing", encoding="utf-8")
        with pytest.raises(ParameterError, match="lacks the lines"):
            write_into(page)
        page.write_text(f"before {BEGIN}old{END} after", encoding="utf-8")
        assert write_into(page)
        assert not write_into(page)
        assert page.read_text(encoding="utf-8").endswith(" after")
