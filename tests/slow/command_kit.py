"""``simdrive eval`` as users start it: in a process of its own, killed where a test says so, and what its tables hash to."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLES = ("plan", "episodes", "steps", "actors", "requests")


def start(out: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    """Start a run in a process group of its own; agents of the unit tests can be named."""
    command = [sys.executable, "-m", "simdrive", "eval", *words, f"out={out}"]
    paths = [str(HERE.parent / "unit"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )


def finish(out: Path, words: Sequence[str], says: str = "") -> dict[str, str]:
    """Run to the end, which must be a success that says what is given; return the hashes of the tables."""
    process = start(out, words)
    text, errors = process.communicate(timeout=1800)
    assert process.returncode == 0, errors
    assert says in text
    return hashes(out)


def refused(out: Path, words: Sequence[str]) -> str:
    """Return why a run is refused."""
    process = start(out, words)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    return errors


def hashes(out: Path, files: Sequence[str] = ()) -> dict[str, str]:
    """Return SHA-256 of the tables of a run folder, and of other files in it."""
    names = [*(f"{name}.parquet" for name in TABLES), *files]
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names}


def killed_often(out: Path, words: Sequence[str], parts: int) -> int:
    """Kill a run with all its workers after every few parts until it ends by itself; return how many times."""
    killed = 0
    for _ in range(40):
        process = start(out, words)
        wanted = len(list(out.glob("episodes/part-*"))) + parts
        while process.poll() is None and len(list(out.glob("episodes/part-*"))) < wanted:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.communicate()
        if process.returncode >= 0:
            return killed
    raise AssertionError(f"the run in {out} never ended")


def killed_after(parts: int, root: Path, out: Path, words: Sequence[str]) -> None:
    """Kill the command, and it alone, once there are so many parts below ``root``."""
    process = start(out, words)
    while len(list(root.rglob("episodes/part-*"))) < parts:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
