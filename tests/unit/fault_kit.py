"""Real runs that can be hurt: a process that has everything imported and compiled forks one child per command.

A child is a whole ``simdrive`` of its own that can be killed, interrupted or starved; starting it costs no imports.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLES = ("plan", "episodes", "steps", "actors", "requests")
WARM = ("scenarios=[cut_in]", "cases=1", "agents=[idm,expert]")


def hashes(run: Path) -> dict[str, str]:
    return {name: hashlib.sha256((run / f"{name}.parquet").read_bytes()).hexdigest() for name in TABLES}


@dataclass
class Child:
    """One command under way."""

    nursery: Nursery
    pid: int
    log: Path

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Return the exit code, below 0 for a signal."""
        return int(self.nursery.ask({"wait": self.pid}))

    @property
    def said(self) -> str:
        return self.log.read_text()


class Nursery:
    """Starts children."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip

    def ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def start(self, *words: str, file_bytes: int | None = None, clock_jumps: bool = False) -> Child:
        self._count += 1
        log = self._folder / f"child{self._count}.txt"
        told = {"words": words, "log": str(log), "file_bytes": file_bytes, "clock_jumps": clock_jumps}
        return Child(self, int(self.ask(told)), log)

    def run(self, *words: str, **options: Any) -> Child:
        """Start and wait; the child's exit code must be 0."""
        child = self.start(*words, **options)
        code = child.wait()
        assert code == 0, f"{words} ended with {code}: {child.said}"
        return child

    def close(self) -> None:
        self._process.communicate()  # the end of its input ends it


def wait_for(condition: Callable[[], bool], limit_s: float = 600.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def parts(run: Path) -> int:
    return len(list(run.glob("episodes/part-*")))


def _limit(file_bytes: int | None) -> None:
    if file_bytes is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


def _jumping() -> Callable[[], float]:
    draws, real = random.Random(1), time.time
    return lambda: real() + draws.uniform(-1e9, 1e9)


def _child(told: dict[str, Any]) -> None:
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(OSError):
            os.close(0)
        handle = os.open(told["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.argv = ["simdrive", *told["words"]]
        _limit(told["file_bytes"])
        if told["clock_jumps"]:
            time.time = _jumping()
        from simdrive.cli import app

        try:
            app(told["words"])
        except SystemExit as end:
            code = int(end.code or 0)
    except BaseException:  # what a user would see as a traceback
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _questions() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


def main(folder: str) -> None:
    from simdrive.cli import app

    report, quiet = os.fdopen(os.dup(1), "w"), os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    with contextlib.suppress(SystemExit):
        app(["eval", *WARM, f"out={folder}/warm"])
    for question in _questions():
        if "wait" in question:
            _, status = os.waitpid(question["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if not answer:
                _child(question)
        print(json.dumps(answer), file=report, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
