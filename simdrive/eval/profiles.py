"""Whole distributions of a score beside its mean: performance profiles and interquartile means with their uncertainty.

After Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS: a profile is
the share of cases with a score above tau, for every tau; of two profiles that do not cross, the higher one is better
whatever one averages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.stats import Interval, Strata, bootstrap, interquartile_mean, resampled_rows, too_few
from simdrive.eval.summary import GROUP, counted, metric_columns
from simdrive.streams import stream
from simdrive.types import Float

DRAWS = 2000
STEPS = 21  # thresholds between the smallest and the largest score


@dataclass(frozen=True)
class Profile:
    """Share of cases with a score above each threshold.

    Attributes:
        thresholds: ``[T]`` ascending, in the score's unit.
        share: ``[T]``.
        low: ``[T]`` of the pointwise percentile bootstrap; NaN where there are too few cases.
        high: ``[T]``.
        reason: why there is no band; empty where there is one.
    """

    thresholds: Float
    share: Float
    low: Float
    high: Float
    reason: str = ""


@dataclass(frozen=True)
class GroupProfile:
    """A score of one agent under one latency setting."""

    agent: str
    latency: str
    cases: int
    mean: Interval
    interquartile_mean: Interval
    profile: Profile


def profile(
    values: Float, thresholds: Float, rng: np.random.Generator, *, strata: Strata | None = None, draws: int = DRAWS,
    confidence: float = 0.95,
) -> Profile:  # fmt: skip
    """Return the performance profile of scores ``values [n]`` with a band that resamples cases within strata.

    Raises:
        ValueError: if a value is NaN or there are not as many labels as values.
    """
    if np.isnan(values).any():
        raise ValueError("values hold NaN; leave unscored episodes out")
    nothing = np.full(len(thresholds), math.nan)
    share = _share_above(values, thresholds) if len(values) else nothing
    refusal = too_few(len(values))
    if refusal:
        return Profile(thresholds, share, nothing, nothing, f"unscored: {refusal}")
    found = np.stack(
        [_share_above(values[rows], thresholds) for rows in resampled_rows(len(values), rng, draws, strata)]
    )
    tail = 0.5 * (1.0 - confidence)
    low, high = np.quantile(found, [tail, 1.0 - tail], axis=0)
    return Profile(thresholds, share, low, high)


def _share_above(values: Float, thresholds: Float) -> Float:
    above = len(values) - np.searchsorted(np.sort(values), thresholds, side="right")
    return np.asarray(above / len(values), dtype=np.float64)


def profiles(
    episodes: pd.DataFrame, metric: str, thresholds: Float | None = None, draws: int = DRAWS, confidence: float = 0.95
) -> tuple[GroupProfile, ...]:
    """Return the profile of every agent and setting of a table of episodes, cases drawn anew within scenarios.

    Args:
        episodes: columns of ``schema.episodes_schema``.
        metric: one of its metrics.
        thresholds: ``[T]``; by default evenly from the smallest to the largest score of all groups.
        draws: resamples.
        confidence: of intervals and bands.

    Raises:
        UnknownNameError: if there is no such metric.
        ParameterError: if the metric is scored nowhere.
    """
    if metric not in metric_columns(episodes):
        raise UnknownNameError("metric", metric, metric_columns(episodes))
    kept = counted(episodes.sort_values("row"))
    kept = kept[np.isfinite(kept[metric].to_numpy(np.float64))]
    if not len(kept):
        raise ParameterError(f"{metric} is not scored in any of {len(episodes)} episodes: there is nothing to profile")
    scores = kept[metric].to_numpy(np.float64)
    grid = np.linspace(scores.min(), scores.max(), STEPS) if thresholds is None else thresholds
    return tuple(
        _group(tuple(map(str, name)), frame, metric, grid, draws, confidence)
        for name, frame in kept.groupby(list(GROUP), sort=False)
    )


def _group(
    name: tuple[str, ...], frame: pd.DataFrame, metric: str, grid: Float, draws: int, confidence: float
) -> GroupProfile:
    values, strata = frame[metric].to_numpy(np.float64), frame["scenario"].to_numpy(str)

    def interval(statistic: Any) -> Interval:
        rng = stream("profile", f"{metric}.{getattr(statistic, '__name__', '')}")
        return bootstrap(values, rng, statistic, strata=strata, draws=draws, confidence=confidence)

    band = profile(values, grid, stream("profile", metric), strata=strata, draws=draws, confidence=confidence)
    return GroupProfile(
        ", ".join([name[0], *(part for part in name[2:] if part)]), name[1], len(values),
        interval(_mean), interval(interquartile_mean), band,
    )  # fmt: skip


def _mean(values: Float) -> float:
    return float(values.mean())
