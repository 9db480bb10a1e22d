"""The latency budget of agents on a suite: drive a coarse grid of delays, then halve what is undecided.

Beside it stand the analytic latency margin of every scenario, and where the members of a model family fall.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from simdrive.eval.grid import AgentConfig
from simdrive.eval.reference import EXPERT
from simdrive.eval.stats import Interval, wilson
from simdrive.eval.studies.curve import Budget, CurvePoint, Grid, Outcomes, budget, curve
from simdrive.eval.studies.family import PricedVariant, Variant, place, price
from simdrive.eval.studies.margin import (
    HOLDING,
    MarginRate,
    ScenarioMargin,
    case_margins,
    rates_by_margin,
    scenario_margins,
)
from simdrive.eval.studies.paired import Criterion, Verdict
from simdrive.eval.studies.runs import StudyBase, StudyRuns, delay_name
from simdrive.streams import stream


@dataclass(frozen=True)
class ScenarioRate:
    """Failures of one agent in one scenario at one delay."""

    scenario: str
    delay_ms: float
    failures: int
    total: int
    rate: Interval


@dataclass(frozen=True)
class AgentBudget:
    """One agent's curve, its budget, and the split of the curve by scenario."""

    agent: str
    points: tuple[CurvePoint, ...]
    budget: Budget
    by_scenario: tuple[ScenarioRate, ...]
    by_margin: tuple[MarginRate, ...]


@dataclass(frozen=True)
class Placed:
    """A priced variant on the curve of one agent."""

    agent: str
    priced: PricedVariant
    verdict: Verdict | None  # None = it cannot be priced


@dataclass(frozen=True)
class BudgetStudy:
    """Everything that ``simdrive study budget`` shows."""

    suite: str
    cases: int
    criterion: Criterion
    setting: str  # label of the settings without their delay
    agents: tuple[AgentBudget, ...]
    margins: tuple[ScenarioMargin, ...]
    family: tuple[Placed, ...]


def study_budget(
    runs: StudyRuns,
    agents: Sequence[AgentConfig],
    grid: Grid,
    criterion: Criterion,
    family: Sequence[Variant] = (),
) -> BudgetStudy:
    """Drive what the budgets of some agents need and return the study.

    Raises:
        UnknownNameError: if a name of the family does not exist; nothing is driven then.
        RunFolderError, IncompleteRunError: see ``StudyRuns.store``.
    """
    priced = [price(variant) for variant in family]
    # The expert first: its episodes behind the references count as its own.
    driven = {
        agent.name: explore(functools.partial(runs.failures_at, agent), grid, criterion)
        for agent in sorted(agents, key=lambda each: each.name != EXPERT)
    }
    margins = case_margins(runs.store(AgentConfig.named(HOLDING), runs.base.delay(0.0), delay_name(0.0)))
    results = tuple(_result(runs.base, agent.name, driven[agent.name], margins, criterion) for agent in agents)
    return BudgetStudy(
        suite=f"{runs.base.suite} v{runs.base.suite_version}",
        cases=len(runs.base.cases),
        criterion=criterion,
        setting=", ".join(runs.base.delay(0.0).label.split(", ")[1:]),
        agents=results,
        margins=scenario_margins(margins),
        family=tuple(
            Placed(result.agent, each, None if each.refused else place(each, result.budget))
            for result in results
            for each in priced
        ),
    )


def explore(
    failures_at: Callable[[float], pd.Series[float]], grid: Grid, criterion: Criterion
) -> dict[float, pd.Series[float]]:
    """Return the outcomes at every delay that the grid asks for, asking for one after the other."""
    outcomes = {delay: failures_at(delay) for delay in grid.delays_ms}
    while wanted := grid.next_delays(curve(outcomes, criterion)):
        outcomes |= {delay: failures_at(delay) for delay in wanted}
    return dict(sorted(outcomes.items()))


def _result(
    base: StudyBase, agent: str, outcomes: Outcomes, margins: pd.DataFrame, criterion: Criterion
) -> AgentBudget:
    scenario_of = {case.key: case.scenario for case in base.cases}
    rng = stream(f"{base.suite}/{agent}", "study.bootstrap")
    return AgentBudget(
        agent=agent,
        points=curve(outcomes, criterion),
        budget=budget(outcomes, criterion, scenario_of, rng),
        by_margin=rates_by_margin(outcomes, margins),
        by_scenario=tuple(
            rate for delay, failed in outcomes.items() for rate in _by_scenario(failed, delay, scenario_of)
        ),
    )


def _by_scenario(failed: pd.Series[float], delay_ms: float, scenario_of: dict[str, str]) -> list[ScenarioRate]:
    found = []
    for scenario, part in failed.groupby(failed.index.map(scenario_of), sort=False):
        count, total = int((part > 0.0).sum()), len(part)
        found.append(ScenarioRate(str(scenario), delay_ms, count, total, wilson(count, total)))
    return found
