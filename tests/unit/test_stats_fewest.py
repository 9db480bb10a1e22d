"""What too few cases do not carry is unscored with a reason: intervals, gates, profiles."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval import stats
from simdrive.eval.compare import refused
from simdrive.eval.differences import paired_difference
from simdrive.eval.gate import Gate, parse_rule, read_gate
from simdrive.eval.profiles import profile, profiles
from simdrive.eval.stats import Interval
from simdrive.report.comparison import _change
from simdrive.report.profile import profile_records, profile_text, write_profile
from simdrive.report.promises import BEGIN, END, PARTS, write_tables


def episodes(scores: list[float], agent: str = "m") -> pd.DataFrame:
    """An episodes table with one score per case."""
    return pd.DataFrame(
        {
            "row": range(len(scores)), "agent": agent, "latency": "0 ms", "camera": "", "corruption": "",
            "scenario": ["even" if k % 2 == 0 else "odd" for k in range(len(scores))],
            "case_key": [f"c{k}" for k in range(len(scores))], "valid": True, "end": "goal", "metric_errors": "",
            "failure": [float(score < 0.0) for score in scores], "nuplan_score": scores,
        }
    )  # fmt: skip


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_bootstrap_of_few_cases_has_no_limits() -> None:
    found = stats.bootstrap(np.arange(9.0), generator())
    assert found.estimate == 4.0
    assert math.isnan(found.low)
    assert found.reason == "unscored: 9 cases; a bootstrap interval needs 10"
    assert not stats.bootstrap(np.arange(10.0), generator(), draws=50).reason
    clustered = stats.bootstrap(np.arange(40.0), generator(), clusters=np.repeat(np.arange(4), 10))
    assert clustered.reason == "unscored: 4 clusters; a bootstrap over clusters needs 5"
    assert stats.bootstrap(np.zeros(0), generator()).reason == "unscored: no case is scored"


def test_a_middle_half_needs_four_values() -> None:
    assert math.isnan(stats.interquartile_mean(np.array([1.0, 2.0, 3.0])))
    assert stats.interquartile_mean(np.array([1.0, 2.0, 3.0, 9.0])) == 2.5


def test_no_pair_no_p_value() -> None:
    nothing = stats.paired_rates(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))
    assert math.isnan(nothing.p_value)
    assert nothing.difference.reason


def test_equal_values_of_few_cases_are_no_narrow_interval() -> None:
    few = paired_difference(episodes([1.0] * 3), episodes([1.0] * 3), "nuplan_score", is_rate=False)
    assert few.change.estimate == 0.0
    assert math.isnan(few.change.low)
    assert "(unscored: 3 cases" in _change(few.change, rate=False)
    many = paired_difference(episodes([1.0] * 12), episodes([1.0] * 12), "nuplan_score", is_rate=False)
    assert (many.change.low, many.change.high, many.cases) == (0.0, 0.0, 12)


def test_a_gate_refuses_fewer_cases_than_it_asks_for() -> None:
    base, candidate = episodes([1.0, -1.0] * 10), episodes([1.0, -1.0] * 10)
    found = paired_difference(base, candidate, "failure", is_rate=True)
    assert refused(found, found.change, Gate(min_cases=20)) == ""
    assert refused(found, found.change, Gate(min_cases=21)) == "unscored: 20 scored cases, the gate asks for 21"
    with pytest.raises(ParameterError, match="min_cases must be at least 1"):
        Gate(min_cases=0)


def test_a_gate_by_intervals_does_not_pass_without_one() -> None:
    rule, value = parse_rule("nuplan_score<-0.1"), Interval(0.0, math.nan, math.nan, "unscored: 3 cases")
    assert rule.fires(value, "interval") is None
    assert rule.fires(value, "point") is False
    few = paired_difference(episodes([1.0] * 3), episodes([1.0] * 3), "nuplan_score", is_rate=False)
    assert refused(few, few.change, Gate(decide="interval")).startswith("unscored: 3 cases")
    assert refused(few, few.change, Gate()) == ""


def test_minimum_of_a_thresholds_file(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text("rules: ['failure_rate>+0.02']\nmin_cases: 50\n")
    assert read_gate(path).min_cases == 50
    path.write_text("rules: []\nmin_cases: lots\n")
    with pytest.raises(ParameterError, match="min_cases of .* whole number"):
        read_gate(path)


def test_profile_by_hand() -> None:
    values = np.array([0.0, 0.2, 0.2, 1.0] * 3)
    found = profile(values, np.array([-0.1, 0.0, 0.2, 1.0]), generator(), draws=200)
    assert found.share.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert (found.low[0], found.high[0], found.low[3], found.high[3]) == (1.0, 1.0, 0.0, 0.0)
    assert found.low[1] < 0.75 < found.high[1]
    few = profile(values[:4], np.array([0.1]), generator())
    assert few.share.tolist() == [0.75]
    assert np.isnan(few.low).all()
    assert few.reason == "unscored: 4 cases; a bootstrap interval needs 10"


@given(st.lists(st.floats(-5.0, 5.0), min_size=10, max_size=40))
@settings(max_examples=25, deadline=None)
def test_profiles_fall_and_hold_their_band(values: list[float]) -> None:
    scores, grid = np.array(values), np.linspace(-6.0, 6.0, 9)
    found = profile(scores, grid, generator(), draws=60)
    assert (np.diff(found.share) <= 0.0).all()
    assert found.share[0] == 1.0
    assert found.share[-1] == 0.0
    assert np.allclose(found.share, [(scores > tau).mean() for tau in grid])
    assert (found.low <= found.high).all()


def test_strata_without_spread_give_a_band_without_width() -> None:
    values, strata = np.array([0.0] * 10 + [1.0] * 10), np.array(["a"] * 10 + ["b"] * 10)
    found = profile(values, np.array([0.5]), generator(), strata=strata, draws=50)
    assert (found.low[0], found.share[0], found.high[0]) == (0.5, 0.5, 0.5)


def test_profiles_of_a_run_and_their_files(tmp_path: Path) -> None:
    scores = [0.1 * k for k in range(20)]
    both = pd.concat([episodes([*scores, math.nan]), episodes(scores[:4], "n")], ignore_index=True)
    both["row"] = range(len(both))
    first, second = profiles(both, "nuplan_score", np.array([0.45, 1.0]), draws=100)
    assert (first.agent, first.cases, second.cases) == ("m", 20, 4)
    assert first.profile.share.tolist() == [0.75, 0.45]
    assert first.interquartile_mean.estimate == pytest.approx(0.95)
    text = profile_text([first, second], "nuplan_score")
    assert "75 [" in text
    assert "no band: unscored: 4 cases" in text
    assert len(profile_records([first, second])) == 4
    write_profile([first, second], "nuplan_score", tmp_path / "a.csv")
    assert pd.read_csv(tmp_path / "a.csv")["share"].tolist()[:2] == [0.75, 0.45]
    with pytest.raises(ParameterError, match="must end with"):
        write_profile([first], "nuplan_score", tmp_path / "a.pdf")
    with pytest.raises(UnknownNameError, match="nuplan_score"):
        profiles(both, "nuplan")
    with pytest.raises(ParameterError, match="not scored in any of 3 episodes"):
        profiles(episodes([math.nan] * 3), "nuplan_score")


def test_tables_are_written_between_the_marks_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    rows = PARTS["power"].simulate(100)
    write_tables(page, {"power": rows}, 100)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| 8 % against 3 %, 200 cases | 100 |" in text
    assert PARTS["power"].simulate(100) == rows
    page.write_text("no marks")
    with pytest.raises(ParameterError, match="lacks the lines"):
        write_tables(page, {"power": rows}, 100)
    assert page.read_text() == "no marks"
