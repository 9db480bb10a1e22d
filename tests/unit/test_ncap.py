"""Euro NCAP cases: the matrix of the protocol, impacts at the stated places, twins, impossible values."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.scenarios.grid import grid_rows, grid_size
from simdrive.scenarios.ncap.impact import impacts, place_on_ego, stated_impact
from simdrive.scenarios.ncap.junction import TurnPath
from simdrive.scenarios.ncap.protocol import across_m
from simdrive.scenarios.ncap.rear import Rear
from simdrive.scenarios.ncap.sync import start_up
from simdrive.scenarios.ncap.turn_across import path_for
from simdrive.scenarios.sampling import (
    HAZARD,
    build_case,
    load_suite,
    make_case,
    sample_cases,
    scenario,
    scenario_names,
    suite_cases,
)
from simdrive.scenarios.taxonomy import VOCABULARIES
from simdrive.sim.follow import failed
from simdrive.sim.motion import advance, commanded_acceleration
from simdrive.sim.search import drive_to_hazard
from simdrive.sim.spec import Action, WorldSpec
from simdrive.sim.tracker import TrackerLimits
from simdrive.sim.worlds import Worlds
from simdrive.types import Case

NAMES = tuple(name for name in scenario_names() if name.startswith("ncap_"))
# Cases of the protocol per scenario: standard range, extended range.
SIZES = {
    "ccrs": (40, 16), "ccrm": (55, 22), "ccrb": (30, 47), "ccfhos": (18, 14), "ccftap": (9, 7), "cccscp": (50, 16),
    "cmrs": (24, 16), "cmrb": (18, 37), "cmftap": (9, 7), "cmcscp": (50, 16), "cpfa": (12, 48), "cpna": (36, 24),
    "cpnco": (12, 24), "cpla": (20, 60), "cbna": (12, 18), "cbnao": (12, 18), "cbfa": (12, 18), "cbla": (9, 27),
}  # fmt: skip


LONG_REAR = {"ego_speed_kph": 50, "time_headway_s": 1, "braking_mps2": 4}


def matrix() -> tuple[Case, ...]:
    return suite_cases(load_suite("ncap_standard")) + suite_cases(load_suite("ncap_extended"))


@pytest.mark.parametrize(("suite", "column", "total"), [("ncap_standard", 0, 428), ("ncap_extended", 1, 435)])
def test_the_suites_hold_the_matrix_of_the_protocol(suite: str, column: int, total: int) -> None:
    cases = suite_cases(load_suite(suite))
    assert len(cases) == total
    assert Counter(case.scenario for case in cases) == {f"ncap_{name}": n[column] for name, n in SIZES.items()}
    assert all(case.param(HAZARD) for case in cases)


def test_no_case_is_in_both_suites() -> None:
    keys = [(case.scenario, case.params) for case in matrix()]
    assert len(set(keys)) == len(keys) == 863


def assert_hit_as_stated(cases: tuple[Case, ...], within_m: float) -> None:
    found = impacts(cases)
    assert [impact.case for impact in found if not impact.hit] == []
    wrong = [(impact.case, impact.error_m) for impact in found if not impact.error_m <= within_m]
    assert wrong == []


def test_whoever_does_not_react_hits_the_target_at_the_stated_place() -> None:
    assert_hit_as_stated(matrix()[::8], 0.02)


@pytest.mark.slow
def test_whoever_does_not_react_hits_the_target_in_every_case() -> None:
    assert_hit_as_stated(matrix(), 0.02)


def test_other_values_than_those_of_the_protocol_are_synchronised_too() -> None:
    cases = tuple(case for name in NAMES for case in sample_cases(name, 1, seed=5))
    assert_hit_as_stated(cases, 0.02)


@pytest.mark.slow
def test_the_driver_that_holds_its_speed_hits_as_stated_through_the_whole_loop() -> None:
    from simdrive.build import build
    from simdrive.eval.episode import EpisodeInput
    from simdrive.eval.reference import ZERO_LATENCY
    from simdrive.eval.rollout import rollout

    cases = matrix()[::9]
    logs = rollout(
        [EpisodeInput(case, build_case(case)) for case in cases], build("agent", "constant_speed"), ZERO_LATENCY
    )
    for case, log in zip(cases, logs, strict=True):
        stated = stated_impact(case, 4.6, 1.85)
        assert log.contact is not None, case
        at = place_on_ego(log.x[-1], log.y[-1], log.heading[-1], log.contact.actor, stated, 4.6)
        assert at == pytest.approx(stated.at_m, abs=0.1), case


# --- the worlds ------------------------------------------------------------------------------------------------


def picked(hazard: bool) -> tuple[WorldSpec, ...]:
    return tuple(build_case(case) for name in NAMES for case in sample_cases(name, 1, seed=3, hazard=hazard))


def test_the_hazard_comes_after_the_lead_in_and_nothing_touches_before() -> None:
    specs = picked(True)
    worlds = Worlds(specs)
    hazard_us = drive_to_hazard(worlds, TrackerLimits())
    assert (worlds.contact_tick < 0).all()
    assert (hazard_us >= [spec.lead_in_s * 1e6 for spec in specs]).all()
    assert (worlds.outside_m <= 0.3).all()


def test_without_the_hazard_holding_on_reaches_the_goal_untouched() -> None:
    specs = picked(False)
    worlds = Worlds(specs)
    drive_to_hazard(worlds, TrackerLimits())
    assert not failed(worlds).any()
    assert (worlds.route_s >= [spec.goal_m - 0.5 for spec in specs]).all()


def test_twins_share_road_light_ego_and_bodies() -> None:
    for spec, twin in zip(picked(True), picked(False), strict=True):
        assert spec.hazard_actors
        assert twin.hazard_actors == ()
        assert twin.road is spec.road
        assert twin.ego == spec.ego
        assert repr(twin.lighting) == repr(spec.lighting)
        bodies = [(a.name, a.shape, a.colour, a.length_m) for a in spec.actors if a.name != "meet"]
        assert bodies == [(a.name, a.shape, a.colour, a.length_m) for a in twin.actors]


def test_a_driver_that_stops_far_behind_the_target_can_drive_on_later() -> None:
    cases = [
        make_case("ncap_ccrs", {"ego_speed_kph": 10, "impact_location_pct": 50}, 0),
        make_case("ncap_cmrb", LONG_REAR | {"impact_location_pct": 50}, 0),
    ]
    worlds = Worlds([build_case(case) for case in cases])
    speed = worlds.actors.speed[:, 0].copy()
    brakes = -speed / 2.0  # to standstill within two seconds, long before the test begins
    for tick in range(900):
        worlds.step(np.column_stack([brakes if tick < 100 else 0.0 * brakes, 0.0 * brakes]))
    assert (worlds.contact_tick < 0).all()
    np.testing.assert_allclose(worlds.actors.speed[:, 1], speed, atol=1e-6)


def test_a_target_that_is_being_passed_stays_where_it_is() -> None:
    spec = build_case(make_case("ncap_ccrs", {"ego_speed_kph": 10, "impact_location_pct": 0}, 0))
    target_m = spec.actors[0].s_m
    worlds = Worlds([replace(spec, ego=replace(spec.ego, s_m=target_m, r_m=-1.9, speed_mps=0.0))])
    worlds.step(np.zeros((1, 2)), ticks=700)
    assert worlds.actors.speed[0, 1] == 0.0


def test_the_same_case_gives_the_same_world_and_cases_look_different() -> None:
    case = make_case(
        "ncap_cpna", {"ego_speed_kph": 50, "target_speed_kph": 5, "impact_location_pct": 25, "light": "day"}, 7
    )
    assert repr(build_case(case).actors) == repr(build_case(case).actors)
    looks = {repr(build_case(Case(case.scenario, case.params, seed)).lighting) for seed in range(4)}
    assert len(looks) == 4


def test_every_scenario_carries_its_code() -> None:
    assert {name.removeprefix("ncap_") for name in NAMES} == set(SIZES)
    for name in NAMES:
        codes = [tag.split(":")[1] for tag in scenario(name).tags if tag.startswith("euro_ncap:")]
        assert [code.lower() for code in codes] == [name.removeprefix("ncap_")]
        assert codes[0] in VOCABULARIES["euro_ncap"]


def test_night_cases_are_dark_and_lit_as_the_protocol_says() -> None:
    walk = {"ego_speed_kph": 40, "target_speed_kph": 5, "impact_location_pct": 50, "light": "night"}
    crossing = build_case(make_case("ncap_cpna", walk, 0)).lighting
    along = build_case(make_case("ncap_cpla", walk | {"steady_m": 10}, 0)).lighting
    assert crossing.sun_elevation_deg < -10.0
    assert along.sun_elevation_deg < -10.0
    assert (crossing.street_lights, along.street_lights) == (True, False)


# --- closed forms ----------------------------------------------------------------------------------------------


def test_impact_locations_count_from_the_nearside() -> None:
    assert across_m(50, 1.8) == 0.0
    assert across_m(0, 1.8) == pytest.approx(0.9)  # right edge
    assert across_m(125, 1.8) == pytest.approx(-1.35)  # beyond the left edge


@pytest.mark.parametrize(("travel", "steady", "speed"), [(4.0, 3.0, 1.389), (24.0, 17.0, 4.1667), (7.1, 4.5, 2.2)])
def test_a_start_up_arrives_on_its_tick(travel: float, steady: float, speed: float) -> None:
    begin = start_up(travel, steady, speed)
    place, pace = 0.0, 0.0
    for _ in range(begin.ticks):
        gain, _ = commanded_acceleration(Action.SPEED, speed, begin.acceleration_mps2, math.nan, pace, 0.0, 0.02)
        pace, moved = advance(pace, gain, 0.02, False)
        place += moved
    assert place == pytest.approx(travel, abs=1e-3)
    assert pace == pytest.approx(speed)


def test_a_start_up_needs_room() -> None:
    with pytest.raises(ParameterError, match="cannot get to"):
        start_up(3.0, 3.0, 1.0)


def test_turns_are_the_circular_arcs_and_clothoids_of_the_protocol() -> None:
    arc = TurnPath(1e9, 10.0, 1e-6, 90.0).points()  # hardly any clothoid: a quarter circle of 10 m
    np.testing.assert_allclose(arc[-1], [10.0, -10.0], atol=0.01)
    for speed in (10, 15, 20, 25):
        path = path_for(speed)
        assert 2 * path.clothoid_deg + path.arc_deg == pytest.approx(90.0)
        end = path.points()[-2:]
        assert end[1, 0] == pytest.approx(-end[1, 1], abs=0.01)  # the way out mirrors the way in
        assert math.atan2(*(end[1] - end[0])) == pytest.approx(math.pi, abs=0.03)  # heads for -y
    assert [path_for(speed).radius_m for speed in (10, 15, 20, 25)] == [9.0, 11.75, 14.75, 14.75]


# --- grids and wrong input -------------------------------------------------------------------------------------


def test_a_grid_is_the_product_of_its_lists() -> None:
    grid = {"a, b": [[1, 2], [3, 4]], "c": ["x", "y", "z"]}
    assert grid_size("here", grid) == 6
    rows = grid_rows(grid)
    assert rows[0] == {"a": 1, "b": 2, "c": "x"}
    assert rows[5] == {"a": 3, "b": 4, "c": "z"}
    assert grid_rows(grid, 2) == [rows[0], rows[3]]
    assert grid_rows(grid, 99) == rows


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ([], "must map"), ({}, "must map"), ({"a": []}, r"grid\.a must be a list"), ({"a": 3}, r"grid\.a must be"),
        ({"a, b": [[1]]}, "lists of 2 values"), ({"a, b": [[1, 2]], "b": [1]}, "twice"),
    ],
)  # fmt: skip
def test_a_wrong_grid_is_refused(grid: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        grid_size("here", grid)


REAR = {"ego_speed_kph": 50, "impact_location_pct": 50}
LONG = {"ego_speed_kph": 80, "impact_location_pct": 50, "light": "day"}


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("ncap_ccrm", REAR | {"target_speed_kph": 50}, "never reached"),
        ("ncap_cbla", LONG | {"ego_speed_kph": 10, "target_speed_kph": 20, "steady_m": 20}, "never reached"),
        ("ncap_cpla", LONG | {"target_speed_kph": 2, "steady_m": 30}, "the track has 900 m"),
        ("ncap_ccrs", REAR | {"ego_speed_kph": 200}, "outside"),
        ("ncap_ccrs", REAR | {"impact_location_pct": 140}, "outside"),
        ("ncap_ccrs", {"ego_speed_kph": 50}, "needs impact_location_pct"),
    ],
)
def test_impossible_values_are_refused(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make_case(name, params, 0)
    with pytest.raises(ParameterError, match=message):
        build_case(Case(name, tuple(sorted(params.items())), 0))  # type: ignore[arg-type]


def test_cases_are_drawn_until_their_values_go_together() -> None:
    cases = sample_cases("ncap_ccrm", 40, seed=1)
    assert len({case.params for case in cases}) == 40
    assert all(float(case.param("target_speed_kph")) < float(case.param("ego_speed_kph")) for case in cases)
    with pytest.raises(ParameterError, match="never reached"):
        sample_cases("ncap_ccrm", 1, 1, {"ego_speed_kph": [20, 30], "target_speed_kph": [40, 50]})


def test_wrong_names_and_other_scenarios_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'CCRs'"):
        Rear("CCRS")
    (case,) = sample_cases("cut_in", 1, seed=0)
    with pytest.raises(ParameterError, match="states no impact"):
        impacts([case])
