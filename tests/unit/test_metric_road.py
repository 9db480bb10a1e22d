"""Progress, road, direction, speed limit, lane, endpoint and flags by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from logs import make_log, with_fields

from simdrive.metrics import endpoint, flags, phantom, progress, road
from simdrive.metrics.base import longest_run
from simdrive.types import EndReason, EpisodeLog


def driven(metres: float, expert: float, **fields: Any) -> EpisodeLog:
    log = make_log(2, expert_progress_m=expert, **fields)
    return with_fields(log, route_s=np.array([50.0, 50.0 + metres]))


@pytest.mark.parametrize(
    ("metres", "expert", "ratio"),
    [
        (50.0, 100.0, 0.5),
        (120.0, 100.0, 1.0),
        (0.5, 1.0, 1.0),
        (0.0, 10.0, 0.2),
        (-1.9, 10.0, 0.2),
        (-2.1, 10.0, 0.0),
    ],
)
def test_progress_ratio(metres: float, expert: float, ratio: float) -> None:
    assert progress.progress_ratio()(driven(metres, expert)).value == pytest.approx(ratio)


def test_progress_without_a_known_expert_is_unscored_but_metres_are_not() -> None:
    log = driven(30.0, math.nan)
    assert not progress.progress_ratio()(log).valid
    assert not progress.making_progress()(log).valid
    assert not endpoint.low_progress()(log).valid
    assert progress.progress()(log).value == 30.0


@pytest.mark.parametrize(("metres", "score"), [(19.9, 0.0), (20.0, 1.0)])
def test_making_progress_needs_a_fifth(metres: float, score: float) -> None:
    assert progress.making_progress()(driven(metres, 100.0)).value == score


@pytest.mark.parametrize(("outside_m", "off"), [(0.0, 0.0), (0.29, 0.0), (0.3, 1.0)])
def test_off_road_from_03_m_on(outside_m: float, off: float) -> None:
    log = make_log(3, off_road_m=np.array([0.0, outside_m, 0.0]))
    assert road.off_road()(log).value == off
    assert road.off_road_distance()(log).value == outside_m


def test_an_episode_that_ended_off_the_road_is_off_the_road() -> None:
    assert road.off_road()(make_log(3, end=EndReason.OFF_ROAD)).value == 1.0


def test_unknown_distances_are_unscored() -> None:
    assert not road.off_road()(make_log(3, off_road_m=np.array([0.0, math.nan, 0.0]))).valid


@pytest.mark.parametrize(
    ("speed", "score"), [(10.0, 1.0), (0.0, 1.0), (-1.9, 1.0), (-2.1, 0.5), (-5.9, 0.5), (-6.1, 0.0)]
)
def test_driving_direction_by_the_metres_of_the_worst_second(speed: float, score: float) -> None:
    log = make_log(31, speed=speed)
    assert road.wrong_way_m(log) == pytest.approx(max(0.0, -speed))
    assert road.driving_direction()(log).value == score


def test_driving_direction_adds_up_short_traces_and_forgives_junctions() -> None:
    assert road.wrong_way_m(make_log(5, speed=-8.0)) == pytest.approx(3.2)
    assert road.wrong_way_m(make_log(31, speed=-8.0, in_junction=np.ones(31, dtype=np.bool_))) == 0.0
    assert not road.driving_direction()(make_log(1)).valid


def test_driving_against_the_lane_is_driving_forward_on_the_wrong_side() -> None:
    assert road.driving_direction()(make_log(31, lane_heading=np.full(31, math.pi))).value == 0.0


@pytest.mark.parametrize(("over", "score"), [(-1.0, 1.0), (0.0, 1.0), (0.446, 0.8), (2.23, 0.0), (9.0, 0.0)])
def test_speed_limit(over: float, score: float) -> None:
    log = make_log(11, speed=12.0 + over, speed_limit_mps=np.full(11, 12.0))
    assert road.speed_limit()(log).value == pytest.approx(score)


def test_speed_limit_weighs_time_and_ignores_roads_without_one() -> None:
    # 1.115 m/s over during 0.1 of 1.05 s: 1 - 0.1115 / (2.23 * 1.05).
    over = np.where(np.arange(12) == 4, 1.115, 0.0)
    log = make_log(12, speed=12.0 + over, speed_limit_mps=np.full(12, 12.0), last_us=50_000)
    assert road.speed_limit()(log).value == pytest.approx(1.0 - 0.1115 / (2.23 * 1.05))
    assert road.speed_limit()(with_fields(log, speed_limit_mps=np.full(12, math.nan))).value == 1.0


@pytest.mark.parametrize(("rows_off", "score"), [(0, 1.0), (20, 1.0), (21, 0.0)])
def test_lane_keeping_allows_less_than_two_seconds(rows_off: int, score: float) -> None:
    offset = np.where(np.arange(40) < rows_off, 0.6, 0.4)
    log = make_log(40, lane_r=offset[:, None])
    assert road.lane_keeping()(log).value == score
    assert road.lane_keeping()(with_fields(log, in_junction=np.ones(40, dtype=np.bool_))).value == 1.0


def test_longest_run() -> None:
    assert longest_run(np.array([], dtype=np.bool_)) == 0
    assert longest_run(np.array([True, True, False, True, True, True])) == 3
    assert longest_run(np.zeros(4, dtype=np.bool_)) == 0


def at_fault(**fields: Any) -> EpisodeLog:
    return make_log(3, others=[{"x": 6.5}], contact_with=1, **fields)


def test_failure_is_fault_or_off_road_or_low_progress_in_avoidable_cases() -> None:
    assert endpoint.failure()(driven(90.0, 100.0)).value == 0.0
    assert endpoint.failure()(driven(79.0, 100.0)).value == 1.0
    assert endpoint.failure()(driven(80.0, 100.0)).value == 0.0
    assert endpoint.failure()(at_fault()).value == 1.0
    assert endpoint.failure()(driven(90.0, 100.0, off_road_m=np.array([0.0, 0.4]))).value == 1.0
    for unscored in (at_fault(avoidable=False), driven(10.0, 100.0, end=EndReason.BLOCKED)):
        assert not endpoint.failure()(unscored).valid


def test_failure_with_an_unknown_expert_is_scored_only_where_the_rest_decides() -> None:
    assert endpoint.failure()(at_fault(expert_progress_m=math.nan)).value == 1.0
    assert not endpoint.failure()(driven(90.0, math.nan)).valid


def test_a_contact_without_fault_fails_only_through_progress() -> None:
    behind = {"x": -4.5, "speed": 16.0}
    late = make_log(3, others=[behind], contact_with=1)  # expert's progress = driven
    assert endpoint.failure()(late).value == 0.0
    early = make_log(3, others=[behind], contact_with=1, expert_progress_m=100.0)
    assert endpoint.failure()(early).value == 1.0


def test_flags() -> None:
    log = make_log(4, aeb_active=np.array([True, False, False, False]), cold_start=True, end=EndReason.STUCK)
    assert flags.cold_start()(log).value == 1.0
    assert flags.saturated()(log).value == 0.0
    assert flags.stuck()(log).value == 1.0
    assert flags.blocked()(log).value == 0.0
    assert flags.aeb_share()(log).value == 0.25


STOP = np.concatenate([np.linspace(10.0, 0.0, 26), np.zeros(5)])


def hazard_free(**fields: Any) -> EpisodeLog:
    return make_log(31, speed=STOP, hazard_us=-1, **fields)


def test_phantom_stop_on_a_free_road() -> None:
    assert phantom.phantom_stop()(hazard_free()).value == 1.0
    assert phantom.phantom_stop()(make_log(31, hazard_us=-1)).value == 0.0
    assert phantom.phantom_braking()(hazard_free()).value == pytest.approx(4.0, rel=0.1)


def test_stopping_for_somebody_or_in_a_junction_is_no_phantom() -> None:
    queue = {"x": 12.5 + 2.5 + 10.0 + 2.5}  # its rear 10 m before the stopped ego's front
    assert phantom.phantom_stop()(hazard_free(others=[queue])).value == 0.0
    assert phantom.phantom_stop()(hazard_free(others=[queue | {"y": 4.0}])).value == 1.0
    assert phantom.phantom_stop()(hazard_free(others=[queue | {"x": 60.0}])).value == 1.0
    assert phantom.phantom_stop()(hazard_free(in_junction=np.ones(31, dtype=np.bool_))).value == 0.0
    crossing = queue | {"y": 3.5, "heading": math.pi / 2}  # crosswise, its end reaches into the strip
    assert phantom.phantom_stop()(hazard_free(others=[crossing])).value == 0.0


def test_phantom_metrics_are_unscored_in_cases_with_a_hazard() -> None:
    with_hazard = make_log(31, speed=STOP, others=[{"x": 300.0, "is_hazard": True}], hazard_us=-1)
    for log in (with_hazard, make_log(31, speed=STOP, hazard_us=500_000)):
        assert not phantom.phantom_stop()(log).valid
        assert not phantom.phantom_braking()(log).valid


def test_standing_from_the_start_is_no_phantom_stop() -> None:
    assert phantom.phantom_stop()(make_log(31, speed=0.0, hazard_us=-1)).value == 0.0
