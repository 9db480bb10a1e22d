"""Failures counted only in cases that a reference driver comes through."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from test_eval_summary import episodes
from test_report_page import make_run, page_of
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.gate import Gate
from simdrive.eval.sides import Side, only_survived
from simdrive.eval.store import RunStore
from simdrive.eval.summary import summarise_episodes
from simdrive.eval.survived import restricted, survived
from simdrive.r157.cases import COLUMNS, read_cases
from simdrive.r157.of_worlds import comes_through
from simdrive.r157.verdict import judge

NAN = math.nan


def frame():  # type: ignore[no-untyped-def]
    """Five cases, the last unavoidable: the human touches somebody in c1 (not at fault) and leaves the road in c2."""
    found = episodes(
        ("human", "0 ms", [0.0, 0.0, 1.0, 0.0, NAN]),
        ("human", "900 ms", [1.0, 1.0, 1.0, 1.0, NAN]),
        ("model", "0 ms", [1.0, 1.0, 0.0, 0.0, NAN]),
    )
    human = found["agent"] == "human"
    found.loc[human & (found["case_key"] == "c1"), "end"] = "contact"
    found.loc[human & (found["case_key"] == "c2"), "end"] = "off_road"
    return found


def test_by_hand() -> None:
    found = survived([frame()], "human")
    assert (found.cases, found.avoidable) == (frozenset({"c0", "c3"}), 4)
    assert str(found) == "the 2 of 4 avoidable cases that human, 0 ms comes through untouched"
    groups = summarise_episodes(restricted(frame(), found.cases)).groups
    assert [(group.rates["failure"].count, group.rates["failure"].total) for group in groups] == [
        (0, 2),
        (2, 2),
        (1, 2),
    ]
    assert [group.avoidable for group in groups] == [2, 2, 2]
    before = summarise_episodes(frame()).groups[2].rates["failure"]
    assert (before.count, before.total) == (2, 4)  # the table that was given stays as it is


def test_an_episode_that_does_not_count_says_nothing() -> None:
    given = frame()
    given.loc[(given["agent"] == "human") & (given["case_key"] == "c0"), "end"] = "blocked"
    assert survived([given], "human").cases == {"c3"}


def test_a_short_way_beside_the_road_counts() -> None:
    given = frame()
    given["off_road"] = ((given["agent"] == "human") & (given["case_key"] == "c3")).astype(float)
    assert survived([given], "human").cases == {"c0"}


def test_the_driver_may_be_in_either_run() -> None:
    whole = frame()
    parts = (whole[whole["agent"] == "human"], whole[whole["agent"] == "model"])
    base, candidate = (Side(name, part, part, (), len(part), len(part)) for name, part in zip("ab", parts, strict=True))
    narrowed = only_survived(base, candidate, "human")
    assert narrowed[1].episodes["failure"].dropna().tolist() == [1.0, 0.0]
    with pytest.raises(UnknownNameError, match="human, model"):
        only_survived(candidate, base, "nobody")
    with pytest.raises(ParameterError, match="summary"):
        only_survived(Side("s", whole, whole, ({"agent": "human"},), 1, 1), candidate, "human")


def test_show_report_and_compare(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run)
    driven = RunStore.open(run).episodes()
    expected = survived([driven], "careful")
    assert 0 < len(expected.cases) <= expected.avoidable
    told = CliRunner().invoke(app, ["show", str(run), "--avoidable-for", "careful", "--json"])
    assert told.exit_code == 0, told.output
    content = json.loads(told.stdout.splitlines()[-1])
    assert content["failures_in"] == str(expected)
    totals = {group["agent"]: group["rates"]["failure"]["total"] for group in content["groups"]}
    assert max(totals.values()) <= len(expected.cases)
    for words in ([], ["--by", "scenario"]):
        assert CliRunner().invoke(app, ["show", str(run), "--avoidable-for", "careful", *words]).exit_code == 0
    _, _, text = page_of(run, tmp_path, avoidable_for="careful", gate=Gate())
    assert f"failures count only in {expected}" in text
    compared = CliRunner().invoke(
        app,
        [
            "compare",
            str(run),
            str(run),
            "--base-agent",
            "careful",
            "--candidate-agent",
            "rash",
            "--avoidable-for",
            "careful",
        ],
    )
    assert compared.exit_code == 0, compared.output
    refused = CliRunner().invoke(
        app, ["report", str(run), "--avoidable-for", "nobody", "-o", str(tmp_path / "no.html")]
    )
    assert refused.exit_code == 2
    assert "reference driver" in refused.output


def regulated() -> pd.DataFrame:
    """Four cases of the regulation as another agent drove them, the third without its hazard, the last unavoidable."""
    params = [
        {"ego_speed_kph": 50.0, "other_speed_kph": 30.0, "dx0_m": 40.0, "lateral_speed_mps": 1.0, "hazard": True},
        {"ego_speed_kph": 90.0, "other_speed_kph": 10.0, "dx0_m": 20.0, "lateral_speed_mps": 1.5, "hazard": True},
        {"ego_speed_kph": 90.0, "other_speed_kph": 10.0, "dx0_m": 20.0, "lateral_speed_mps": 1.5, "hazard": False},
        {"ego_speed_kph": 50.0, "other_speed_kph": 30.0, "dx0_m": 40.0, "lateral_speed_mps": 1.0, "hazard": True},
    ]
    return pd.DataFrame({
        "row": range(4), "agent": "mine", "scenario": "r157_cut_in", "case_key": ["c0", "c1", "c2", "c3"],
        "params": [json.dumps(given) for given in params], "avoidable": [True, True, True, False],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "model"), [("cc_human", "CC_human_driver"), ("fsm", "FSM"), ("rss", "RSS"), ("reg157", "Reg157")]
)
def test_the_regulation_s_drivers_need_not_have_driven(driver: str, model: str, tmp_path: Path) -> None:
    found = survived([regulated()], driver)
    assert (found.cases, found.avoidable) == (frozenset({"c0", "c2"}), 3)
    assert str(found) == f"the 2 of 3 avoidable cases that {driver} by the formulas of UN R157 comes through untouched"
    path = tmp_path / "cases.csv"  # the same as the command that judges case files says
    header = ",".join(COLUMNS)
    path.write_text(f"{header}\ncut_in,50,30,40,1.0,,{model},\ncut_in,90,10,20,1.5,,{model},\n")
    assert judge(read_cases(path).cases).collision.tolist() == [0, 1]


@pytest.mark.parametrize(("scenario", "given"), [
    ("r157_cut_out", {"ego_speed_kph": 90.0, "time_gap_s": 1.0, "dx0_m": 10.0, "lateral_speed_mps": 1.5}),
    ("r157_deceleration", {"ego_speed_kph": 60.0, "time_gap_s": 0.6, "decel_mps2": 9.0}),
])  # fmt: skip
def test_a_time_gap_counts_where_there_is_one(scenario: str, given: dict[str, float]) -> None:
    near, far = given, given | {"time_gap_s": 4.0, "dx0_m": 150.0}
    assert comes_through("cc_human", [scenario] * 2, [near, far]).tolist() == [False, True]


def test_other_cases_ask_for_a_driver_of_the_run() -> None:
    mixed = pd.concat([regulated(), regulated().assign(scenario="cut_in", case_key=["d0", "d1", "d2", "d3"])])
    with pytest.raises(UnknownNameError, match="reference driver 'fsm'"):
        survived([mixed], "fsm")
