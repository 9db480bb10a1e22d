"""Parameters, sampling and suites: even spread, same cases from the same seed, errors that name field and range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.scenarios.parameters import Choice, Range, check_parameters, narrow_parameters
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
from simdrive.types import Case

SPEED = Range(10.0, 20.0, "m/s")
SIDE = Choice(("left", "right"))


def test_one_case_at_a_time_meets_every_choice() -> None:
    met = {dict(sample_cases("stopped_obstacle", 1, seed)[0].params)["situation"] for seed in range(40)}
    assert len(met) == 4


def test_range_interpolates_and_prints_its_unit() -> None:
    assert [SPEED.at(f) for f in (0.0, 0.25, 1.0)] == [10.0, 12.5, 20.0]
    assert str(SPEED) == "[10, 20] m/s"
    assert SPEED.check("speed", 10) == 10.0


@pytest.mark.parametrize("value", [9.999, 20.001, float("nan"), "12", True, None])
def test_range_refuses_and_names_field_and_range(value: object) -> None:
    with pytest.raises(ParameterError, match=r"cut_in\.speed.*\[10, 20\] m/s"):
        SPEED.check("cut_in.speed", value)


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_range_refuses_senseless_bounds(bounds: tuple[float, float]) -> None:
    with pytest.raises(ParameterError, match="finite bounds"):
        Range(*bounds)


@given(low=st.floats(-1e3, 1e3), width=st.floats(0.0, 1e3), fraction=st.floats(0.0, 1.0))
def test_a_sampled_value_lies_in_its_range_and_passes_its_check(low: float, width: float, fraction: float) -> None:
    span = Range(low, low + width)
    value = span.at(fraction)
    assert span.low <= value <= span.high
    assert span.check("x", value) == value
    assert span.narrow("x", value) == Range(value, value)


def test_narrowing_keeps_the_unit_and_refuses_what_lies_outside() -> None:
    assert SPEED.narrow("v", [12, 14]) == Range(12.0, 14.0, "m/s")
    for wrong in ([12, 25], [12, 14, 16], "fast"):
        with pytest.raises(ParameterError, match=r"^v "):
            SPEED.narrow("v", wrong)


def test_choice_covers_its_values_and_suggests_the_nearest() -> None:
    assert [SIDE.at(f) for f in (0.0, 0.49, 0.5, 1.0)] == ["left", "left", "right", "right"]
    assert SIDE.narrow("side", "left") == Choice(("left",))
    with pytest.raises(UnknownNameError, match="Did you mean 'left'"):
        SIDE.check("side", "lef")
    with pytest.raises(ParameterError, match="must be one of 2, 3"):
        Choice((2, 3)).check("platoon", 4)
    with pytest.raises(ParameterError, match="must be one of 0, 1"):
        Choice((0, 1)).check("count", True)
    for values in ((), ("a", "a")):
        with pytest.raises(ParameterError, match="different values"):
            Choice(values)


def test_parameters_must_be_known_and_complete() -> None:
    both: dict[str, Any] = {"speed": SPEED, "side": SIDE}
    assert check_parameters("x", both, {"speed": 12, "side": "left"}) == {"speed": 12.0, "side": "left"}
    with pytest.raises(UnknownNameError, match="Did you mean 'speed'"):
        check_parameters("x", both, {"sped": 12, "side": "left"})
    with pytest.raises(ParameterError, match=r"x needs speed in \[10, 20\] m/s"):
        check_parameters("x", both, {"side": "left"})
    assert narrow_parameters("x", both, {"speed": 15}) == {"speed": Range(15.0, 15.0, "m/s"), "side": SIDE}


def test_every_part_of_a_range_is_hit_once_and_choices_are_shared_evenly() -> None:
    count = 40
    cases = sample_cases("cut_in", count, seed=5)
    speeds = np.array([case.param("ego_speed_mps") for case in cases], dtype=float)
    span = scenario("cut_in").parameters["ego_speed_mps"]
    assert isinstance(span, Range)
    parts = np.floor((speeds - span.low) / (span.high - span.low) * count).astype(int)
    assert sorted(parts) == list(range(count))
    sides = [case.param("side") for case in cases]
    assert sides.count("left") == count // 2
    assert len({case.key for case in cases}) == count


def test_parameters_are_drawn_independently() -> None:
    cases = sample_cases("cut_in", 200, seed=1)
    columns = np.array(
        [[case.param(name) for case in cases] for name in ("ego_speed_mps", "ttc_s", "braking_mps2")], dtype=float
    )
    correlation = np.corrcoef(columns)
    assert np.abs(correlation[~np.eye(3, dtype=bool)]).max() < 0.25


def test_same_seed_same_cases_and_another_seed_others() -> None:
    assert sample_cases("cut_out", 6, seed=3) == sample_cases("cut_out", 6, seed=3)
    assert {c.key for c in sample_cases("cut_out", 6, seed=3)}.isdisjoint(
        c.key for c in sample_cases("cut_out", 6, seed=4)
    )


def test_overrides_narrow_the_draw() -> None:
    cases = sample_cases("cut_in", 8, seed=0, overrides={"ego_speed_mps": [20, 21], "side": "left"})
    assert all(20.0 <= float(case.param("ego_speed_mps")) <= 21.0 for case in cases)
    assert {case.param("side") for case in cases} == {"left"}
    with pytest.raises(ParameterError, match=r"cut_in\.ego_speed_mps = 99 is outside"):
        sample_cases("cut_in", 1, seed=0, overrides={"ego_speed_mps": 99})
    with pytest.raises(UnknownNameError, match="Did you mean 'ego_speed_mps'"):
        sample_cases("cut_in", 1, seed=0, overrides={"ego_sped_mps": 20})
    with pytest.raises(UnknownNameError, match="Did you mean 'cut_in'"):
        sample_cases("cutin", 1, seed=0)


def test_counts_and_seeds_must_make_sense() -> None:
    assert sample_cases("cut_in", 0, seed=0) == ()
    for count, seed in ((-1, 0), (1, -1), (1_000_001, 0)):
        with pytest.raises(ParameterError):
            sample_cases("cut_in", count, seed)


def test_twins_differ_in_the_hazard_alone() -> None:
    with_hazard, without = (sample_cases("cut_in", 4, seed=2, hazard=flag) for flag in (True, False))
    for case, twin in zip(with_hazard, without, strict=True):
        assert case.key != twin.key
        assert dict(case.params) | {HAZARD: False} == dict(twin.params)
        assert case.seed == twin.seed


def test_a_control_scenario_never_has_a_hazard() -> None:
    (case,) = sample_cases("free_drive", 1, seed=0, hazard=True)
    assert case.param(HAZARD) is False


def test_a_case_made_by_hand_is_checked() -> None:
    good = sample_cases("cut_in", 1, seed=0)[0]
    params = {name: value for name, value in good.params if name != HAZARD}
    assert make_case("cut_in", params, good.seed) == good
    with pytest.raises(ParameterError, match=r"cut_in\.ttc_s"):
        build_case(Case("cut_in", tuple(sorted((params | {"ttc_s": -1.0}).items())), 0))
    with pytest.raises(ParameterError, match="hazard must be true or false"):
        build_case(Case("cut_in", tuple(sorted((params | {HAZARD: 1}).items())), 0))


@pytest.mark.parametrize("name", ["smoke", "long_tail_v1", "control", "long_tail_v2", "control_v2"])
def test_the_suites_cover_every_scenario(name: str) -> None:
    suite = load_suite(name)
    used = {entry.scenario for entry in suite.entries}
    control = {kind for kind in scenario_names() if not scenario(kind).has_hazard}
    if name.endswith("_v2"):
        protocols = {kind for kind in scenario_names() if kind.startswith(("ncap_", "r157_", "recorded"))}
        assert used | control == set(scenario_names()) - protocols
    else:  # the first fourteen, which do not change any more
        assert len(used - control) == 14
    cases = suite_cases(suite)
    if name.startswith("control"):
        assert not any(case.param(HAZARD) for case in cases)
    if name == "long_tail_v1":
        assert all(entry.cases == 50 for entry in suite.entries)
        assert all(case.param(HAZARD) for case in cases)


def write(folder: Path, text: str) -> str:
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_suite_file_is_read_and_narrows_parameters(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "name: mine\nversion: 2\nseed: 4\nentries:\n"
        "  - {scenario: cut_in, cases: 3, params: {side: left, ego_speed_mps: [20, 22]}}\n"
        "  - {scenario: cut_in, cases: 1, hazard: false}\n",
    )
    suite = load_suite(path)
    assert (suite.name, suite.version, suite.seed, len(suite.entries)) == ("mine", 2, 4, 2)
    cases = suite_cases(suite)
    assert [case.param(HAZARD) for case in cases] == [True, True, True, False]
    assert {case.param("side") for case in cases[:3]} == {"left"}


BODY = "name: x\nversion: 1\nentries:\n"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("name: x\nversion: 1\n", ParameterError, "lacks the field 'entries'"),
        ("name: x\nversion: 1\nentries: []\n", ParameterError, "at least one entry"),
        ("name: x\nversion: 0\nentries:\n  - {scenario: cut_in, cases: 1}\n", ParameterError, "version"),
        (BODY + "  - {scenario: cut_in}\n", ParameterError, "entry 1"),
        (BODY + "  - {scenario: cut_in, cases: 0}\n", ParameterError, "entry 1: cases"),
        (BODY + "  - {scenario: cut_in, cases: 1, hazard: 3}\n", ParameterError, "hazard"),
        (BODY + "  - {scenario: cut_in, cases: 1, parms: {}}\n", UnknownNameError, "Did you mean 'params'"),
        (BODY + "  - {scenario: cutin, cases: 1}\n", UnknownNameError, "Did you mean 'cut_in'"),
        (BODY + "  - {scenario: cut_in, cases: 1, params: {ttc_s: 90}}\n", ParameterError, r"cut_in\.ttc_s"),
        ("nam: x\n" + BODY + "  - {scenario: cut_in, cases: 1}\n", UnknownNameError, "Did you mean 'name'"),
    ],
)
def test_a_broken_suite_is_refused_by_name(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_suite(write(tmp_path, text))


def test_a_suite_that_names_a_case_twice_is_refused(tmp_path: Path) -> None:
    entry = "  - {scenario: cut_in, cases: 2}\n"
    with pytest.raises(ParameterError, match="twice"):
        suite_cases(load_suite(write(tmp_path, BODY + entry + entry)))
