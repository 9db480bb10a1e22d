"""What one worker process does: drive, score and store a chunk of plan rows, or settle the references of some cases.

Tasks are plain data, so that they travel to spawned processes; everything heavy is built here and kept.
"""

from __future__ import annotations

import functools
import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simdrive.build import instantiate
from simdrive.errors import SimdriveError
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.episode_codec import EpisodeResult, encode
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.plan import PlannedEpisode
from simdrive.eval.reference import CaseReference, references
from simdrive.eval.rollout import rollout
from simdrive.eval.store import RunStore
from simdrive.latency.modes import LatencySetting, build_mode
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.scenarios.sampling import build_case
from simdrive.sim.roads import RoadMap
from simdrive.sim.spec import WorldSpec
from simdrive.sim.worlds import Worlds
from simdrive.types import Agent, Case, EpisodeLog


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


def build_latency(config: LatencyConfig) -> LatencySetting:
    """Build the latency setting behind a resolved configuration."""
    return LatencySetting(
        source=instantiate(json.loads(config.source)),
        mode=build_mode(json.loads(config.mode)),
        waiting=config.waiting,  # type: ignore[arg-type]  # checked by the setting itself
        aeb_monitor=config.aeb_monitor,
    )


def episode_inputs(planned: Sequence[PlannedEpisode]) -> list[EpisodeInput]:
    """Return the worlds of planned episodes with their references."""
    return [
        EpisodeInput(
            entry.case,
            _world(entry.case),
            avoidable=entry.avoidable,
            hazard_us=entry.hazard_us,
            expert_progress_m=entry.expert_progress_m,
        )
        for entry in planned
    ]


@functools.lru_cache(maxsize=1024)
def _world(case: Case) -> WorldSpec:
    return build_case(case)


@functools.lru_cache(maxsize=8)
def _started(cases: tuple[Case, ...]) -> Worlds:
    """Return worlds at time zero, to be copied: the chunks of a grid come back to the same cases again and again."""
    return Worlds([_world(case) for case in cases])


@functools.lru_cache(maxsize=8)
def _store(out: str) -> RunStore:
    return RunStore.open(out)


def settle_references(cases: tuple[Case, ...]) -> tuple[CaseReference, ...]:
    """Return avoidability and the expert's progress of some cases."""
    return tuple(references(cases))


def drive_chunk(task: ChunkTask) -> ChunkResult:
    """Drive, score and store the episodes of a task; a fault of the simulator is noted and leaves them pending."""
    store = _store(task.out)
    try:
        episodes = episode_inputs(task.planned)
        worlds = _started(tuple(episode.case for episode in episodes)).select(range(len(episodes)))
        logs = rollout(episodes, build_agent(task.agent), build_latency(task.latency), worlds=worlds)
    except SimdriveError:
        raise
    except Exception as error:  # recorded per episode beside the results, never swallowed
        for entry in task.planned:
            store.record_error(entry.row, "simulator", f"{type(error).__name__}: {error}", traceback.format_exc())
        return ChunkResult(0, len(task.planned), f"{type(error).__name__}: {error}")
    _store_logs(store, task, logs)
    return ChunkResult(len(logs), 0)


def _store_logs(store: RunStore, task: ChunkTask, logs: Sequence[EpisodeLog]) -> None:
    metrics = load_metrics(task.metrics)
    results = [EpisodeResult(entry, log, evaluate(log, metrics)) for entry, log in zip(task.planned, logs, strict=True)]
    for entry, log in zip(task.planned, logs, strict=True):
        if not (Path(task.out) / "maps" / f"{log.map_key}.npz").is_file():
            store.write_map(log.map_key, _map_arrays(_world(entry.case).road))
    store.write_part(encode(results))


def _map_arrays(road: RoadMap) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tables of a map with the names of its lanes as plain arrays."""
    return {
        **road.tables._asdict(),
        "lane_names": np.array(["/".join(map(str, lane)) for lane in road.lane_index]),
    }
