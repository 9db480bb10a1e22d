"""What the statistics promise, measured: coverage at every time, error of the paired test, power as planned."""

import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simdrive.eval import simulated
from simdrive.eval.simulated import Simulated

pytestmark = pytest.mark.slow

RUNS = 4000
TABLES = ("plan", "episodes", "steps", "actors", "requests")
WORDS = (
    "suite=long_tail_v1", "scenarios=[cut_in,pedestrian_occluded]", "cases=40", "agents=[idm,expert]",
    "stop=half_width:0.19",
)  # fmt: skip


def kept(rows: list[Simulated]) -> None:
    assert [f"{row.what}, {row.setting}: {row.share}" for row in rows if row.kept is False] == []


def test_anytime_intervals_cover_at_every_time() -> None:
    rows = simulated.coverage(RUNS)
    kept(rows)
    ours = [row for row in rows if not math.isnan(row.promised)]
    assert len(ours) >= 9
    assert max(row.share.high for row in ours) < 0.06
    # The same looks at Wilson intervals break their promise many times over: the test can see what it looks for.
    assert min(row.share.low for row in rows if "Wilson" in row.what) > 0.2


def test_paired_tests_keep_their_level_also_at_the_end_of_a_stopped_run_and_over_sweeps() -> None:
    rows = simulated.paired_error(RUNS)
    kept(rows)
    raw = {row.what: row.share for row in rows if math.isnan(row.promised)}
    assert raw["smallest raw p < 0.05"].low > 0.05
    assert raw["exact McNemar at any look of it"].low > 0.05


def test_power_is_what_is_planned() -> None:
    rows = simulated.power_table(RUNS)
    kept(rows)
    planned = [row.share.estimate for row in rows if "planned for 0.8" in row.what]
    assert planned
    assert all(0.78 < share < 0.83 for share in planned)


def start(out: Path, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "simdrive", "eval", *WORDS, f"out={out}", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def finish(out: Path, *words: str) -> dict[str, str]:
    process = start(out, *words)
    text, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors.decode()
    assert b"reached for every rate" in text
    files = [*(f"{name}.parquet" for name in TABLES), "summary.json"]
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in files}


def test_a_stopped_run_ends_the_same_for_any_workers_and_batch_and_after_kills(tmp_path: Path) -> None:
    expected = finish(tmp_path / "one", "workers=1", "batch=64")
    assert finish(tmp_path / "two", "workers=2", "batch=7") == expected
    out, killed = tmp_path / "killed", 0
    for _ in range(40):
        process = start(out, "workers=1", "batch=4")
        parts = len(list(out.glob("episodes/part-*")))
        while process.poll() is None and len(list(out.glob("episodes/part-*"))) < parts + 5:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.communicate()
        if (out / "episodes.parquet").is_file():
            break
    assert killed >= 2
    assert finish(out, "workers=1") == expected
    process = start(out, "stop=half_width:0.18")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert b"stop.half_width: 0.19 -> 0.18" in errors
