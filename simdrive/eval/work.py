"""What one worker process does: drive, score and store a chunk of plan rows, or settle the references of some cases.

Tasks are plain data, so that they travel to spawned processes; everything heavy is built here and kept.
"""

from __future__ import annotations

import functools
import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrive.build import instantiate
from simdrive.errors import SimdriveError
from simdrive.eval.blocks import Block, build_latency
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.episode_codec import EpisodeResult, encode
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.plan import PlannedEpisode
from simdrive.eval.prepared import started, world_of
from simdrive.eval.reference import CaseReference, reference_drives
from simdrive.eval.rollout import rollout
from simdrive.eval.schema import RunTables
from simdrive.eval.store import RunStore
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.sim.roads import RoadMap
from simdrive.types import Agent, Case, EpisodeLog


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


@dataclass(frozen=True)
class ChunkTask:
    """Some episodes of one agent under one latency setting."""

    out: str
    planned: tuple[PlannedEpisode, ...]
    agent: AgentConfig
    latency: LatencyConfig
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class ChunkResult:
    """What the parent needs for its progress: how many episodes are done, how many could not be driven."""

    done: int
    errors: int
    message: str = ""


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
def _store(out: str) -> RunStore:
    return RunStore.open(out)


def settle_references(task: ReferenceTask) -> Settled:
    """Settle avoidability and the expert's progress of some cases."""
    drives = reference_drives(task.cases)
    references = tuple(reference for reference, _ in drives)
    if task.block is None:
        return Settled(references, None)
    planned = [task.block.entry(task.place + number, reference) for number, reference in enumerate(references)]
    return Settled(references, _scored(planned, [log for _, log in drives], task.metrics))


def keep_chunk(task: KeepTask) -> ChunkResult:
    """Store episodes that are driven and scored already."""
    store = _store(task.out)
    _write_maps(store, task.cases)
    store.write_part(task.tables)
    return ChunkResult(len(task.cases), 0)


def drive_chunk(task: ChunkTask) -> ChunkResult:
    """Drive, score and store the episodes of a task; a fault of the simulator is noted and leaves them pending."""
    store = _store(task.out)
    try:
        episodes = episode_inputs(task.planned)
        worlds = started(tuple(episode.case for episode in episodes))
        logs = rollout(episodes, build_agent(task.agent), build_latency(task.latency), worlds=worlds)
    except SimdriveError:
        raise
    except Exception as error:  # recorded per episode beside the results, never swallowed
        for entry in task.planned:
            store.record_error(entry.row, "simulator", f"{type(error).__name__}: {error}", traceback.format_exc())
        return ChunkResult(0, len(task.planned), f"{type(error).__name__}: {error}")
    _write_maps(store, [entry.case for entry in task.planned])
    store.write_part(_scored(task.planned, logs, task.metrics))
    return ChunkResult(len(logs), 0)


def _scored(planned: Sequence[PlannedEpisode], logs: Sequence[EpisodeLog], names: tuple[str, ...]) -> RunTables:
    metrics = load_metrics(names)
    return encode([EpisodeResult(entry, log, evaluate(log, metrics)) for entry, log in zip(planned, logs, strict=True)])


def _write_maps(store: RunStore, cases: Sequence[Case]) -> None:
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
