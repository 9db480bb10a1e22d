"""What one worker process does: drive, score and store a chunk of plan rows, or settle the references of some cases.

Tasks are plain data, so that they travel to spawned processes; everything heavy is built here and kept.
"""

from __future__ import annotations

import functools
import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simdrive.build import instantiate
from simdrive.errors import AgentUnavailableError, SimdriveError
from simdrive.eval.blocks import Block, build_latency
from simdrive.eval.corruptions import CLEAN, CorruptionConfig, build_corruption
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.episode_codec import EpisodeResult, encode
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.plan import PlannedEpisode
from simdrive.eval.prepared import started, world_of
from simdrive.eval.reference import CaseReference, settled
from simdrive.eval.rollout import rollout
from simdrive.eval.schema import RunTables
from simdrive.eval.store import RunStore
from simdrive.eval.watched import HungAgentError, watched
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.sim.roads import RoadMap
from simdrive.types import Agent, Case, EpisodeLog, Metric

ENOUGH = 8  # chunks in a row that an agent may cost (a worker dead, a call that never ended) in one call of a run


@dataclass(frozen=True)
class ReferenceTask:
    """Some cases, of which the first stands at ``place`` among all; ``block`` asks for the episodes too."""

    cases: tuple[Case, ...]
    place: int
    block: Block | None
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Settled:
    """References, and as finished tables the expert's episodes behind them if they were asked for."""

    references: tuple[CaseReference, ...]
    tables: RunTables | None


@dataclass(frozen=True)
class KeepTask:
    """Episodes that were driven before there was a plan to store them under."""

    out: str
    cases: tuple[Case, ...]
    tables: RunTables
    plan_rows: int = 0  # of the plan that holds them: a plan that grows is read again


@dataclass(frozen=True)
class ChunkTask:
    """Some episodes of one agent under one corruption and latency setting."""

    out: str
    planned: tuple[PlannedEpisode, ...]
    agent: AgentConfig
    latency: LatencyConfig
    metrics: tuple[str, ...]
    plan_rows: int = 0  # of the plan that holds them: a plan that grows is read again
    corruption: CorruptionConfig = CLEAN
    agent_timeout_s: float | None = None  # of one call of the agent, after which the chunk is given up

    def halves(self) -> tuple[ChunkTask, ...]:
        """Return the two halves of its episodes, so that one that cannot be driven takes no other with it."""
        middle = len(self.planned) // 2
        return replace(self, planned=self.planned[:middle]), replace(self, planned=self.planned[middle:])


@dataclass(frozen=True)
class ChunkResult:
    """What became of a task.

    Attributes:
        done: episodes that are stored.
        errors: episodes that could not be driven; they have a note in the folder and stay pending.
        message: why.
        again: the task, if parts of it are worth another try.
        agent: who drove.
        strikes: what this counts towards giving the agent up for now, at ``ENOUGH``; done episodes take all back.
    """

    done: int
    errors: int
    message: str = ""
    again: ChunkTask | None = None
    agent: str = ""
    strikes: int = 0


def build_agent(config: AgentConfig) -> Agent:
    """Build the agent behind a resolved configuration."""
    agent: Agent = instantiate(json.loads(config.config))
    return agent


def episode_inputs(planned: Sequence[PlannedEpisode]) -> list[EpisodeInput]:
    """Return the worlds of planned episodes with their references."""
    return [
        EpisodeInput(
            entry.case,
            world_of(entry.case),
            avoidable=entry.avoidable,
            hazard_us=entry.hazard_us,
            expert_progress_m=entry.expert_progress_m,
        )
        for entry in planned
    ]


@functools.lru_cache(maxsize=8)
def _store(out: str, plan_rows: int) -> RunStore:
    return RunStore.open(out)


def settle_references(task: ReferenceTask) -> Settled:
    """Settle avoidability and the expert's progress of some cases."""
    found = settled(task.cases)
    references = tuple(reference for reference, _ in found)
    logs = [log for _, log in found if log is not None]
    if task.block is None or len(logs) < len(found):
        return Settled(references, None)
    planned = [task.block.entry(task.place + number, reference) for number, reference in enumerate(references)]
    return Settled(references, _scored(planned, logs, task.metrics))


def keep_chunk(task: KeepTask) -> ChunkResult:
    """Store episodes that are driven and scored already."""
    store = _store(task.out, task.plan_rows)
    write_maps(store, task.cases)
    store.write_part(task.tables)
    return ChunkResult(len(task.cases), 0)


def drive_chunk(task: ChunkTask) -> ChunkResult:
    """Drive, score and store the episodes of a task; what cannot be driven stays pending, with a note why.

    Raises:
        SimdriveError: if nothing of the run can go on (disk full, wrong configuration).
    """
    try:
        episodes = episode_inputs(task.planned)
        worlds = started(tuple(episode.case for episode in episodes))
        agent = watched(build_agent(task.agent), task.agent_timeout_s)
        logs = rollout(
            episodes, agent, build_latency(task.latency), worlds=worlds, corruption=build_corruption(task.corruption)
        )
        tables = _scored(task.planned, logs, task.metrics)
    except HungAgentError as error:
        return _failed(task, "agent", str(error), 1)
    except AgentUnavailableError as error:
        return _noted(task, "agent", str(error), ENOUGH)
    except SimdriveError:
        raise
    except Exception as error:  # recorded per episode beside the results, never swallowed
        return _failed(task, "simulator", f"{type(error).__name__}: {error}", 0, traceback.format_exc())
    store = _store(task.out, task.plan_rows)
    write_maps(store, [entry.case for entry in task.planned])
    store.write_part(tables)
    return ChunkResult(len(logs), 0, agent=task.agent.name)


def lost_chunk(task: ChunkTask, message: str) -> ChunkResult:
    """Return what becomes of a task whose worker died of it."""
    return _failed(task, "worker", message, 1)


def _failed(task: ChunkTask, kind: str, message: str, strikes: int, trace: str = "") -> ChunkResult:
    """Ask for another try of each half, or note that the only episode of a task cannot be driven."""
    if len(task.planned) > 1:
        return ChunkResult(0, 0, message, task, task.agent.name, strikes)
    return _noted(task, kind, message, strikes, trace)


def _noted(task: ChunkTask, kind: str, message: str, strikes: int, trace: str = "") -> ChunkResult:
    store = _store(task.out, task.plan_rows)
    for entry in task.planned:
        store.record_error(entry.row, kind, message, trace)
    return ChunkResult(0, len(task.planned), message, agent=task.agent.name, strikes=strikes)


@functools.lru_cache(maxsize=4)
def _metrics(names: tuple[str, ...]) -> tuple[Metric, ...]:
    return load_metrics(names)


def _scored(planned: Sequence[PlannedEpisode], logs: Sequence[EpisodeLog], names: tuple[str, ...]) -> RunTables:
    metrics = _metrics(names)
    return encode([EpisodeResult(entry, log, evaluate(log, metrics)) for entry, log in zip(planned, logs, strict=True)])


def write_maps(store: RunStore, cases: Sequence[Case]) -> None:
    """Store the maps of some cases where the folder lacks them."""
    for case in cases:
        road = world_of(case).road
        if not (store.path / "maps" / f"{road.key}.npz").is_file():
            store.write_map(road.key, _map_arrays(road))


def _map_arrays(road: RoadMap) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tables of a map with the names of its lanes as plain arrays."""
    return {
        **road.tables._asdict(),
        "lane_names": np.array(["/".join(map(str, lane)) for lane in road.lane_index]),
    }
