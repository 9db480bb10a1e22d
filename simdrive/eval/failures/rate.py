"""How likely is a failure under the exposure: importance sampling around the known failures, beside plain Monte Carlo.

The proposal is a mixture of the exposure itself (defensive part, Hesterberg 1995: no weight exceeds its inverse share)
and a normal fitted to the failures of the search, each weighted by its likelihood. It is fixed before the first of its
simulations, so the estimate does not suffer from the search that chose it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from simdrive.eval.failures.proposal import Mixture, Proposal
from simdrive.eval.failures.search import Found
from simdrive.eval.failures.space import Space
from simdrive.eval.failures.trials import Trial
from simdrive.eval.stats import Interval, unscored, wilson
from simdrive.types import Float

DEFENSIVE = 0.3  # share of the exposure in the mixture
LEAST_SIGMA, WIDEN = 0.04, 1.3


@dataclass(frozen=True)
class FailureRate:
    """Share of failures among the avoidable cases under the exposure.

    Attributes:
        rate: with its interval.
        simulations: that it took.
        scored: of these, avoidable and valid.
        failures: of these.
        effective: effective sample size of the failures, (sum w)^2 / sum w^2; their number for plain Monte Carlo.
    """

    rate: Interval
    simulations: int
    scored: int
    failures: int
    effective: float


def proposal_of(space: Space, found: Found) -> Mixture | None:
    """Return what to draw from after a search; None where it found no failure."""
    places = found.failures()
    if not places:
        return None
    points = found.points[places]
    logs = space.likely().log_density(points) - found.mixture().log_density(points)
    weights = np.exp(logs - logs.max())
    fit = Proposal.fitted(points, weights, space.choices, LEAST_SIGMA, WIDEN)
    return Mixture((space.likely(), fit), (DEFENSIVE, 1.0 - DEFENSIVE))


def weighted_rate(
    space: Space, proposal: Mixture, points: Float, trials: Sequence[Trial], confidence: float = 0.95
) -> FailureRate:
    """Return the self-normalised estimate sum(w f) / sum(w) over the scored simulations of a fixed proposal.

    Its variance is that of a ratio, sum(w^2 (f - r)^2) / sum(w)^2 (Owen 2013, "Monte Carlo theory, methods and
    examples", chapter 9.2); limits are normal on the logarithm of the rate, so they stay positive.

    Args:
        space: exposure.
        proposal: what ``points [n, P]`` were drawn from.
        points, trials: what was driven; references must be settled.
        confidence: of the limits.
    """
    scored = np.array([_scored(trial) for trial in trials], dtype=np.bool_)
    failed = np.array([trial.outcome == "fail" for trial in trials], dtype=np.float64)[scored]
    logs = space.likely().log_density(points) - proposal.log_density(points)
    weights = np.exp(logs)[scored]
    count = int(failed.sum())
    if not count:
        refusal = unscored("no failure among the weighted simulations", 0.0 if len(weights) else math.nan)
        return FailureRate(refusal, len(trials), len(weights), 0, 0.0)
    rate = float(weights @ failed / weights.sum())
    error = math.sqrt(float((weights**2) @ (failed - rate) ** 2)) / float(weights.sum())
    reach = math.exp(float(ndtri(0.5 + 0.5 * confidence)) * error / rate)
    heavy = weights * failed
    effective = float(heavy.sum() ** 2 / (heavy**2).sum())
    return FailureRate(
        Interval(rate, rate / reach, min(rate * reach, 1.0)), len(trials), len(weights), count, effective
    )


def plain_rate(trials: Sequence[Trial], confidence: float = 0.95) -> FailureRate:
    """Return the rate among simulations that were drawn from the exposure, with Wilson's interval."""
    total = sum(_scored(trial) for trial in trials)
    count = sum(trial.outcome == "fail" for trial in trials)
    return FailureRate(wilson(count, total, confidence), len(trials), total, count, float(count))


def _scored(trial: Trial) -> bool:
    return trial.avoidable is True and trial.outcome in ("fail", "pass")
