"""Does the difference between two drivers, seen without consequences, tell where the student will fail?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from simdrive.eval.stats import Interval, unscored
from simdrive.types import Float

FEWEST = 10  # scored cases with at least one failure and one success
_DRAWS = 1000


@dataclass(frozen=True)
class Foretold:
    """How well a case's difference ranks the cases that fail.

    Attributes:
        cases, failures: scored ones.
        correlation: Spearman's between a case's difference and its failing, bootstrap over cases.
        precision: share of failures among the ``k`` cases that differ most, by k (a tenth, and as many as fail).
        base_rate: share of failures among all.
        reason: why there is no correlation, empty where there is one.
    """

    cases: int
    failures: int
    correlation: Interval
    precision: dict[int, float]
    base_rate: float
    reason: str = ""


def by_case(frames: pd.DataFrame, by: str, threshold: float) -> pd.DataFrame:
    """Return one row per case: largest and mean difference, and when it first exceeds ``threshold``.

    Columns case_key, frames, largest, mean, first_us (-1 = never).
    """
    rows = []
    for key, group in frames.groupby("case_key", sort=True):
        values = group[by].abs()
        over = group.loc[values > threshold, "t_us"]
        rows.append({"case_key": key, "frames": len(group), "largest": float(values.max()), "mean": float(values.mean()),
                     "first_us": int(over.min()) if len(over) else -1})  # fmt: skip
    return pd.DataFrame(rows, columns=["case_key", "frames", "largest", "mean", "first_us"])


def foretold(difference: Float, failed: Float, rng: np.random.Generator) -> Foretold:
    """Return how well ``difference`` [n] of cases ranks those that ``failed`` [n] (0 or 1; NaN = not scored)."""
    kept = ~np.isnan(difference) & ~np.isnan(failed)
    difference, failed = difference[kept], failed[kept]
    count, failures = len(failed), int(failed.sum())
    base = failures / count if count else math.nan
    if count < FEWEST or failures in (0, count):
        reason = f"{failures} failures in {count} scored cases; a correlation needs {FEWEST} cases, some of which fail"
        return Foretold(count, failures, unscored(reason), {}, base, reason)
    order = np.argsort(-difference, kind="stable")
    sizes = sorted({max(1, round(0.1 * count)), failures})
    precision = {k: float(failed[order[:k]].mean()) for k in sizes}
    return Foretold(count, failures, _spearman(difference, failed, rng), precision, base)


def _spearman(first: Float, second: Float, rng: np.random.Generator) -> Interval:
    """Return Spearman's correlation with its percentile bootstrap interval over pairs."""
    draws = []
    for _ in range(_DRAWS):
        rows = rng.integers(len(first), size=len(first))
        draws.append(_rank_correlation(first[rows], second[rows]))
    low, high = np.nanquantile(np.array(draws), [0.025, 0.975])
    return Interval(_rank_correlation(first, second), float(low), float(high))


def _rank_correlation(first: Float, second: Float) -> float:
    """Return Pearson's correlation of mean ranks; NaN where one side is constant."""
    ranks = [_mean_ranks(values) for values in (first, second)]
    spread = [float(values.std()) for values in ranks]
    if min(spread) == 0.0:
        return math.nan
    centred = [values - values.mean() for values in ranks]
    return float((centred[0] * centred[1]).mean() / (spread[0] * spread[1]))


def _mean_ranks(values: Float) -> Float:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: Float = (last - 0.5 * (counts - 1))[index].astype(np.float64)
    return found
