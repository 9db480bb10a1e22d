"""What is worth another try in one call of a run, and what only the next call may find mended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simdrive.eval.work import ENOUGH, ChunkResult, ChunkTask


class Tries:
    """Cuts failed chunks in halves until the episode is found that cannot be driven; gives agents up that cost too much.

    Attributes:
        message: why an episode could not be driven, the last one told.
    """

    def __init__(self) -> None:
        self.message = "nothing was tried"
        self._again: list[ChunkTask] = []
        self._strikes: dict[str, int] = {}  # in a row, by agent

    def worth_it(self, tasks: Iterable[ChunkTask]) -> Iterator[ChunkTask]:
        """Leave out the tasks of agents that are given up; looks when a task is wanted."""
        return (task for task in tasks if self._strikes.get(task.agent.name, 0) < ENOUGH)

    def count(self, result: ChunkResult) -> None:
        """Take note of a result."""
        self.message = result.message or self.message
        self._strikes[result.agent] = 0 if result.done else self._strikes.get(result.agent, 0) + result.strikes
        if result.again is not None:
            self._again.extend(result.again.halves())

    def again(self) -> list[ChunkTask] | None:
        """Return what failed since the last call, in halves; None if nothing did."""
        tasks, self._again = self._again, []
        return tasks or None
