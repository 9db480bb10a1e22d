"""The runs of a study: one run folder per agent and latency setting, driven when it is asked for, kept for good.

    <out>/study.json                       what all runs share; a folder that was made with something else is refused
    <out>/runs/<agent>/<setting>/          ordinary run folders, so that ``simdrive show`` and ``record`` work on them

Each run resumes by itself, so an interrupted study continues with the same command, and a study with other margins,
delays or variants reuses whatever is there. References are settled once and handed on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from simdrive.build import load_config
from simdrive.errors import RunFolderError
from simdrive.eval.blocks import build_latency
from simdrive.eval.files import write_json
from simdrive.eval.folder import differences, is_empty
from simdrive.eval.grid import AgentConfig, LatencyConfig, latency_configs
from simdrive.eval.plan import planned_episodes
from simdrive.eval.reference import CaseReference
from simdrive.eval.runner import Progress, RunRequest, run
from simdrive.eval.store import RunStore
from simdrive.eval.summary import outcomes
from simdrive.streams import digest
from simdrive.types import Case

FORMAT = "simdrive-study"
METRICS = ("failure", "at_fault_contact", "contact", "off_road", "low_progress", "plan_age_p95_ms")
_LONGEST_NAME = 80


@dataclass(frozen=True)
class StudyBase:
    """What all runs of a study share: the cases, and how requests meet the clock."""

    suite: str
    suite_version: int
    cases: tuple[Case, ...]
    mode: Any = "streaming"  # name or mapping, as in simdrive eval
    waiting: str = "follow_plan"
    aeb_monitor: bool = False

    def __post_init__(self) -> None:
        """Refuse a wrong mode or waiting policy before anything is driven."""
        build_latency(self.delay(0.0))

    def config(self) -> dict[str, Any]:
        """Return it as plain values; equal for equal studies."""
        return {
            "suite": self.suite,
            "suite_version": self.suite_version,
            "cases": {"count": len(self.cases), "hash": digest([case.key for case in self.cases])},
            "mode": self.mode,
            "waiting": self.waiting,
            "aeb_monitor": self.aeb_monitor,
        }

    def setting(self, source: str, fields: Mapping[str, Any]) -> LatencyConfig:
        """Return the latency setting of one source with some of its fields given.

        Raises:
            UnknownNameError: if there is no such source.
        """
        config = load_config("latency", source) | dict(fields)
        (setting,) = latency_configs(source, config, self.mode, self.waiting, self.aeb_monitor)
        return setting

    def delay(self, delay_ms: float) -> LatencyConfig:
        """Return the setting in which every request takes ``delay_ms``."""
        return self.setting("constant", {"delay_ms": float(delay_ms)})


@dataclass
class StudyRuns:
    """Drives the runs of a study, or opens those that are driven."""

    base: StudyBase
    out: Path
    progress: Progress
    workers: int = 1
    batch: int = 128
    provenance: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = METRICS
    _known: tuple[CaseReference, ...] = ()

    def __post_init__(self) -> None:
        """Claim the folder.

        Raises:
            RunFolderError: if it holds something else; it is left untouched.
        """
        path, config = self.out / "study.json", self.base.config()
        if is_empty(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            write_json(path, {"format": FORMAT, **config})
            return
        lines = list(differences(_read_marker(path), json.loads(json.dumps(config))))
        if lines:
            raise RunFolderError(
                f"{self.out} holds a study of something else:\n" + "\n".join(f"  {line}" for line in lines) + "\n"
                "give another folder with out=..."
            )

    def store(self, agent: AgentConfig, latency: LatencyConfig, name: str) -> RunStore:
        """Return the finished run of one agent under one setting, driving what is missing.

        Raises:
            RunFolderError: if the sources of simulator, agents or latency changed since the run was begun.
            IncompleteRunError: if some episodes could not be driven.
        """
        self.progress.note(f"{agent.name}, {latency.label}")
        request = RunRequest(
            self.base.suite, self.base.suite_version, self.base.cases, (agent,), (latency,), self.metrics
        )  # fmt: skip
        folder = self.out / "runs" / _folder_name(agent.name) / _folder_name(name)
        store = run(
            request, folder, self.progress, workers=self.workers, batch=self.batch,
            provenance=self.provenance, known=self._known,
        )  # fmt: skip
        if not self._known:
            self._known = references_of(store)
        return store

    def failures(self, agent: AgentConfig, latency: LatencyConfig, name: str) -> pd.Series[float]:
        """Return the scored failures by case of one agent under one setting."""
        return outcomes(self.store(agent, latency, name).episodes())

    def failures_at(self, agent: AgentConfig, delay_ms: float) -> pd.Series[float]:
        """Return the scored failures by case of one agent at a constant delay."""
        return self.failures(agent, self.base.delay(delay_ms), delay_name(delay_ms))


def delay_name(delay_ms: float) -> str:
    """Return the folder name of a constant delay; sorts by delay."""
    return f"delay_{delay_ms:07.1f}ms"


def references_of(store: RunStore) -> tuple[CaseReference, ...]:
    """Return the references that the plan of a run with one block rests on."""
    return tuple(
        CaseReference(entry.case, entry.avoidable, entry.hazard_us, entry.expert_progress_m, entry.valid)
        for entry in planned_episodes(store.plan)
    )


def _read_marker(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise RunFolderError(
            f"{path.parent} is not the folder of a study (no study.json of ours); it was left untouched"
        )
    return found


def _folder_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:_LONGEST_NAME]
