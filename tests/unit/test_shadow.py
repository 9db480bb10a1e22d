"""Shadow mode: differences by hand, slices, ranking that knows cases, foretelling, and a small drive of two rule drivers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simdrive.cli.naming import label
from simdrive.compress.shadow.differences import MEASURES, first_brake_s, plan_differences
from simdrive.compress.shadow.driving import ShadowRequest, read_shadow, shadow
from simdrive.compress.shadow.foretelling import by_case, foretold
from simdrive.compress.shadow.ranking import clustered_difference, ranked
from simdrive.compress.shadow.slices import SPEEDS_MPS, band
from simdrive.compress.shadow.watching import joint_wants
from simdrive.errors import ParameterError, RunFolderError, UnknownNameError
from simdrive.eval.grid import AgentConfig
from simdrive.report.shadow import shadow_text
from simdrive.report.shadow_page import shadow_page
from simdrive.scenarios.lights import lighting_name
from simdrive.scenarios.sampling import load_suite, suite_cases
from simdrive.sim.spec import Lighting
from simdrive.types import AgentCard, CameraSpec, Charge, Wants

TIMES = np.arange(0.0, 5.01, 0.5)


def straight(speed: float, braking: float = 0.0, y: float = 0.0, heading: float = 0.0) -> np.ndarray:
    """A plan from the origin that brakes evenly."""
    speeds = np.maximum(speed - braking * TIMES, 0.0)
    way = np.concatenate([[0.0], np.cumsum(0.5 * (speeds[1:] + speeds[:-1]) * 0.5)])
    x, right = way * np.cos(heading) - y * np.sin(heading), way * np.sin(heading) + y * np.cos(heading)
    return np.stack([TIMES, x, right, np.full_like(TIMES, heading), speeds], axis=1)


def test_differences_by_hand() -> None:
    # 10 m/s against 2 m/s2 of braking: places 0.25, 1, 2.25, 4, 6.25, 9 m apart; speeds 2, 4 and 8 m/s.
    found = plan_differences([straight(10.0)], [straight(10.0, braking=2.0)], np.array([10.0]))[0]
    expected = {"waypoint_m": (0.25 + 1 + 2.25 + 4 + 6.25 + 9) / 6, "speed_mps": 14.0 / 3.0, "lateral_m": 0.0,
                "brakes_later_s": 0.5 - 4.0}  # fmt: skip
    assert dict(zip(MEASURES, found.tolist(), strict=True)) == pytest.approx(expected, abs=1e-9)


def test_lateral_difference_is_across_the_way_whatever_its_direction() -> None:
    for heading in (0.0, 0.7, -2.0):
        one, other = straight(10.0, heading=heading), straight(7.0, y=1.5, heading=heading)
        assert plan_differences([one], [other], np.array([10.0]))[0, 2] == pytest.approx(1.5)


def test_a_missing_answer_is_no_difference_of_zero() -> None:
    found = plan_differences([None, straight(5.0)], [straight(5.0), straight(5.0)], np.array([5.0, 5.0]))
    assert np.isnan(found[0]).all()
    assert (found[1] == 0.0).all()


def test_first_brake_is_when_one_metre_per_second_is_lost() -> None:
    assert first_brake_s(straight(10.0, braking=1.0), 10.0) == pytest.approx(1.0)
    assert first_brake_s(straight(10.0, braking=0.2), 10.0) == 4.0
    assert first_brake_s(straight(10.0), 12.0) == 0.0  # slower than the ego from the start


def test_bands_and_light() -> None:
    assert [band(v, SPEEDS_MPS, "m/s") for v in (0.0, 5.0, 19.9, 30.0)] == [
        "below 5 m/s", "5-10 m/s", "15-20 m/s", "from 20 m/s"]  # fmt: skip
    assert lighting_name(Lighting()) == "day"
    assert lighting_name(Lighting(sun_elevation_deg=-5.0)) == "night"
    assert lighting_name(Lighting(sun_elevation_deg=-5.0, fog_visibility_m=80.0)) == "fog"


def test_clustered_difference_by_hand_and_against_independent_rows() -> None:
    # Cases a and b inside (means 3 and 5), c and d outside (0 and 2): sums of pulls -1/2, 1/2, 1/2, -1/2.
    values = np.array([3.0, 3.0, 5.0, 5.0, 0.0, 0.0, 2.0, 2.0])
    cases, inside = np.array(list("aabbccdd")), np.array([True] * 4 + [False] * 4)
    excess, error, free = clustered_difference(values, cases, inside)
    assert (excess, free) == (3.0, 3)
    assert error == pytest.approx(math.sqrt(4 / 3 * 4 * 0.25))
    # Doubled frames of the same cases add nothing; as independent rows they would seem to.
    again = clustered_difference(np.tile(values, 2), np.tile(cases, 2), np.tile(inside, 2))
    assert again == pytest.approx((excess, error, free))
    assert clustered_difference(values, np.arange(8), inside)[1] < error


def frames_of(cases: int, worse: str) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = []
    for case in range(cases):
        scenario = ("cut_in", "merge", worse)[case % 3]
        for step in range(6):
            value = abs(rng.normal(3.0 if scenario == worse else 1.0, 0.3))
            rows.append({"case_key": f"c{case}", "scenario": scenario, "t_us": step * 200_000, "waypoint_m": value,
                         "lighting": "day", "corruption": "none", "kind": "car", "distance": "10-20 m",
                         "speed": "5-10 m/s", "ego_speed_mps": 8.0})  # fmt: skip
    return pd.DataFrame(rows)


def test_the_slice_that_differs_comes_first_and_a_small_one_has_no_verdict() -> None:
    found = ranked(frames_of(30, "cut_out"), "waypoint_m")
    assert [each.slice for each in found] == ["scenario"] * 3  # of one value: nothing to compare with
    assert (found[0].value, found[0].frames, found[0].cases) == ("cut_out", 60, 10)
    assert found[0].low < 2.0 < found[0].high
    assert found[0].p <= found[0].p_holm < 0.001
    few = ranked(frames_of(12, "cut_out"), "waypoint_m")
    assert all(math.isnan(each.p) and math.isnan(each.low) for each in few)


def test_difference_foretells_failure_where_it_does() -> None:
    rng = np.random.default_rng(0)
    difference = np.linspace(0.0, 1.0, 40)
    told = foretold(difference, (difference > 0.75).astype(float), rng)
    assert (told.cases, told.failures, told.base_rate) == (40, 10, 0.25)
    assert told.precision == {4: 1.0, 10: 1.0}
    # Ranks 1..40 against 30 zeros and 10 ones: Pearson of mean ranks, by hand 0.75^0.5.
    assert told.correlation.estimate == pytest.approx(math.sqrt(0.25 * 0.75 * 40**2 / ((40**2 - 1) / 3.0)))
    assert told.correlation.low > 0.5
    blind = foretold(rng.permutation(difference), (difference > 0.75).astype(float), rng)
    assert blind.correlation.low < 0.2


def test_without_failures_nothing_is_foretold() -> None:
    told = foretold(np.arange(20.0), np.zeros(20), np.random.default_rng(0))
    assert math.isnan(told.correlation.estimate)
    assert "0 failures in 20" in told.reason
    assert foretold(np.arange(3.0), np.array([1.0, 0.0, np.nan]), np.random.default_rng(0)).cases == 2


def test_first_divergence_of_a_case() -> None:
    frames = pd.DataFrame({"case_key": ["a", "a", "a", "b"], "t_us": [0, 1, 2, 0], "waypoint_m": [0.5, 2.5, 3.0, 0.1]})
    found = by_case(frames, "waypoint_m", 2.0)
    assert found["first_us"].tolist() == [1, -1]
    assert found["largest"].tolist() == [3.0, 0.1]


class Seer:
    """An agent of which only the wants matter."""

    def __init__(self, wants: Wants) -> None:
        self.wants, self.card, self.charge = wants, AgentCard("seer", "control", ""), Charge()


def test_drivers_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ParameterError, match="sees what is hidden"):
        joint_wants([Seer(Wants(world="clairvoyant"))])  # type: ignore[list-item]
    small, large = CameraSpec(width=64, height=32), CameraSpec(width=128, height=64)
    with pytest.raises(ParameterError, match="of one size"):
        joint_wants([Seer(Wants((small,))), Seer(Wants((large,)))])  # type: ignore[list-item]
    both = joint_wants([Seer(Wants((small,), (0, -300_000))), Seer(Wants((small,), (0, -900_000)))])  # type: ignore[list-item]
    assert both == Wants((small,), (0, -300_000, -900_000), "visible")
    idm = AgentConfig.named("idm")
    with pytest.raises(ParameterError, match="two different drivers"):
        ShadowRequest(idm, idm, idm, suite_cases(load_suite("smoke")))
    with pytest.raises(UnknownNameError, match="measure"):
        ShadowRequest(idm, AgentConfig.named("expert"), idm, suite_cases(load_suite("smoke")), by="jerk")


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShadowRequest, Path]:
    """Two rule drivers on two cases, the student driving."""
    expert, constant = AgentConfig.named("expert"), AgentConfig.named("constant_speed")
    cases = tuple(case for case in suite_cases(load_suite("smoke")) if case.scenario == "cut_in")[:2]
    assert cases
    request = ShadowRequest(expert, constant, constant, cases, period_ms=500.0)
    out = tmp_path_factory.mktemp("shadow") / "run"
    assert sum(shadow(request, out, batch=1)) == len(cases)
    return request, out


def test_a_drive_is_watched_and_not_repeated(driven: tuple[ShadowRequest, Path]) -> None:
    request, out = driven
    config, frames, episodes = read_shadow(out)
    assert request.on_policy
    assert config["driver"]["name"] == "constant_speed"
    assert set(frames["case_key"]) == {case.key for case in request.cases} == set(episodes["case_key"])
    assert (frames["teacher_status"] == "ok").all()
    assert frames["waypoint_m"].max() > 1.0  # the expert brakes, the other does not
    assert frames["brakes_later_s"].max() > 0.0
    assert (frames["kind"] != "nobody").any()
    before = {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    assert sum(shadow(request, out, batch=1)) == len(request.cases)
    assert {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()} == before


def test_another_run_in_the_same_folder_is_refused(driven: tuple[ShadowRequest, Path], tmp_path: Path) -> None:
    request, out = driven
    other = ShadowRequest(request.teacher, request.student, request.teacher, request.cases)
    with pytest.raises(RunFolderError, match="driver, period_ms differ"):
        list(shadow(other, out, batch=1))
    (tmp_path / "something").write_text("")
    with pytest.raises(RunFolderError, match="holds no shadow run"):
        list(shadow(request, tmp_path))
    (out.parent / "older").mkdir()
    (out.parent / "older" / "config.json").write_text(json.dumps({"format": "simdrive-shadow", "version": 0}))
    with pytest.raises(RunFolderError, match="version 1"):
        read_shadow(out.parent / "older")


def test_text_and_page_show_it_and_escape_what_models_say(driven: tuple[ShadowRequest, Path]) -> None:
    config, frames, _ = read_shadow(driven[1])
    frames["teacher_text"] = "<script>alert(1)</script>"
    frames.at[0, "picture"] = b"\x89PNG"
    slices = ranked(frames, "waypoint_m")
    told = foretold(np.arange(2.0), np.zeros(2), np.random.default_rng(0))
    text = shadow_text(config, frames, slices, told)
    assert "expert and constant_speed" in text
    assert "0 failures in 2 scored cases" in text
    page = shadow_page(config, frames, slices, told)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<figure>") == frames["case_key"].nunique()


def test_folders_are_named_after_agents_however_they_are_given() -> None:
    assert label("runs/student_kd/best") == "student_kd"
    assert label({"agent": "teacher", "dtype": "bfloat16"}) == "teacher"
    assert label({"agent": "teacher", "name": "teacher16"}) == "teacher16"
