"""Case files: strict by line and field, nothing silent; the command and its summary."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.r157.cases import COLUMNS, CaseTable, parse, read_cases
from simdrive.r157.grids import grid

HEADER = ",".join(COLUMNS)


def _read(tmp_path: Path, *lines: str, header: str = HEADER) -> CaseTable:
    path = tmp_path / "cases.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return read_cases(path)


def test_reads_units_and_defaults(tmp_path: Path) -> None:
    table = _read(
        tmp_path,
        "cut_in,72,36,20,-1.5,,FSM,",
        "",
        "cut_out,72,,30,1.5,,RSS,25",
        "deceleration,72,0,12.5,,6,CC_human_driver,",
    )
    cases = table.cases
    assert cases.ego_mps.tolist() == [20.0] * 3
    assert cases.other_mps.tolist() == [10.0, 20.0, 20.0]
    assert cases.lateral_mps.tolist() == [1.5, 1.5, 0.0]
    assert np.isnan(cases.lead_gap_m[0])
    assert cases.lead_gap_m[1:].tolist() == [25.0, 12.5]
    assert table.ignored == ()


@pytest.mark.parametrize(
    ("line", "field", "said"),
    [
        ("cut_in,72,36,20,1.5,,FMS,", "model", "give one of CC_human_driver"),
        ("cutin,72,36,20,1.5,,FSM,", "scenario", "give one of cut_in"),
        ("cut_in,fast,36,20,1.5,,FSM,", "ego_speed_kph", "'fast' is not a number"),
        ("cut_in,-5,36,20,1.5,,FSM,", "ego_speed_kph", "impossible"),
        ("cut_in,0,36,20,1.5,,FSM,", "ego_speed_kph", "above 0"),
        ("cut_in,72,,20,1.5,,FSM,", "other_speed_kph", "is empty"),
        ("cut_in,72,36,-2,1.5,,FSM,", "dx0_m", "impossible"),
        ("cut_in,72,36,20,40,,FSM,", "lateral_speed_mps", "between -10 and 10"),
        ("deceleration,72,,,,nan,FSM,", "decel_mps2", "impossible"),
        ("deceleration,72,,,,30,FSM,", "decel_mps2", "impossible"),
        ("deceleration,72,,,,,FSM,", "decel_mps2", "is empty"),
        ("cut_out,72,,inf,1,,FSM,", "dx0_m", "impossible"),
        ("cut_in,72,36,20,1.5,,FSM", "", "7 fields, the header has 8"),
    ],
)
def test_wrong_rows_name_line_field_and_remedy(tmp_path: Path, line: str, field: str, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        _read(tmp_path, "cut_in,72,36,20,1.5,,FSM,", line)
    text = str(caught.value)
    assert "line 3" in text
    assert field in text
    assert said in text


def test_wrong_files(tmp_path: Path) -> None:
    for header, said in (("a,b", "no column"), (HEADER + ",model", "twice"), (HEADER + ",collision", "rename or drop")):
        with pytest.raises(ParameterError, match=said):
            _read(tmp_path, header=header)
    with pytest.raises(ParameterError, match="no case below"):
        _read(tmp_path)
    with pytest.raises(ParameterError, match="cannot be read"):
        read_cases(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x00")
    for name in ("empty.csv", "bytes.csv"):
        with pytest.raises(ParameterError):
            read_cases(tmp_path / name)


def test_what_does_not_apply_is_said(tmp_path: Path) -> None:
    table = _read(tmp_path, "cut_in,72,36,20,1.5,3,FSM,", "cut_in,72,36,20,1.5,0,FSM,")
    assert table.ignored == ("decel_mps2 in cut_in does not apply and was not used (1 rows)",)


@given(st.lists(st.lists(st.text(max_size=6), min_size=7, max_size=9), max_size=4))
def test_no_text_breaks_the_parser(rows: list[list[str]]) -> None:
    with pytest.raises(ParameterError):
        parse(COLUMNS, list(enumerate(rows, 2)), "any")


def test_grids_have_the_published_sizes() -> None:
    assert {name: sum(1 for _ in grid(name, ("FSM",))) for name in ("cut_in", "cut_out", "deceleration")} == {
        "cut_in": 29_970, "cut_out": 5_850, "deceleration": 1_121,
    }  # fmt: skip
    for wrong in (("cutin",), ("cut_in", ("Human",))):
        with pytest.raises(UnknownNameError):
            next(grid(*wrong))  # type: ignore[arg-type]


def test_command_writes_the_same_columns_and_a_summary(tmp_path: Path) -> None:
    cases, out = tmp_path / "cases.csv", tmp_path / "verdicts.csv"
    header = "note,scenario,model,ego_speed_kph,other_speed_kph,dx0_m,lateral_speed_mps"
    rows = ['"a, b",cut_in,CC_human_driver,90,30,15,1.5', "c,cut_in,FSM,50,40,50,0"]
    cases.write_text("\n".join((header, *rows)), encoding="utf-8")
    result = CliRunner().invoke(app, ["verify", "r157", str(cases), f"out={out}", "--json"])
    assert result.exit_code == 0, result.output
    with out.open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert list(written[0]) == [*header.split(","), "collision", "min_ttc_s"]
    assert [(row["note"], row["collision"], row["min_ttc_s"]) for row in written] == [("a, b", "1", "0.0000"),
                                                                                     ("c", "0", "")]  # fmt: skip
    summary = json.loads(result.output.splitlines()[-1])
    assert (summary["rows"], summary["collisions"]) == (2, 1)
    assert summary["by_scenario"]["cut_in"]["CC_human_driver"] == {"rows": 1, "collisions": 1, "avoidable": 0}
    assert summary["by_scenario"]["cut_in"]["FSM"] == {"rows": 1, "collisions": 0, "avoidable": 1}
    assert summary["seconds"] > 0.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cases.csv"], "out=... is needed"),
        (["out=v.csv"], "one file of cases"),
        (["cases.csv", "--grid", "cut_in", "out=v.csv"], "no file with --grid"),
        (["--grid", "cutin", "out=v.csv"], "Did you mean 'cut_in'"),
        (["none.csv", "out=v.csv", "frequency_hz=0"], "between 5 and 1000"),
        (["none.csv", "out=v.csv"], "cannot be read"),
        (["none.csv", "uot=v.csv"], "Did you mean 'out'"),
    ],
)
def test_command_says_what_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["verify", "r157", *words])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
