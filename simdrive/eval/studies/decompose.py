"""Where does a safety difference come from? A pair of agents, both at {0, L_student, L_teacher}, on the same cases.

Every arm holds its latency constant, so that both agents meet the very same one. Where a latency is priced and not
given, it is the median request: of the charge with its assumed tokens, or of the agent's own requests on these cases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from simdrive.errors import ParameterError
from simdrive.eval.charges import check_charges
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.stats import Interval, wilson
from simdrive.eval.studies.breakeven import BreakEven, Steps, break_even
from simdrive.eval.studies.deploy import OwnCharge, measured
from simdrive.eval.studies.family import PricedVariant, Variant, price
from simdrive.eval.studies.runs import StudyRuns, delay_name
from simdrive.eval.studies.split import (
    ARMS,
    LabelledFailure,
    Role,
    Split,
    arm_table,
    labelled,
    split,
    unavoidable_failures,
)
from simdrive.eval.summary import counted, outcomes
from simdrive.streams import digest


@dataclass(frozen=True)
class Latency:
    """The latency of one agent in deployment, and where it comes from."""

    ms: float
    origin: str
    priced: PricedVariant | None = None


@dataclass(frozen=True)
class Arm:
    """One agent at one latency: failures of the cases that all arms score."""

    role: Role
    agent: str
    whose: str  # latency: zero, student's or teacher's
    delay_ms: float
    failures: int
    total: int
    rate: Interval  # Wilson


@dataclass(frozen=True)
class DecomposeStudy:
    """Everything that ``simdrive study decompose`` shows."""

    suite: str
    cases: int
    setting: str  # label of the settings without their delay
    student: str
    teacher: str
    latencies: dict[str, Latency]  # by role
    arms: tuple[Arm, ...]
    unscored: int  # cases that are avoidable in some arm but not scored in all of them
    splits: tuple[Split, Split]  # relief of the teacher, relief of the student
    failures: tuple[LabelledFailure, ...]
    slow: Role
    break_even: BreakEven
    confidence: float


LatencyOrder = float | Variant | OwnCharge  # given in ms, priced with assumed tokens, or priced as the agent's own


def study_decompose(
    runs: StudyRuns,
    student: AgentConfig,
    teacher: AgentConfig,
    orders: tuple[LatencyOrder, LatencyOrder],
    steps: Steps,
    confidence: float = 0.95,
) -> DecomposeStudy:
    """Drive the six arms and what the break-even needs beyond them.

    Args:
        runs: cases and clock.
        student, teacher: the pair; the same agent twice isolates latency.
        orders: latency of the student and of the teacher.
        steps: of the search for the break-even.
        confidence: of all intervals.

    Raises:
        UnknownNameError, ParameterError: if a charge does not exist or cannot be priced; nothing is driven then.
        RunFolderError, IncompleteRunError: see ``StudyRuns.store``.
    """
    agents: dict[Role, AgentConfig] = {"student": student, "teacher": teacher}
    for role, order in zip(agents, orders, strict=True):
        _check(runs, agents[role], order)
    latencies = {role: _latency(runs, agents[role], order) for role, order in zip(agents, orders, strict=True)}
    delays = {name: _delay_of(name, latencies) for name in ARMS}
    frames = {name: _episodes(runs, agents[_role_of(name)], delays[name]) for name in ARMS}
    arms = {name: outcomes(frame) for name, frame in frames.items()}
    strata = {case.key: case.scenario for case in runs.base.cases}
    table = arm_table(arms)
    slow: Role = "student" if latencies["student"].ms > latencies["teacher"].ms else "teacher"
    fast = "teacher" if slow == "student" else "student"
    found = break_even(
        lambda delay: runs.failures_at(agents[slow], delay), arms[f"{fast}_own"],
        tuple(latency.ms for latency in latencies.values()), steps, strata, confidence,
    )  # fmt: skip
    return DecomposeStudy(
        suite=f"{runs.base.suite} v{runs.base.suite_version}",
        cases=len(runs.base.cases),
        setting=", ".join(runs.base.delay(0.0).label.split(", ")[1:]),
        student=student.name,
        teacher=teacher.name,
        latencies={str(role): latency for role, latency in latencies.items()},
        arms=tuple(_arm(name, agents, delays[name], table[name], confidence) for name in ARMS),
        unscored=len(set().union(*(set(arm.index) for arm in arms.values()))) - len(table),
        splits=(split(table, strata, "teacher", confidence), split(table, strata, "student", confidence)),
        failures=tuple(
            failure
            for role in agents
            for failure in (
                *labelled(arms, strata, role),
                *unavoidable_failures(counted(frames[f"{role}_own"]), role),
            )
        ),
        slow=slow,
        break_even=found,
        confidence=confidence,
    )


def _check(runs: StudyRuns, agent: AgentConfig, order: LatencyOrder) -> None:
    """Refuse what cannot be driven before the first episode."""
    if isinstance(order, OwnCharge):
        check_charges([agent], [_own_setting(runs, order)])
    elif isinstance(order, Variant):
        priced = price(order)
        if priced.refused:
            raise ParameterError(f"{order.architecture} {order.precision} has no latency: {priced.refused}")
    elif not 0.0 <= order < math.inf:
        raise ParameterError(f"a latency must be finite and at least 0 ms, got {order}")


def _own_setting(runs: StudyRuns, own: OwnCharge) -> LatencyConfig:
    return runs.base.setting("chip", {"chip": own.chip, "runtime": own.runtime, "power_mode": own.power_mode})


def _latency(runs: StudyRuns, agent: AgentConfig, order: LatencyOrder) -> Latency:
    if isinstance(order, Variant):
        priced = price(order)
        tokens = order.tokens
        counts = f"{tokens.prompt} text, {tokens.image} image, {tokens.output} output tokens assumed"
        return Latency(
            round(priced.median_ms, 1), f"{order.architecture} {order.precision} on {order.chip}, {counts}", priced
        )
    if isinstance(order, OwnCharge):
        setting = _own_setting(runs, order)
        took = measured(runs.store(agent, setting, f"own_{digest(setting.source, 8)}"))
        if math.isnan(took.median_ms):
            raise ParameterError(f"agent {agent.name!r} made no request, so it has no latency; give one in ms")
        origin = f"median of {took.requests} own requests on {order.chip} (95 % below {took.p95_ms:.0f} ms)"
        return Latency(round(took.median_ms, 1), origin)
    return Latency(float(order), "given")


def _role_of(arm: str) -> Role:
    return "student" if arm.startswith("student") else "teacher"


def _whose(arm: str) -> str:
    """Return whose latency an arm has."""
    role, _, which = arm.partition("_")
    if which == "zero":
        return "zero"
    return role if which == "own" else ("teacher" if role == "student" else "student")


def _delay_of(arm: str, latencies: dict[Role, Latency]) -> float:
    whose = _whose(arm)
    return 0.0 if whose == "zero" else latencies["student" if whose == "student" else "teacher"].ms


def _episodes(runs: StudyRuns, agent: AgentConfig, delay_ms: float) -> pd.DataFrame:
    return runs.store(agent, runs.base.delay(delay_ms), delay_name(delay_ms)).episodes()


def _arm(name: str, agents: dict[Role, AgentConfig], delay_ms: float, failed: pd.Series[int], confidence: float) -> Arm:
    count, total = int(failed.sum()), len(failed)
    role = _role_of(name)
    return Arm(role, agents[role].name, _whose(name), delay_ms, count, total, wilson(count, total, confidence))
