"""``simdrive search`` from the outside: a few simulations, its files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.scenarios.sampling import load_suite, suite_cases

TINY = (
    "scenario=cut_out", "agent=constant_speed", "params={ego_speed_mps: [30, 34], reveal_s: [1.82, 1.9]}",
    "simulations=4", "population=2", "rate=1", "cells=1", "seed=2",
)  # fmt: skip


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, ["search", *words])


def test_a_search_is_saved_and_the_same_again(tmp_path: Path) -> None:
    out = tmp_path / "found"
    first = invoke(*TINY, f"out={out}", "--json")
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout.splitlines()[-1])
    trials = pd.read_csv(out / "trials.csv")
    assert len(trials) == found["simulations"] == 4
    assert trials["ego_speed_mps"].between(30.0, 34.0).all()
    assert (trials["outcome"] == "fail").sum() >= found["failures"]
    if found["failures"]:
        cases = suite_cases(load_suite(str(out / "found.yaml")))
        assert cases[0].key in set(trials.loc[trials["outcome"] == "fail", "case_key"])
    assert (out / "search.png").read_bytes().startswith(b"\x89PNG")
    assert "plain Monte Carlo" in (out / "search.txt").read_text(encoding="utf-8")
    other = invoke(*TINY[:-1], "seed=3", f"out={out}")
    assert other.exit_code == 2
    assert "seed: 2 -> 3" in " ".join(other.output.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("agent=idm",), "scenario=... is needed"),
        (("scenario=cut_out",), "agent=... is needed"),
        (("scenario=cut_outs", "agent=idm"), "Did you mean 'cut_out'?"),
        (("scenario=cut_out", "agent=nobody"), "unknown agent"),
        (("scenario=cut_out", "agent=idm", "params=3"), "params must map"),
        (("scenario=cut_out", "agent=idm", "params={ego_speed_mps: 90}"), "outside"),
        (("scenario=cut_out", "agent=idm", "charge=a/b"), "needs chip"),
        (("scenario=cut_out", "agent=idm", "chip=agx_orin_64gb", "delay_ms=3"), "not both"),
        (("scenario=cut_out", "agent=idm", "map=lead"), "map must be a list"),
        (("scenario=cut_out", "agent=idm", "simulations=many"), "simulations"),
        (("scenario=cut_out", "agent=idm", "cells=-1"), "cells"),
        (("scenario=cut_out", "agent=idm", "speed=3"), "unknown option"),
    ],
)
def test_bad_words(words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*words)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    result = invoke(*TINY, f"out={tmp_path}")
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
