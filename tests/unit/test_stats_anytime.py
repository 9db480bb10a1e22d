"""The interval that stays valid while one looks, and the rule that ends a run by it."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError
from simdrive.eval.anytime import anytime, fewest_more, half_width, log_evidence
from simdrive.eval.stopping import StopRule, next_stop, outcome_counts, rounds, stopped
from simdrive.types import Case


def test_one_case_by_hand() -> None:
    # After one failure: B(3/2, 1/2) / B(1/2, 1/2) = 1/2, so p is inside while (1/2) / p < 20, that is p > 1/40.
    assert anytime(1, 1).low == pytest.approx(1 / 40)
    assert anytime(1, 1).high == 1.0
    assert anytime(0, 1).high == pytest.approx(39 / 40)
    # Three failures: B(7/2, 1/2) / B(1/2, 1/2) = (1 * 3 * 5) / (2 * 4 * 6) = 5/16, p^3 > (5/16) / 20 = 1/64.
    assert anytime(3, 3).low == pytest.approx(1 / 4)
    assert float(log_evidence(1, 2, 0.5)) == pytest.approx(math.log((1 / 8) / 0.25))


def test_published_widths() -> None:
    assert anytime(15, 300).low == pytest.approx(0.0176, abs=1e-4)
    assert anytime(15, 300).high == pytest.approx(0.1062, abs=1e-4)
    assert anytime(0, 1000).high == pytest.approx(0.0070, abs=1e-4)
    assert anytime(0, 0).reason == "unscored: no case is scored"
    with pytest.raises(ValueError, match="5 of 4"):
        anytime(5, 4)
    with pytest.raises(ValueError, match="confidence"):
        anytime(1, 4, 1.0)


@given(st.integers(1, 3000), st.floats(0.0, 1.0), st.sampled_from([0.8, 0.95, 0.999]))
@settings(max_examples=60, deadline=None)
def test_limits_are_where_the_evidence_says(total: int, share: float, confidence: float) -> None:
    count = round(share * total)
    found, mirrored = anytime(count, total, confidence), anytime(total - count, total, confidence)
    assert 0.0 <= found.low <= found.estimate <= found.high <= 1.0
    assert found.low == pytest.approx(1.0 - mirrored.high, abs=1e-12)
    for limit in (found.low, found.high):
        if 0.0 < limit < 1.0:
            assert float(log_evidence(count, total, limit)) == pytest.approx(-math.log(1.0 - confidence), abs=1e-6)


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.3, 0.1, 0.05]))
@settings(max_examples=25, deadline=None)
def test_fewest_more_is_the_smallest_over_all_outcomes(failures: int, others: int, wanted: float) -> None:
    total = failures + others
    more = fewest_more(failures, total, wanted)
    assert min(half_width(failures, total + more), half_width(failures + more, total + more)) <= wanted
    fewer = more - 1
    for k in {0, fewer // 3, fewer // 2, fewer} if more else ():
        assert half_width(failures + k, total + fewer) > wanted


def case(scenario: str, number: int) -> Case:
    return Case(scenario, (("gap_m", float(number)),), number)


def test_rounds_keep_the_mix_and_hold_every_case_once() -> None:
    cases = [case("a", k) for k in range(6)] + [case("b", k) for k in range(3)]
    found = rounds(cases)
    assert [[each.scenario for each in part] for part in found] == [["a", "a", "b"]] * 3
    assert sorted((c.scenario, c.seed) for part in found for c in part) == sorted((c.scenario, c.seed) for c in cases)
    assert found == rounds(cases)
    assert [each for part in found for each in part if each.scenario == "a"] != cases[:6]  # drawn, not the given order
    with pytest.raises(ParameterError, match=r"2 a, 3 b has no smaller round.*cases=N"):
        rounds([case("a", 0), case("a", 1), *(case("b", k) for k in range(3))])


@pytest.mark.parametrize(
    ("given_", "message"),
    [("half_width", "must be half_width"), ("width:0.1", "must be half_width"), ("half_width:x", "must be half_width"),
     ("half_width:0.7", "between 0 and 0.5"), ("half_width:0", "between 0 and 0.5"), ("half_width:nan", "between 0 and"),
     ("half_width:0.1@2", "between 0.5 and 1"), (True, "must be half_width")],
)  # fmt: skip
def test_wrong_rules_are_refused(given_: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        StopRule.parse(given_)


def test_rules_are_read() -> None:
    assert StopRule.parse(None) is None
    assert StopRule.parse("half_width:0.02") == StopRule(0.02) == StopRule.parse({"half_width": 0.02})
    rule = StopRule.parse("half_width:0.05@0.9")
    assert rule == StopRule(0.05, 0.9)
    assert StopRule.of({"stop": rule.config()}) == rule
    assert StopRule.of({}) is None


def test_looks_are_never_sooner_than_the_rule_can_be_met() -> None:
    rule = StopRule(0.1)
    assert fewest_more(0, 0, 0.1) == 24
    assert next_stop(rule, [(0, 0)], 0, 100, 14) == 3  # 32 cases at least between looks
    assert next_stop(StopRule(0.02), [(0, 0)], 0, 100, 14) == 11  # 149 cases without a failure would do
    assert next_stop(StopRule(0.02), [(0, 0)], 0, 5, 14) == 5
    counts = [(0, 42), (21, 42)]
    assert not rule.met(counts)
    assert next_stop(rule, counts, 3, 100, 14) == 3 + -(-max(fewest_more(21, 42, 0.1), 32) // 14)


def test_how_a_run_ended_is_told() -> None:
    rule = StopRule(0.1)
    assert stopped(rule, [("m", "0 ms", 0, 42)], 42, 100).text.startswith(
        "stopped after 42 cases: half-width 10 points"
    )
    short = stopped(rule, [("m", "0 ms", 0, 42), ("n", "0 ms", 21, 42)], 50, 50)
    assert not short.reached
    assert "NOT REACHED" in short.text
    assert "after all 50 cases n, 0 ms has 23.2 points" in short.text
    assert "nothing scored" in stopped(rule, [("m", "0 ms", 0, 0)], 50, 60).text
    assert "same command continues" in stopped(rule, [("m", "0 ms", 0, 0)], 50, 60).text


def test_only_scored_failures_count() -> None:
    frame = pd.DataFrame(
        {"agent": ["m"] * 5 + ["n"], "latency": ["0 ms"] * 6, "valid": [True, True, True, True, False, True],
         "end": ["goal", "goal", "blocked", "goal", "goal", "goal"], "failure": [1.0, 0.0, 1.0, math.nan, 1.0, 0.0]}
    )  # fmt: skip
    assert outcome_counts(frame, [("m", "0 ms"), ("n", "0 ms"), ("x", "0 ms")]) == [(1, 2), (0, 1), (0, 0)]
