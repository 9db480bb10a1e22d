"""A safety difference in terms: hand-computed tables, exact sums, labels by the other arms, the break-even search."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError
from simdrive.eval.studies.breakeven import BreakEven, Steps, break_even, next_delay
from simdrive.eval.studies.split import ARMS, arm_table, label, labelled, split, unavoidable_failures

#            S(0) S(Ls) S(Lt)  T(0) T(Lt) T(Ls)
BY_HAND = [
    ("a", 0, 0, 1, 0, 1, 0),  # the teacher is too slow
    ("b", 1, 1, 1, 0, 0, 0),  # the student drives worse
    ("c", 0, 1, 1, 0, 1, 1),  # both are too slow
    ("d", 0, 0, 0, 0, 1, 1),  # only the teacher cannot stand latency
    ("e", 0, 0, 0, 0, 0, 0),
]


def arms_of(rows: list[tuple[str, ...]] | list[tuple[str, int, int, int, int, int, int]]) -> dict[str, pd.Series]:
    index = [row[0] for row in rows]
    return {name: pd.Series([float(row[1 + k]) for row in rows], index=index) for k, name in enumerate(ARMS)}


def test_terms_by_hand() -> None:
    table = arm_table(arms_of(BY_HAND))
    strata = dict.fromkeys("abcde", "one")
    by_teacher, by_student = (split(table, strata, role, draws=50) for role in ("teacher", "student"))
    # Student at its latency fails b, c; teacher at its own fails a, c, d; at zero latency only the student fails, b.
    assert [term.failures for term in (by_teacher.deployed, *by_teacher.terms)] == [-1, 1, -1, -1]
    # The student fails a, b, c at the teacher's latency: relief 2 - 3; interaction (3 - 1) - (3 - 0).
    assert [term.failures for term in (by_student.deployed, *by_student.terms)] == [-1, 1, -1, -1]
    assert by_teacher.capability.share.estimate == pytest.approx(0.2)
    assert "5 cases" in by_teacher.capability.share.reason  # too few for limits: none are given


@given(st.lists(st.tuples(*[st.integers(0, 1)] * 6), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_terms_add_up_for_any_table(rows: list[tuple[int, ...]]) -> None:
    table = arm_table(arms_of([(f"case{n}", *row) for n, row in enumerate(rows)]))
    strata = {str(key): "one" for key in table.index}
    for role in ("teacher", "student"):
        found = split(table, strata, role, draws=2)
        assert sum(term.failures for term in found.terms) == found.deployed.failures


def test_cases_that_an_arm_does_not_score_enter_no_term() -> None:
    arms = arms_of(BY_HAND)
    arms["teacher_other"] = arms["teacher_other"].drop("b")
    assert list(arm_table(arms).index) == ["a", "c", "d", "e"]


def test_limits_belong_together_and_hold_the_estimate() -> None:
    rng = np.random.default_rng(3)
    rows = [(f"case{n}", *rng.integers(0, 2, 6).tolist()) for n in range(60)]
    strata = {f"case{n}": "odd" if n % 2 else "even" for n in range(60)}
    found = split(arm_table(arms_of(rows)), strata, "teacher", draws=300)
    for term in (found.deployed, *found.terms):
        assert term.share.low < term.share.estimate < term.share.high
    again = split(arm_table(arms_of(rows)), strata, "teacher", draws=300)
    assert found == again


def test_labels_are_told_by_the_other_arms() -> None:
    expected = {
        (False, True, False): "latency", (False, True, True): "latency",
        (False, False, False): "either", (False, False, True): "either",
        (True, False, False): "capability", (True, False, True): "capability",
        (True, True, False): "both", (True, True, True): "unavoidable",
    }  # fmt: skip
    assert {arms: label(*arms) for arms in itertools.product((False, True), repeat=3)} == expected
    assert label(None, True, False) == label(True, True, None) == "unknown"


def test_every_failure_gets_a_label() -> None:
    strata = dict.fromkeys("abcde", "one")
    student = labelled(arms_of(BY_HAND), strata, "student")
    assert [(found.case_key, found.label) for found in student] == [("b", "capability"), ("c", "latency")]
    teacher = labelled(arms_of(BY_HAND), strata, "teacher")
    assert [(found.case_key, found.label) for found in teacher] == [("a", "latency"), ("c", "latency"), ("d", "either")]


def test_what_no_manoeuvre_survives_is_listed_apart() -> None:
    episodes = pd.DataFrame({
        "case_key": ["a", "b", "c"], "scenario": "one", "avoidable": [False, True, False],
        "at_fault_contact": [1.0, 1.0, 0.0], "off_road": 0.0,
    })  # fmt: skip
    (found,) = unavoidable_failures(episodes, "teacher")
    assert (found.case_key, found.label, found.avoidable) == ("a", "unavoidable", False)


def searched(threshold_ms: float, steps: Steps, rival: int = 2, cases: int = 20) -> tuple[BreakEven, list[float]]:
    """The slow agent fails nowhere up to a delay and in half of the cases beyond; its rival fails in some."""
    asked: list[float] = []
    index = [f"case{n}" for n in range(cases)]

    def slow_at(delay_ms: float) -> pd.Series:
        asked.append(delay_ms)
        return pd.Series([float(delay_ms > threshold_ms and n < cases // 2) for n in range(cases)], index=index)

    fast = pd.Series([float(n >= cases - rival) for n in range(cases)], index=index)
    return break_even(slow_at, fast, (100.0, 400.0), steps, dict.fromkeys(index, "one"), draws=50), asked


def test_the_break_even_is_bracketed_to_its_resolution() -> None:
    found, asked = searched(230.0, Steps(25.0, 1600.0))
    assert found.kind == "at"
    assert found.between_ms == (225.0, 250.0)
    assert 225.0 <= found.at_ms.estimate <= 250.0
    assert asked == [0.0, 100.0, 400.0, 250.0, 175.0, 225.0]


def test_not_within_and_always() -> None:
    found, asked = searched(5000.0, Steps(25.0, 1000.0))
    assert (found.kind, found.longest_ms, asked[-1]) == ("never", 1000.0, 1000.0)
    found, _ = searched(-1.0, Steps(25.0, 1000.0))
    assert found.kind == "always"


def test_nothing_is_left_to_ask_within_the_resolution() -> None:
    assert next_delay(np.array([0.0, 30.0]), np.array([-0.1, 0.1]), Steps(50.0, 400.0)) is None
    assert next_delay(np.array([0.0]), np.array([-0.1]), Steps(50.0, 400.0)) == 50.0
    with pytest.raises(ParameterError, match="most_ms"):
        Steps(50.0, 20.0)
    with pytest.raises(ParameterError, match="resolution_ms"):
        Steps(0.0, 20.0)
