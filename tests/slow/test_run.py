"""A whole run: the same bytes for any workers and batch size, and after SIGKILL at any moment."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TABLES = ("plan", "episodes", "steps", "actors", "requests")
WORDS = (
    "suite=smoke", "scenarios=[cut_in,pedestrian_occluded,roundabout_entry]", "cases=2",
    "agents=[idm,expert]", "latency=lognormal", "latency.median_ms=[60,300]", "latency.p99_ms=500",
)  # fmt: skip


def start(out: Path, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "simdrive", "eval", *WORDS, f"out={out}", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def finish(out: Path, *words: str) -> dict[str, str]:
    process = start(out, *words)
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors.decode()
    return hashes(out)


def hashes(out: Path) -> dict[str, str]:
    return {name: hashlib.sha256((out / f"{name}.parquet").read_bytes()).hexdigest() for name in TABLES}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return finish(tmp_path_factory.mktemp("one") / "run", "workers=1", "batch=64")


def test_same_bytes_for_workers_and_batch(expected: dict[str, str], tmp_path: Path) -> None:
    assert finish(tmp_path / "a", "workers=2", "batch=5") == expected
    assert finish(tmp_path / "b", "workers=1", "batch=1") == expected


def test_same_bytes_after_kills(expected: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    killed = 0
    for _ in range(40):
        process = start(out, "workers=1", "batch=1")
        parts = len(list(out.glob("episodes/part-*")))
        while process.poll() is None and len(list(out.glob("episodes/part-*"))) < parts + 4:
            time.sleep(0.02)
        if process.poll() is not None:
            process.communicate()
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed += 1
    else:
        pytest.fail("the run never ended")
    assert killed >= 3
    assert hashes(out) == expected


def test_complete_run_is_a_success_and_a_changed_one_is_refused(expected: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert finish(out, "workers=1") == expected
    assert finish(out, "workers=2") == expected
    process = start(out, "latency.p99_ms=900")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert b"another configuration" in errors
    assert hashes(out) == expected
