"""Budgets of synthetic agents whose critical latency per case is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from simdrive.errors import ParameterError
from simdrive.eval.studies.budget import explore
from simdrive.eval.studies.curve import Fall, Grid, budget, crossing, curve, falls, safe_and_unsafe
from simdrive.eval.studies.paired import Criterion

CASES = [f"case {number}" for number in range(400)]
STRATA = {case: "even" if number % 2 else "odd" for number, case in enumerate(CASES)}
CRITERION = Criterion(margin=0.05)


def failing(count: int, first: int = 0) -> pd.Series:
    """Return outcomes in which ``count`` cases fail, from case ``first`` on."""
    numbers = np.arange(len(CASES))
    return pd.Series((numbers >= first) & (numbers < first + count), index=CASES, dtype=float)


def agent(delay_ms: float) -> pd.Series:
    """Case i fails above 2 i ms: no failure at 0 ms, 5 points at 40 ms."""
    return failing(int(delay_ms / 2.0))


def test_curve_counts_and_pairs_with_the_smallest_delay() -> None:
    points = curve({200.0: failing(100), 0.0: failing(4), 100.0: failing(4)}, CRITERION)
    assert [point.delay_ms for point in points] == [0.0, 100.0, 200.0]
    assert [point.failures for point in points] == [4, 4, 100]
    assert points[2].decision.difference.estimate == pytest.approx(0.24)
    assert [point.decision.verdict for point in points] == ["safe", "safe", "unsafe"]


def test_the_baseline_is_safe_however_few_cases_there_are() -> None:
    (point,) = curve({0.0: failing(1)[:2]}, CRITERION)
    assert point.decision.verdict == "safe"


def test_safe_needs_all_smaller_delays_to_be_safe() -> None:
    points = curve({0.0: failing(0), 100.0: failing(20), 200.0: failing(0), 400.0: failing(80)}, CRITERION)
    assert [point.decision.verdict for point in points] == ["safe", "undecided", "safe", "unsafe"]
    assert safe_and_unsafe(points) == (0.0, 400.0)


@pytest.mark.parametrize(
    ("differences", "margin", "expected"),
    [
        ([0.0, 0.0, 0.1], 0.05, 150.0),  # half way up the last step
        ([0.0, 0.1, 0.0], 0.04, 80.0),  # the fit is 0, 0.05, 0.05
        ([0.0, 0.01, 0.02], 0.05, np.inf),
        ([0.0, -0.1, 0.2], 0.05, 100.0 + 100.0 * 0.1 / 0.25),  # the fit is -0.05, -0.05, 0.2
    ],
)
def test_crossing_of_the_monotone_fit(differences: list[float], margin: float, expected: float) -> None:
    assert crossing(np.array([0.0, 100.0, 200.0]), np.array(differences), margin) == pytest.approx(expected)


def test_budget_of_a_known_agent() -> None:
    outcomes = explore(agent, Grid((0.0, 100.0, 200.0), resolution_ms=10.0, most_ms=200.0), CRITERION)
    found = budget(outcomes, CRITERION, STRATA, np.random.default_rng(3), draws=200)
    assert found.unsafe_ms is not None
    assert 0.0 < found.safe_ms < 40.0 < found.unsafe_ms < 100.0
    assert found.crossing_ms.estimate == pytest.approx(40.0, abs=1.0)
    assert found.safe_ms < found.crossing_ms.low < 40.0 < found.crossing_ms.high < 100.0
    assert found.crosses
    assert found.falls == ()
    assert all(delay % 10.0 == 0.0 for delay in outcomes)
    assert len(outcomes) <= 10  # halving, not sweeping


def test_budget_of_an_agent_that_nothing_disturbs() -> None:
    outcomes = explore(lambda _: failing(4), Grid((0.0, 100.0), most_ms=300.0), CRITERION)
    assert list(outcomes) == [0.0, 100.0, 200.0, 300.0]
    found = budget(outcomes, CRITERION, STRATA, np.random.default_rng(3), draws=50)
    assert (found.safe_ms, found.unsafe_ms, found.crosses) == (300.0, None, False)
    assert found.crossing_ms.estimate == 300.0


def test_a_significant_fall_is_found_and_a_small_one_is_not() -> None:
    found = falls({0.0: failing(0), 100.0: failing(40), 200.0: failing(5)})
    assert [(fall.shorter_ms, fall.longer_ms) for fall in found] == [(100.0, 200.0)]
    assert isinstance(found[0], Fall)
    assert falls({0.0: failing(0), 100.0: failing(40), 200.0: failing(38)}) == ()


def test_the_bootstrap_keeps_pairs_together() -> None:
    """Half of the cases fail at every delay: paired, nothing changes; unpaired, resampling would make a crossing."""
    outcomes = {0.0: failing(200), 100.0: failing(200), 200.0: failing(300)}
    found = budget(outcomes, CRITERION, STRATA, np.random.default_rng(3), draws=100)
    assert found.crossing_ms.low > 100.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"delays_ms": ()}, "start at 0"),
        ({"delays_ms": (100.0,)}, "start at 0"),
        ({"delays_ms": (0.0, 200.0, 100.0)}, "ascend"),
        ({"delays_ms": (0.0, float("inf"))}, "finite"),
        ({"resolution_ms": 0.0}, "resolution_ms"),
        ({"most_ms": 700.0}, "most_ms"),
    ],
)
def test_grid_is_checked(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Grid(**fields)


def test_no_outcomes() -> None:
    with pytest.raises(ParameterError, match="one delay"):
        curve({}, CRITERION)
