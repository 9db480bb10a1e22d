"""Intervals and tests for rates and scores: every published figure carries its uncertainty.

Two agents are compared on the same cases, so tests and differences are paired throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtri
from scipy.stats import beta, fisher_exact

from simdrive.types import Bool, Float

# Fewest data of which a figure says anything: with fewer it is unscored, with the reason, instead of a silent number.
FEWEST_RESAMPLED = (
    10  # rows (and, where rows hang together, 5 clusters): below, a percentile interval is far too narrow
)
FEWEST_CLUSTERS = 5
FEWEST_QUARTERED = 4  # values that have a middle half
NO_CASE = "no case is scored"

Strata = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Interval:
    """An estimate with its lower and upper limit; NaN where there are too few data, and then ``reason`` says so."""

    estimate: float
    low: float
    high: float
    reason: str = ""


def unscored(reason: str, estimate: float = math.nan) -> Interval:
    """Return an interval without limits, and the reason for it: never a number that the data do not carry."""
    return Interval(estimate, math.nan, math.nan, f"unscored: {reason}")


@dataclass(frozen=True)
class PairedRates:
    """Two agents' outcomes on the same cases, and whether they differ."""

    pairs: int
    only_first: int  # cases in which only the first agent has the outcome
    only_second: int
    p_value: float  # exact McNemar; NaN without a pair
    difference: Interval  # rate of the second minus rate of the first


def check_counts(count: int, total: int) -> None:
    """Raise ``ValueError`` unless count is in 0 .. total."""
    if not 0 <= count <= total:
        raise ValueError(f"a count must lie between 0 and the total, got {count} of {total}")


def check_confidence(confidence: float) -> None:
    """Raise ``ValueError`` unless the confidence lies between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")


def wilson(count: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of a rate ``count / total`` (Wilson 1927).

    Raises:
        ValueError: if count is not in 0 .. total.
    """
    check_counts(count, total)
    if total == 0:
        return unscored(NO_CASE)
    z = float(ndtri(0.5 + 0.5 * confidence))
    rate, weight = count / total, z * z / total
    centre = (rate + 0.5 * weight) / (1.0 + weight)
    half = math.sqrt(weight * (rate * (1.0 - rate) + 0.25 * weight)) / (1.0 + weight)
    # The limits are exact at the ends; rounding must not move them past the estimate.
    low = 0.0 if count == 0 else centre - half
    return Interval(rate, low, 1.0 if count == total else centre + half)


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the exact (Clopper-Pearson 1934) interval of a rate, for small counts.

    Raises:
        ValueError: if count is not in 0 .. total.
    """
    check_counts(count, total)
    if total == 0:
        return unscored(NO_CASE)
    tail = 0.5 * (1.0 - confidence)
    low = float(beta.ppf(tail, count, total - count + 1)) if count > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, count + 1, total - count)) if count < total else 1.0
    return Interval(count / total, low, high)


def rule_of_three(total: int) -> float:
    """Return the one-sided 95 % upper limit of a rate after no event in ``total`` trials, ``3 / total``.

    Raises:
        ValueError: if total is not positive.
    """
    if total < 1:
        raise ValueError(f"the rule of three needs at least one trial, got {total}")
    return min(3.0 / total, 1.0)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of the exact McNemar test on the discordant pairs; 1 without any.

    Twice the chance of a split of the discordant pairs at least as uneven to one side if both sides are as likely
    (McNemar 1947; scipy's ``binomtest`` gives the same and takes a millisecond).
    """
    rarer, total = min(only_first, only_second), only_first + only_second
    return min(2.0 * float(bdtr(rarer, total, 0.5)), 1.0) if total else 1.0


def newcombe(both: int, only_first: int, only_second: int, neither: int, confidence: float = 0.95) -> Interval:
    """Return rate of the second minus rate of the first on the same cases, with Newcombe's interval.

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on
    paired data", method 10: Wilson limits of both rates, joined with the correlation of the pairs.
    """
    total = both + only_first + only_second + neither
    if total == 0:
        return unscored(NO_CASE)
    first = wilson(both + only_first, total, confidence)
    second = wilson(both + only_second, total, confidence)
    correlation = _phi(both, only_first, only_second, neither)
    difference = second.estimate - first.estimate

    def reach(up: float, down: float) -> float:
        return math.sqrt(max(up * up - 2.0 * correlation * up * down + down * down, 0.0))

    low = difference - reach(second.estimate - second.low, first.high - first.estimate)
    high = difference + reach(second.high - second.estimate, first.estimate - first.low)
    return Interval(difference, max(low, -1.0), min(high, 1.0))


def newcombe_unpaired(first: tuple[int, int], second: tuple[int, int], confidence: float = 0.95) -> Interval:
    """Return rate of the second minus rate of the first on different cases, each given as (count, total).

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10.
    """
    a, b = wilson(*first, confidence), wilson(*second, confidence)
    difference = b.estimate - a.estimate
    if math.isnan(difference):
        return unscored(NO_CASE)
    low = difference - math.hypot(b.estimate - b.low, a.high - a.estimate)
    high = difference + math.hypot(b.high - b.estimate, a.estimate - a.low)
    return Interval(difference, max(low, -1.0), min(high, 1.0))


def fisher(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the two-sided p-value of Fisher's exact test on two independent rates, each given as (count, total)."""
    check_counts(*first)
    check_counts(*second)
    table = np.array([[first[0], first[1] - first[0]], [second[0], second[1] - second[0]]])
    return float(fisher_exact(table)[1]) if first[1] and second[1] else math.nan


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Return the correlation of paired outcomes with Newcombe's continuity correction, 0 where undefined."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    total = both + only_first + only_second + neither
    excess = float(both * neither - only_first * only_second)
    if excess > 0.0:
        excess = max(excess - 0.5 * total, 0.0)
    return excess / math.sqrt(margins)


def paired_rates(first: Bool, second: Bool, confidence: float = 0.95) -> PairedRates:
    """Compare outcomes ``[n]`` of two agents, row by row on the same cases.

    Raises:
        ValueError: if the lengths differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"paired outcomes need equal lengths, got {len(first)} and {len(second)}")
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    return PairedRates(
        pairs=len(first),
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar(only_first, only_second) if len(first) else math.nan,
        difference=newcombe(both, only_first, only_second, neither, confidence),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for several tests (Holm 1979), in the given order; NaN stays and does not
    count.
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = largest
    return adjusted


def interquartile_mean(values: Float) -> float:
    """Return the mean of the middle half (25 % trimmed on both sides) of ``values [n]``; NaN for n < 4."""
    if len(values) < FEWEST_QUARTERED:
        return math.nan
    cut = len(values) // 4  # as scipy.stats.trim_mean, which takes a millisecond per call
    return float(np.sort(values)[cut : len(values) - cut].mean())


def _mean(values: Float) -> float:
    return float(np.mean(values))


def bootstrap(
    values: Float,
    rng: np.random.Generator,
    statistic: Callable[[Float], float] = _mean,
    *,
    strata: Strata | None = None,
    clusters: Strata | None = None,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Return a statistic with its percentile bootstrap interval.

    For paired comparisons hand over the differences of the pairs. Within each stratum (suite, scenario),
    clusters (cases that share parameters) are drawn with replacement, and then rows within each drawn
    cluster.

    Args:
        values: ``[n]``.
        rng: the generator that draws.
        statistic: of an array; its value on ``values`` is the estimate.
        strata: ``[n]`` labels; by default all rows are one stratum.
        clusters: ``[n]`` labels; by default every row is its own cluster.
        draws: number of resamples.
        confidence: of the interval.

    Returns:
        The interval; without limits and with a reason below ``FEWEST_RESAMPLED`` rows or ``FEWEST_CLUSTERS`` clusters.

    Raises:
        ValueError: if the labels do not match the values, or a value is NaN.
    """
    _check_labels(len(values), strata, clusters)
    if np.isnan(values).any():
        raise ValueError("values hold NaN; leave unscored episodes out, in pairs")
    refusal = too_few(len(values), None if clusters is None else len(np.unique(clusters)))
    if refusal:
        return unscored(refusal, statistic(values) if len(values) else math.nan)
    found = np.array([statistic(values[rows]) for rows in resampled_rows(len(values), rng, draws, strata, clusters)])
    tail = 0.5 * (1.0 - confidence)
    low, high = np.quantile(found, [tail, 1.0 - tail])
    return Interval(statistic(values), float(low), float(high))


def too_few(rows: int, clusters: int | None = None) -> str:
    """Return why a bootstrap interval of so many rows (in so many clusters) is refused; empty where it is not."""
    if rows == 0:
        return NO_CASE
    if rows < FEWEST_RESAMPLED:
        return f"{rows} cases; a bootstrap interval needs {FEWEST_RESAMPLED}"
    if clusters is not None and clusters < FEWEST_CLUSTERS:
        return f"{clusters} clusters; a bootstrap over clusters needs {FEWEST_CLUSTERS}"
    return ""


def _check_labels(count: int, strata: Strata | None, clusters: Strata | None) -> None:
    for name, labels in (("strata", strata), ("clusters", clusters)):
        if labels is not None and len(labels) != count:
            raise ValueError(f"{name} has {len(labels)} labels for {count} values")


def resampled_rows(
    count: int, rng: np.random.Generator, draws: int, strata: Strata | None = None, clusters: Strata | None = None
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the row numbers of each resample of ``count`` rows; arguments and errors as in ``bootstrap``."""
    _check_labels(count, strata, clusters)
    groups = _clusters_by_stratum(count, strata, clusters)
    for _ in range(draws):
        yield _resample(groups, rng)


Group = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _clusters_by_stratum(count: int, strata: Strata | None, clusters: Strata | None) -> list[Group]:
    """Return per stratum: its rows ordered by cluster, and the start and size of each cluster among them."""
    strata = np.zeros(count, dtype=np.int64) if strata is None else strata
    cluster_of = np.arange(count) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    groups = []
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        rows = rows[np.argsort(cluster_of[rows], kind="stable")]
        _, starts, sizes = np.unique(cluster_of[rows], return_index=True, return_counts=True)
        groups.append((rows, starts, sizes))
    return groups


def _resample(groups: list[Group], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the row numbers of one resample: clusters within strata, rows within clusters."""
    chosen = []
    for rows, starts, sizes in groups:
        drawn = rng.integers(len(sizes), size=len(sizes))
        start, size = np.repeat(starts[drawn], sizes[drawn]), np.repeat(sizes[drawn], sizes[drawn])
        chosen.append(rows[start + (rng.random(len(start)) * size).astype(np.int64)])
    return np.concatenate(chosen)
