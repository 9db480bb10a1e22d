"""Is a failure rate worse than another one on the same cases by more than a margin? Decided, or how far from it.

``safe`` means that the whole interval of the difference lies below the margin (non-inferiority), ``unsafe`` that it
lies above, ``undecided`` that it holds the margin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm

from simdrive.errors import ParameterError
from simdrive.eval.stats import Interval, holm, mcnemar, unscored

Verdict = Literal["safe", "unsafe", "undecided"]
_EDGE = 1e-12  # the score statistic has poles at differences of -1 and 1


@dataclass(frozen=True)
class Criterion:
    """What counts as not worse.

    Args:
        margin: failure rate that may be lost, as a share of cases (0.02 = two points).
        confidence: of the two-sided interval; a verdict of one side thus errs in half of the rest.
        power: chance of a verdict that planned numbers of cases aim at.
    """

    margin: float = 0.02
    confidence: float = 0.95
    power: float = 0.8

    def __post_init__(self) -> None:
        for name, low, high in (("margin", 0.0, 1.0), ("confidence", 0.5, 1.0), ("power", 0.5, 1.0)):
            if not low < getattr(self, name) < high:
                raise ParameterError(f"{name} must lie between {low:g} and {high:g}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Pairs:
    """Outcomes of two settings on the same cases."""

    total: int
    only_first: int  # cases that fail under the first setting alone
    only_second: int

    @property
    def difference(self) -> float:
        """Rate of the second minus rate of the first; NaN without pairs."""
        return (self.only_second - self.only_first) / self.total if self.total else math.nan


@dataclass(frozen=True)
class Decision:
    """A second setting judged against a first one."""

    pairs: Pairs
    difference: Interval
    verdict: Verdict
    cases_needed: int | None  # further pairs where undecided, 0 where decided, None = no number would do
    p_value: float = math.nan  # exact McNemar: do the two differ at all? NaN without a pair
    p_holm: float = math.nan  # over all settings that are judged together


def pair(first: pd.Series[float], second: pd.Series[float]) -> Pairs:
    """Pair scored failures (above 0 = failed), each indexed by case; cases without a counterpart are left out."""
    shared = first.index.intersection(second.index, sort=False)
    a, b = first[shared].to_numpy() > 0.0, second[shared].to_numpy() > 0.0
    return Pairs(len(shared), int((a & ~b).sum()), int((~a & b).sum()))


def _spread(delta: float, only_first: float, only_second: float) -> float:
    """Return the variance of one pair's difference if the true difference is ``delta``.

    The shares of discordant pairs are as observed; that of pairs which only the first fails is its maximum-likelihood
    estimate under the hypothesis, the positive root of 2 q^2 + linear q - only_first delta (1 - delta) = 0.
    """
    linear = -only_second - only_first + (2.0 - only_second + only_first) * delta
    root = math.sqrt(max(linear * linear + 8.0 * only_first * delta * (1.0 - delta), 0.0))
    return max(0.5 * (root - linear) + delta * (1.0 - delta), 0.0)


def _score(delta: float, pairs: Pairs) -> float:
    """Return Tango's score statistic of the hypothesis that the difference is ``delta``."""
    n = pairs.total
    spread = _spread(delta, pairs.only_first / n, pairs.only_second / n)
    return math.sqrt(n / spread) * (pairs.difference - delta) if spread > 0.0 else 0.0


def tango(pairs: Pairs, confidence: float = 0.95) -> Interval:
    """Return rate of the second minus rate of the first with Tango's score interval; NaN without pairs.

    Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17, 891-908. Unlike resampling and Wald limits it has a width without a single
    discordant pair.
    """
    if not pairs.total:
        return unscored("no case is scored by both")
    z, estimate = float(norm.ppf(0.5 + 0.5 * confidence)), pairs.difference

    def limit(side: float, end: float) -> float:
        if estimate == end:
            return end
        low, high = sorted((estimate, end * (1.0 - _EDGE)))
        return float(brentq(lambda delta: _score(delta, pairs) + side * z, low, high, xtol=1e-12))

    return Interval(estimate, limit(-1.0, -1.0), limit(1.0, 1.0))


def verdict_of(difference: Interval, margin: float) -> Verdict:
    """Return on which side of the margin an interval lies; NaN is undecided."""
    if difference.high < margin:
        return "safe"
    return "unsafe" if difference.low > margin else "undecided"


def planned_pairs(pairs: Pairs, criterion: Criterion) -> int | None:
    """Return how many pairs give a verdict with the criterion's power if the rates are as observed.

    n = ((z_confidence sqrt(V0) + z_power sqrt(V1)) / (margin - d))^2 with the observed difference d, the variance V1 of
    one pair as observed and V0 if the true difference were the margin: Nam 1997, "Establishing equivalence of two
    treatments and sample size requirements in matched-pairs design", Biometrics 53, 1422-1430, which plans for the score
    test behind Tango's interval. None if d is the margin, or without pairs.
    """
    if not pairs.total or pairs.difference == criterion.margin:
        return None
    first, second, d = pairs.only_first / pairs.total, pairs.only_second / pairs.total, pairs.difference
    z, z_power = float(norm.ppf(0.5 + 0.5 * criterion.confidence)), float(norm.ppf(criterion.power))
    under_margin, as_observed = _spread(criterion.margin, first, second), max(first + second - d * d, 0.0)
    reach = z * math.sqrt(under_margin) + z_power * math.sqrt(as_observed)
    return math.ceil((reach / (criterion.margin - d)) ** 2)


def decide(first: pd.Series[float], second: pd.Series[float], criterion: Criterion) -> Decision:
    """Judge the second setting against the first on the cases that both score."""
    pairs = pair(first, second)
    difference = tango(pairs, criterion.confidence)
    verdict, p_value = verdict_of(difference, criterion.margin), math.nan
    if pairs.total:
        p_value = mcnemar(pairs.only_first, pairs.only_second)
    if verdict != "undecided":
        return Decision(pairs, difference, verdict, 0, p_value)
    planned = planned_pairs(pairs, criterion)
    needed = None if planned is None else max(planned - pairs.total, 1)
    return Decision(pairs, difference, verdict, needed, p_value)


def adjusted(decisions: Sequence[Decision | None]) -> list[Decision | None]:
    """Return the decisions of one sweep with their p-values adjusted for its number of tests after Holm."""
    found = holm([math.nan if each is None else each.p_value for each in decisions])
    return [None if each is None else replace(each, p_holm=p) for each, p in zip(decisions, found, strict=True)]
