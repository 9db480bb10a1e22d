"""Scores of answers, by hand."""

import math

import pytest

from simdrive.agents.language.scoring import driving_score, score


def test_saying_the_commonest_thing_earns_little() -> None:
    right = ["nothing"] * 8 + ["car lane brakes", "car lane stands"]
    found = score(["nothing"] * 10, right)
    assert (found.exact, found.majority) == (0.8, 0.8)
    assert found.balanced == pytest.approx(1 / 3)
    assert found.majority_balanced == pytest.approx(1 / 3)
    assert score(right, right).balanced == 1.0


def test_driving_errors_by_hand() -> None:
    right = ["speed -4 -8 -12 side 0m 0m", "speed 0 0 0 side 0m 0.5m", "speed 0 0 1 side 0m 0m"]
    given = ["speed -2 -8 -10 side 0m 0m", "speed -2 0 0 side 0m 0m", "hello"]
    found = driving_score(given, right)
    assert found.unparsable == pytest.approx(1 / 3)
    assert found.speed_error_mps == pytest.approx((4 / 3, 0.0, 1.0))
    assert found.side_error_m == pytest.approx((0.0, 0.5 / 3))
    assert found.brakes_found == 1.0
    assert found.brakes_for_nothing == pytest.approx(0.5)
    assert found.mean_speed_error_mps == pytest.approx(7 / 9)


def test_without_a_hard_brake_there_is_none_to_find() -> None:
    assert math.isnan(driving_score(["speed 0 0 0 side 0m 0m"], ["speed 0 0 0 side 0m 0m"]).brakes_found)


def test_uneven_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be held against"):
        score(["a"], [])
    with pytest.raises(ValueError, match="no driving answer"):
        driving_score(["a"], ["b"])
