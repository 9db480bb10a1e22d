"""Composite scores against their published formulas, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from logs import make_log, make_requests, straight_plan, with_fields

from simdrive.metrics import aggregate
from simdrive.types import EndReason, EpisodeLog

SCORES = (aggregate.nuplan_score(), aggregate.pdms(), aggregate.epdms())


def clean(**fields: object) -> EpisodeLog:
    plans = np.stack([straight_plan(10.0 * k, 0.0, 0.0, 10.0) for k in range(3)])
    requests = make_requests([0, 1_000_000, 2_000_000], 0, plans)
    return make_log(31, others=[{"x": 200.0, "speed": 10.0}], requests=requests, **fields)  # type: ignore[arg-type]


def test_a_perfect_drive_scores_one_everywhere() -> None:
    assert [score(clean()).value for score in SCORES] == [1.0, 1.0, 1.0]


def test_half_the_progress() -> None:
    log = clean(expert_progress_m=60.0)
    assert aggregate.nuplan_score()(log).value == pytest.approx((5 * 0.5 + 5 + 4 + 2) / 16)
    assert aggregate.pdms()(log).value == pytest.approx((5 + 5 * 0.5 + 2) / 12)
    assert aggregate.epdms()(log).value == pytest.approx((5 * 0.5 + 5 + 2 + 2 + 2) / 16)


def test_too_little_progress_zeroes_nuplan_only() -> None:
    log = clean(expert_progress_m=300.0)
    assert aggregate.nuplan_score()(log).value == 0.0
    assert aggregate.pdms()(log).value == pytest.approx((5 + 5 * 0.1 + 2) / 12)


def test_discomfort_and_speeding() -> None:
    harsh = clean()
    harsh = with_fields(harsh, acceleration=np.full_like(harsh.acceleration, -5.0))
    assert aggregate.nuplan_score()(harsh).value == pytest.approx(14 / 16)
    assert aggregate.pdms()(harsh).value == pytest.approx(10 / 12)
    fast = clean(speed_limit_mps=np.full(31, 10.0 - 1.115))
    assert aggregate.nuplan_score()(fast).value == pytest.approx((5 + 5 + 4 * 0.5 + 2) / 16)


def test_multipliers() -> None:
    assert [score(clean(off_road_m=np.full(31, 0.5))).value for score in SCORES] == [0.0, 0.0, 0.0]
    wrong_way = clean(lane_heading=np.full(31, 2.0 * math.pi / 3.0))  # 5 m per second against the lane
    assert aggregate.nuplan_score()(wrong_way).value == pytest.approx(0.5)
    assert aggregate.pdms()(wrong_way).value == 1.0
    assert aggregate.epdms()(wrong_way).value == pytest.approx(0.5)


def test_one_object_hit_at_fault_halves_what_is_left() -> None:
    log = make_log(3, others=[{"x": 6.5, "shape": 7}], contact_with=1)
    # Comfort has too few samples and leaves the mean; TTC is 0, progress and speed are full.
    assert aggregate.nuplan_score()(log).value == pytest.approx(0.5 * (5 + 0 + 4) / 14)
    assert aggregate.pdms()(log).value == pytest.approx(0.5 * 5 / 10)


def test_pdm_time_to_collision_looks_at_four_instants() -> None:
    # Ego 10 m/s, gap g to a stopped car: overlap within 0.9 s if g <= 9 m.
    near, far = make_log(1, others=[{"x": 13.9}]), make_log(1, others=[{"x": 14.1}])
    assert aggregate.pdm_ttc_value(near) == 0.0
    assert aggregate.pdm_ttc_value(far) == 1.0
    # A small thing that crosses between two of the instants is not seen.
    crossing = {"x": 2.0, "y": -6.0, "heading": math.pi / 2, "speed": 30.0, "length": 0.5, "width": 0.5}
    still = make_log(1, speed=0.1, others=[crossing], in_junction=np.ones(1, dtype=np.bool_))
    assert aggregate.pdm_ttc_value(still) == 1.0


def test_lane_keeping_and_flicker_count_in_epdms_only() -> None:
    off_centre = clean(lane_r=np.full((31, 2), 0.8))
    assert aggregate.epdms()(off_centre).value == pytest.approx(14 / 16)
    assert aggregate.pdms()(off_centre).value == 1.0
    plans = np.stack([straight_plan(0, 0, 0, 10.0), straight_plan(10.0, 0, 0, 10.0)])
    plans[1, :, 4] -= 2.0 * plans[1, :, 0]
    flickering = with_fields(clean(), requests=make_requests([0, 1_000_000], 0, plans))
    assert aggregate.epdms()(flickering).value == pytest.approx(14 / 16)


def test_blocked_or_unreferenced_episodes_are_unscored() -> None:
    for log in (clean(end=EndReason.BLOCKED), clean(expert_progress_m=math.nan)):
        assert not any(score(log).valid for score in SCORES)


def test_weighted_mean_leaves_out_what_is_unscored() -> None:
    assert aggregate.weighted_mean(((5.0, 1.0), (2.0, math.nan), (5.0, 0.0))) == 0.5
    assert math.isnan(aggregate.weighted_mean(((2.0, math.nan),)))
