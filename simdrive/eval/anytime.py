"""Intervals of a rate that stay valid however often one looks: what a run may be stopped by.

Looking at Wilson intervals again and again and stopping at the first narrow one breaks their promise. A confidence
sequence holds at all times at once, and therefore also at a time that the data chose.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaln, xlog1py, xlogy

from simdrive.eval.stats import Interval, check_confidence, check_counts, unscored
from simdrive.types import Float

PRIOR = 0.5  # both parameters of the mixing distribution: narrow near 0 and 1, where failure rates lie
SOURCE = (
    "beta-binomial mixture confidence sequence, Beta(1/2, 1/2): Robbins 1970, 'Statistical methods related to the law of "
    "the iterated logarithm', Annals of Mathematical Statistics 41; Howard, Ramdas, McAuliffe and Sekhon 2021, "
    "'Time-uniform, nonparametric, nonasymptotic confidence sequences', Annals of Statistics 49"
)
_SMALLEST = 1e-300


def log_evidence(count: Any, total: Any, rate: Any) -> Float:
    """Return ln of the mixture's likelihood over that of ``rate`` after ``count`` failures in ``total`` cases.

    ``M = B(1/2 + S, 1/2 + F) / B(1/2, 1/2) / (p^S (1 - p)^F)`` with S failures and F others. If the rate is ``p``, M is a
    non-negative martingale that starts at 1, so that it ever exceeds 1 / alpha with a chance of at most alpha (Ville
    1939). It stays a supermartingale at the ends of rounds in which every scenario occurs equally often, whatever the
    rates and scored shares of the scenarios: each term of the mixture multiplies, per case of scenario i, by 1 + c s_i
    (p_i - p) on average (s_i scored share), and the product of these is at most the power of their mean, which is 1,
    because the rate of the whole is p = sum s_i p_i / sum s_i. Arrays broadcast.
    """
    others = np.asarray(total) - np.asarray(count)
    mixture = betaln(PRIOR + np.asarray(count), PRIOR + others) - betaln(PRIOR, PRIOR)
    found: Float = np.asarray(mixture - xlogy(count, rate) - xlog1py(others, -np.asarray(rate)), dtype=np.float64)
    return found


@functools.lru_cache(maxsize=65536)
def anytime(count: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the rate ``count / total`` with limits that hold at all numbers of cases at once.

    All rates p with ``log_evidence < ln(1 / alpha)``: the beta-binomial mixture sequence (``SOURCE``). Wider than a
    Wilson interval of the same cases, which is the price of looking.

    Raises:
        ValueError: if count is not in 0 .. total, or the confidence not between 0 and 1.
    """
    check_counts(count, total)
    check_confidence(confidence)
    if total == 0:
        return unscored("no case is scored")
    threshold = -math.log(1.0 - confidence)
    return Interval(count / total, _lower(count, total, threshold), 1.0 - _lower(total - count, total, threshold))


def _lower(count: int, total: int, threshold: float) -> float:
    """Return the rate below ``count / total`` at which the evidence reaches the threshold; 0 without failures."""
    if count == 0:
        return 0.0
    others, constant = total - count, float(betaln(PRIOR + count, PRIOR + total - count) - betaln(PRIOR, PRIOR))

    def excess(rate: float) -> float:
        rest = others * math.log1p(-rate) if others else 0.0
        return constant - count * math.log(rate) - rest - threshold

    return (
        float(brentq(excess, _SMALLEST, count / total, xtol=1e-14))
        if others
        else math.exp((constant - threshold) / count)
    )


def half_width(count: int, total: int, confidence: float = 0.95) -> float:
    """Return half the length of the sequence's interval; infinite without a scored case."""
    found = anytime(count, total, confidence)
    return math.inf if total == 0 else 0.5 * (found.high - found.low)


def fewest_more(count: int, total: int, wanted: float, confidence: float = 0.95) -> int:
    """Return with how many further cases at least the half-width can be as small as ``wanted``.

    The interval is narrowest if all further cases go the way that most went so far.

    Raises:
        ValueError: if the wanted half-width is not positive.
    """
    if not wanted > 0.0:
        raise ValueError(f"the wanted half-width must be positive, got {wanted}")
    rare = min(count, total - count)  # the interval of the rarer outcome has the same width
    low, high = 0, 1
    if half_width(rare, total, confidence) <= wanted:
        return 0
    while half_width(rare, total + high, confidence) > wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if half_width(rare, total + middle, confidence) <= wanted else (middle, high)
    return high
