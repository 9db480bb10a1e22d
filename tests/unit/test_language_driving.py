"""Driving answers: text, targets and plans, by hand on a straight road."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import Actor, observe

from simdrive.agents.expert import Expert
from simdrive.agents.language.codec import said, said_side, targets_from, texts_of, vocabulary
from simdrive.agents.language.targets import CHANGES_MPS, SIDES_M, Targets, looked_up, plans_of, rounded, targets_of
from simdrive.agents.language.upsample import side_path, speed_profile
from simdrive.agents.spoken import Spoken

CHANGE, SIDE = st.sampled_from(CHANGES_MPS.tolist()), st.sampled_from(SIDES_M.tolist())


def told(change: list[float], side: list[float]) -> Targets:
    return Targets(np.array([change]), np.array([side]))


@given(st.tuples(CHANGE, CHANGE, CHANGE), st.tuples(SIDE, SIDE))
def test_every_answer_is_read_back_as_it_was_said(change: tuple[float, ...], side: tuple[float, ...]) -> None:
    text = texts_of(told(list(change), list(side)))[0]
    words = text.split(" ")
    assert all(word in allowed for word, allowed in zip(words, vocabulary(), strict=True))
    back, good = targets_from([text, f"car lane brakes ; {text}"])
    assert good.all()
    assert back.change_mps.tolist() == [list(change)] * 2
    assert back.side_m.tolist() == [list(side)] * 2


def test_numbers_are_said_without_frills() -> None:
    assert [said(v) for v in (0.0, -0.0, -2.0, 0.25)] == ["0", "0", "-2", "0.25"]
    assert said_side(-1.5) == "-1.5m"
    assert texts_of(told([-0.5, -1, -2], [0, 0.25])) == ["speed -0.5 -1 -2 side 0m 0.25m"]


@pytest.mark.parametrize(
    "text",
    [
        "", "speed", "speed 1 2 3", "speed 1 2 3 side 0 0", "speed 1 2 3 side 0m", "speed 1 2 3 side 0m 0m 0m",
        "speed 1 2 nan side 0m 0m", "speed 1 2 99 side 0m 0m", "speed 1 2 3 side 0m 40m", "Speed 1 2 3 side 0m 0m",
        "speed 1  2 3 side 0m 0m", "speed 1 2 3 side 0m 0m thanks", "xspeed 1 2 3 side 0m 0m", "speed 1e1 2 3 side 0m 0m",
    ],
)  # fmt: skip
def test_anything_else_is_unparsable(text: str) -> None:
    targets, good = targets_from([text])
    assert not good[0]
    assert not targets.change_mps.any()


@given(st.text())
def test_no_text_is_too_strange_to_read(text: str) -> None:
    targets, _ = targets_from([text])
    assert np.isfinite(targets.change_mps).all()
    assert np.isfinite(targets.side_m).all()


def test_speeds_run_in_straight_lines_between_the_targets() -> None:
    targets = np.array([8.0, 6.0, 2.0])
    assert speed_profile(10.0, targets, 0.5) == pytest.approx((4.75, 9.0))
    assert speed_profile(10.0, targets, 1.0) == pytest.approx((9.0, 8.0))
    assert speed_profile(10.0, targets, 3.0) == pytest.approx((9.0 + 7.0 + 5.0, 4.0))
    assert speed_profile(10.0, targets, 5.0) == pytest.approx((9.0 + 7.0 + 8.0 + 2.0, 2.0))


def test_a_target_below_zero_says_how_early_the_car_stands() -> None:
    targets = np.array([4.0, -4.0, -4.0])  # 10 m/s, 4 m/s after 1 s, zero after 1.5 s
    assert speed_profile(10.0, targets, 1.5) == pytest.approx((7.0 + 1.0, 0.0))
    assert speed_profile(10.0, targets, 4.0) == pytest.approx((8.0, 0.0))


def test_the_car_is_where_it_was_told_to_be() -> None:
    # 10 m/s: 20 m after 2 s, 40 m after 4 s.
    assert side_path(20.0, 20.0, 40.0, 0.0, 0.0, 0.0, 1.0, 3.0)[0] == pytest.approx(1.0)
    assert side_path(40.0, 20.0, 40.0, 0.0, 0.0, 0.0, 1.0, 3.0) == pytest.approx((3.0, 0.0))
    assert side_path(0.0, 20.0, 40.0, 0.5, 0.1, 0.0, 1.0, 3.0) == pytest.approx((0.5, 0.1))
    # A car that hardly moves needs at least six metres to get across.
    assert abs(side_path(1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0)[0]) < 0.2


def test_plans_hold_what_was_said() -> None:
    batch = observe([], speed=15.0)
    plan = plans_of(told([-2, -4, -6], [0.5, 1.0]), batch)[0]
    assert plan[:, 0] == pytest.approx(np.arange(21) * 0.25)
    assert plan[[4, 8, 16], 4] == pytest.approx([13.0, 11.0, 9.0])
    assert plan[8, 2] == pytest.approx(0.5, abs=1e-6)
    assert plan[16, 2] == pytest.approx(1.0, abs=1e-6)


def test_rounding_takes_the_nearest_value() -> None:
    grid = np.array([-1.0, 0.0, 2.0])
    assert rounded(np.array([-5.0, -0.4, 0.9, 1.1, 9.0]), grid).tolist() == [-1.0, 0.0, 0.0, 2.0, 2.0]


@given(st.tuples(CHANGE, CHANGE, CHANGE), st.tuples(SIDE, SIDE))
def test_what_was_said_is_said_again(change: tuple[float, ...], side: tuple[float, ...]) -> None:
    """A plan made from an answer gives the same speeds again wherever the car keeps rolling."""
    batch = observe([], speed=20.0)
    kept = told(list(np.clip(change, -15.0, 8.0)), list(side))
    kept = Targets(rounded(kept.change_mps, CHANGES_MPS), kept.side_m)
    again = targets_of(plans_of(kept, batch), batch)
    assert again.change_mps.tolist() == kept.change_mps.tolist()


def test_a_stop_between_two_targets_is_kept() -> None:
    batch = observe([], speed=12.0)
    plan = plans_of(told([-6, -14, -14], [0, 0]), batch)  # 6 m/s after 1 s, at rest after 1.75 s
    again = plans_of(targets_of(plan, batch), batch)
    assert looked_up(plan, batch)[0][0, 7] == 0.0
    assert np.abs(looked_up(again, batch)[0] - looked_up(plan, batch)[0]).max() < 0.5


def test_the_spoken_expert_does_what_the_expert_does() -> None:
    batch = observe([Actor(ahead_m=25.0, speed_mps=0.0)], speed=15.0)
    meant, heard = Expert().plan(batch).plan, Spoken().plan(batch).plan
    speeds, offsets = looked_up(meant, batch)
    speeds_heard, offsets_heard = looked_up(heard, batch)
    assert speeds[0, 4] < 12.0
    assert np.abs(speeds - speeds_heard).max() < 1.5
    assert np.abs(offsets - offsets_heard).max() < 0.4
