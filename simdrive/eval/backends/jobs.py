"""Has shards driven by jobs of submitit: submits, waits, gives a job that died one more chance, cancels on Ctrl-C."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simdrive.errors import ParameterError
from simdrive.eval.backends.shard_job import DriveShard, ShardTask
from simdrive.eval.lock import is_busy
from simdrive.eval.runner import Progress

_TRIES = 2  # jobs that a shard may lose in one call
_LOOK_S = 0.5  # at jobs of this machine
_ASK_S = 10.0  # a cluster, which does not like to be asked often


class Jobs:
    """Jobs of one executor of submitit."""

    def __init__(self, submitit: Any, executor: Any, at_once: int | None) -> None:
        """Hold on to an executor; ``at_once`` is None where the cluster itself sees to how many jobs run."""
        self._submitit, self._executor, self._at_once = submitit, executor, at_once
        self._running: dict[Any, ShardTask] = {}
        self._lost: Counter[str] = Counter()  # jobs, by folder

    def drive(self, tasks: Sequence[ShardTask], progress: Progress) -> dict[str, str]:
        """Drive shards until each is complete or nothing more can be done now; return why by folder for the latter.

        A shard that a job of an earlier call still drives is waited for, not driven twice.
        """
        waiting, reasons = list(tasks), dict[str, str]()
        for task in tasks:
            if is_busy(Path(task.out)):
                progress.note(f"{task.out}: waiting for a job of an earlier call")
        try:
            while waiting or self._running:
                for task in self._next(waiting):
                    waiting.remove(task)
                for job in [job for job in self._running if job.done()]:
                    task = self._running.pop(job)
                    reason, again = self._ended(job, task)
                    if again:
                        progress.note(f"{task.out}: {reason}; tried again")
                        waiting.append(task)
                        continue
                    progress.advance(1)
                    if reason:
                        reasons[task.out] = reason
                time.sleep(_LOOK_S if self._at_once is not None else _ASK_S)
        except BaseException:
            for job in self._running:
                job.cancel(check=False)
            raise
        return reasons

    def _next(self, waiting: Sequence[ShardTask]) -> list[ShardTask]:
        """Submit what may start now, and return it."""
        room = len(waiting) if self._at_once is None else self._at_once - len(self._running)
        tasks = [task for task in waiting if not is_busy(Path(task.out))][:room]
        if tasks:
            for job, task in zip(self._submitted(tasks), tasks, strict=True):
                self._running[job] = task
        return tasks

    def _submitted(self, tasks: Sequence[ShardTask]) -> list[Any]:
        errors = self._submitit.core.utils
        try:
            jobs: list[Any] = self._executor.map_array(DriveShard(), tasks)
        except (errors.FailedJobError, errors.FailedSubmissionError) as error:
            raise ParameterError(f"the cluster takes no jobs: {str(error).strip()}; see backend.slurm=...") from error
        return jobs

    def _ended(self, job: Any, task: ShardTask) -> tuple[str, bool]:
        """Return why a shard is not complete, empty if it is, and whether it is to be tried again."""
        errors = self._submitit.core.utils
        try:
            return job.result().message, False
        except (errors.FailedJobError, errors.UncompletedJobError):
            self._lost[task.out] += 1
        return f"its job {job.job_id} died (log: {job.paths.stderr})", self._lost[task.out] < _TRIES
