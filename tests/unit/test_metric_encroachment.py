"""Post-encroachment time by hand."""

from __future__ import annotations

import numpy as np
import pytest
from logs import make_log

from simdrive.metrics.encroachment import min_pet
from simdrive.types import EpisodeLog


def crossing(
    start_m: float = -10.0, heading: float = np.pi / 2, x0: float = 0.0, rows: int = 41, speed: float = 10.0
) -> EpisodeLog:
    """The ego at 10 m/s along x; somebody 4 m x 2 m goes along y at x = 20 m."""
    rows, speed = 41, 10.0
    y = start_m + np.sin(heading) * speed * 0.1 * np.arange(rows)
    other = {"x": np.full(rows, 20.0), "y": y, "heading": heading, "speed": speed, "length": 4.0, "width": 2.0}
    return make_log(rows, speed=10.0, x0=x0, others=[other])


def test_the_second_comes_so_much_later_than_the_first_has_left() -> None:
    # It has left y = 1 at 1.3 s; the ego's bumper is at x = 19 at 1.65 s, or 1.55 s a metre further on. Logs know 0.1 s.
    assert min_pet()(crossing()).value == pytest.approx(0.4)
    assert min_pet()(crossing(x0=1.0)).value == pytest.approx(0.3)
    # The other way round: the ego has left x = 21 at 2.35 s, the other is at y = -1 at 2.7 s.
    assert min_pet()(crossing(start_m=-30.0)).value == pytest.approx(0.4)


def test_from_either_side_is_the_same() -> None:
    assert min_pet()(crossing(start_m=10.0, heading=-np.pi / 2)).value == pytest.approx(0.4)


def test_who_hits_the_other_has_none_left() -> None:
    assert min_pet()(crossing(start_m=-18.0)).value == 0.0


def test_who_does_not_cross_moves_away_or_stands_is_not_scored() -> None:
    assert not min_pet()(crossing(start_m=5.0)).valid
    assert not min_pet()(make_log(41, speed=10.0, others=[{"x": 15.0, "speed": 9.0}])).valid
    assert not min_pet()(make_log(41, speed=10.0, others=[{"x": 20.0, "y": 0.0, "heading": np.pi / 2}])).valid


def test_beyond_the_horizon_nobody_is_second() -> None:
    assert not min_pet(horizon_s=0.3)(crossing()).valid
    assert min_pet(horizon_s=0.4)(crossing()).valid
