"""Is the new student better? One rule, on held-out cases that both drove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from simdrive.compress.flywheel.degraded import Target
from simdrive.errors import ParameterError
from simdrive.eval.kinds import KINDS
from simdrive.eval.stats import Interval
from simdrive.eval.studies.paired import Pairs, pair, tango


@dataclass(frozen=True)
class Rule:
    """When a new student replaces the one before it.

    It must fail in fewer held-out cases, and in no kind of cases may it be worse by more than ``tolerance`` beyond
    doubt (estimate above the tolerance and the whole interval above zero).
    """

    tolerance: float = 0.03  # share of cases
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name, low, high in (("tolerance", 0.0, 1.0), ("confidence", 0.5, 1.0)):
            if not low <= getattr(self, name) < high:
                raise ParameterError(f"{name} must be at least {low:g} and below {high:g}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Change:
    """Failures of two students on the same cases of one kind; ``difference`` = the second's rate less the first's."""

    slice: str
    value: str
    targeted: bool
    pairs: Pairs
    difference: Interval


@dataclass(frozen=True)
class Judgement:
    """What held-out cases say of a new student."""

    accepted: bool
    why: str
    overall: Change
    targeted: Change  # all cases of targeted kinds together
    slices: tuple[Change, ...]


def judge(
    before: pd.Series[float], after: pd.Series[float], kinds: pd.DataFrame, targets: Sequence[Target], rule: Rule
) -> Judgement:
    """Hold a new student against the one before it.

    Args:
        before, after: 0 or 1 by case key, of scored cases.
        kinds: of the cases, indexed by key.
        targets: what the new student was trained for.
        rule: when it is accepted.
    """

    def change(name: str, value: str, keys: pd.Index[str], targeted: bool) -> Change:
        pairs = pair(before[before.index.isin(keys)], after[after.index.isin(keys)])
        return Change(name, value, targeted, pairs, tango(pairs, rule.confidence))

    aimed = {(target.slice, target.value) for target in targets}
    inside = np.zeros(len(kinds), np.bool_)
    for target in targets:
        inside |= target.holds(kinds)
    slices = tuple(
        change(name, value, kinds.index[kinds[name] == value], (name, value) in aimed)
        for name in KINDS
        for value in sorted(set(kinds[name]))
    )
    overall = change("all", "", kinds.index, False)
    accepted, why = _verdict(overall, slices, rule)
    return Judgement(accepted, why, overall, change("targeted", "", kinds.index[inside], True), slices)


def _verdict(overall: Change, slices: Sequence[Change], rule: Rule) -> tuple[bool, str]:
    lost = [s for s in slices if s.difference.estimate > rule.tolerance and s.difference.low > 0.0]
    if not overall.pairs.total:
        return False, "no held-out case is scored for both"
    if lost:
        named = ", ".join(f"{s.slice} {s.value} ({100.0 * s.difference.estimate:+.1f} points)" for s in lost)
        return False, f"worse in {named}"
    gained = overall.pairs.only_first - overall.pairs.only_second
    if gained > 0:
        return True, f"fails in {gained} fewer of {overall.pairs.total} held-out cases"
    if gained == 0:
        return False, f"fails in as many of {overall.pairs.total} held-out cases"
    return False, f"fails in {-gained} more of {overall.pairs.total} held-out cases"
