"""``simdrive study`` from the outside, on two cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from simdrive.cli import app

TINY = ("suite=smoke", "scenarios=[cut_in]", "cases=2", "seed=5")
GRID = ("delays=[0,400]", "resolution_ms=400", "most_ms=400")
FAMILY = ("chip=agx_orin_64gb", "architectures=[internvl3_1b,internvl3_78b]", "precisions=[w16a16]", "output_tokens=3")


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, ["study", *words])


def last_json(*words: str) -> Any:
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "tiny"


def parts(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.parquet")}


def test_budget_drives_once_and_deploy_reuses_it(out: Path) -> None:
    found = last_json("budget", *TINY, *GRID, *FAMILY, "agents=[expert]", f"out={out}")
    (agent,) = found["agents"]
    assert [point["delay_ms"] for point in agent["points"]] == [0.0, 400.0]
    assert agent["budget"]["safe_ms"] == 0.0
    assert [each["verdict"] for each in found["family"]] == ["undecided", None]
    assert "does not fit" in found["family"][1]["priced"]["refused"]
    assert found["margins"][0]["scenario"] == "cut_in"
    assert (out / "budget.png").read_bytes().startswith(b"\x89PNG")
    assert list(pd.read_csv(out / "budget_curve.csv")["delay_ms"]) == [0.0, 400.0]
    written = parts(out)
    assert last_json("budget", *TINY, *GRID, *FAMILY, "agents=[expert]", f"out={out}") == found
    assert parts(out) == written

    deploy = last_json("deploy", *TINY, *FAMILY, "agents=[expert]", f"out={out}")
    first, second = deploy["rows"]
    assert first["measured"]["median_ms"] == pytest.approx(first["assumed"]["median_ms"], abs=0.01)
    assert first["decision"]["verdict"] == "undecided"
    assert "does not fit" in second["refused"]
    assert second["decision"] is None
    assert written.items() <= parts(out).items()
    assert (out / "deploy.png").read_bytes().startswith(b"\x89PNG")

    refused = invoke("budget", *TINY[:-1], "seed=6", *GRID, f"out={out}")
    assert refused.exit_code == 2
    assert "cases.hash" in refused.output


def test_decompose_adds_up_and_labels_every_failure(out: Path) -> None:
    words = (
        *TINY,
        "student=idm",
        "teacher=expert",
        "teacher_ms=400",
        "student_ms=0",
        "resolution_ms=400",
        f"out={out}",
    )
    found = last_json("decompose", *words)
    for part in found["splits"]:
        terms = sum(part[name]["failures"] for name in ("capability", "relief", "interaction"))
        assert terms == part["deployed"]["failures"]
        assert "needs 10" in part["deployed"]["share"]["reason"]  # two cases carry no limits
    rates = {(arm["role"], arm["whose"]): arm["failures"] for arm in found["arms"]}
    deployed = [each for each in found["failures"] if each["avoidable"]]
    assert len(deployed) == rates["student", "student"] + rates["teacher", "teacher"]
    assert (out / "decompose.png").read_bytes().startswith(b"\x89PNG")
    assert "deployed = capability" in (out / "decompose.txt").read_text(encoding="utf-8")


def test_an_agent_without_a_charge_cannot_be_priced_by_its_own(out: Path) -> None:
    result = invoke("deploy", *TINY, "chip=agx_orin_64gb", "agents=[expert]", f"out={out}")
    assert result.exit_code == 2
    assert "charged as no model" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("budget", "suit=smoke"), "Did you mean 'suite'?"),
        (("budget", "margin=0"), "margin is in points"),
        (("budget", "margin=much"), "margin must be a number"),
        (("budget", "delays=[100]"), "start at 0"),
        (("budget", "architectures=[internvl3_1b]"), "together"),
        (("budget", "architectures=[internvl3_1b]", "precisions=[w4a16]"), "chip=... is needed"),
        (("budget", "agents=[nobody]"), "unknown agent"),
        (("budget", "workers=0"), "workers"),
        (("budget", "mode=later"), "mode"),
        (("decompose", "student=idm"), "teacher=... is needed"),
        (("decompose", "student=idm", "teacher=expert", "student_ms=100"), "the teacher needs a latency"),
        (("decompose", "student=idm", "teacher=expert", "student_ms=-1", "teacher_ms=0"), "at least 0 ms"),
        (
            ("decompose", "student=idm", "teacher=idm", "chip=agx_orin_64gb", "student_charge=x"),
            "architecture/precision",
        ),
        (("decompose", "student=idm", "teacher=idm", "student_ms=1", "student_charge=a/b"), "not both"),
        (("deploy", "agents=[expert]"), "chip=... is needed"),
        (("deploy", "chip=agx_orin_64gb", "charges=[internvl3_8b]"), "architecture/precision"),
        (("deploy", "chip=agx_orin_64gb", "charges=[a/b]", "precisions=[c]"), "not both"),
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
    result = invoke("budget", *TINY, f"out={tmp_path}")
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
