"""A safety difference as capability + latency relief + interaction, and why each failure happened. Pure tables.

Six arms on the same cases: both agents of a pair at zero latency, at the student's and at the teacher's. With F the
share of failures, S the student, T the teacher, and each at its own latency in deployment:

    deployed      F_S(L_S) - F_T(L_T)
    capability    F_S(0)   - F_T(0)                          who drives better if thinking took no time
    relief        F_T(L_S) - F_T(L_T)                        what the teacher would gain at the student's latency
    interaction   (F_S(L_S) - F_S(0)) - (F_T(L_S) - F_T(0))  how much more the same latency costs the student

The last three add up to the first for every single case, so exactly. Relief may as well be measured with the student
as the yardstick, F_S(L_S) - F_S(L_T); interaction is then (F_S(L_T) - F_S(0)) - (F_T(L_T) - F_T(0)).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from simdrive.eval.stats import Interval, bootstrap
from simdrive.streams import stream
from simdrive.types import Long

Role = Literal["student", "teacher"]
Label = Literal["capability", "latency", "both", "either", "unavoidable", "unknown"]
LABELS: tuple[Label, ...] = ("capability", "latency", "both", "either", "unavoidable", "unknown")
ARMS = ("student_zero", "student_own", "student_other", "teacher_zero", "teacher_own", "teacher_other")
# Weight of each arm in a term, in the order of ARMS; "own" and "other" say whose latency.
DEPLOYED = np.array([0, 1, 0, 0, -1, 0])
CAPABILITY = np.array([1, 0, 0, -1, 0, 0])
RELIEF = {"teacher": np.array([0, 0, 0, 0, -1, 1]), "student": np.array([0, 1, -1, 0, 0, 0])}
INTERACTION = {"teacher": np.array([-1, 1, 0, 1, 0, -1]), "student": np.array([-1, 0, 1, 1, -1, 0])}
DRAWS = 2000


@dataclass(frozen=True)
class Term:
    """One term: failures that it adds (negative: saves) among ``Split.cases``, and the same as a share of cases."""

    name: str
    failures: int
    share: Interval


@dataclass(frozen=True)
class Split:
    """The deployed difference and its terms with one agent's relief as the yardstick; failures add up exactly."""

    yardstick: Role
    cases: int
    deployed: Term
    capability: Term
    relief: Term
    interaction: Term

    @property
    def terms(self) -> tuple[Term, Term, Term]:
        """The three terms in the order of the sum."""
        return self.capability, self.relief, self.interaction


@dataclass(frozen=True)
class LabelledFailure:
    """One failure of an agent at its own latency, and what the same case did in the other arms."""

    case_key: str
    scenario: str
    role: Role
    label: Label
    avoidable: bool  # by the manoeuvre search; False is always labelled unavoidable
    alone_zero: bool | None  # it fails at zero latency too; None = not scored there
    rival_same: bool | None  # the other agent fails at the same latency too
    rival_zero: bool | None


def arm_table(arms: Mapping[str, pd.Series[float]]) -> pd.DataFrame:
    """Return 0 / 1 failures, one row per case that every arm scores, one column per entry of ``ARMS``."""
    table = pd.concat([arms[name].rename(name) for name in ARMS], axis=1, join="inner")
    return (table > 0.0).astype(np.int64)


def split(
    table: pd.DataFrame, strata: Mapping[str, str], yardstick: Role, confidence: float = 0.95, draws: int = DRAWS
) -> Split:
    """Return the terms of ``arm_table`` with paired bootstrap limits: whole cases are drawn anew within their scenario.

    All terms see the same draws, so the limits belong together.

    Args:
        table: of ``arm_table``.
        strata: scenario of each case.
        yardstick: whose relief is measured.
        confidence: of the intervals.
        draws: number of resamples.
    """
    failed: Long = table[list(ARMS)].to_numpy(np.int64)
    groups = np.array([strata[str(case)] for case in table.index], dtype=str)

    def term(name: str, weights: Long) -> Term:
        effect = failed @ weights
        rng = stream("decompose", "study.bootstrap")
        share = bootstrap(effect.astype(np.float64), rng, strata=groups, draws=draws, confidence=confidence)
        return Term(name, int(effect.sum()), share)

    return Split(
        yardstick,
        len(table),
        term("deployed", DEPLOYED),
        term("capability", CAPABILITY),
        term("relief", RELIEF[yardstick]),
        term("interaction", INTERACTION[yardstick]),
    )


def label(alone_zero: bool | None, rival_same: bool | None, rival_zero: bool | None) -> Label:
    """Return why an agent failed at its latency, from who else fails in that case (True = fails, None = unscored).

    ``latency``: only taking its latency away helps. ``capability``: only the other agent at that latency helps.
    ``either``: each of the two alone would do. ``both``: only the two together. ``unavoidable``: nothing of this helps.
    """
    if alone_zero is None or rival_same is None:
        return "unknown"
    if not alone_zero:
        return "latency" if rival_same else "either"
    if not rival_same:
        return "capability"
    if rival_zero is None:
        return "unknown"
    return "unavoidable" if rival_zero else "both"


def labelled(arms: Mapping[str, pd.Series[float]], strata: Mapping[str, str], role: Role) -> list[LabelledFailure]:
    """Label every scored failure of one agent at its own latency.

    Args:
        arms: scored failures by case, per entry of ``ARMS``; need not score the same cases.
        strata: scenario of each case.
        role: whose failures.
    """
    rival = "teacher" if role == "student" else "student"
    own = arms[f"{role}_own"]
    found = []
    for key in own.index[own > 0.0]:
        others = [_fails(arms[name], str(key)) for name in (f"{role}_zero", f"{rival}_other", f"{rival}_zero")]
        found.append(LabelledFailure(str(key), strata[str(key)], role, label(*others), True, *others))
    return found


def _fails(arm: pd.Series[float], key: str) -> bool | None:
    return bool(arm[key] > 0.0) if key in arm.index else None


def unavoidable_failures(episodes: pd.DataFrame, role: Role) -> list[LabelledFailure]:
    """Label the at-fault contacts and departures from the road in cases that no manoeuvre survives.

    They are no failures by the endpoint and enter no term; they are listed so that nothing that happened is left out.
    """
    hit = (episodes["at_fault_contact"] > 0.0) | (episodes["off_road"] > 0.0)
    rows = episodes[hit & ~episodes["avoidable"].astype(bool)]
    return [
        LabelledFailure(str(row["case_key"]), str(row["scenario"]), role, "unavoidable", False, None, None, None)
        for row in rows.to_dict("records")
    ]
