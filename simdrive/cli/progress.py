"""How far a run is: a bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from simdrive.cli.console import stderr

LINE_EVERY_S = 10.0


class BarProgress:
    """A rich progress bar per stage."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=stderr(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.stop()

    def stage(self, name: str, total: int) -> None:
        """Begin a stage with its own bar."""
        self._task = self._bar.add_task(name, total=total)

    def advance(self, count: int) -> None:
        """Move the bar of the stage."""
        if self._task is not None:
            self._bar.advance(self._task, count)

    def note(self, message: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(message, markup=False)


class LineProgress:
    """A plain line at the start and end of a stage, and every ten seconds."""

    def __init__(self) -> None:
        self._name, self._total, self._done, self._said_s = "", 0, 0, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        return None

    def stage(self, name: str, total: int) -> None:
        """Begin a stage."""
        self._name, self._total, self._done, self._said_s = name, total, 0, time.monotonic()

    def advance(self, count: int) -> None:
        """Say how far it is, not too often."""
        self._done += count
        now_s = time.monotonic()
        if count and (self._done >= self._total or now_s - self._said_s >= LINE_EVERY_S):
            self._said_s = now_s
            self.note(f"{self._name}: {self._done}/{self._total}")

    def note(self, message: str) -> None:
        """Print a line."""
        print(message, file=sys.stderr, flush=True)


def progress() -> BarProgress | LineProgress:
    """Return the progress display that fits where stderr goes."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()
