"""What one job of a cluster does: drive a shard of a run in its own folder, and say how that ended."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simdrive.errors import SimdriveError
from simdrive.eval.backends.backend import Effort
from simdrive.eval.extras import need_extra
from simdrive.eval.keys import source_hash
from simdrive.eval.runner import RunRequest, run


@dataclass(frozen=True)
class ShardTask:
    """One part of a run with the folder it goes to."""

    request: RunRequest
    out: str
    effort: Effort
    sources: str  # hash of the code that the command was started with; a job may begin hours later


@dataclass(frozen=True)
class ShardEnd:
    """How a job ended that came to its end; ``message`` is empty if its shard is complete."""

    message: str = ""


class DriveShard:
    """The function of a job. A new call goes on where the last one was ended."""

    def __call__(self, task: ShardTask) -> ShardEnd:
        """Drive what is pending of the shard; what stands in the way is told, not raised."""
        effort = task.effort
        if source_hash() != task.sources:
            return ShardEnd("the code has changed since the command was started, so that its episodes would be others")
        try:
            run(
                task.request, Path(task.out), _Log(), workers=effort.workers, batch=effort.batch,
                provenance=dict(effort.provenance), agent_timeout_s=effort.agent_timeout_s,
            )  # fmt: skip
        except SimdriveError as error:
            return ShardEnd(str(error))
        return ShardEnd()

    def checkpoint(self, task: ShardTask) -> Any:
        """Go on in a new job when the cluster takes this one's place or its time is over; submitit calls this."""
        return need_extra("submitit").helpers.DelayedSubmission(self, task)


class _Log:
    """Tells the log of the job how far it is."""

    def __init__(self) -> None:
        self._name, self._total, self._done = "", 0, 0

    def stage(self, name: str, total: int) -> None:
        """Begin a stage."""
        self._name, self._total, self._done = name, total, 0

    def advance(self, count: int) -> None:
        """Say how far it is."""
        self._done += count
        self.note(f"{self._name}: {self._done}/{self._total}")

    def note(self, message: str) -> None:
        """Write a line."""
        print(message, file=sys.stderr, flush=True)
