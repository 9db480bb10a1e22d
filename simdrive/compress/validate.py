"""How good a model in training is: its answers on validation frames, and how it drives on validation cases.

The best checkpoint is chosen by failures in closed loop, not by loss: a model that answers well may still drive badly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simdrive.agents.language.grammar import answer_forms
from simdrive.agents.language.questions import TOPICS
from simdrive.agents.language.scoring import driving_score, score
from simdrive.compress.lessons import lesson_named, turns_of
from simdrive.compress.samples import Samples
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.prepared import started, world_of
from simdrive.eval.reference import CaseReference, references
from simdrive.eval.rollout import rollout
from simdrive.eval.stats import wilson
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.models.local import LocalModel
from simdrive.models.processor import grey
from simdrive.scenarios.sampling import load_suite, suite_cases
from simdrive.types import Agent

_METRICS = ("failure", "at_fault_contact", "unparsable_share")
_BATCH = 64


@dataclass(frozen=True)
class ClosedLoop:
    """Which cases are driven for validation, and how often a model is asked."""

    suite: str = "long_tail_v1"
    seed: int = 6000
    cases: int = 5  # per scenario
    period_ms: float = 200.0  # between requests, answered at once: cheaper than every frame, and hardly worse
    quantile: float | None = None  # how cautiously the model drives; None = its best guesses, in its own words

    @property
    def driver(self) -> dict[str, Any]:
        """Settings of the agent that drives with a model."""
        return {} if self.quantile is None else {"constrained": True, "quantile": self.quantile}


def validation_cases(settings: ClosedLoop) -> list[CaseReference]:
    """Return the cases of a validation with what is known about them; unusable ones are left out."""
    suite = load_suite(settings.suite)
    entries = tuple(replace(entry, cases=settings.cases) for entry in suite.entries)
    cases = suite_cases(replace(suite, entries=entries, seed=settings.seed))
    return [found for found in references(cases) if found.valid]


def drive(agent: Agent, known: Sequence[CaseReference], settings: ClosedLoop) -> dict[str, Any]:
    """Drive validation cases; return failures among the avoidable ones with their interval, and per scenario."""
    metrics = load_metrics(_METRICS)
    latency = LatencySetting(Constant(0.0), Mode("periodic", period_ms=settings.period_ms))
    failed: dict[str, list[float]] = {}
    unparsable: list[float] = []
    for start in range(0, len(known), _BATCH):
        part = known[start : start + _BATCH]
        episodes = [EpisodeInput(k.case, world_of(k.case), k.avoidable, k.hazard_us, k.expert_progress_m) for k in part]
        for log in rollout(episodes, agent, latency, worlds=started(tuple(k.case for k in part))):
            found = evaluate(log, metrics)
            unparsable.append(found["unparsable_share"].value)
            if found["failure"].valid:
                failed.setdefault(log.case.scenario, []).append(found["failure"].value)
    count, total = int(sum(map(sum, failed.values()))), sum(map(len, failed.values()))
    interval = wilson(count, total)
    return {
        "failures": count, "cases": total, "failure_rate": count / total, "low": interval.low, "high": interval.high,
        "unparsable": float(np.nanmean(unparsable)),
        "by_scenario": {name: [int(sum(row)), len(row)] for name, row in sorted(failed.items())},
    }  # fmt: skip


def answer_scores(
    model: LocalModel, samples: Samples, rows: Sequence[int], batch: int = 64, blind: bool = False
) -> dict[str, Any]:
    """Return the scores of a model's answers to the driving question and to each topic of the triad.

    With ``blind`` it is shown grey pictures.
    """
    frames = samples.frames(rows) if model.chat.slots else None
    frames = grey(frames) if blind and frames is not None else frames
    found: dict[str, Any] = {}
    for name in ("plan", *TOPICS):
        turns = [turns_of(samples, row, lesson_named(name), 0)[0] for row in rows]
        right = [answer for _, answer in turns]
        longest = 2 + max(len(model.chat.encoded(answer)) for answer in right)
        grammar = model.grammar(answer_forms("plan")) if name == "plan" else None
        limits = np.full(len(rows), longest, np.int64)
        said = model.answer([question for question, _ in turns], frames, limits, grammar, batch).texts
        found[name] = vars(driving_score(said, right) if name == "plan" else score(said, right))
    return found


def balanced_rows(samples: Samples, count: int, seed: int = 0) -> list[int]:
    """Return up to ``count`` rows, half of them critical where there are enough."""
    rng = np.random.default_rng(seed)
    critical, calm = np.flatnonzero(samples.critical), np.flatnonzero(~samples.critical)
    chosen = [rng.permutation(rows)[: count // 2] for rows in (critical, calm)]
    return sorted(int(row) for rows in chosen for row in rows)


def model_folder(out: Path) -> Path:
    """Return where the newest model of a training run lies."""
    return out / "model"
