"""Where a student lags: kinds of cases in which it differs from its teacher, or fails, more than elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from simdrive.compress.shadow.ranking import FEWEST_CASES, clustered_difference
from simdrive.eval.kinds import KINDS
from simdrive.types import Bool, Float


@dataclass(frozen=True)
class Target:
    """One kind of cases, and why it is one.

    Attributes:
        slice, value: e.g. ``lighting``, ``night``.
        cases, scored, failures: of it, among those that were driven.
        difference: excess of the measure over other cases; NaN where no teacher was asked.
        z_difference, z_failure: how far each lies above other cases in its own standard errors.
        z: of both together (Stouffer), or of failures alone.
    """

    slice: str
    value: str
    cases: int
    scored: int
    failures: int
    difference: float
    z_difference: float
    z_failure: float
    z: float

    def holds(self, kinds: pd.DataFrame) -> Bool:
        """Tell for each row of ``kinds`` (columns ``KINDS``) whether the case is of this kind."""
        found: Bool = (kinds[self.slice] == self.value).to_numpy()
        return found


def degraded(
    kinds: pd.DataFrame, failed: pd.Series[float], frames: pd.DataFrame | None, by: str, most: int
) -> list[Target]:
    """Return up to ``most`` kinds of cases in which the student lags, the worst first.

    This ranks and does not test: shadow differences and failures of a case hang together.

    Args:
        kinds: of the driven cases, indexed by key (``kinds_of``).
        failed: 0 or 1 by key, of the cases that are scored.
        frames: of a shadow run (columns ``case_key`` and ``by``); None = by failures alone.
        by: the measure of difference.
        most: kinds to return.
    """
    found = []
    known: set[bytes] = set()  # a kind of the same cases as another (a scenario that is all of a lighting) counts once
    for name in KINDS:
        for value in sorted(set(kinds[name])):
            inside = (kinds[name] == value).to_numpy()
            if min(inside.sum(), (~inside).sum()) >= FEWEST_CASES and inside.tobytes() not in known:
                known.add(inside.tobytes())
                found.append(_target(name, value, kinds.index[inside], failed, frames, by))
    worse = [target for target in found if target.z > 0.0]
    return sorted(worse, key=lambda target: (-target.z, target.slice, target.value))[:most]


def _target(
    name: str, value: str, keys: pd.Index[str], failed: pd.Series[float], frames: pd.DataFrame | None, by: str
) -> Target:
    here = failed.index.isin(keys)
    outcome: Float = np.asarray(failed, np.float64)
    z_failure = rates_z(outcome[here], outcome[~here])
    excess, z_difference = math.nan, math.nan
    if frames is not None:
        excess, z_difference = _difference(frames[frames[by].notna()], by, keys)
    both = [z for z in (z_failure, z_difference) if not math.isnan(z)]
    z = sum(both) / math.sqrt(len(both)) if both else math.nan
    return Target(name, value, len(keys), int(here.sum()), int(failed[here].sum()), excess, z_difference, z_failure, z)


def rates_z(inside: Float, outside: Float) -> float:
    """Return the score statistic of two shares of failures, positive where ``inside`` fails more; NaN without either."""
    if not (len(inside) and len(outside)):
        return math.nan
    share = (inside.sum() + outside.sum()) / (len(inside) + len(outside))
    spread = math.sqrt(share * (1.0 - share) * (1.0 / len(inside) + 1.0 / len(outside)))
    return float((inside.mean() - outside.mean()) / spread) if spread > 0.0 else 0.0


def _difference(frames: pd.DataFrame, by: str, keys: pd.Index[str]) -> tuple[float, float]:
    """Return the excess of a measure over other cases, and the normal quantile of its one-sided p-value."""
    inside = frames["case_key"].isin(keys).to_numpy()
    if not inside.any() or inside.all():
        return math.nan, math.nan
    values, cases = frames[by].to_numpy(np.float64), frames["case_key"].to_numpy()
    excess, error, free = clustered_difference(values, cases, inside)
    if not error > 0.0:
        return excess, math.nan
    tail = float(scipy_stats.t.logsf(excess / error, free))
    return excess, float(-scipy_stats.norm.ppf(math.exp(tail))) if tail > -700.0 else math.sqrt(-2.0 * tail)
