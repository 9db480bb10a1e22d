"""In which kinds of moments two drivers differ more than elsewhere, with intervals that know frames of a case are alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from simdrive.compress.shadow.slices import SLICES
from simdrive.eval.stats import holm
from simdrive.types import Bool, Float

FEWEST_CASES = 5  # inside a slice, and outside: below that a slice is listed without a verdict


@dataclass(frozen=True)
class Slice:
    """One kind of moment.

    Attributes:
        slice, value: e.g. ``distance``, ``10-20 m``.
        frames, cases: in it.
        mean: of the measure in it.
        excess: mean in it less the mean elsewhere; ``low``, ``high``: its 95 % interval, clustered by case.
        p, p_holm: of no excess, two-sided, raw and after Holm over all slices.
    """

    slice: str
    value: str
    frames: int
    cases: int
    mean: float
    excess: float
    low: float
    high: float
    p: float
    p_holm: float


def ranked(frames: pd.DataFrame, by: str, slices: Sequence[str] = SLICES) -> list[Slice]:
    """Return the slices of frames (columns ``case_key``, ``by`` and the slices), the largest excess first.

    Frames without an answer of both drivers do not count.
    """
    frames = frames[frames[by].notna()]
    values, cases = frames[by].to_numpy(np.float64), frames["case_key"].to_numpy()
    found = []
    for name in slices:
        labels = frames[name].to_numpy()
        for label in sorted(set(labels.tolist())):
            inside = labels == label
            if not inside.all():
                found.append(_slice(name, str(label), values, cases, inside))
    adjusted = holm([each.p for each in found])
    corrected = [Slice(**{**vars(each), "p_holm": p}) for each, p in zip(found, adjusted, strict=True)]
    return sorted(corrected, key=lambda each: (math.isnan(each.p), -each.excess))


def _slice(name: str, label: str, values: Float, cases: np.ndarray, inside: Bool) -> Slice:
    here = len(set(cases[inside].tolist()))
    excess, error, free = clustered_difference(values, cases, inside)
    if min(here, len(set(cases[~inside].tolist()))) < FEWEST_CASES:
        error = math.nan
    reach = float(scipy_stats.t.ppf(0.975, free)) * error if error == error else math.nan
    p = float(2.0 * scipy_stats.t.sf(abs(excess) / error, free)) if error > 0.0 else math.nan
    return Slice(name, label, int(inside.sum()), here, float(values[inside].mean()), excess, excess - reach,
                 excess + reach, p, math.nan)  # fmt: skip


def clustered_difference(values: Float, clusters: np.ndarray, inside: Bool) -> tuple[float, float, int]:
    """Return mean inside less mean outside, its standard error, and its degrees of freedom.

    The cluster-robust sandwich of the regression on one indicator (Liang and Zeger 1986) with the factor G/(G-1):
    rows of a cluster may depend on each other in any way, and a cluster may lie on both sides.

    Args:
        values: ``[n]``.
        clusters: ``[n]`` labels.
        inside: ``[n]``; both sides hold at least one row.
    """
    mean_in, mean_out = float(values[inside].mean()), float(values[~inside].mean())
    pull = np.where(inside, (values - mean_in) / inside.sum(), -(values - mean_out) / (~inside).sum())
    names, index = np.unique(clusters, return_inverse=True)
    sums = np.bincount(index, pull, len(names))
    count = len(names)
    if count < 2:
        return mean_in - mean_out, math.nan, 1
    return mean_in - mean_out, math.sqrt(count / (count - 1) * float((sums**2).sum())), count - 1


def most_different(frames: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the frame of each case that differs most, largest first: the neighbours of a frame say the same again."""
    known = frames[frames[by].notna()].sort_values(by, ascending=False, kind="stable")
    return known.drop_duplicates("case_key")
