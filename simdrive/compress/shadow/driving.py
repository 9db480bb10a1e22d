"""Drives cases with one driver while two answer, chunk by chunk into a folder; what is there is not driven again."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simdrive.compress.shadow.differences import MEASURES
from simdrive.compress.shadow.picture import png
from simdrive.compress.shadow.watching import Roles, Watching, joint_wants
from simdrive.errors import ParameterError, RunFolderError, UnknownNameError
from simdrive.eval.corruptions import CLEAN, CorruptionConfig, build_corruption
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.files import write_atomically, write_json
from simdrive.eval.grid import AgentConfig
from simdrive.eval.keys import source_hash
from simdrive.eval.pool import Pool
from simdrive.eval.prepared import started, world_of
from simdrive.eval.reference import references
from simdrive.eval.rollout import rollout
from simdrive.eval.work import build_agent
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.streams import digest
from simdrive.types import Case

FORMAT, VERSION = "simdrive-shadow", 1


@dataclass(frozen=True)
class ShadowRequest:
    """Everything that decides what a shadow run finds.

    Attributes:
        teacher, student: who is compared.
        driver: whose plans are driven; the student's own = on-policy, so that its failures are known too.
        cases: what is driven.
        corruptions: of the cameras, each driven by itself.
        period_ms: simulated time between two observations; answers count at once.
        by: the measure whose largest values are shown.
        pictures: frames kept per chunk.
    """

    teacher: AgentConfig
    student: AgentConfig
    driver: AgentConfig
    cases: tuple[Case, ...]
    corruptions: tuple[CorruptionConfig, ...] = (CLEAN,)
    period_ms: float = 200.0
    by: str = "waypoint_m"
    pictures: int = 8

    def __post_init__(self) -> None:
        if self.teacher.config == self.student.config:
            raise ParameterError(f"teacher and student are both {self.teacher.name}; name two different drivers")
        if self.by not in MEASURES:
            raise UnknownNameError("measure", self.by, MEASURES)
        if not self.cases:
            raise ParameterError("there is no case to drive; give a suite or a run folder that has some")
        if not 100.0 <= self.period_ms <= 5000.0:
            raise ParameterError(f"period_ms must be from 100 (every frame) to 5000, got {self.period_ms:g}")

    @property
    def on_policy(self) -> bool:
        """Whether the student drives."""
        return self.driver.config == self.student.config

    def config(self) -> dict[str, Any]:
        """Return this as plain values; equal for equal runs."""
        return {
            "format": FORMAT, "version": VERSION, "sources": source_hash(),
            "teacher": {"name": self.teacher.name, "config": self.teacher.config},
            "student": {"name": self.student.name, "config": self.student.config},
            "driver": {"name": self.driver.name, "config": self.driver.config},
            "cases": {"count": len(self.cases), "hash": digest([case.key for case in self.cases])},
            "corruptions": [each.label or "none" for each in self.corruptions],
            "period_ms": self.period_ms, "by": self.by, "pictures": self.pictures,
        }  # fmt: skip


@dataclass(frozen=True)
class ShadowTask:
    """One chunk: some cases under one corruption, and where what is found goes."""

    path: str
    request: ShadowRequest
    cases: tuple[Case, ...]
    corruption: CorruptionConfig


def shadow(request: ShadowRequest, out: Path, workers: int = 1, batch: int = 64) -> Iterator[int]:
    """Drive what is missing in ``out`` and yield how many cases each finished chunk has.

    Raises:
        RunFolderError: if the folder holds something else, or the run of another request.
        ParameterError: if the two drivers cannot be shown the same world.
    """
    if workers < 1 or batch < 1:
        raise ParameterError(f"workers and batch must be at least 1, got {workers} and {batch}")
    joint_wants([build_agent(each) for each in (request.teacher, request.student, request.driver)])
    _claim(out, request.config(), batch)
    tasks = [
        ShadowTask(str(out / "parts" / f"part-{number:02d}-{start:06d}.parquet"), request,
                   request.cases[start : start + batch], corruption)
        for number, corruption in enumerate(request.corruptions)
        for start in range(0, len(request.cases), batch)
    ]  # fmt: skip
    missing = [task for task in tasks if not Path(task.path).is_file()]
    yield sum(len(task.cases) for task in tasks) - sum(len(task.cases) for task in missing)
    with Pool(workers) as pool:
        yield from pool.map(shadow_chunk, missing)


def _claim(out: Path, config: dict[str, Any], batch: int) -> None:
    """Make the folder ours, or check that it is."""
    path, config = out / "config.json", {**config, "batch": batch}
    if path.is_file():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunFolderError(f"{path} cannot be read; delete {out} or choose another out=") from error
        changed = sorted(key for key in {*there, *config} if there.get(key) != config.get(key))
        if changed:
            raise RunFolderError(f"{out} holds another shadow run: {', '.join(changed)} differ; choose another out=")
        return
    if out.is_dir() and any(out.iterdir()):
        raise RunFolderError(f"{out} is not empty and holds no shadow run; choose another out=")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, config)


def shadow_chunk(task: ShadowTask) -> int:
    """Drive one chunk and write its frames and episodes; return how many cases it has."""
    request, label = task.request, task.corruption.label
    known = references(task.cases)
    agents = {config.config: build_agent(config) for config in (request.teacher, request.student, request.driver)}
    roles = Roles(*(agents[config.config] for config in (request.teacher, request.student, request.driver)))
    lights = [world_of(case).lighting for case in task.cases]
    watching = Watching(roles, task.cases, lights, label, request.pictures, request.by)
    episodes = [EpisodeInput(k.case, world_of(k.case), k.avoidable, k.hazard_us, k.expert_progress_m) for k in known]
    logs = rollout(
        episodes, watching, LatencySetting(Constant(0.0), Mode("periodic", period_ms=request.period_ms)),
        worlds=started(task.cases), corruption=build_corruption(task.corruption),
    )  # fmt: skip
    outcomes = [_outcome(log, reference.valid, label) for log, reference in zip(logs, known, strict=True)]
    pictures = watching.pictures()
    frames = pd.DataFrame(watching.rows)
    frames["picture"] = [png(pictures[row]) if row in pictures else None for row in range(len(frames))]
    path = Path(task.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.with_suffix(".episodes"), pd.DataFrame(outcomes).to_parquet)
    write_atomically(path, frames.to_parquet)
    return len(task.cases)


@functools.lru_cache(maxsize=1)
def _failure() -> Any:
    return load_metrics(("failure",))


def _outcome(log: Any, valid: bool, label: str) -> dict[str, Any]:
    found = evaluate(log, _failure())["failure"]
    scored = found.valid and valid
    return {
        "case_key": log.case.key, "scenario": log.case.scenario, "corruption": label or "none", "end": log.end.name.lower(),
        "failure": float(found.value) if scored else np.nan, "end_us": int(log.t_us[-1]),
    }  # fmt: skip


def read_shadow(out: Path) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Return configuration, frames and episodes of a shadow run.

    Raises:
        RunFolderError: if the folder holds none, or one of another version.
    """
    path = out / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{out} holds no shadow run ({path.name} is missing or damaged)") from error
    if config.get("format") != FORMAT or config.get("version") != VERSION:
        raise RunFolderError(f"{out} is no shadow run of version {VERSION}; make it again with this version")
    tables = [_joined(sorted((out / "parts").glob(f"part-*{suffix}")), out) for suffix in (".parquet", ".episodes")]
    return config, tables[0], tables[1]


def _joined(paths: Sequence[Path], out: Path) -> pd.DataFrame:
    if not paths:
        raise RunFolderError(f"{out} holds no finished part yet; run the same command again")
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
