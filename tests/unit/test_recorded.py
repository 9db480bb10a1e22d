"""CommonRoad files: what is read, what is refused and where, and that replays keep to the recording."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commonroad_kit import BOX, ROAD, document, evenly, exact, lanelet, problem, state, vehicle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.errors import ParameterError
from simdrive.scenarios.commonroad.frame import SceneFrame
from simdrive.scenarios.commonroad.network import build_network
from simdrive.scenarios.commonroad.read import read_recording, recording_of
from simdrive.scenarios.commonroad.recording import Skipped
from simdrive.scenarios.commonroad.replay import track_error_m
from simdrive.scenarios.commonroad.world import Placed, build_world, problems_of
from simdrive.scenarios.recorded import DATA
from simdrive.scenarios.sampling import build_case, make_case
from simdrive.sim.state import Behaviour, Shape
from simdrive.sim.worlds import Worlds

FILES = sorted(DATA.glob("*.xml"))


def world_of(data: bytes, *, reactive: bool = False, skipped: Skipped | None = None) -> Placed:
    recording = recording_of(data)
    rng = np.random.default_rng(0)
    return build_world(recording, problems_of(recording)[0], rng, reactive=reactive, skipped=skipped)


# --- reading -------------------------------------------------------------------------------------------------


def test_both_versions_say_the_same() -> None:
    new = document(vehicle(7, evenly(80, 1.75, 10, 5)), problem())
    old_car = vehicle(7, evenly(80, 1.75, 10, 5)).replace("dynamicObstacle", "obstacle")
    old_car = old_car.replace("<type>", "<role>dynamic</role><type>")
    old = document(old_car, problem(), version="2018b")
    a, b = recording_of(new).obstacles[0], recording_of(old).obstacles[0]
    assert (a.id, a.kind, a.body, a.static) == (b.id, b.kind, b.body, b.static)
    np.testing.assert_array_equal(a.moves.x_m, b.moves.x_m)


@pytest.mark.parametrize(
    ("shape", "length", "width", "centre"),
    [
        (BOX, 4.0, 2.0, (80.0, 1.75)),
        ("<shape><circle><radius>0.4</radius></circle></shape>", 0.8, 0.8, (80.0, 1.75)),
        (
            "<shape><polygon><point><x>0</x><y>-1</y></point><point><x>4</x><y>-1</y></point>"
            "<point><x>2</x><y>1</y></point></polygon></shape>",
            4.0, 2.0, (82.0, 1.75),
        ),
        (
            "<shape><rectangle><length>4</length><width>2</width><center><x>1</x><y>0.5</y></center></rectangle></shape>",
            4.0, 2.0, (81.0, 2.25),
        ),
        ("", 4.5, 1.8, (80.0, 1.75)),
    ],
)  # fmt: skip
def test_shapes_become_boxes(shape: str, length: float, width: float, centre: tuple[float, float]) -> None:
    (car,) = recording_of(document(vehicle(7, evenly(80, 1.75, 10, 3), shape=shape), problem())).obstacles
    assert (car.body.length_m, car.body.width_m) == (length, width)
    assert (car.moves.x_m[0], car.moves.y_m[0]) == pytest.approx(centre)


def test_missing_headings_and_speeds_come_from_the_motion() -> None:
    places = [(80.0, 1.75), (80.0, 1.75), (81.0, 2.75), (82.0, 3.75)]
    (car,) = recording_of(document(vehicle(7, places, heading="", speed=""), problem())).obstacles
    np.testing.assert_allclose(car.moves.heading_rad, math.pi / 4)
    assert car.moves.speed_mps[2] == pytest.approx(math.sqrt(2.0) / 0.1)


def test_intervals_are_taken_by_their_middle_and_said() -> None:
    wide = "<intervalStart>8</intervalStart><intervalEnd>12</intervalEnd>"
    recording = recording_of(document(vehicle(7, evenly(80, 1.75, 10, 3), speed=wide), problem()))
    np.testing.assert_array_equal(recording.obstacles[0].moves.speed_mps, 10.0)
    assert {"element": "state", "reason": "interval: its middle is taken", "count": 3} in recording.skipped.rows()


def test_what_is_not_used_is_counted() -> None:
    extra = (
        '<trafficLight id="5"/><trafficLight id="6"/><trafficSign id="8"><trafficSignElement><trafficSignID>R3-4'
        "</trafficSignID></trafficSignElement></trafficSign><novelty/>"
        '<dynamicObstacle id="9"><type>car</type>' + BOX + state("initialState", exact(0), 90, 1.75) + "<occupancySet/>"
        "</dynamicObstacle>"
    )
    rows = {(row["element"], row["count"]) for row in recording_of(document(extra, problem())).skipped.rows()}
    assert rows == {("trafficLight", 2), ("trafficSign", 1), ("novelty", 1), ("dynamicObstacle", 1)}


def test_speed_limits_of_both_versions() -> None:
    sign = (
        '<trafficSign id="8"><trafficSignElement><trafficSignID>274</trafficSignID><additionalValue>13.5'
        "</additionalValue></trafficSignElement></trafficSign>"
    )
    new = recording_of(document(sign, problem(), road=lanelet(1, 0, 3.5, '<trafficSignRef ref="8"/>')))
    old = recording_of(document(problem(), road=lanelet(1, 0, 3.5, "<speedLimit>13.5</speedLimit>"), version="2018b"))
    assert new.lanelets[1].speed_limit_mps == old.lanelets[1].speed_limit_mps == 13.5


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (document()[:-9], r"text, line \d+, .*not well-formed XML"),
        (b"", "not well-formed XML: no element found"),
        (b"<osm/>", r"line 1, <osm>: is not <commonRoad>"),
        (document(version="2017a"), "supported are 2018b and 2020a"),
        (document(step="0"), "timeStepSize is 0 s; allowed: above 0"),
        (document(step="nan"), "a finite number is needed"),
        (document(step="fast"), r"line 2, <commonRoad>: timeStepSize is 'fast'; a number is needed"),
        (document(road=""), "there is no road to drive on"),
        (document(road=ROAD.replace("<x>150.0</x>", "<x>left</x>", 1)), r"line 3, <x>: holds 'left'; a number"),
        (document(road=lanelet(1, 0.0, 0.0)), "is 0 m wide at most"),
        (document(road=lanelet(1, 0, 3.5) + lanelet(1, 0, 3.5)), "id 1 was given before, to <lanelet> on line 3"),
        (document(vehicle(7, [(80, 1), (80, 900)])), "which is impossible; allowed: at most 120 m/s"),
        (document(vehicle(7, evenly(80, 1, 10, 3), speed=exact(1e6))), "drives 1e.06 m/s, which is impossible"),
        (document(vehicle(7, evenly(80, 1, 10, 3), shape=BOX.replace("4.0", "-4"))), "<length>: holds -4"),
        (document(vehicle(7, [(80, 1), (81, 1)]).replace("<exact>1</exact>", "<exact>0</exact>")
                  .replace("<trajectory>", "<trajectory>" + state("state", exact(0), 80, 1))), "times must ascend"),
        (document(problem(speed=-3.0)), "the ego starts with 0 to 120"),
        (document(problem().replace("<velocity><exact>10.0</exact></velocity>", "")), "has no <velocity>"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_line_and_element(data: bytes, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        recording_of(data)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE c [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE c [<!ENTITY secret SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE c SYSTEM "http://example.org/c.dtd">',
    ],
)
def test_declarations_are_refused_before_anything_is_expanded(declaration: str) -> None:
    data = document(problem()).replace(b"<commonRoad", declaration.encode() + b"<commonRoad", 1)
    with pytest.raises(ParameterError, match="line 2, <!DOCTYPE>: declares a document type or an entity"):
        recording_of(data)


@pytest.mark.parametrize(
    ("place", "message"),
    [({"y": 40.0}, "starts on no lanelet"), ({"x": 299.5}, r"line \d, <planningProblem> 100: no way for the ego")],
)
def test_an_ego_without_road_is_refused(place: dict[str, float], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        world_of(document(problem(**place)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(data: st.DataObject) -> None:
    good = document(vehicle(7, evenly(80, 1.75, 10, 4)), problem())
    cut = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(cut, min(len(good), cut + 40)))
    junk = data.draw(st.sampled_from([b"", b"<", b"x", b"-1", b"1e999", b"&a;", b"\xff", b"</lanelet>", b"<exact/>"]))
    with contextlib.suppress(ParameterError):
        world_of(good[:cut] + junk + good[end:])


# --- roads ---------------------------------------------------------------------------------------------------


def test_neighbours_become_lanes_of_one_road_left_one_first() -> None:
    network = build_network(recording_of(document(problem())).lanelets, SceneFrame(50.0, 1.75, 0.0))
    assert network.index[2][:2] == network.index[1][:2]
    assert (network.index[2][2], network.index[1][2]) == (0, 1)
    assert network.road.pose(network.index[2], 50.0) == pytest.approx((0.0, -3.5, 0.0))
    assert network.road.map.tables.lane_width == pytest.approx([3.5, 3.5])


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_neighbours_of_which_only_one_says_so_lie_side_by_side(order: tuple[int, int]) -> None:
    lanelets = recording_of(document(problem())).lanelets
    known = {key: lanelets[key] for key in order}
    assert {known[1].beside_left, known[2].beside_right} == {2, 1}
    known[1] = replace(known[1], beside_left=None)
    network = build_network(known, SceneFrame(50.0, 1.75, 0.0))
    assert network.index[2][:2] == network.index[1][:2]
    assert network.beside == {1: (2,), 2: (1,)}


def test_a_narrow_bend_keeps_its_width() -> None:
    angle = np.linspace(0.0, 1.2, 25)
    sides = []
    for radius in (28.5, 31.5):
        xy = np.column_stack([radius * np.sin(angle), 30.0 - radius * np.cos(angle)])
        sides.append("".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in xy))
    road = f'<lanelet id="1"><leftBound>{sides[0]}</leftBound><rightBound>{sides[1]}</rightBound></lanelet>'
    placed = world_of(document(problem(x=4.0, y=0.268), road=road))
    worlds = Worlds([placed.spec])
    assert worlds.outside_m[0] == 0.0
    assert worlds.lane_left_m[0][:20] == pytest.approx(1.5, abs=0.05)
    assert placed.spec.command == 1  # it bends to the left
    assert placed.spec.goal_m == pytest.approx(30.0 * 1.2 - 5.0, abs=1.0)


def test_the_way_to_the_goal_follows_the_fork() -> None:
    def piece(key: int, start: tuple[float, float], end: tuple[float, float], more: str) -> str:
        bounds = []
        for side in (1.75, -1.75):
            bounds.append("".join(f"<point><x>{x}</x><y>{y + side}</y></point>" for x, y in (start, end)))
        return f'<lanelet id="{key}"><leftBound>{bounds[0]}</leftBound><rightBound>{bounds[1]}</rightBound>{more}</lanelet>'

    road = (
        piece(1, (0, 0), (60, 0), '<successor ref="2"/>')
        + piece(2, (60, 0), (160, 0), '<predecessor ref="1"/>')
        + piece(3, (60, 0), (160, 30), '<predecessor ref="1"/>')
    )
    goal = '<goalState><position><lanelet ref="3"/></position></goalState>'
    placed = world_of(document(problem(x=10.0, y=0.0, goal=goal), road=road))
    assert [placed.spec.road.lane_index.index(lane) for lane in placed.spec.ego_route] == [0, 2]
    assert placed.spec.goal_m == pytest.approx(50.0 + 0.5 * math.hypot(100, 30), abs=1.5)


# --- worlds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["0.1", "0.04", "0.05", "0.3"])
def test_a_replay_is_where_the_recording_is(step: str) -> None:
    size = float(step)
    weave = [(80.0 + 12.0 * size * i, 1.75 + math.sin(0.8 * size * i)) for i in range(int(4.0 / size))]
    late = vehicle(8, evenly(20.0, 5.25, 14.0, 20, size), first=7)
    data = document(vehicle(7, weave, heading="", speed=""), late, problem(), step=step)
    placed = world_of(data)
    error, states = track_error_m(recording_of(data), placed)
    assert states == len(weave) + 20
    assert error < 0.01


def test_actors_come_and_go_with_their_tracks() -> None:
    data = document(vehicle(7, evenly(80, 1.75, 10, 11)), vehicle(8, evenly(90, 5.25, 10, 11), first=10), problem())
    worlds = Worlds([world_of(data).spec])
    seen = []
    for _ in range(110):
        seen.append((bool(worlds.actors.present[0, 1]), bool(worlds.actors.present[0, 2])))
        worlds.step([[0.0, 0.0]])
    assert seen[0] == (True, False)
    assert seen[48] == (True, False)
    assert seen[51] == (False, True)
    assert seen[102] == (False, False)


def test_replay_does_not_react_and_knows_contact_with_the_ego_only() -> None:
    data = document(
        vehicle(7, evenly(80, 1.75, 2, 60), speed=exact(2.0)), vehicle(8, evenly(80.5, 1.9, 2, 60)), problem()
    )
    worlds = Worlds([world_of(data).spec])
    worlds.step([[0.0, 0.0]], ticks=240)
    assert worlds.contact_tick[0] == pytest.approx((30.0 - 4.3) / 8.0 * 50, abs=2)
    assert worlds.contact_actor_speed[0] in (2.0, 10.0)
    assert not worlds.others_crashed[0]
    assert worlds.actors.x[0, 1] == pytest.approx(30.0 + 2.0 * 4.8)


def test_steps_batches_copies_and_restarts_agree() -> None:
    data = document(vehicle(7, evenly(80, 1.75, 9, 40)), vehicle(8, evenly(30, 5.25, 13, 40)), problem())
    spec = world_of(data).spec
    plain = build_case(make_case("cut_in", {
        "ego_speed_mps": 20.0, "speed_difference_mps": 8.0, "ttc_s": 1.0, "lateral_speed_mps": 3.0, "braking_mps2": 0.0,
        "side": "left",
    }, 0))  # fmt: skip
    alone, mixed = Worlds([spec]), Worlds([plain, spec])
    alone.step([[0.5, 0.0]], ticks=100)
    for _ in range(100):
        mixed.step([[0.0, 0.0], [0.5, 0.0]])
    np.testing.assert_array_equal(alone.actors.x[0], mixed.actors.x[1, :3])
    np.testing.assert_array_equal(alone.actors.acceleration[0], mixed.actors.acceleration[1, :3])
    saved, copy = alone.snapshot(), alone.replicate(0, 2)
    alone.step([[0.0, 0.0]], ticks=50)
    copy.step([[0.0, 0.0]] * 2, ticks=50)
    np.testing.assert_array_equal(copy.actors.x[1], alone.actors.x[0])
    alone.restore(saved)
    alone.step([[0.0, 0.0]], ticks=50)
    np.testing.assert_array_equal(copy.actors.x[0], alone.actors.x[0])


def test_braking_shows() -> None:
    fast = [(80.0 + 10.0 * t - 2.0 * t * t, 1.75) for t in np.arange(0.0, 2.0, 0.1)]
    worlds = Worlds([world_of(document(vehicle(7, fast, speed=""), problem())).spec])
    worlds.step([[0.0, 0.0]], ticks=50)
    assert worlds.actors.acceleration[0, 1] == pytest.approx(-4.0, abs=0.1)
    assert worlds.actors.brake_light[0, 1]
    assert worlds.actors.speed[0, 1] == pytest.approx(6.0, abs=0.1)


def test_idm_takes_over_and_brakes_for_the_ego() -> None:
    behind = vehicle(7, evenly(20, 1.75, 15, 50), speed=exact(15.0))
    spec = world_of(
        document(behind, vehicle(8, evenly(120, 1.75, 1.4, 50), kind="pedestrian"), problem(speed=5.0)), reactive=True
    )
    kinds = [(actor.behaviour, actor.shape) for actor in spec.spec.actors]
    assert kinds == [(Behaviour.IDM, Shape.CAR), (Behaviour.SCRIPTED, Shape.PEDESTRIAN)]
    worlds = Worlds([spec.spec])
    worlds.step([[0.0, 0.0]], ticks=250)
    assert worlds.contact_tick[0] < 0
    assert worlds.actors.speed[0, 1] < 8.0


def test_parked_and_static_things_stand() -> None:
    static = (
        f'<staticObstacle id="9"><type>parkedVehicle</type>{BOX}{state("initialState", exact(0), 90, 1.0, exact(0.2))}'
    )
    spec = world_of(document(static + "</staticObstacle>", problem())).spec
    assert spec.actors[0].behaviour == Behaviour.OBSTACLE
    assert (spec.actors[0].x_m, spec.actors[0].y_m, spec.actors[0].heading_rad) == pytest.approx((40.0, 0.75, -0.2))


def test_who_stands_where_the_ego_starts_is_left_out_and_said() -> None:
    skipped = Skipped()
    spec = world_of(document(vehicle(7, evenly(51, 1.75, 10, 9)), problem()), skipped=skipped).spec
    assert spec.actors == ()
    assert skipped.rows()[0]["reason"] == "stands where the ego starts"


def test_without_a_problem_the_ego_takes_the_place_of_the_longest_drive() -> None:
    data = document(vehicle(7, evenly(80, 1.75, 5, 20)), vehicle(8, evenly(20, 5.25, 12, 30), speed=exact(12.0)))
    (chosen,) = problems_of(recording_of(data))
    assert (chosen.id, chosen.replaces, chosen.x_m, chosen.speed_mps) == (8, 8, 20.0, 12.0)
    spec = world_of(data).spec
    assert len(spec.actors) == 1
    assert spec.goal_m == pytest.approx(12.0 * 2.9, abs=1.0)
    with pytest.raises(ParameterError, match="neither a <planningProblem> nor a vehicle that drives"):
        problems_of(recording_of(document()))


# --- the recordings that come along --------------------------------------------------------------------------


def test_five_recordings_come_with_their_licence() -> None:
    assert len(FILES) == 5
    assert "BSD 3-Clause" in (DATA / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recordings_replay_within_5_cm(path: Path) -> None:
    recording = read_recording(path)
    placed = build_world(recording, problems_of(recording)[0], np.random.default_rng(0), reactive=False)
    error, states = track_error_m(recording, placed)
    assert error < 0.05
    assert states >= 80


@pytest.mark.parametrize("name", ["OSC_CutIn-1_2_T-1", "ZAM_Zip-1_56_T-1", "ZAM_Zip-2_1_T-1"])
def test_cases_build_in_both_kinds_of_traffic_and_alone(name: str) -> None:
    for traffic in ("replay", "reactive"):
        params = {"recording": name, "traffic": traffic}
        spec = build_case(make_case("recorded", params, 0))
        assert spec.hazard_actors
        assert build_case(make_case("recorded", params, 0)).actors == spec.actors
        assert not build_case(make_case("recorded", params, 0, hazard=False)).actors


# --- the command ---------------------------------------------------------------------------------------------


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr("simdrive.cli.first_use.first_use", lambda: None)
    return CliRunner()


def test_import_writes_a_suite_that_builds(calm: CliRunner, tmp_path: Path) -> None:
    from simdrive.scenarios.sampling import load_suite, suite_cases

    one, two = tmp_path / "one.xml", tmp_path / "two.xml"
    one.write_bytes(document(vehicle(7, evenly(80, 1.75, 10, 5)), '<trafficLight id="5"/>', problem()))
    two.write_bytes(document(vehicle(7, evenly(80, 1.75, 10, 5)), problem(), problem(101, y=5.25)))
    out = tmp_path / "suite"
    result = calm.invoke(app, ["import", "commonroad", str(one), str(two), f"out={out}", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout.splitlines()[-1])
    assert (facts["imported"], facts["recordings"]) == (2, 3)
    assert facts["max_track_error_m"] < 0.05
    assert [(row["element"], row["count"]) for row in facts["skipped"]] == [("trafficLight", 1)]
    cases = suite_cases(load_suite(facts["suite"]))
    assert len(cases) == 6
    assert {case.param("recording") for case in cases} == {"one", "two:100", "two:101"}
    assert build_case(cases[-1]).actors
    (out / "two.xml").write_bytes(document(vehicle(7, evenly(85, 1.75, 10, 5)), problem(), problem(101)))
    with pytest.raises(ParameterError, match="has changed since it was imported"):
        build_case(cases[-1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.xml"], "nowhere.xml: cannot be read"),
        ([], "no file was given"),
        (["a.xml", "b/a.xml"], "given twice"),
        (["a.xml", "ot=x"], "Did you mean 'out'"),
    ],
)
def test_import_says_what_is_wrong(calm: CliRunner, words: list[str], message: str) -> None:
    result = calm.invoke(app, ["import", "commonroad", *words])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
