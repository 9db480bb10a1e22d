"""May this model go onto this chip? Drive agents at the speed that a charge has there, and judge them against zero latency.

An agent may stand for a model that it is not: it then drives with its own skill at that model's speed. Such a verdict
is about the speed alone, never about the quality of the charged model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from simdrive.eval.blocks import build_latency
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.reference import EXPERT
from simdrive.eval.stats import Interval, wilson
from simdrive.eval.store import RunStore
from simdrive.eval.studies.family import PricedVariant, Variant, price
from simdrive.eval.studies.paired import Criterion, Decision, adjusted, decide
from simdrive.eval.studies.runs import StudyBase, StudyRuns
from simdrive.eval.summary import outcomes
from simdrive.eval.work import build_agent
from simdrive.latency.chip_source import ChipLatency
from simdrive.streams import digest
from simdrive.types import STAGES


@dataclass(frozen=True)
class OwnCharge:
    """Agents are priced as their own charge, by the tokens that they report."""

    chip: str
    runtime: str = "trt_edge_llm"
    power_mode: str | None = None


@dataclass(frozen=True)
class Measured:
    """What the requests of a run took and cost: medians over all that were started."""

    requests: int
    median_ms: float
    p95_ms: float
    prompt_tokens: float  # as the agent reported them
    image_tokens: float
    output_tokens: float


@dataclass(frozen=True)
class DeployRow:
    """One agent at the speed of one variant; fields are None where the variant is refused.

    Attributes:
        agent: who drove.
        charged: architecture and precision that requests were priced as.
        assumed: the priced variant with its assumed tokens; None = the agent's own charge and tokens.
        measured: times and reported tokens of the requests.
        failures, total, rate: in avoidable cases, with Wilson's interval.
        decision: against the same agent at zero latency.
    """

    agent: str
    charged: str
    assumed: PricedVariant | None
    measured: Measured | None
    failures: int
    total: int
    rate: Interval
    decision: Decision | None
    refused: str = ""


@dataclass(frozen=True)
class Baseline:
    """An agent at zero latency."""

    agent: str
    failures: int
    total: int
    rate: Interval


@dataclass(frozen=True)
class DeployStudy:
    """Everything that ``simdrive study deploy`` shows."""

    suite: str
    cases: int
    criterion: Criterion
    chip: str
    runtime: str
    power_mode: str | None
    baselines: tuple[Baseline, ...]
    rows: tuple[DeployRow, ...]


def study_deploy(
    runs: StudyRuns,
    agents: Sequence[AgentConfig],
    charges: Sequence[Variant] | OwnCharge,
    criterion: Criterion,
) -> DeployStudy:
    """Drive agents at zero latency and at the speed of every charge on one chip.

    Raises:
        UnknownNameError: if a name does not exist; nothing is driven then.
        ParameterError: if an agent without a charge is to be priced by its own.
        RunFolderError, IncompleteRunError: see ``StudyRuns.store``.
    """
    first = charges if isinstance(charges, OwnCharge) else charges[0]
    priced = () if isinstance(charges, OwnCharge) else tuple(price(variant) for variant in charges)
    # All settings before the first episode: what is wrong shows now.
    planned = {
        agent.name: [_own(runs.base, agent, charges)]
        if isinstance(charges, OwnCharge)
        else [_stand_in(runs.base, agent, each) for each in priced]
        for agent in agents
    }
    baselines, rows = {}, {}
    for agent in sorted(agents, key=lambda each: each.name != EXPERT):
        zero = runs.failures_at(agent, 0.0)
        count = int((zero > 0.0).sum())
        baselines[agent.name] = Baseline(agent.name, count, len(zero), wilson(count, len(zero)))
        rows[agent.name] = [_judge(runs, agent, row, setting, zero, criterion) for row, setting in planned[agent.name]]
    return DeployStudy(
        suite=f"{runs.base.suite} v{runs.base.suite_version}",
        cases=len(runs.base.cases),
        criterion=criterion,
        chip=first.chip,
        runtime=first.runtime,
        power_mode=first.power_mode,
        baselines=tuple(baselines[agent.name] for agent in agents),
        rows=tuple(_adjusted([row for agent in agents for row in rows[agent.name]])),
    )


def _adjusted(rows: list[DeployRow]) -> list[DeployRow]:
    decisions = adjusted([row.decision for row in rows])
    return [replace(row, decision=each) for row, each in zip(rows, decisions, strict=True)]


_UNKNOWN = Interval(math.nan, math.nan, math.nan)
_Planned = tuple[DeployRow, LatencyConfig | None]


def _own(base: StudyBase, agent: AgentConfig, own: OwnCharge) -> _Planned:
    setting = base.setting("chip", {"chip": own.chip, "runtime": own.runtime, "power_mode": own.power_mode})
    source = build_latency(setting).source
    charge = build_agent(agent).charge
    if isinstance(source, ChipLatency):
        charge = source.charged(charge)
    return DeployRow(agent.name, f"{charge.architecture} {charge.precision}", None, None, 0, 0, _UNKNOWN, None), setting


def _stand_in(base: StudyBase, agent: AgentConfig, priced: PricedVariant) -> _Planned:
    variant = priced.variant
    charged = f"{variant.architecture} {variant.precision}"
    row = DeployRow(agent.name, charged, priced, None, 0, 0, _UNKNOWN, None, priced.refused)
    if priced.refused:
        return row, None
    fields = {
        "chip": variant.chip, "runtime": variant.runtime, "power_mode": variant.power_mode,
        "architecture": variant.architecture, "precision": variant.precision,
        "prompt_tokens": variant.tokens.prompt, "image_tokens": variant.tokens.image,
        "output_tokens": variant.tokens.output,
    }  # fmt: skip
    return row, base.setting("chip", fields)


def _judge(
    runs: StudyRuns,
    agent: AgentConfig,
    row: DeployRow,
    setting: LatencyConfig | None,
    zero: pd.Series[float],
    criterion: Criterion,
) -> DeployRow:
    if setting is None:
        return row
    store = runs.store(agent, setting, _run_name(row, setting))
    failed = outcomes(store.episodes())
    count, total = int((failed > 0.0).sum()), len(failed)
    return replace(
        row,
        measured=measured(store),
        failures=count,
        total=total,
        rate=wilson(count, total),
        decision=decide(zero, failed, criterion),
    )


def _run_name(row: DeployRow, setting: LatencyConfig) -> str:
    """Return a folder name that says what was charged; the digest tells apart all else (chip, runtime, tokens)."""
    tokens = "" if row.assumed is None else f"_{row.assumed.variant.tokens.output}tokens"
    return f"{row.charged}{tokens}_{digest(setting.source, 8)}"


def measured(store: RunStore) -> Measured:
    """Return what the requests of a finished run took and cost; NaN where none was started."""
    columns = [*(f"{stage}_us" for stage in STAGES), "prompt_tokens", "image_tokens", "output_tokens", "t_start_us"]
    requests = store.table("requests")[columns]
    started = requests[requests["t_start_us"] >= 0]
    if not len(started):
        return Measured(0, *(math.nan for _ in range(5)))
    times_ms = started[[f"{stage}_us" for stage in STAGES]].sum(axis=1).to_numpy(np.float64) * 1e-3
    tokens = [float(started[name].median()) for name in ("prompt_tokens", "image_tokens", "output_tokens")]
    return Measured(len(started), float(np.median(times_ms)), float(np.quantile(times_ms, 0.95)), *tokens)
