"""The command line: what it composes, what it says when something is wrong, and its exit codes."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.cli.compose import compose_config
from simdrive.errors import ParameterError, UnknownNameError

runner = CliRunner()


def test_compose_keeps_lists_and_names_plain() -> None:
    config = compose_config("eval", ["suite=control", "agents=[idm]", "latency.delay_ms=[0,100]", "workers=2"])
    assert config["suite"] == "control"
    assert config["agents"] == ["idm"]
    assert config["latency"]["delay_ms"] == [0, 100]
    assert config["workers"] == 2


def test_compose_chooses_a_group() -> None:
    assert compose_config("eval", ["latency=lognormal", "latency.median_ms=90"])["latency"]["median_ms"] == 90


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("suit=smoke", "Did you mean 'suite'"),
        ("latency=constan", "Did you mean 'constant'"),
        ("latency.delay=3", "Did you mean 'delay_ms'"),
    ],
)
def test_unknown_words_name_the_nearest(word: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        compose_config("eval", [word])


def test_word_without_a_sign() -> None:
    with pytest.raises(ParameterError, match="key=value"):
        compose_config("eval", ["smoke"])


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [
        "eval",
        "suite=smoke",
        "agents=[idm,expert]",
        "latency.delay_ms=[0,100]",
        f"out={out}",
        "--dry-run",
        "--json",
    ]
    result = runner.invoke(app, words)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.output.splitlines()[-1])
    assert facts["episodes"] == facts["cases"] * 4
    assert not out.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["eval", "suite=smok"],
        ["eval", "agents=[nobody]"],
        ["eval", "workers=0"],
        ["eval", "cases=0"],
        ["eval", "cases=true"],
        ["eval", "scenarios=2.5"],
        ["eval", "metrics=1"],
        ["eval", "+="],
        ["eval", "record=some"],
        ["eval", "scenarios=[cutin]"],
        ["eval", "mode=instant"],
        ["eval", "waiting=sleep"],
        ["eval", "latency.delay_ms=-1"],
        ["eval", "metrics=[nothing]"],
        ["ls", "things"],
        ["show", "nothing_like_this"],
        ["bench", "sim", "seed=3"],
    ],
)
def test_usage_errors_exit_with_2_and_no_traceback(words: list[str], tmp_path: Path) -> None:
    tail = [f"out={tmp_path / 'run'}"] if words[0] == "eval" else []
    result = runner.invoke(app, words + tail)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert "error" in result.stderr
    assert not (tmp_path / "run").exists()


def test_foreign_folder_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = runner.invoke(app, ["eval", "suite=smoke", "agents=[idm]", f"out={tmp_path}"])
    assert result.exit_code == 2
    assert "not a run folder" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_ls_and_show_know_every_entry() -> None:
    for kind in ("suites", "scenarios", "agents", "metrics", "latencies"):
        result = runner.invoke(app, ["ls", kind, "--json"])
        assert result.exit_code == 0, result.output
        for row in json.loads(result.output.splitlines()[-1])[kind]:
            assert row["description"], (kind, row)
            shown = runner.invoke(app, ["show", row["name"], "--json"])
            assert shown.exit_code == 0, shown.output


def test_import_pulls_in_no_heavy_library() -> None:
    code = "import sys, simdrive; print([name for name in ('torch', 'pygame', 'numba') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_doctor_looks_at_the_models_that_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simdrive.cli.doctor import _zoo
    from simdrive.models import where

    found = {finding.name: finding for finding in _zoo()}
    assert found["zoo teacher"].state == "ok"
    assert len(found["zoo teacher"].detail) == 16  # of the hash
    shutil.copytree(where.ZOO_ROOT / "student_kd", tmp_path / "student_kd")
    with (tmp_path / "student_kd" / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\x55")
    monkeypatch.setattr(where, "ZOO_ROOT", tmp_path)
    (changed,) = _zoo()
    assert (changed.name, changed.state) == ("zoo student_kd", "broken")
    assert changed.remedy == "git checkout -- simdrive/models/zoo"


def test_doctor_names_what_is_missing_and_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from simdrive.cli import doctor

    def version(name: str) -> str:
        if name == "numpy":
            raise PackageNotFoundError
        return "0.0.1" if name == "scipy" else "999"

    monkeypatch.setattr(doctor, "version", version)
    found = {finding.name: finding for finding in doctor._packages()}
    assert (found["numpy"].state, found["numpy"].detail) == ("broken", "not installed")
    assert found["numpy"].remedy.startswith("pip install 'numpy")
    assert found["scipy"].state == "broken"
    assert "needed: >=1.15" in found["scipy"].detail
    assert found["rich"].state == "ok"
    assert "torch" not in found  # simdrive works without it
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert doctor._browser().remedy == "apt-get install chromium"
