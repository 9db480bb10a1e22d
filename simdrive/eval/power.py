"""How many cases a paired comparison needs, and what it can see with those that there are.

The test is the exact McNemar test that comparisons use. A case is discordant if one agent fails it and the other does not;
only such cases carry evidence about which agent fails more often.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from simdrive.errors import ParameterError

MOST_CASES = 1_000_000
_STEADY = 64  # a number of cases counts as enough if so many larger ones are as well: exact tests saw-tooth
_TAIL = 1e-12
_STEP = 1e-4  # resolution of the smallest difference: 0.01 points


@dataclass(frozen=True)
class Design:
    """A paired comparison in terms of its true shares of cases.

    Args:
        difference: failure rate of the second agent minus that of the first; its sign does not matter.
        discordant: share of cases that exactly one of the two fails; at least the difference.
        alpha: level of the two-sided test.
        tests: comparisons of the sweep; the first step of Holm's procedure asks alpha / tests of each.

    Raises:
        ParameterError: if a share is out of range or the discordant share is below the difference.
    """

    difference: float
    discordant: float
    alpha: float = 0.05
    tests: int = 1

    def __post_init__(self) -> None:
        if not 0.0 <= abs(self.difference) <= 1.0:
            raise ParameterError(
                f"difference must be a share of cases, 0 to 1 (0.03 = 3 points), got {self.difference:g}"
            )
        if not abs(self.difference) <= self.discordant <= 1.0:
            raise ParameterError(
                f"discordant must lie between the difference {abs(self.difference):g} and 1 (a difference comes from "
                f"cases that one of the two fails), got {self.discordant:g}"
            )
        check_level("alpha", self.alpha)
        if self.tests < 1:
            raise ParameterError(f"tests must be at least 1, got {self.tests}")

    @property
    def level(self) -> float:
        """Level of one test."""
        return self.alpha / self.tests

    @property
    def share(self) -> float:
        """Share of the more frequent kind among discordant cases; one half where there is none."""
        return 0.5 + 0.5 * abs(self.difference) / self.discordant if self.discordant else 0.5


def check_level(name: str, value: float, high: float = 1.0) -> None:
    """Raise ``ParameterError`` unless a level lies strictly between 0 and ``high``."""
    if not 0.0 < value < high:
        raise ParameterError(f"{name} must lie between 0 and {high:g}, got {value:g}")


def design(
    base: float,
    difference: float,
    correlation: float = 0.0,
    *,
    discordant: float | None = None,
    alpha: float = 0.05,
    tests: int = 1,
) -> Design:
    """Return the design in which the first agent fails a share ``base`` and the second ``base + difference``.

    Without a discordant share it follows from the correlation of the two outcomes:
    ``p1 (1 - p2) + p2 (1 - p1) - 2 r sqrt(p1 (1 - p1) p2 (1 - p2))``. Zero, outcomes that have nothing to do with each
    other, is cautious: cases that are hard for both agents make it positive, and fewer cases do.

    Raises:
        ParameterError: if a rate leaves 0 .. 1, or the shares do not fit together.
    """
    first, second = base, base + difference
    for name, value in (("base", first), ("base + difference", second)):
        if not 0.0 <= value <= 1.0:
            raise ParameterError(f"{name} is a failure rate and must lie between 0 and 1, got {value:g}")
    if not -1.0 <= correlation <= 1.0:
        raise ParameterError(f"correlation must lie between -1 and 1, got {correlation:g}")
    if discordant is None:
        spread = math.sqrt(first * (1.0 - first) * second * (1.0 - second))
        discordant = first * (1.0 - second) + second * (1.0 - first) - 2.0 * correlation * spread
        discordant = max(discordant, abs(difference))  # what the correlation cannot reach
    most = min(first + second, 2.0 - first - second)
    if discordant > most + 1e-12:
        raise ParameterError(
            f"discordant {discordant:g} is more than failure rates of {first:g} and {second:g} allow, {most:g}"
        )
    return Design(difference, min(discordant, 1.0), alpha, tests)


@functools.lru_cache(maxsize=32)
def _rejections(level: float, most: int) -> npt.NDArray[np.int64]:
    """Return per number d = 0 .. most of discordant cases the largest count of the rarer kind that rejects; -1 = none.

    McNemar's exact p-value of k of the rarer kind is ``min(1, 2 P(Binomial(d, 1/2) <= k))``.
    """
    d = np.arange(most + 1)
    found = np.asarray(binom.ppf(0.5 * level, d, 0.5)).astype(np.int64)  # smallest k with P(<= k) >= level / 2
    found = np.where(2.0 * binom.cdf(found, d, 0.5) < level, found, found - 1)
    return np.minimum(found, (d - 1) // 2)


def power(design: Design, cases: int) -> float:
    """Return the chance that the exact McNemar test says p < level with so many paired cases.

    Summed over the number of discordant cases, which is binomial, and given that over the split of them.

    Raises:
        ParameterError: if cases is not in 0 .. 1,000,000.
    """
    if not 0 <= cases <= MOST_CASES:
        raise ParameterError(f"cases must lie between 0 and {MOST_CASES}, got {cases}")
    low, high = (int(binom.ppf(tail, cases, design.discordant)) for tail in (_TAIL, 1.0 - _TAIL))
    d = np.arange(max(low, 0), high + 1)
    edge = _rejections(design.level, 2 ** math.ceil(math.log2(high + 2)))[d]
    reject = binom.cdf(edge, d, 1.0 - design.share) + binom.cdf(edge, d, design.share)
    reject = np.where(edge >= 0, reject, 0.0)
    return float(np.sum(binom.pmf(d, cases, design.discordant) * reject))


def cases_for(design: Design, wanted: float = 0.8) -> int | None:
    """Return the smallest number of paired cases that has the wanted power, with the 64 numbers after it; None = none.

    Raises:
        ParameterError: if the wanted power is not between 0 and 1.
    """
    check_level("power", wanted)
    if design.difference == 0.0:
        return None
    cases = _first(lambda n: power(design, n) >= wanted, 1, MOST_CASES)
    while cases is not None:
        falls = [n for n in range(cases + 1, min(cases + _STEADY, MOST_CASES) + 1) if power(design, n) < wanted]
        if not falls:
            return cases
        cases = falls[-1] + 1
    return None


def smallest_difference(
    base: float,
    cases: int,
    wanted: float = 0.8,
    correlation: float = 0.0,
    *,
    discordant: float | None = None,
    alpha: float = 0.05,
    tests: int = 1,
) -> float | None:
    """Return the smallest rise of a failure rate above ``base`` that so many cases show, to 0.01 points; None = none.

    Arguments and errors as in ``design``.
    """
    check_level("power", wanted)
    design(base, 0.0, correlation, alpha=alpha, tests=tests)  # refuses wrong values
    if discordant is not None:
        Design(0.0, discordant, alpha, tests)
    most = int((1.0 - base if discordant is None else min(1.0 - base, discordant)) / _STEP + 1e-9)

    def shown(steps: int) -> bool:
        try:
            each = design(base, steps * _STEP, correlation, discordant=discordant, alpha=alpha, tests=tests)
        except ParameterError:  # such a difference does not fit the discordant share
            return False
        return power(each, cases) >= wanted

    steps = _first(shown, 1, most)
    return None if steps is None else steps * _STEP


def _first(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """Return the smallest number from low to high that holds, if larger ones hold as well; None if none is found."""
    if high < low:
        return None
    below, above = low - 1, low
    while not holds(above):
        if above == high:
            return None
        below, above = above, min(2 * above, high)
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (below, middle) if holds(middle) else (middle, above)
    return above
