"""submitit: a run as a job array of shards, on Slurm or as processes of this machine, merged at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simdrive.errors import IncompleteRunError, ParameterError, RunFolderError
from simdrive.eval import folder as layout
from simdrive.eval.backends.backend import Effort
from simdrive.eval.backends.jobs import Jobs
from simdrive.eval.backends.shard_job import ShardTask
from simdrive.eval.extras import need_extra
from simdrive.eval.keys import source_hash
from simdrive.eval.lock import LOCK, only_writer
from simdrive.eval.merging import merge
from simdrive.eval.runner import Progress, RunRequest
from simdrive.eval.schema import TABLES
from simdrive.eval.store import RunStore

_JOBS = "jobs"  # what submitit writes


@dataclass(frozen=True)
class Submitit:
    """Drives ``shards`` parts of a run in jobs; see configs/backend/submitit.yaml for the fields."""

    shards: int = 4
    cluster: str | None = None
    at_once: int | None = None
    timeout_min: int = 240
    mem_gb: float | None = None
    gpus: int = 0
    slurm: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name, least in (("shards", 1), ("at_once", 1), ("timeout_min", 1), ("gpus", 0)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ParameterError(f"backend.{name} must be a whole number of at least {least}, got {value!r}")
        if self.cluster not in (None, "slurm", "local"):
            raise ParameterError(f"backend.cluster must be slurm, local or null, got {self.cluster!r}")

    def check(self) -> None:
        """Look for the package.

        Raises:
            SimdriveError: if it is not installed.
        """
        need_extra("submitit")

    def drive(self, request: RunRequest, out: Path, progress: Progress, effort: Effort) -> RunStore:
        """Return the complete run in ``out``, made of shards in ``<out>.shards``, which are removed then.

        Raises:
            ParameterError: if the run is a shard itself, has a stopping rule, or the cluster refuses the jobs.
            RunFolderError: if a folder holds another configuration, other shards, or has a writer.
            IncompleteRunError: if some shards are not complete; those that are stay as they are.
        """
        if request.shard is not None:
            raise ParameterError("shard=... and backend=submitit both cut a run into parts; leave one of them out")
        parts = out.with_name(f"{out.name}.shards")
        if not layout.is_empty(out):
            layout.check_config(out, request.config())
            store = RunStore.open(out)
            if store.is_compacted:
                _remove(parts)
                return store
        count = min(self.shards, len(request.cases))
        tasks = [_task(request, f"{number}/{count}", parts, effort) for number in range(1, count + 1)]
        with only_writer(parts):
            _check_folders(parts, tasks)
            pending = [task for task in tasks if not _is_complete(Path(task.out))]
            progress.stage("shards", count)
            progress.advance(count - len(pending))
            reasons = self._jobs(parts, effort).drive(pending, progress) if pending else {}
            if reasons:
                told = "\n".join(f"  {name}: {reason}" for name, reason in reasons.items())
                raise IncompleteRunError(
                    f"{len(reasons)} of {count} shards are not complete; the same command goes on with them:\n{told}"
                )
            progress.note("merging the shards")
            store = merge([Path(task.out) for task in tasks], out, {**effort.provenance, "shards": count})
        _remove(parts)
        return store

    def _jobs(self, parts: Path, effort: Effort) -> Jobs:
        submitit = need_extra("submitit")
        try:
            executor = submitit.AutoExecutor(folder=parts / _JOBS, cluster=self.cluster)
            is_here = executor.cluster == "local"
            executor.update_parameters(**self._parameters(effort.workers, is_here))
        except (AssertionError, NameError, RuntimeError, TypeError, ValueError) as error:
            raise ParameterError(f"submitit refuses what backend.* asks for: {error}") from error
        here = self.at_once or max((os.cpu_count() or 1) // effort.workers, 1)
        return Jobs(submitit, executor, here if is_here else None)

    def _parameters(self, workers: int, is_here: bool) -> dict[str, Any]:
        shared: dict[str, Any] = {
            "name": "simdrive", "timeout_min": self.timeout_min, "cpus_per_task": workers, "mem_gb": self.mem_gb,
            "gpus_per_node": self.gpus or None,
        }  # fmt: skip
        if is_here:
            return shared
        slurm = {f"slurm_{name}": value for name, value in (self.slurm or {}).items()}
        return shared | ({"slurm_array_parallelism": self.at_once} if self.at_once else {}) | slurm


def _task(request: RunRequest, shard: str, parts: Path, effort: Effort) -> ShardTask:
    own = replace(effort, provenance={**effort.provenance, "shard": shard})
    return ShardTask(request.part(shard), str(parts / shard.replace("/", "-of-")), own, source_hash())


def _check_folders(parts: Path, tasks: list[ShardTask]) -> None:
    """Refuse folders of another run, or of this one in other parts, before a job waits in a queue for that."""
    wanted = {Path(task.out).name for task in tasks}
    others = sorted(path.name for path in parts.glob("*-of-*") if path.name not in wanted)
    if others:
        raise RunFolderError(
            f"{parts} holds {others[0]}: the run was begun with other shards; use backend.shards={others[0].split('-')[-1]} "
            "to go on with them, or remove that folder"
        )
    for task in tasks:
        if not layout.is_empty(Path(task.out)):
            layout.check_config(Path(task.out), task.request.config())


def _is_complete(folder: Path) -> bool:
    """Return whether a shard has all its tables, none of them cut off by a machine that failed."""
    return all(layout.is_readable(folder / f"{name}.parquet") for name in ("plan", *TABLES))


def _remove(parts: Path) -> None:
    """Remove the shards of a run that is whole, and nothing that is not ours."""
    for path in (*parts.glob("*-of-*"), parts / _JOBS):
        shutil.rmtree(path, ignore_errors=True)
    (parts / LOCK).unlink(missing_ok=True)
    with suppress(OSError):
        parts.rmdir()
