"""Paired verdicts against published intervals, exact enumeration and hand-computed tables."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial, norm

from simdrive.errors import ParameterError
from simdrive.eval.stats import Interval
from simdrive.eval.studies.paired import Criterion, Pairs, _score, decide, pair, planned_pairs, tango, verdict_of

Z = float(norm.ppf(0.975))


def test_published_score_statistic() -> None:
    """Tango 1998, cross-over trial of contact lenses: 44 pairs, one discordant, margin 0.1: Z = 1.709."""
    assert _score(-0.1, Pairs(44, 1, 0)) == pytest.approx(1.709, abs=5e-4)


@pytest.mark.parametrize(
    ("total", "only_first", "only_second", "low", "high"),
    # Bentur et al. 2009 and Cavo et al. 2012, as tabulated by Fagerland, Lydersen and Laake 2017, chapter 8.
    [(21, 7, 1, -0.517, -0.026), (161, 16, 6, -0.124, -0.005)],
)
def test_published_intervals(total: int, only_first: int, only_second: int, low: float, high: float) -> None:
    found = tango(Pairs(total, only_first, only_second))
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))


def test_without_discordant_pairs_the_limits_have_a_closed_form() -> None:
    found = tango(Pairs(100, 0, 0))
    assert found.estimate == 0.0
    assert found.high == pytest.approx(Z * Z / (100 + Z * Z), abs=1e-9)
    assert found.low == pytest.approx(-found.high, abs=1e-9)


def test_ends_and_nothing() -> None:
    assert tango(Pairs(4, 0, 4)).high == 1.0
    assert tango(Pairs(4, 4, 0)).low == -1.0
    assert math.isnan(tango(Pairs(0, 0, 0)).estimate)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 60))
def test_interval_holds_its_estimate_and_mirrors(concordant: int, first: int, second: int) -> None:
    total = concordant + first + second
    found, mirrored = tango(Pairs(total, first, second)), tango(Pairs(total, second, first))
    assert -1.0 <= found.low <= found.estimate <= found.high <= 1.0
    assert found.low == pytest.approx(-mirrored.high, abs=1e-8)


def chance_of_safe(total: int, p10: float, p01: float, criterion: Criterion) -> float:
    """Sum the probability of all tables that are called safe."""
    chance = 0.0
    for first in range(total + 1):
        for second in range(total + 1 - first):
            weight = multinomial.pmf([first, second, total - first - second], total, [p10, p01, 1.0 - p10 - p01])
            if weight > 1e-9 and verdict_of(tango(Pairs(total, first, second)), criterion.margin) == "safe":
                chance += float(weight)
    return chance


def test_a_rate_that_is_worse_by_the_margin_is_called_safe_in_one_of_forty_runs() -> None:
    assert chance_of_safe(60, 0.05, 0.15, Criterion(margin=0.1)) == pytest.approx(0.025, abs=0.012)


@pytest.mark.parametrize(
    ("only_first", "only_second", "margin"), [(2, 2, 0.15), (1, 2, 0.15), (3, 2, 0.1), (6, 6, 0.25)]
)
def test_planned_pairs_reach_the_power(only_first: int, only_second: int, margin: float) -> None:
    """Against the exact power; the formula is asymptotic and tables are coarse."""
    criterion = Criterion(margin=margin)
    planned = planned_pairs(Pairs(50, only_first, only_second), criterion)
    assert planned is not None
    assert chance_of_safe(planned, only_first / 50, only_second / 50, criterion) == pytest.approx(0.8, abs=0.07)


def test_planned_pairs_by_hand() -> None:
    """One in ten pairs changes each way, margin 0.1. Under it: linear = -0.2 + 2 * 0.1 = 0, root = sqrt(8 * 0.1 * 0.09),
    V0 = root / 2 + 0.09 = 0.22416; V1 = 0.2; n = (1.95996 sqrt(V0) + 0.84162 sqrt(V1))^2 / 0.01 = 170.1.
    """
    assert planned_pairs(Pairs(100, 10, 10), Criterion(margin=0.1)) == 171


def test_planned_pairs_without_any_change_suffice_for_the_interval() -> None:
    criterion = Criterion(margin=0.02)
    planned = planned_pairs(Pairs(50, 0, 0), criterion)
    assert planned == 189
    assert tango(Pairs(189, 0, 0)).high < 0.02 < tango(Pairs(188, 0, 0)).high


def test_no_number_of_pairs_decides_a_difference_that_is_the_margin() -> None:
    assert planned_pairs(Pairs(50, 0, 1), Criterion(margin=0.02)) is None
    assert planned_pairs(Pairs(0, 0, 0), Criterion()) is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.01, 0.019, "safe"), (0.021, 0.3, "unsafe"), (-0.01, 0.02, "undecided"), (math.nan, math.nan, "undecided")],
)
def test_verdict(low: float, high: float, verdict: str) -> None:
    assert verdict_of(Interval(0.0, low, high), 0.02) == verdict


def test_pairs_are_made_by_case_and_only_of_what_both_score() -> None:
    first = pd.Series({"a": 0.0, "b": 1.0, "c": 1.0, "d": 0.0})
    second = pd.Series({"d": 1.0, "c": 1.0, "b": 0.0, "x": 1.0})
    assert pair(first, second) == Pairs(3, 1, 1)


def test_decide() -> None:
    cases = [f"case {number}" for number in range(200)]
    none = pd.Series(0.0, index=cases)
    some = pd.Series(np.arange(200) < 40, index=cases, dtype=float)
    assert decide(none, none, Criterion()).verdict == "safe"
    assert decide(none, some, Criterion()).verdict == "unsafe"
    few = decide(none[:50], none[:50], Criterion())
    assert (few.verdict, few.cases_needed) == ("undecided", 189 - 50)


@pytest.mark.parametrize("fields", [{"margin": 0.0}, {"margin": 1.5}, {"confidence": 0.4}, {"power": 1.0}])
def test_criterion_is_checked(fields: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(fields))):
        Criterion(**fields)
