"""Run a whole grid into one folder: plan, references, chunks over worker processes, compaction, summary.

The same call continues an interrupted run. Chunks are cut from the pending rows; neither their size nor the number of
workers changes a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd

from simdrive.errors import IncompleteRunError, ParameterError
from simdrive.eval import folder as layout
from simdrive.eval.blocks import Block, blocks_of, build_latency, reference_block
from simdrive.eval.charges import check_charges
from simdrive.eval.corruptions import CLEAN, CorruptionConfig, corruptions_config
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.keys import source_hash
from simdrive.eval.lock import only_writer
from simdrive.eval.plan import PlannedEpisode, plan_frame, planned_episodes
from simdrive.eval.pool import Crew, Pool
from simdrive.eval.reference import CaseReference
from simdrive.eval.sharding import Shard, parse_shard
from simdrive.eval.stopping import StopRule, next_stop, outcome_counts, rounds
from simdrive.eval.store import RunStore
from simdrive.eval.tries import Tries
from simdrive.eval.work import (
    ChunkResult,
    ChunkTask,
    KeepTask,
    ReferenceTask,
    Settled,
    drive_chunk,
    keep_chunk,
    lost_chunk,
    settle_references,
    write_maps,
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
    stop: StopRule | None = None  # ends the run before its last case
    first_row: int = 0  # of its plan within that of the run, where this is a part of one
    corruptions: tuple[CorruptionConfig, ...] = (CLEAN,)
    shard: Shard | None = None  # what part of a run this is, of which ``cases`` are its own
    sightless: tuple[str, ...] = ()  # agents that are shown no picture and so drive once, uncorrupted

    def __post_init__(self) -> None:
        """Refuse a stopping rule without what it is about."""
        if self.stop is not None and self.metrics and "failure" not in self.metrics:
            raise ParameterError(f"stop=... watches the failure rate; add failure to metrics, got {list(self.metrics)}")

    def config(self) -> dict[str, Any]:
        """Return the resolved configuration as plain values; equal for equal runs."""
        return {
            "suite": self.suite,
            "suite_version": self.suite_version,
            "cases": {
                "count": len(self.cases) if self.shard is None else self.shard.cases,
                "hash": digest([case.key for case in self.cases]) if self.shard is None else self.shard.cases_hash,
            },
            "agents": {agent.name: agent.config for agent in self.agents},
            "latencies": [
                {"label": latency.label, "source": latency.source, "mode": latency.mode,
                 "waiting": latency.waiting, "aeb_monitor": latency.aeb_monitor, "deadline": latency.deadline}
                for latency in self.latencies
            ],
            "metrics": list(self.metrics) or "all",
            "sources": source_hash(),
            **({} if self.stop is None else {"stop": self.stop.config()}),
            **({} if self.shard is None else {"shard": str(self.shard)}),
            **corruptions_config(self.corruptions, self.sightless),
        }  # fmt: skip

    def part(self, shard: object) -> RunRequest:
        """Return one part of this run, ``shard`` being ``i/N``; itself for None.

        Raises:
            ParameterError: if there is no such part, or a stopping rule would look at a part only.
        """
        chosen = parse_shard(shard, self.cases)
        if chosen is None:
            return self
        if self.stop is not None:
            raise ParameterError(
                "stop=... looks at all cases of a run; leave it out with shard=..., or drive the whole"
            )
        return replace(self, cases=chosen.chosen(self.cases), shard=chosen)

    def blocks(self) -> list[Block]:
        """Return the rows of the plan, one block per agent, corruption and latency setting."""
        return blocks_of(self.agents, self.latencies, len(self.cases), self.first_row, self.corruptions, self.sightless)

    @property
    def rows(self) -> range:
        """Rows of the plan that are its own; those of other rounds of a run with a stopping rule are not."""
        return range(self.first_row, self.first_row + len(self.blocks()) * len(self.cases))

    @property
    def groups(self) -> list[tuple[str, str, str]]:
        """Agents, latency settings and corruptions by their names in tables."""
        return [block.group for block in self.blocks()]


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
    agent_timeout_s: float | None = None,
    crew: AbstractContextManager[Crew] | None = None,
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
        agent_timeout_s: longest time on the host of one call of an agent, after which its chunk is given up; None = any.
        crew: who works; by default ``workers`` processes of this machine.

    Raises:
        ParameterError: if workers or batch are below 1, or ``known`` are those of other cases.
        RunFolderError: if the folder is foreign, holds another configuration, or has a writer; it is left untouched.
        StorageError: if something cannot be written.
        IncompleteRunError: if some episodes could not be driven.
    """
    if workers < 1 or batch < 1:
        raise ParameterError(f"workers and batch must be at least 1, got {workers} and {batch}")
    if known and tuple(reference.case for reference in known) != request.cases:
        raise ParameterError("the known references are not those of the cases of this run")
    _check_latencies(request.latencies)
    check_charges(request.agents, request.latencies)
    if not layout.is_empty(out):
        layout.check_config(out, request.config())
    with only_writer(out), crew or Pool(workers) as pool:
        if request.stop is None:
            store, kept = _open(request, out, progress, pool, batch, provenance or {}, known)
            _drive(store, request, progress, pool, batch, kept, agent_timeout_s)
        else:
            store = _drive_until(request.stop, request, out, progress, pool, batch, provenance or {}, agent_timeout_s)
        _restore_maps(store)
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
    pool: Crew,
    batch: int,
    provenance: dict[str, Any],
    known: Sequence[CaseReference],
) -> tuple[RunStore, list[KeepTask]]:
    """Open the folder with its own plan if there is one, else settle the references and plan."""
    config = request.config()
    if not layout.is_empty(out):
        layout.check_config(out, config)
        if layout.is_readable(out / "plan.parquet"):
            return RunStore.create_or_open(out, config, layout.read_plan(out)), []
    if known:
        return RunStore.create_or_open(out, config, plan_frame(_plan(request, known)), provenance), []
    settled = _references(request, progress, pool, batch)
    references = [reference for _, found in settled for reference in found.references]
    store = RunStore.create_or_open(out, config, plan_frame(_plan(request, references)), provenance)
    return store, _kept(store, settled)


def _kept(store: RunStore, settled: Sequence[tuple[ReferenceTask, Settled]]) -> list[KeepTask]:
    """Return what was driven for the references and is asked for by the plan."""
    return [
        KeepTask(str(store.path), task.cases, found.tables, len(store.plan))
        for task, found in settled
        if found.tables is not None
    ]


def _references(request: RunRequest, progress: Progress, pool: Crew, batch: int) -> list[tuple[ReferenceTask, Settled]]:
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
    """Cross cases with agents, corruptions and latency settings: agents outermost, cases innermost."""
    return [block.entry(place, reference) for block in request.blocks() for place, reference in enumerate(references)]


def _drive(
    store: RunStore,
    request: RunRequest,
    progress: Progress,
    pool: Crew,
    batch: int,
    kept: Sequence[KeepTask],
    agent_timeout_s: float | None,
) -> None:
    if store.damaged:
        progress.note(f"cut-off files were removed and are made again: {', '.join(store.damaged[:5])}"
                      + (f" and {len(store.damaged) - 5} more" if len(store.damaged) > 5 else ""))  # fmt: skip
    progress.stage("episodes", len(store.plan))
    progress.advance(len(store.plan) - len(store.pending_rows()))
    for result in pool.map(keep_chunk, kept):
        progress.advance(result.done)
    pending = set(store.pending_rows().tolist()) & set(request.rows)
    rows = [entry for entry in planned_episodes(store.plan) if entry.row in pending]
    tries = Tries()
    tasks: Iterable[ChunkTask] | None = _tasks(store, request, rows, batch, pool.workers, agent_timeout_s)
    while tasks is not None:
        for result in pool.map(drive_chunk, tries.worth_it(tasks), lost_chunk):
            progress.advance(result.done)
            tries.count(result)
            if result.errors:
                progress.note(f"{result.errors} episodes could not be driven: {result.message}")
        tasks = tries.again()
    left = len(set(store.pending_rows().tolist()) & set(request.rows))
    if left:
        raise IncompleteRunError(
            f"{left} of {len(store.plan)} episodes are missing: {tries.message}. "
            f"Notes are in {store.path}/errors; once that is mended, the same command drives what is missing"
        )


def _restore_maps(store: RunStore) -> None:
    """Write the maps again that were cut off."""
    if not any(name.startswith("maps/") for name in store.damaged):
        return
    done = store.columns("episodes", ["row", "map_key"]).drop_duplicates("map_key")
    planned = list(planned_episodes(store.plan))
    write_maps(store, [planned[row].case for row in done["row"]])


def _tasks(
    store: RunStore,
    request: RunRequest,
    rows: Sequence[PlannedEpisode],
    batch: int,
    workers: int,
    agent_timeout_s: float | None,
) -> Iterator[ChunkTask]:
    """Cut pending rows into chunks of one agent and one latency setting."""
    for block in request.blocks():
        mine = [entry for entry in rows if 0 <= entry.row - block.first_row < len(request.cases)]
        for chunk in _pieces(mine, batch, workers):
            yield ChunkTask(str(store.path), chunk, block.agent, block.latency, request.metrics, len(store.plan),
                            block.corruption, agent_timeout_s)  # fmt: skip


def _drive_until(
    rule: StopRule,
    request: RunRequest,
    out: Path,
    progress: Progress,
    pool: Crew,
    batch: int,
    provenance: dict[str, Any],
    agent_timeout_s: float | None,
) -> RunStore:
    """Plan and drive round after round of cases until the rule is met or there are no more cases.

    The plan grows by one part per look; where the looks are follows from the outcomes alone, so that it ends the same
    for any workers and batch size, and after any kill.
    """
    parts, groups = rounds(request.cases), request.groups
    if len(set(groups)) < len(groups):
        raise ParameterError("stop=... needs agents and latency settings whose names in tables differ")
    store, counts, done = _reopened(request, out), [(0, 0)] * len(groups), 0
    while True:
        until = next_stop(rule, counts, done, len(parts), len(parts[0]))
        cases = tuple(case for part in parts[done:until] for case in part)
        part = replace(request, cases=cases, first_row=done * len(parts[0]) * len(groups))
        kept: list[KeepTask] = []
        if store is None or len(store.plan) < part.first_row + len(cases) * len(groups):
            settled = _references(part, progress, pool, batch)
            new = _plan(part, [reference for _, found in settled for reference in found.references])
            if store is None:
                store = RunStore.create_or_open(out, request.config(), plan_frame(new), provenance)
            else:
                store = store.grow(plan_frame([*planned_episodes(store.plan), *new]))
            kept = _kept(store, settled)
        _drive(store, part, progress, pool, batch, kept, agent_timeout_s)
        done = until
        counts = outcome_counts(_first(store, done * len(parts[0]) * len(groups)), groups)
        if rule.met(counts) or done == len(parts):
            return store


def _reopened(request: RunRequest, out: Path) -> RunStore | None:
    """Return the folder of an interrupted run with the plan it had come to; None if it has none."""
    config = request.config()
    if layout.is_empty(out):
        return None
    layout.check_config(out, config)
    if not (out / "plan.parquet").is_file():
        return None
    plan = layout.read_plan(out)
    layout.grow(out, plan)  # in case it was killed between the two files
    return RunStore.create_or_open(out, config, plan)


def _first(store: RunStore, rows: int) -> pd.DataFrame:
    """Return what a stopping rule needs of the episodes of the first rows of a plan."""
    found = store.columns("episodes", ["row", "agent", "latency", "corruption", "valid", "end", "failure"])
    return found[found["row"] < rows]


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
