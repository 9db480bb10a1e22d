"""Run a whole grid into one folder: plan, references, chunks over worker processes, compaction, summary.

The same call continues an interrupted run. Chunks are cut from the pending rows; neither their size nor the number of
workers changes a result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from simdrive.errors import IncompleteRunError, ParameterError
from simdrive.eval import folder as layout
from simdrive.eval.blocks import Block, blocks_of, build_latency, reference_block
from simdrive.eval.charges import check_charges
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.keys import source_hash
from simdrive.eval.plan import PlannedEpisode, plan_frame, planned_episodes
from simdrive.eval.pool import Pool
from simdrive.eval.reference import CaseReference
from simdrive.eval.store import RunStore
from simdrive.eval.work import (
    ChunkResult,
    ChunkTask,
    KeepTask,
    ReferenceTask,
    Settled,
    drive_chunk,
    keep_chunk,
    settle_references,
)
from simdrive.streams import canonical_json, digest
from simdrive.types import Case

T = TypeVar("T")
_KEPT_CASES = 4096  # references of more cases than this are driven again rather than held until there is a plan


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
                 "waiting": latency.waiting, "aeb_monitor": latency.aeb_monitor, "deadline": latency.deadline}
                for latency in self.latencies
            ],
            "metrics": list(self.metrics) or "all",
            "sources": source_hash(),
        }  # fmt: skip

    def blocks(self) -> list[Block]:
        """Return the rows of the plan, one block per agent and latency setting."""
        return blocks_of(self.agents, self.latencies, len(self.cases))


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
    known: Sequence[CaseReference] = (),
) -> RunStore:
    """Drive everything that is pending in ``out`` and compact it.

    Args:
        request: what to drive.
        out: the run folder.
        progress: is told how far it is.
        workers: processes.
        batch: worlds stepped together.
        provenance: further entries of ``run.json``.
        known: references of the cases in their order where another run has settled them; by default they are settled.

    Raises:
        ParameterError: if workers or batch are below 1, or ``known`` are those of other cases.
        RunFolderError: if the folder is foreign or holds another configuration; it is left untouched.
        IncompleteRunError: if some episodes could not be driven.
    """
    if workers < 1 or batch < 1:
        raise ParameterError(f"workers and batch must be at least 1, got {workers} and {batch}")
    if known and tuple(reference.case for reference in known) != request.cases:
        raise ParameterError("the known references are not those of the cases of this run")
    _check_latencies(request.latencies)
    check_charges(request.agents, request.latencies)
    with Pool(workers) as pool:
        store, kept = _open(request, out, progress, pool, batch, provenance or {}, known)
        _drive(store, request, progress, pool, batch, kept)
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
    request: RunRequest,
    out: Path,
    progress: Progress,
    pool: Pool,
    batch: int,
    provenance: dict[str, Any],
    known: Sequence[CaseReference],
) -> tuple[RunStore, list[KeepTask]]:
    """Open the folder with its own plan if there is one, else settle the references and plan."""
    config = request.config()
    if not layout.is_empty(out):
        layout.check_config(out, config)
        if (out / "plan.parquet").is_file():
            return RunStore.create_or_open(out, config, layout.read_plan(out)), []
    if known:
        return RunStore.create_or_open(out, config, plan_frame(_plan(request, known)), provenance), []
    settled = _references(request, progress, pool, batch)
    references = [reference for _, found in settled for reference in found.references]
    store = RunStore.create_or_open(out, config, plan_frame(_plan(request, references)), provenance)
    kept = [KeepTask(str(store.path), task.cases, found.tables) for task, found in settled if found.tables is not None]
    return store, kept


def _references(request: RunRequest, progress: Progress, pool: Pool, batch: int) -> list[tuple[ReferenceTask, Settled]]:
    """Settle all cases; also score the expert's episodes behind them where the grid asks for these."""
    progress.stage("references", len(request.cases))
    block = reference_block(request.blocks()) if len(request.cases) <= _KEPT_CASES else None
    tasks, place = [], 0
    for cases in _pieces(request.cases, batch, pool.workers):
        tasks.append(ReferenceTask(cases, place, block, request.metrics))
        place += len(cases)
    found: dict[Case, Settled] = {}
    for settled in pool.map(settle_references, tasks):
        found[settled.references[0].case] = settled
        progress.advance(len(settled.references))
    return [(task, found[task.cases[0]]) for task in tasks]


def _plan(request: RunRequest, references: Sequence[CaseReference]) -> list[PlannedEpisode]:
    """Cross cases with agents and latency settings: agents outermost, cases innermost."""
    return [block.entry(place, reference) for block in request.blocks() for place, reference in enumerate(references)]


def _drive(
    store: RunStore, request: RunRequest, progress: Progress, pool: Pool, batch: int, kept: Sequence[KeepTask]
) -> None:
    progress.stage("episodes", len(store.plan))
    progress.advance(len(store.plan) - len(store.pending_rows()))
    for result in pool.map(keep_chunk, kept):
        progress.advance(result.done)
    pending = set(store.pending_rows().tolist())
    rows = [entry for entry in planned_episodes(store.plan) if entry.row in pending]
    failed = 0
    for result in pool.map(drive_chunk, _tasks(store, request, rows, batch, pool.workers)):
        progress.advance(result.done)
        failed += result.errors
        if result.message:
            progress.note(f"{result.errors} episodes could not be driven: {result.message}")
    if failed:
        raise IncompleteRunError(
            f"{failed} of {len(store.plan)} episodes could not be driven; see {store.path}/errors, then run the same "
            "command again"
        )


def _tasks(
    store: RunStore, request: RunRequest, rows: Sequence[PlannedEpisode], batch: int, workers: int
) -> Iterator[ChunkTask]:
    """Cut pending rows into chunks of one agent and one latency setting."""
    for block in request.blocks():
        mine = [entry for entry in rows if 0 <= entry.row - block.first_row < len(request.cases)]
        for chunk in _pieces(mine, batch, workers):
            yield ChunkTask(str(store.path), chunk, block.agent, block.latency, request.metrics)


def _pieces(items: Sequence[T], size: int, workers: int) -> Iterator[tuple[T, ...]]:
    """Cut into pieces of at most ``size``, all about as long, as many for each worker."""
    if not items:
        return
    count = -(-len(items) // size)
    count = min(-(-count // workers) * workers, len(items))
    edges = [len(items) * number // count for number in range(count + 1)]
    for first, last in zip(edges, edges[1:], strict=False):
        yield tuple(items[first:last])


__all__ = ["ChunkResult", "Progress", "RunRequest", "run"]
