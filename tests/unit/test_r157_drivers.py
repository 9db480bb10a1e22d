"""The formulas of the four reference drivers against values computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simdrive.r157 import cc_human, fsm, reg157, rss
from simdrive.r157.parameters import FULL_BRAKE_MPS2, OVER, SAFE, UNSAFE

SPEED = st.floats(0.0, 40.0)
GAP = st.floats(0.0, 200.0)


def test_human_brakes_along_the_jerk_limit_up_to_the_full_brake() -> None:
    applied, steps = cc_human.RELEASE_MPS2, []
    for _ in range(7):
        applied = cc_human.brake(applied, 10.0)
        steps.append(applied)
    assert steps == pytest.approx([1.665, 2.93, 4.195, 5.46, 6.725, 7.59294, 7.59294])


def test_human_waits_for_overlap_and_gives_the_situation_up_above_two_seconds() -> None:
    assert cc_human.judge_cut_in(0.01, 5.0, 10.0) == SAFE
    assert cc_human.judge_cut_in(0.0, 20.0, 10.0) == UNSAFE
    assert cc_human.judge_cut_in(-0.1, 20.1, 10.0) == OVER
    assert cc_human.judge_cut_in(-0.1, 20.1, 0.0) == OVER  # no closing speed: no danger, and no exception


def test_reg157_bound_is_the_one_of_the_paragraph() -> None:
    assert reg157.judge_cut_in(0.5, 17.3, 12.0) == UNSAFE  # 12/12 + 0.35 + 0.1 = 1.45 s, times 12 m/s = 17.4 m
    assert reg157.judge_cut_in(0.5, 17.5, 12.0) == SAFE
    assert reg157.judge_cut_in(0.51, 1.0, 12.0) == SAFE
    assert reg157.judge_cut_in(0.0, 1.0, 0.0) == SAFE


def test_rss_distances() -> None:
    # 20*.75 + 3*.5625/2 + 22.25^2/12 - 10^2/12
    assert rss.longitudinal_distance(20.0, 10.0) == pytest.approx(15.0 + 0.84375 + 41.255208333 - 8.333333333)
    assert rss.lateral_distance(-1.0) == pytest.approx(0.3 + 2.75 * 0.375 + 1.75**2 / 2.0)
    assert rss.judge(2.8, 40.0, 20.0, 10.0, -1.0) == UNSAFE
    assert rss.judge(2.9, 40.0, 20.0, 10.0, -1.0) == SAFE
    assert rss.judge(2.8, 49.0, 20.0, 10.0, -1.0) == SAFE


def test_rss_following_gap_is_safe_again_after_one_reaction_time() -> None:
    # leader from 20 to 15.5 m/s in .75 s at 6 m/s2; the ego drove on: the gap shrank by 6*.75^2/2
    left = rss.following_gap(20.0) - 6.0 * 0.75**2 / 2.0
    assert left == pytest.approx(rss.longitudinal_distance(20.0, 15.5))


def test_fsm_proactive_is_linear_between_its_bounds() -> None:
    safe, unsafe = 15.0 + 50.0 - 400.0 / 14.0 + 2.0, 15.0 + 400.0 / 12.0 - 400.0 / 14.0
    assert fsm.proactive(2.0 + 0.5 * (safe + unsafe), 20.0, 20.0) == pytest.approx(0.5)
    assert fsm.proactive(2.0 + safe + 0.01, 20.0, 20.0) == 0.0
    assert fsm.proactive(2.0 + unsafe - 0.01, 20.0, 20.0) == 1.0


def test_fsm_critical_without_acceleration() -> None:
    assert fsm.critical(20.1, 20.0, 10.0, 0.0) == 0.0  # safe 7.5 + 100/8
    assert fsm.critical(15.8, 20.0, 10.0, 0.0) == 1.0  # unsafe 7.5 + 100/12
    assert fsm.critical(0.5 * (20.0 + 15.0 + 5.0 / 6.0), 20.0, 10.0, 0.0) == pytest.approx(0.5)
    assert fsm.critical(0.0, 10.0, 10.0, -5.0) == 0.0


def test_fsm_critical_counts_on_at_most_4_mps2_of_present_braking() -> None:
    assert fsm.critical(12.6, 20.0, 10.0, -6.0) == 0.0  # (20 - 1.5 - 10)*.75 + 7^2/8 = 12.5
    assert fsm.critical(12.4, 20.0, 10.0, -6.0) > 0.0
    assert fsm.critical(0.34, 20.0, 18.0, -6.0) == 0.0  # enough braking under way: 2^2/12
    assert fsm.critical(0.32, 20.0, 18.0, -6.0) == 1.0


def test_fsm_brake_follows_the_measures_and_rises_with_limited_jerk_only() -> None:
    assert fsm.brake(0.0, 10.0, 1.0, 0.5) == pytest.approx(1.265)
    assert fsm.brake(4.8, 10.0, 1.0, 0.5) == pytest.approx(5.0)
    assert fsm.brake(6.0, 10.0, 0.25, 0.0) == pytest.approx(1.0)  # falls at once


def test_fsm_side_filter() -> None:
    assert not fsm.passes_before(0.0, 10.0, 8.6, 5.0, 1.0)
    assert fsm.passes_before(1.0, 10.0, 8.6, 5.0, 0.0)
    assert fsm.passes_before(1.0, 10.0, 8.6, 5.0, 0.25)  # 4 s in, past after 3.72 s + 0.1 s
    assert not fsm.passes_before(1.0, 10.0, 8.6, 5.0, 0.27)
    assert fsm.passes_before(1.0, 10.0, 8.6, -5.0, 1.0)  # falling back


@given(SPEED, SPEED, GAP, GAP, st.floats(-8.0, 3.0))
def test_measures_fall_with_the_gap_and_stay_in_their_range(
    speed: float, other: float, gap: float, more: float, acceleration: float
) -> None:
    for near, far in (
        (fsm.proactive(gap, speed, other), fsm.proactive(gap + more, speed, other)),
        (fsm.critical(gap, speed, other, acceleration), fsm.critical(gap + more, speed, other, acceleration)),
    ):
        assert 0.0 <= far <= near <= 1.0


@given(st.floats(0.1, 40.0))
def test_following_gaps_are_the_last_safe_ones(speed: float) -> None:
    gap = fsm.following_gap(speed)
    assert fsm.proactive(gap + 1e-6, speed, speed) == 0.0
    assert fsm.proactive(gap - 1e-3, speed, speed) > 0.0
    assert cc_human.following_gap(speed) == reg157.following_gap(speed) == 2.0 * speed


@given(st.floats(0.0, 8.0), st.floats(10.0, 200.0))
def test_no_ramp_exceeds_its_jerk_or_the_full_brake(applied: float, frequency_hz: float) -> None:
    for after in (
        cc_human.brake(applied, frequency_hz),
        rss.brake(applied, frequency_hz),
        fsm.brake(applied, frequency_hz, 1.0, 1.0),
    ):
        assert after - applied <= 12.65 / frequency_hz + 1e-12
        assert after <= FULL_BRAKE_MPS2
        assert not math.isnan(after)
