"""Rerun recordings: what is told and when, what is in the file, and the way to the package where it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logs import make_log, make_requests
from run_fixtures import CONFIG, plan, planned, tables_of
from straight_worlds import straight_world
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.eval.store import RunStore
from simdrive.report.rerun_recording import CLOCK, messages, write_rerun
from simdrive.types import RequestStatus


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan(1))
    store.write_part(tables_of(0, 1, 2, 3, count=1))
    monkeypatch.setattr("simdrive.report.rerun_recording.build_case", lambda case: straight_world())
    return store


def test_messages_stand_at_the_time_when_they_happened() -> None:
    requests = make_requests(
        [0, 100_000, 400_000], 250_000, status=[RequestStatus.OK, RequestStatus.UNPARSABLE, RequestStatus.UNFINISHED],
        t_finish_us=np.array([250_000, 350_000, -1]), t_actuate_us=np.array([250_000, -1, -1]),
        text=("brake <b>now</b>", "", ""),
    )  # fmt: skip
    log = make_log(6, others=[{"x": 8.0}], contact_with=1, requests=requests)
    assert messages(log) == [
        (250_000, "INFO", "request 0 on the frame of 0.00 s: ok, in use from 0.25 s\nbrake <b>now</b>"),
        (300_000, "WARN", "hazard in sight"),
        (350_000, "WARN", "request 1 on the frame of 0.10 s: unparsable"),
        (400_000, "INFO", "request 2 on the frame of 0.40 s: unfinished"),
        (500_000, "ERROR", "CONTACT with car at 10.0 m/s (hazard avoidable)"),
    ]


def test_recording_holds_the_episodes_on_one_clock(store: RunStore, tmp_path: Path) -> None:
    chunk = pytest.importorskip("rerun.chunk", reason="needs the extra rerun")
    keys, out = [entry.key for entry in planned(1)][1:3], tmp_path / "deep" / "x.rrd"
    assert write_rerun(store, keys, out) == 2
    found: dict[str, Any] = {}
    for part in chunk.RrdReader(out).stream():
        rows, clocks = found.setdefault(part.entity_path.strip("/"), [0, set()])
        found[part.entity_path.strip("/")] = [rows + part.num_rows, clocks | set(part.timeline_names)]
    case = f"lead_brake-{planned(1)[0].case.key[:8]}"
    for agent, key, length in (("careful", keys[0], 13), ("rash", keys[1], 14)):
        driver = f"{agent}-{key[:8]}"
        for path in (f"world/{driver}/actors", f"world/{driver}/plan", f"readings/{driver}/speed_mps"):
            rows, clocks = found[f"{case}/{path}"]
            assert rows == length, path
            assert CLOCK in clocks
        assert f"{case}/world/{driver}/path" in found
        assert found[f"{case}/log/{driver}"][0] == 4 + 2  # requests, hazard and outcome
    assert f"{case}/world/ground" in found
    assert [path.name for path in out.parent.iterdir()] == ["x.rrd"]


def test_command(store: RunStore, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="needs the extra rerun")
    result = CliRunner().invoke(app, ["export", str(store.path), "--to", "rerun"])
    assert result.exit_code == 0, result.output
    assert (store.path / "export" / "review.rrd").read_bytes()[:3] == b"RRF"
    wrong = CliRunner().invoke(app, ["export", str(store.path), "--to", "rerun", "-o", str(tmp_path / "x.mp4")])
    assert (wrong.exit_code, "ends in .rrd" in " ".join(wrong.output.split())) == (2, True)


def test_missing_package_names_the_line_that_installs_it(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rerun", None)
    result = CliRunner().invoke(app, ["export", str(store.path), "--to", "rerun"])
    assert (result.exit_code, "'simdrive[rerun]'" in result.output) == (2, True), result.output
