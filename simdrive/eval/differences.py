"""One metric of a candidate beside that of a baseline: on the same cases, or against stored totals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from simdrive.errors import ParameterError
from simdrive.eval.stats import (
    NO_CASE,
    Interval,
    bootstrap,
    fisher,
    newcombe_unpaired,
    paired_rates,
    too_few,
    unscored,
    wilson,
)
from simdrive.eval.summary import counted
from simdrive.streams import stream

DRAWS = 1000
_NONE = unscored(NO_CASE)


@dataclass(frozen=True)
class Difference:
    """One metric, baseline and candidate.

    Attributes:
        metric: column of the episodes table.
        kind: ``rate`` (share of episodes above 0) or ``mean``.
        pairs: cases that both score; 0 against stored totals, which cannot be paired.
        cases: scored cases of the candidate behind it: the pairs, or against stored totals all that it scores.
        base: value of the baseline; over the pairs, or over all of it where there are none to pair.
        candidate: the same of the candidate, rates with their Wilson interval.
        change: candidate minus baseline. Rates: Newcombe's interval; means: bootstrap of the pairs within scenarios.
        only_base: pairs in which only the baseline has the outcome (rates).
        only_candidate: pairs in which only the candidate has it (rates).
        p_value: exact McNemar test, against stored totals Fisher's; NaN for means.
    """

    metric: str
    kind: Literal["rate", "mean"]
    pairs: int
    base: float
    candidate: Interval
    change: Interval
    only_base: int = 0
    only_candidate: int = 0
    p_value: float = math.nan
    cases: int = 0


def scored(episodes: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the counted episodes in which a metric has a finite value, indexed by case."""
    if metric not in episodes.columns:
        return episodes.iloc[:0].set_index("case_key")
    kept = counted(episodes).set_index("case_key")
    finite: pd.DataFrame = kept[np.isfinite(kept[metric].to_numpy(np.float64))]
    return finite


def paired_difference(
    base: pd.DataFrame, candidate: pd.DataFrame, metric: str, *, is_rate: bool, confidence: float = 0.95
) -> Difference:
    """Compare one agent and setting of two tables of episodes on the cases that both score.

    Args:
        base: episodes of the baseline, each case at most once.
        candidate: episodes of the candidate, each case at most once.
        metric: column of both.
        is_rate: count episodes above 0 instead of averaging.
        confidence: of the intervals.
    """
    first, second = scored(base, metric), scored(candidate, metric)
    shared = first.index.intersection(second.index, sort=False)
    a = first.loc[shared, metric].to_numpy(np.float64) if len(shared) else np.zeros(0)
    b = second.loc[shared, metric].to_numpy(np.float64) if len(shared) else np.zeros(0)
    kind: Literal["rate", "mean"] = "rate" if is_rate else "mean"
    if not len(shared):
        return Difference(metric, kind, 0, math.nan, _NONE, _NONE)
    if is_rate:
        paired = paired_rates(a > 0.0, b > 0.0, confidence)
        return Difference(
            metric, kind, len(shared), float((a > 0.0).mean()),
            wilson(int((b > 0.0).sum()), len(shared), confidence), paired.difference,
            paired.only_first, paired.only_second, paired.p_value, len(shared),
        )  # fmt: skip
    scenarios = first.loc[shared, "scenario"].to_numpy(str)
    change = _bootstrap(b - a, scenarios, metric, confidence)
    candidate_mean = _bootstrap(b, scenarios, metric, confidence)
    return Difference(metric, kind, len(shared), float(a.mean()), candidate_mean, change, cases=len(shared))


def _bootstrap(values: np.ndarray[Any, Any], scenarios: np.ndarray[Any, Any], name: str, confidence: float) -> Interval:
    if (values == values[0]).all() and not too_few(len(values)):
        return Interval(float(values[0]), float(values[0]), float(values[0]))
    rng = stream("comparison", f"bootstrap.{name}")
    return bootstrap(values, rng, strata=scenarios, draws=DRAWS, confidence=confidence)


def totals_difference(
    totals: Mapping[str, Any], candidate: pd.DataFrame, metric: str, *, is_rate: bool, confidence: float = 0.95
) -> Difference:
    """Compare a candidate's episodes with the totals of one group of a ``summary.json``: not paired.

    Raises:
        ParameterError: if the totals are broken.
    """
    values = scored(candidate, metric)[metric].to_numpy(np.float64) if metric in candidate.columns else np.zeros(0)
    try:
        if is_rate:
            rate = totals["rates"].get(metric, {"count": 0, "total": 0})
            first, second = (int(rate["count"]), int(rate["total"])), (int((values > 0.0).sum()), len(values))
            return Difference(
                metric, "rate", 0, wilson(*first).estimate, wilson(*second, confidence),
                newcombe_unpaired(first, second, confidence), p_value=fisher(first, second),
                cases=len(values),
            )  # fmt: skip
        stored = totals["scores"].get(metric, {}).get("mean")
        base = math.nan if stored is None else float(stored)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ParameterError(f"the baseline's totals of {metric} cannot be read: {error}") from error
    if not len(values):
        return Difference(metric, "mean", 0, base, _NONE, _NONE)
    mean = _bootstrap(values, np.zeros(len(values), dtype=str), metric, confidence)
    # The totals hold no spread: the interval carries the candidate's uncertainty alone.
    change = Interval(mean.estimate - base, mean.low - base, mean.high - base, mean.reason)
    return Difference(metric, "mean", 0, base, mean, change, cases=len(values))
