from __future__ import annotations

import math

import numpy as np
import pytest

from simdrive.sim.plans import (
    PLAN_TIMES,
    bow,
    constant_acceleration,
    fold,
    hold_plans,
    plan_errors,
    route_pose,
    route_slopes,
    shift_length,
    shift_offset,
    write_manoeuvre,
)
from simdrive.types import Float

RADIUS = 30.0


def circle_route(step: float = 1.0, padding: int = 5) -> Float:
    s = np.arange(0.0, 60.0, step)
    angle = s / RADIUS
    rows = np.column_stack([RADIUS * np.sin(angle), RADIUS * (1 - np.cos(angle)), angle, s, 0 * s + 1 / RADIUS])
    return np.concatenate([rows, np.repeat(rows[-1:], padding, axis=0)])


def test_fold() -> None:
    assert fold(3 * math.pi) == pytest.approx(-math.pi)
    assert fold(0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("step", [1.0, 4.0])
def test_route_pose_is_exact_on_an_arc(step: float) -> None:
    route = circle_route(step)
    for s in (0.0, 0.3, 17.7, 50.1):
        x, y, heading, curvature = route_pose(route, s)
        assert (x, y) == pytest.approx((RADIUS * math.sin(s / RADIUS), RADIUS * (1 - math.cos(s / RADIUS))), abs=6e-3)
        assert heading == pytest.approx(s / RADIUS, abs=1e-9)
        assert curvature == pytest.approx(1 / RADIUS)


def test_route_goes_straight_on_beyond_its_ends() -> None:
    route = circle_route()
    end = route[-1]
    x, y, heading, curvature = route_pose(route, end[3] + 10.0)
    assert (x, y) == pytest.approx((end[0] + 10 * math.cos(end[2]), end[1] + 10 * math.sin(end[2])))
    assert (heading, curvature) == (end[2], 0.0)
    assert route_pose(route, -5.0)[:2] == pytest.approx((-5.0, 0.0))


def test_bow_is_the_cubic_with_the_given_end_slopes() -> None:
    # Slope of the cubic at the ends, by finite differences of a 10 m chord.
    assert bow(10.0, 1e-6, 0.2, -0.1) / 1e-5 == pytest.approx(0.2, rel=1e-4)
    assert -bow(10.0, 1 - 1e-6, 0.2, -0.1) / 1e-5 == pytest.approx(-0.1, rel=1e-4)
    assert bow(10.0, 0.5, 0.2, -0.2) == pytest.approx(10 * 0.125 * 0.4)


def test_shift_meets_its_ends() -> None:
    assert shift_offset(0.0, 20.0, 0.5, 0.1, 0.01, 3.5) == pytest.approx((0.5, 0.1))
    assert shift_offset(20.0, 20.0, 0.5, 0.1, 0.01, 3.5) == (3.5, 0.0)
    assert shift_offset(20.0 - 1e-9, 20.0, 0.5, 0.1, 0.01, 3.5) == pytest.approx((3.5, 0.0), abs=1e-8)
    assert shift_offset(10.0, 20.0, 0.0, 0.0, 0.0, 3.0)[0] == pytest.approx(1.5)


def test_shift_derivatives() -> None:
    e, at = 1e-4, (20.0, 0.5, 0.1, 0.01, 3.5)
    before, after = shift_offset(7 - e, *at), shift_offset(7 + e, *at)
    assert shift_offset(7.0, *at)[1] == pytest.approx((after[0] - before[0]) / (2 * e), rel=1e-6)
    assert (shift_offset(e, *at)[1] - 0.1) / e == pytest.approx(0.01, rel=1e-2)


def test_a_renewed_shift_goes_on_as_before() -> None:
    whole = (0.0, 0.0, 0.0, 3.5)
    r, slope = shift_offset(8.0, 20.0, *whole)
    e = 1e-4
    bend = (shift_offset(8 + e, 20.0, *whole)[1] - shift_offset(8 - e, 20.0, *whole)[1]) / (2 * e)
    renewed = shift_offset(5.0, 12.0, r, slope, bend, 3.5)
    assert renewed == pytest.approx(shift_offset(13.0, 20.0, *whole), abs=0.03)


def test_shift_length_bounds_lateral_acceleration() -> None:
    speed, lateral = 20.0, 2.0
    length = shift_length(0.0, 0.0, 3.5, speed, lateral)
    d = np.linspace(0.0, length, 400)
    slope = np.array([shift_offset(x, length, 0.0, 0.0, 0.0, 3.5)[1] for x in d])
    assert np.abs(np.gradient(slope, d)).max() * speed**2 == pytest.approx(lateral, rel=0.03)
    assert shift_length(0.0, 0.0, 3.5, 1.0, 5.0) >= math.sqrt(48 * 3.5)  # slow cars still have a turning circle


def test_constant_acceleration() -> None:
    assert constant_acceleration(2.0, 10.0, -8.0, 0.0) == pytest.approx((6.25, 0.0))
    assert constant_acceleration(1.0, 10.0, -8.0, 0.0) == pytest.approx((6.0, 2.0))
    assert constant_acceleration(2.0, 10.0, 2.0, 12.0) == pytest.approx((11.0 + 12.0, 12.0))
    assert constant_acceleration(2.0, 10.0, 0.0, 0.0) == pytest.approx((20.0, 10.0))
    assert constant_acceleration(2.0, 10.0, -1.0, 12.0) == pytest.approx((20.0, 10.0))  # nothing to brake down to


def test_hold_plan_keeps_lane_and_speed_and_returns_to_the_centre() -> None:
    route = circle_route()[None]
    plan = hold_plans(route, np.array([5.0]), np.array([0.4]), np.array([0.0]), np.array([6.0]))[0]
    assert plan[:, 0].tolist() == PLAN_TIMES.tolist()
    assert np.all(plan[:, 4] == 6.0)
    radius = np.hypot(plan[:, 1], plan[:, 2] - RADIUS)
    assert radius[0] == pytest.approx(RADIUS - 0.4, abs=1e-3)  # right of a right-hand bend = inside
    assert radius[-1] == pytest.approx(RADIUS, abs=1e-3)
    assert np.diff(np.hypot(np.diff(plan[:, 1]), np.diff(plan[:, 2]))).max() < 0.05
    assert not plan_errors(plan[None])[0]


def test_manoeuvre_that_stops_half_way_stays_half_way() -> None:
    route, plan = circle_route(), np.empty((29, 5))
    times = np.arange(29) * 0.25
    write_manoeuvre(route, 0.0, 0.0, 0.0, 0.0, 8.0, -8.0, 0.0, 3.5, 5.0, times, plan)
    radius = np.hypot(plan[:, 1], plan[:, 2] - RADIUS)
    assert plan[-1, 4] == 0.0
    assert np.all(plan[6:, 1:] == plan[-1, 1:])
    assert 0.1 < RADIUS - radius[-1] < 1.0


def test_route_slopes_include_the_slip() -> None:
    route = circle_route()[None]
    slope = route_slopes(route, np.array([15.0]), np.array([15.0 / RADIUS - 0.05]), np.array([0.2]))
    slip = math.atan(0.5 * math.tan(0.2))
    assert slope[0] == pytest.approx(math.tan(slip - 0.05), abs=1e-6)


def test_plan_errors() -> None:
    good = np.zeros((4, 21, 5))
    good[:, :, 0] = PLAN_TIMES
    good[1, 5, 2] = np.nan
    good[2, 5, 0] = 0.1
    good[3, :, 4] = -1.0
    assert plan_errors(good).tolist() == [False, True, True, True]
    assert plan_errors(good[:1, :16]).tolist() == [True]  # 3.75 s
    assert plan_errors(good[:0]).tolist() == []
