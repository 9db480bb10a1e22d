"""Distributions to draw points from: independent normals cut to [0, 1] per range, shares per choice, and mixtures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, logsumexp, ndtr, ndtri

from simdrive.types import Float

_LOG_ROOT_TAU = 0.5 * math.log(2.0 * math.pi)
FLOOR_SHARE = 0.05  # of a choice's values that is spread evenly, so that none is ever given up
MOST_SIGMA = 1e3  # a normal this wide is uniform on [0, 1]


@dataclass(frozen=True)
class Proposal:
    """One distribution; entries of ``mean`` and ``sigma`` of choices, and of ``shares`` of ranges, are not used.

    Attributes:
        mean, sigma: of each parameter before the cut; sigma inf = uniform.
        shares: per parameter the chance of each value; empty = a range.
    """

    mean: tuple[float, ...]
    sigma: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]

    @classmethod
    def around(cls, choices: Sequence[int], mean: Sequence[float], sigma: float) -> Proposal:
        """Return ranges of one width around ``mean`` and even choices."""
        shares = tuple((1.0 / count,) * count if count else () for count in choices)
        return cls(tuple(map(float, mean)), (float(sigma),) * len(mean), shares)

    @classmethod
    def fitted(
        cls, points: Float, weights: Float, choices: Sequence[int], least_sigma: float, widen: float = 1.0
    ) -> Proposal:
        """Return the fit to weighted points ``[n, P]`` by moments (cross-entropy method, Rubinstein 1999)."""
        share = weights / weights.sum()
        mean = share @ points
        sigma = np.maximum(widen * np.sqrt(share @ (points - mean) ** 2), least_sigma)
        shares = [
            tuple(FLOOR_SHARE / count + (1.0 - FLOOR_SHARE) * float(share[points[:, place] == value].sum())
                  for value in range(count))
            for place, count in enumerate(choices)
        ]  # fmt: skip
        return cls(tuple(map(float, mean)), tuple(map(float, sigma)), tuple(shares))

    def sample(self, count: int, rng: np.random.Generator) -> Float:
        """Return ``count`` points ``[count, P]``."""
        uniform = rng.random((count, len(self.mean)))
        out = np.empty_like(uniform)
        for place, share in enumerate(self.shares):
            if share:
                out[:, place] = np.minimum(np.searchsorted(np.cumsum(share), uniform[:, place]), len(share) - 1)
            elif self.sigma[place] > MOST_SIGMA:
                out[:, place] = uniform[:, place]
            else:
                mean, sigma = self.mean[place], self.sigma[place]
                low, high = ndtr(-mean / sigma), ndtr((1.0 - mean) / sigma)
                out[:, place] = np.clip(mean + sigma * ndtri(low + uniform[:, place] * (high - low)), 0.0, 1.0)
        return out

    def spread_evenly(self, count: int, rng: np.random.Generator) -> Float:
        """Return ``count`` points ``[count, P]``, each parameter spread evenly (Latin hypercube), whatever the means."""
        columns = []
        for share in self.shares:
            fractions = (rng.permutation(count) + rng.random(count)) / max(count, 1)
            columns.append(np.floor(fractions * len(share)) if share else fractions)
        return np.stack(columns, axis=1)

    def log_density(self, points: Float) -> Float:
        """Return the logarithm of the density ``[n]`` of points ``[n, P]``; a choice contributes its chance."""
        total = np.zeros(len(points))
        for place, share in enumerate(self.shares):
            column = points[:, place]
            if share:
                total += np.log(np.array(share))[column.astype(np.int64)]
            elif self.sigma[place] <= MOST_SIGMA:
                mean, sigma = self.mean[place], self.sigma[place]
                z = (column - mean) / sigma
                total += -0.5 * z * z - _LOG_ROOT_TAU - math.log(sigma) - _log_mass(-mean / sigma, (1.0 - mean) / sigma)
        return total


def _log_mass(low: float, high: float) -> float:
    """Return the logarithm of the normal chance between two limits, stable in both tails."""
    if low > 0.0:
        low, high = -high, -low
    upper, lower = float(log_ndtr(high)), float(log_ndtr(low))
    return upper + math.log1p(-math.exp(lower - upper))


@dataclass(frozen=True)
class Mixture:
    """Several proposals with their shares."""

    parts: tuple[Proposal, ...]
    shares: tuple[float, ...]

    def sample(self, count: int, rng: np.random.Generator) -> Float:
        """Return ``count`` points ``[count, P]``."""
        which = rng.choice(len(self.parts), size=count, p=self.shares)
        out = np.empty((count, len(self.parts[0].mean)))
        for number, part in enumerate(self.parts):
            chosen = which == number
            out[chosen] = part.sample(int(chosen.sum()), rng)
        return out

    def log_density(self, points: Float) -> Float:
        """Return the logarithm of the density ``[n]`` of points ``[n, P]``."""
        logs = np.stack([part.log_density(points) for part in self.parts], axis=1)
        found: Float = logsumexp(logs, axis=1, b=np.array(self.shares))
        return found
