"""Cross-entropy search for the nearest failure: draw, keep the best, fit the distribution to them, draw again.

Rubinstein 1999, "The cross-entropy method for combinatorial and continuous optimization". While nothing fails the best
are the closest calls; once something fails, the failures nearest to the nominal values. Contacts that nobody could
avoid, and cases that cannot be scored, are never among the best.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simdrive.errors import ParameterError
from simdrive.eval.failures.proposal import Mixture, Proposal
from simdrive.eval.failures.space import Space
from simdrive.eval.failures.trials import Trial
from simdrive.types import Case, Float

Method = Literal["cross_entropy", "random"]
METHODS = ("cross_entropy", "random")
LEAST_SIGMA = 0.02  # of the whole range: the search never stops to look around
SMOOTHING = 0.8  # share of the new fit (Botev, Kroese, Rubinstein and L'Ecuyer 2013: 0.7 to 0.9)


@dataclass(frozen=True)
class Budget:
    """How a search spends its simulations.

    Args:
        simulations: episodes of the agent, all together.
        population: of each generation.
        elite: share of a population that the next one is fitted to.
        method: ``cross_entropy``, or ``random``: uniform over all ranges, the yardstick.
    """

    simulations: int = 300
    population: int = 30
    elite: float = 0.25
    method: Method = "cross_entropy"

    def __post_init__(self) -> None:
        for name in ("simulations", "population"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ParameterError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not 0.0 < self.elite < 1.0:
            raise ParameterError(f"elite is a share between 0 and 1, got {self.elite}")
        if self.method not in METHODS:
            raise ParameterError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")


@dataclass(frozen=True)
class Found:
    """All simulations of a search in their order.

    Attributes:
        points: ``[n, P]``.
        trials: [n].
        distances: ``[n]`` standard deviations from the nominal values.
        proposals: distribution of each generation with how many points were drawn from it.
    """

    points: Float
    trials: tuple[Trial, ...]
    distances: Float
    proposals: tuple[tuple[Proposal, int], ...]

    def failures(self) -> list[int]:
        """Return the places of the failures, the nearest first; of one case that was drawn twice, the first."""
        seen: dict[Case, int] = {}
        for place, trial in enumerate(self.trials):
            if trial.outcome == "fail":
                seen.setdefault(trial.case, place)
        return sorted(seen.values(), key=lambda place: (self.distances[place], place))

    def first(self, within: float = math.inf) -> int | None:
        """Return after how many simulations there was a failure at most so far away; None = never."""
        for place, trial in enumerate(self.trials):
            if trial.outcome == "fail" and self.distances[place] <= within:
                return place + 1
        return None

    def count(self, outcome: str) -> int:
        """Return how many simulations ended so."""
        return sum(trial.outcome == outcome for trial in self.trials)

    def mixture(self) -> Mixture:
        """Return what the simulations as a whole were drawn from."""
        total = sum(count for _, count in self.proposals)
        return Mixture(tuple(p for p, _ in self.proposals), tuple(count / total for _, count in self.proposals))


def search(
    space: Space,
    budget: Budget,
    rng: np.random.Generator,
    drive: Callable[[Sequence[Case]], Sequence[Trial]],
) -> Found:
    """Return all simulations of one search.

    Args:
        space: what varies.
        budget: how many simulations.
        rng: draws all points.
        drive: drives cases and judges them.
    """
    points: list[Float] = []
    trials: list[Trial] = []
    proposals: list[tuple[Proposal, int]] = []
    proposal = space.everything()
    while len(trials) < budget.simulations:
        count = min(budget.population, budget.simulations - len(trials))
        even = not trials and budget.method == "cross_entropy"
        draw = functools.partial(proposal.spread_evenly if even else proposal.sample, rng=rng)
        drawn, cases = space.draw(draw, count)
        points += list(drawn)
        trials += drive(cases)
        proposals.append((proposal, count))
        if budget.method == "cross_entropy":
            proposal = _next(space, budget, np.array(points), trials, proposal)
    found = np.array(points)
    return Found(found, tuple(trials), np.array([space.distance(point) for point in found]), tuple(proposals))


def _next(space: Space, budget: Budget, points: Float, trials: Sequence[Trial], last: Proposal) -> Proposal:
    """Fit to the best of all simulations so far; the old distribution where there is nothing to learn from."""
    useful = [place for place, trial in enumerate(trials) if trial.outcome in ("fail", "pass")]
    ranked = sorted(useful, key=lambda place: _rank(space, points[place], trials[place]))
    best = ranked[: max(round(budget.elite * budget.population), 2)]
    if len(best) < 2:
        return last
    fit = Proposal.fitted(points[best], np.ones(len(best)), space.choices, LEAST_SIGMA)
    return _smoothed(fit, last)


def _rank(space: Space, point: Float, trial: Trial) -> tuple[float, ...]:
    distance = space.distance(point)
    return (0.0, distance) if trial.outcome == "fail" else (1.0, trial.margin, distance)


def _smoothed(fit: Proposal, last: Proposal) -> Proposal:
    """Move most of the way from the last distribution to the fit; from a uniform one all the way."""

    def blend(new: float, old: float) -> float:
        return SMOOTHING * new + (1.0 - SMOOTHING) * old

    if any(math.isinf(sigma) for sigma in last.sigma):
        return fit
    return Proposal(
        tuple(map(blend, fit.mean, last.mean)),
        tuple(map(blend, fit.sigma, last.sigma)),
        tuple(tuple(map(blend, new, old)) for new, old in zip(fit.shares, last.shares, strict=True)),
    )
