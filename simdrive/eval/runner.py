"""Run a whole grid into one folder: plan, references, chunks over worker processes, compaction, summary.

The same call continues an interrupted run. Chunks are cut from the pending rows; neither their size nor the number of
workers changes a result.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from simdrive.errors import IncompleteRunError, ParameterError
from simdrive.eval import folder as layout
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.keys import episode_key, source_hash
from simdrive.eval.plan import PlannedEpisode, plan_frame, planned_episodes
from simdrive.eval.reference import CaseReference
from simdrive.eval.store import RunStore
from simdrive.eval.work import ChunkResult, ChunkTask, build_latency, drive_chunk, settle_references
from simdrive.streams import canonical_json, digest
from simdrive.types import Case

T = TypeVar("T")
R = TypeVar("R")
_REFERENCE_BATCH = 64  # small enough that all workers have some; references do not depend on it


@dataclass(frozen=True)
class RunRequest:
    """Everything that decides the content of a run; workers and batch size are not part of it."""

    suite: str
    suite_version: int
    cases: tuple[Case, ...]
    agents: tuple[AgentConfig, ...]
    latencies: tuple[LatencyConfig, ...]
    metrics: tuple[str, ...] = ()

    def config(self) -> dict[str, Any]:
        """Return the resolved configuration as plain values; equal for equal runs."""
        return {
            "suite": self.suite,
            "suite_version": self.suite_version,
            "cases": {"count": len(self.cases), "hash": digest([case.key for case in self.cases])},
            "agents": {agent.name: agent.config for agent in self.agents},
            "latencies": [
                {"label": latency.label, "source": latency.source, "mode": latency.mode,
                 "waiting": latency.waiting, "aeb_monitor": latency.aeb_monitor}
                for latency in self.latencies
            ],
            "metrics": list(self.metrics) or "all",
            "sources": source_hash(),
        }  # fmt: skip


class Progress(Protocol):
    """Where a run tells how far it is."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of ``total`` units."""

    def advance(self, count: int) -> None:
        """Some units of the stage are done."""

    def note(self, message: str) -> None:
        """Say something worth a line."""


def run(
    request: RunRequest,
    out: Path,
    progress: Progress,
    *,
    workers: int = 1,
    batch: int = 64,
    provenance: dict[str, Any] | None = None,
) -> RunStore:
    """Drive everything that is pending in ``out`` and compact it.

    Raises:
        ParameterError: if workers or batch are below 1.
        RunFolderError: if the folder is foreign or holds another configuration; it is left untouched.
        IncompleteRunError: if some episodes could not be driven.
    """
    if workers < 1 or batch < 1:
        raise ParameterError(f"workers and batch must be at least 1, got {workers} and {batch}")
    _check_latencies(request.latencies)
    with _Pool(workers) as pool:
        store = _open(request, out, progress, pool, batch, provenance or {})
        _drive(store, request, progress, pool, batch)
        progress.note("writing tables")
        store.compact(pool.map)
    return store


def _check_latencies(latencies: Sequence[LatencyConfig]) -> None:
    """Refuse wrong or doubled settings before anything is driven."""
    seen: dict[str, str] = {}
    for latency in latencies:
        identity = canonical_json(build_latency(latency).identity())
        if identity in seen:
            raise ParameterError(
                f"the latency settings {seen[identity]!r} and {latency.label!r} are the same (mode zero ignores the "
                "source); remove one"
            )
        seen[identity] = latency.label


def _open(
    request: RunRequest, out: Path, progress: Progress, pool: _Pool, batch: int, provenance: dict[str, Any]
) -> RunStore:
    """Open the folder with its own plan if there is one, else settle the references and plan."""
    config = request.config()
    if not layout.is_empty(out):
        layout.check_config(out, config)
        if (out / "plan.parquet").is_file():
            return RunStore.create_or_open(out, config, layout.read_plan(out))
    references = _references(request.cases, progress, pool, batch)
    return RunStore.create_or_open(out, config, plan_frame(_plan(request, references)), provenance)


def _references(cases: tuple[Case, ...], progress: Progress, pool: _Pool, batch: int) -> dict[str, CaseReference]:
    progress.stage("references", len(cases))
    found: dict[str, CaseReference] = {}
    for references in pool.map(settle_references, _chunks(cases, min(batch, _REFERENCE_BATCH))):
        found |= {reference.case.key: reference for reference in references}
        progress.advance(len(references))
    return found


def _plan(request: RunRequest, references: dict[str, CaseReference]) -> list[PlannedEpisode]:
    """Cross cases with agents and latency settings: agents outermost, cases innermost."""
    planned: list[PlannedEpisode] = []
    for agent in request.agents:
        for latency in request.latencies:
            identity = build_latency(latency).identity()
            for case in request.cases:
                reference = references[case.key]
                planned.append(
                    PlannedEpisode(
                        row=len(planned),
                        key=episode_key(case, {"name": agent.name, "config": agent.config}, identity),
                        case=case,
                        agent=agent.name,
                        latency=latency.label,
                        avoidable=reference.avoidable,
                        hazard_us=reference.hazard_us,
                        expert_progress_m=reference.expert_progress_m,
                        valid=reference.valid,
                    )
                )
    return planned


def _drive(store: RunStore, request: RunRequest, progress: Progress, pool: _Pool, batch: int) -> None:
    pending = set(store.pending_rows().tolist())
    progress.stage("episodes", len(store.plan))
    progress.advance(len(store.plan) - len(pending))
    rows = [entry for entry in planned_episodes(store.plan) if entry.row in pending]
    failed = 0
    for result in pool.map(drive_chunk, _tasks(store, request, rows, batch)):
        progress.advance(result.done)
        failed += result.errors
        if result.message:
            progress.note(f"{result.errors} episodes could not be driven: {result.message}")
    if failed:
        raise IncompleteRunError(
            f"{failed} of {len(store.plan)} episodes could not be driven; see {store.path}/errors, then run the same "
            "command again"
        )


def _tasks(store: RunStore, request: RunRequest, rows: Sequence[PlannedEpisode], batch: int) -> Iterator[ChunkTask]:
    """Cut pending rows into chunks of one agent and one latency setting."""
    for agent in request.agents:
        for latency in request.latencies:
            mine = [entry for entry in rows if entry.agent == agent.name and entry.latency == latency.label]
            for chunk in _chunks(mine, batch):
                yield ChunkTask(str(store.path), tuple(chunk), agent, latency, request.metrics)


def _chunks(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    for first in range(0, len(items), size):
        yield tuple(items[first : first + size])


class _Pool:
    """In-process for one worker, else spawned processes; results come as they finish."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Yield the results of ``function`` over ``tasks`` in the order in which they finish."""
        if self._workers == 1:
            yield from map(function, tasks)
            return
        if self._executor is None:
            self._executor = _spawn(self._workers)
        running: set[Future[R]] = set()
        for task in tasks:
            running.add(self._executor.submit(function, task))
            if len(running) >= 2 * self._workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


def _spawn(workers: int) -> ProcessPoolExecutor:
    from simdrive.eval.warm import ensure_warm

    ensure_warm()  # compile here once, so that workers load from the cache instead of compiling side by side
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare)


def _prepare() -> None:
    """Leave Ctrl-C to the parent (workers finish or are cancelled by it), and look for garbage seldom."""
    import gc
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(50_000)  # little here is cyclic, and every look costs


__all__ = ["ChunkResult", "Progress", "RunRequest", "run"]
