"""Scripted motion on cases that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.sim.motion import advance, approach, commanded_acceleration, gap_limit, lateral_step
from simdrive.sim.scripted import line_pose, path_entry, wheeled
from simdrive.sim.spec import Action
from simdrive.sim.state import Shape

DT = 0.02
NAN = math.nan
DIVISOR = 2.0 * math.sqrt(3.0 * 5.0)


def drive(
    action: Action, magnitude: float, rate: float, until: float, speed: float, seconds: float
) -> tuple[float, float, float, float]:
    """Return (distance, speed, time of the end or standstill, hardest braking) under one longitudinal row."""
    travelled, before, ended, hardest = 0.0, 0.0, NAN, 0.0
    done = False
    for tick in range(round(seconds / DT)):
        acceleration = 0.0
        if not done:
            acceleration, done = commanded_acceleration(action, magnitude, rate, until, speed, before, DT)
        hardest = min(hardest, acceleration)
        after, distance = advance(speed, acceleration, DT, True)
        travelled += distance
        before, speed = (after - speed) / DT, after
        if math.isnan(ended) and (done or speed == 0.0):
            ended = (tick + 1) * DT
    return travelled, speed, ended, hardest


def test_stop_from_20_mps_at_6_mps2_takes_v2_over_2a() -> None:
    travelled, speed, ended, _ = drive(Action.STOP, 6.0, 0.0, NAN, 20.0, 6.0)
    assert travelled == pytest.approx(20.0**2 / 12.0, abs=1e-9)  # exact, the last part of a tick included
    assert speed == 0.0
    assert ended == pytest.approx(20.0 / 6.0, abs=1.01 * DT)


def test_stop_with_jerk_builds_up_braking() -> None:
    # 3 m/s2 reached after 0.5 s at 6 m/s3: v loses a*t/2 = 0.75 m/s in that time, then brakes at 3.
    travelled, speed, ended, hardest = drive(Action.STOP, 3.0, 6.0, NAN, 9.75, 6.0)
    assert hardest == pytest.approx(-3.0)
    assert ended == pytest.approx(0.5 + 9.0 / 3.0, abs=2 * DT)
    ramp = 9.75 * 0.5 - 6.0 * 0.5**3 / 6.0
    assert travelled == pytest.approx(ramp + 9.0**2 / 6.0, abs=0.1)
    assert speed == 0.0


def test_stop_of_a_reversing_actor_brakes_towards_zero() -> None:
    acceleration, _ = commanded_acceleration(Action.STOP, 2.0, 0.0, NAN, -1.0, 0.0, DT)
    assert acceleration == 2.0
    after, distance = advance(-0.02, acceleration, DT, True)
    assert after == 0.0
    assert distance == pytest.approx(-(0.02**2) / 4.0)


def test_accelerate_ends_exactly_at_its_end_speed() -> None:
    travelled, speed, ended, _ = drive(Action.ACCELERATE, 2.0, 0.0, 15.0, 10.0, 4.0)
    assert speed == pytest.approx(15.0, abs=1e-12)
    assert ended == pytest.approx(2.5, abs=1.01 * DT)
    assert travelled == pytest.approx(12.5 * 2.5 + 15.0 * 1.5, abs=1e-6)


def test_accelerate_beyond_its_end_changes_nothing() -> None:
    acceleration, done = commanded_acceleration(Action.ACCELERATE, -3.0, 0.0, 5.0, 4.0, 0.0, DT)
    assert (acceleration, done) == (0.0, True)


def test_braking_without_end_stays_at_standstill() -> None:
    travelled, speed, _, _ = drive(Action.ACCELERATE, -4.0, 0.0, NAN, 8.0, 5.0)
    assert speed == 0.0
    assert travelled == pytest.approx(8.0)


def test_speed_is_reached_with_at_most_the_given_rate_and_held() -> None:
    travelled, speed, _, hardest = drive(Action.SPEED, 10.0, 2.0, NAN, 16.0, 5.0)
    assert hardest == pytest.approx(-2.0)
    assert speed == pytest.approx(10.0, abs=1e-12)
    assert travelled == pytest.approx(13.0 * 3.0 + 10.0 * 2.0, abs=1e-6)


@given(speed=st.floats(0.0, 40.0), acceleration=st.floats(-9.0, 4.0), dt=st.floats(0.005, 0.1))
@settings(max_examples=200, deadline=None)
def test_advance_matches_fine_integration(speed: float, acceleration: float, dt: float) -> None:
    after, distance = advance(speed, acceleration, dt, True)
    steps = 2000
    v, s = speed, 0.0
    for _ in range(steps):
        s += v * dt / steps
        v = max(v + acceleration * dt / steps, 0.0)
    assert after == pytest.approx(v, abs=1e-9)
    assert distance == pytest.approx(s, abs=abs(acceleration) * dt * dt / steps + 1e-9)


def shift(action: Action, goal: float, rate: float, cap: float, seconds: float) -> tuple[list[float], float]:
    """Return (path_r per tick, time at which the row was done)."""
    r, lateral, ended, path = 0.0, 0.0, NAN, []
    for tick in range(round(seconds / DT)):
        if math.isnan(ended):
            r, lateral, done = lateral_step(
                action, goal if action == Action.OFFSET else rate, rate, goal, goal, r, lateral, cap, DT
            )
            if done:
                ended = (tick + 1) * DT
        path.append(r)
    return path, ended


def test_offset_takes_distance_over_speed_plus_the_ramps() -> None:
    # 3.5 m at 1 m/s with ramps of 2 m/s2: 3.5 / 1 + 1 / 2 s.
    path, ended = shift(Action.OFFSET, 3.5, 1.0, math.inf, 6.0)
    assert path[-1] == 3.5
    assert ended == pytest.approx(4.0, abs=3 * DT)
    steps = np.diff(path) / DT
    assert steps.max() == pytest.approx(1.0)
    assert np.abs(np.diff(steps)).max() <= 2.0 * DT + 1e-9
    assert steps.min() >= 0.0


def test_offset_to_the_left_mirrors_the_right() -> None:
    right, _ = shift(Action.OFFSET, 2.0, 1.5, math.inf, 4.0)
    left, _ = shift(Action.OFFSET, -2.0, 1.5, math.inf, 4.0)
    np.testing.assert_array_equal(right, -np.array(left))


def test_short_offset_never_reaches_its_lateral_speed() -> None:
    # 0.5 m: the triangle peaks at sqrt(2 * 0.5) = 1 m/s after 0.5 s.
    path, ended = shift(Action.OFFSET, 0.5, 3.0, math.inf, 2.0)
    assert path[-1] == 0.5
    assert ended == pytest.approx(1.0, abs=3 * DT)
    assert (np.diff(path) / DT).max() == pytest.approx(1.0, abs=0.05)


def test_lateral_speed_is_constant_and_ends_at_until() -> None:
    r, lateral, ticks, done = 0.0, 0.0, 0, False
    while not done:
        r, lateral, done = lateral_step(Action.LATERAL_SPEED, 1.2, 0.0, 3.0, 0.0, r, lateral, math.inf, DT)
        ticks += 1
        assert lateral == (0.0 if done else 1.2)
    assert r == 3.0
    assert ticks * DT == pytest.approx(3.0 / 1.2, abs=1.01 * DT)


def test_lateral_speed_past_its_end_is_done_at_once() -> None:
    assert lateral_step(Action.LATERAL_SPEED, 1.0, 0.0, 2.0, 0.0, 2.5, 0.0, math.inf, DT) == (2.5, 0.0, True)


def test_a_standing_car_does_not_slide_sideways() -> None:
    r, lateral, done = lateral_step(Action.OFFSET, 2.0, 1.0, NAN, 2.0, 0.3, 0.0, 0.0, DT)
    assert (r, lateral, done) == (0.3, 0.0, False)


def test_without_a_row_nothing_moves_sideways() -> None:
    assert lateral_step(-1, 0.0, 0.0, 0.0, 9.0, 0.7, 1.0, math.inf, DT) == (0.7, 0.0, False)


@given(goal=st.floats(-6.0, 6.0), rate=st.floats(0.2, 4.0), start=st.floats(-2.0, 2.0))
@settings(max_examples=60, deadline=None)
def test_offset_always_arrives_without_overshoot(goal: float, rate: float, start: float) -> None:
    r, lateral, done = start, 0.0, False
    for _ in range(3000):
        r, lateral, done = lateral_step(Action.OFFSET, goal, rate, NAN, goal, r, lateral, math.inf, DT)
        assert min(start, goal) - 1e-9 <= r <= max(start, goal) + 1e-9
        if done:
            break
    assert done
    assert r == goal


def test_gap_limit_by_hand() -> None:
    # Behind an equally fast leader: wanted gap 3 + 10 * 1.5 = 18 m.
    assert gap_limit(18.0, 10.0, 10.0, 3.0, 1.5, 3.0, DIVISOR) == pytest.approx(0.0)
    assert gap_limit(36.0, 10.0, 10.0, 3.0, 1.5, 3.0, DIVISOR) == pytest.approx(3.0 * 0.75)
    # A standing one adds v * dv / (2 sqrt(ab)) = 100 / (2 sqrt 15).
    wanted = 18.0 + 100.0 / DIVISOR
    assert gap_limit(40.0, 10.0, 0.0, 3.0, 1.5, 3.0, DIVISOR) == pytest.approx(3.0 * (1 - (wanted / 40.0) ** 2))
    assert gap_limit(0.5, 10.0, 0.0, 3.0, 1.5, 3.0, DIVISOR) == -8.0


def test_small_helpers() -> None:
    assert approach(1.0, 3.0, 0.5) == 1.5
    assert approach(1.0, -3.0, 0.5) == 0.5
    assert approach(1.0, 1.2, 0.5) == 1.2
    assert wheeled(Shape.CYCLIST)
    assert not wheeled(Shape.PEDESTRIAN)
    starts = np.array([0.0, 50.0, 80.0])
    assert [path_entry(starts, 3, s) for s in (-5.0, 0.0, 49.9, 50.0, 79.0, 500.0)] == [0, 0, 0, 1, 1, 2]
    x, y = line_pose(1.0, 2.0, math.pi / 2, 3.0, 0.5)
    assert (x, y) == (pytest.approx(0.5), pytest.approx(5.0))
