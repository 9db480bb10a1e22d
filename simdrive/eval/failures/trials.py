"""One simulation of a search: a case driven by the agent and judged by the primary endpoint, with how close it came."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from simdrive.eval.blocks import build_latency
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.pool import Pool
from simdrive.eval.prepared import started, world_of
from simdrive.eval.reference import CaseReference, references
from simdrive.eval.rollout import rollout
from simdrive.eval.work import build_agent
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.types import Agent, Case, EndReason, EpisodeLog, Metric

Outcome = Literal["fail", "pass", "unavoidable", "unscored"]
METRICS = ("failure", "contact", "off_road", "min_ttc_s", "progress_ratio")
TTC_S, LEAST_PROGRESS = 3.0, 0.8  # time to collision that is far from critical; progress below which an episode fails


@dataclass(frozen=True)
class Trial:
    """What happened in one case.

    Attributes:
        case: what was driven.
        outcome: ``fail`` by the primary endpoint in an avoidable case; ``unavoidable``: a contact or leaving the road
            that no manoeuvre avoids, which is no find; ``unscored``: a crash among others blocks the case.
        avoidable: None = not asked, because the agent came through to its goal.
        margin: 0 = failed, 1 = never close; smaller of time to collision over 3 s and progress to spare.
        references: whether expert and manoeuvre search were driven too.
    """

    case: Case
    outcome: Outcome
    avoidable: bool | None
    margin: float
    references: bool


@dataclass(frozen=True)
class TrialTask:
    """Some cases for a worker; ``full`` settles references even of cases that the agent came through."""

    cases: tuple[Case, ...]
    agent: AgentConfig
    latency: LatencyConfig
    full: bool


def drive(task: TrialTask) -> list[Trial]:
    """Drive and judge the cases of a task, one trial each in the given order.

    An agent that reaches its goal untouched and on the road has not failed, whatever the references of the case are;
    so these, which cost more than the episode, are settled for the others only unless ``full`` asks for all.
    """
    inputs = [EpisodeInput(case, world_of(case)) for case in task.cases]
    logs = rollout(inputs, _agent(task.agent), build_latency(task.latency), worlds=started(task.cases))
    metrics = _metrics()
    through = [not task.full and _through(log, metrics) for log in logs]
    asked = [log.case for log, clear in zip(logs, through, strict=True) if not clear]
    found = {reference.case: reference for reference in references(asked)}
    return [_judge(log, found.get(log.case), metrics) for log in logs]


@functools.lru_cache(maxsize=4)
def _agent(config: AgentConfig) -> Agent:
    return build_agent(config)


@functools.cache
def _metrics() -> tuple[Metric, ...]:
    return load_metrics(METRICS)


def _through(log: EpisodeLog, metrics: Sequence[Metric]) -> bool:
    values = evaluate(log, metrics)
    return log.end == EndReason.GOAL and values["contact"].value == 0.0 and values["off_road"].value == 0.0


def _judge(log: EpisodeLog, reference: CaseReference | None, metrics: Sequence[Metric]) -> Trial:
    if reference is not None:
        log = replace(
            log, avoidable=reference.avoidable, hazard_us=reference.hazard_us,
            expert_progress_m=reference.expert_progress_m,
        )  # fmt: skip
    values = evaluate(log, metrics)
    margin = _margin(values["min_ttc_s"].value, values["progress_ratio"].value)
    if reference is None:
        return Trial(log.case, "pass", None, margin, False)
    return Trial(log.case, *_outcome(log, reference, values["failure"].value, margin), True)


def _outcome(log: EpisodeLog, reference: CaseReference, failure: float, margin: float) -> tuple[Outcome, bool, float]:
    if not reference.valid or log.end == EndReason.BLOCKED or (reference.avoidable and math.isnan(failure)):
        return "unscored", reference.avoidable, math.nan
    if not reference.avoidable:
        harmed = log.contact is not None or log.end == EndReason.OFF_ROAD
        return ("unavoidable", False, math.nan) if harmed else ("pass", False, margin)
    return ("fail", True, 0.0) if failure > 0.0 else ("pass", True, margin)


def _margin(ttc_s: float, progress: float) -> float:
    """Return the smaller of both parts, 1 where neither is known."""
    parts = [1.0]
    if not math.isnan(ttc_s):
        parts.append(ttc_s / TTC_S)
    if not math.isnan(progress):
        parts.append((progress - LEAST_PROGRESS) / (1.0 - LEAST_PROGRESS))
    return max(min(parts), 0.0)


def drive_all(
    cases: Sequence[Case],
    agent: AgentConfig,
    latency: LatencyConfig,
    pool: Pool,
    *,
    full: bool = False,
    batch: int = 64,
) -> list[Trial]:
    """Return the trials of cases in their order; they depend neither on the number of workers nor on the batch."""
    distinct = list(dict.fromkeys(cases))
    size = max(min(batch, -(-len(distinct) // pool.workers)), 1)
    tasks = [
        TrialTask(tuple(distinct[start : start + size]), agent, latency, full)
        for start in range(0, len(distinct), size)
    ]
    found: Iterable[list[Trial]] = pool.map(drive, tasks)
    of = {trial.case: trial for trials in found for trial in trials}
    return [of[case] for case in cases]
