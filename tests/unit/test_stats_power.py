"""Power of the exact paired test: by hand, against published figures, and back and forth."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.errors import ParameterError
from simdrive.eval.power import Design, cases_for, design, power, smallest_difference
from simdrive.eval.stats import mcnemar


def test_power_by_hand() -> None:
    # All cases discordant and one-way: six cases reject (p = 0.031), five cannot.
    assert power(Design(1.0, 1.0), 5) == 0.0
    assert power(Design(1.0, 1.0), 6) == pytest.approx(1.0)
    # Six discordant cases with a share of 3/4 the one way: all six one way or all six the other.
    assert power(Design(0.5, 1.0), 6) == pytest.approx(0.75**6 + 0.25**6)
    # Six cases of which each is discordant with 1/2 and then one-way: all six must be.
    assert power(Design(0.5, 0.5), 6) == pytest.approx(0.5**6)
    assert power(Design(0.0, 0.0), 100) == 0.0
    assert cases_for(Design(1.0, 1.0)) == 6


@pytest.mark.parametrize(
    ("first", "second", "cases", "expected"),
    [(0.08, 0.03, 200, 0.50), (0.08, 0.03, 300, 0.70), (0.08, 0.03, 500, 0.92), (0.05, 0.02, 1000, 0.945)],
)
def test_power_of_discordant_shares(first: float, second: float, cases: int, expected: float) -> None:
    assert power(Design(first - second, first + second), cases) == pytest.approx(expected, abs=0.005)


@given(st.integers(1, 40), st.floats(0.01, 1.0), st.floats(0.0, 1.0), st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=30, deadline=None)
def test_power_is_the_sum_over_all_tables(cases: int, discordant: float, part: float, alpha: float) -> None:
    each = Design(part * discordant, discordant, alpha)
    up, down = each.share * discordant, (1.0 - each.share) * discordant
    total = 0.0
    for a in range(cases + 1):
        for b in range(cases + 1 - a):
            ways = math.comb(cases, a) * math.comb(cases - a, b)
            chance = ways * up**a * down**b * max(1.0 - discordant, 0.0) ** (cases - a - b)
            total += chance * (mcnemar(a, b) < alpha)
    assert power(each, cases) == pytest.approx(total, abs=1e-9)


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=40, deadline=None)
def test_mcnemar_is_the_binomial_test(a: int, b: int) -> None:
    expected = binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected, rel=1e-9)


def test_planned_cases_have_the_power_and_no_fewer_do() -> None:
    each = Design(0.05, 0.11)
    cases = cases_for(each, 0.8)
    assert cases == 367  # Connor 1987, without the exactness of the test: 343
    assert power(each, cases) >= 0.8 > power(each, cases - 1)
    assert cases_for(Design(0.0, 0.1)) is None
    assert (cases_for(Design(0.05, 0.11, tests=6)) or 0) > cases


def test_smallest_difference_is_the_inverse() -> None:
    found = smallest_difference(0.05, 500)
    assert found is not None
    assert power(design(0.05, found), 500) >= 0.8 > power(design(0.05, found - 1e-4), 500)
    assert (smallest_difference(0.05, 500, correlation=0.4) or 1.0) < found
    assert smallest_difference(0.05, 4) is None


def test_discordant_share_of_independent_outcomes() -> None:
    assert design(0.05, 0.03).discordant == pytest.approx(0.05 * 0.92 + 0.08 * 0.95)
    assert design(0.05, 0.03, correlation=1.0).discordant == pytest.approx(0.03)  # no less than the difference
    assert design(0.2, 0.0, correlation=1.0).discordant == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0.9, 0.2), "base"), ((-0.1, 0.2), "base"), ((0.05, 0.03, 2.0), "correlation")],
)
def test_impossible_designs(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        design(*arguments)


def test_impossible_shares() -> None:
    with pytest.raises(ParameterError, match=r"between the difference 0.1 and 1"):
        Design(0.1, 0.05)
    with pytest.raises(ParameterError, match="more than failure rates of 0.05 and 0.08 allow, 0.13"):
        design(0.05, 0.03, discordant=0.2)
    with pytest.raises(ParameterError, match="cases must lie"):
        power(Design(0.1, 0.1), -1)


def answer(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["stats", *words])
    return found.exit_code, found.output


def test_command_line() -> None:
    code, text = answer("power", "base=0.03", "difference=0.05", "discordant=0.11", "--json")
    assert code == 0
    assert json.loads(text)["cases"] == 367
    assert "power 0.500" not in answer("power", "base=0.03", "difference=0.05", "discordant=0.11", "cases=300")[1]
    assert json.loads(answer("interval", "failures=0", "cases=300", "--json")[1])["rule_of_three"] == 0.01
    code, text = answer("interval", "failures=0", "cases=0")
    assert code == 0
    assert "unscored: no case is scored" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("power", "base=0.05"), "give difference"),
        (("power", "difference=0.05"), "base=... is needed"),
        (("power", "base=lots", "difference=0.05"), "base must be a number, got 'lots'"),
        (("power", "base=0.05", "difference=0.05", "cases=1.5"), "cases must be a whole number"),
        (("power", "base=0.05", "difference=0.05", "bower=0.9"), "Did you mean 'power'"),
        (("power", "base=0.05", "difference=0.05", "power=1"), "power must lie between 0 and 1"),
        (("interval", "failures=3", "cases=2"), "at most 2, got 3"),
        (("simulate", "what=coverige"), "Did you mean 'coverage'"),
        (("simulate", "runs=5"), "runs must be a whole number of at least 100"),
    ],
)
def test_bad_words(words: tuple[str, ...], message: str) -> None:
    code, text = answer(*words)
    assert code == 2
    assert message in " ".join(text.split())
