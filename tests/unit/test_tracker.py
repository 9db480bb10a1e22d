from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError
from simdrive.sim.tracker import NO_PLAN, SATURATED, TrackerLimits, emergency_brake, planned_accelerations, track
from simdrive.types import Float, Long

LENGTH, DT = 4.6, 0.02
LIMITS = TrackerLimits()


def tick(plan: Float, t_obs_s: float, now_s: float, car: Float, previous: Float) -> tuple[Float, int]:
    """Controls of one car [x, y, heading, speed] for one tick, and its flags."""
    out, flags = np.zeros((1, 2)), np.zeros(1, np.uint8)
    track(
        plan[None], np.array([round(t_obs_s * 1e6)]), np.array([round(now_s * 1e6)]), np.ones(1, np.bool_),
        *(car[i : i + 1].copy() for i in range(4)), np.array([LENGTH]), previous, DT, LIMITS.array(), out, flags,
    )  # fmt: skip
    return out, int(flags[0])


def advance(car: Float, control: Float) -> None:
    """highway-env's kinematic bicycle, one explicit Euler step."""
    slip = math.atan(0.5 * math.tan(control[0, 1]))
    car[0] += car[3] * math.cos(car[2] + slip) * DT
    car[1] += car[3] * math.sin(car[2] + slip) * DT
    car[2] += car[3] * math.sin(slip) / (LENGTH / 2) * DT
    car[3] += control[0, 0] * DT


def drive(plan: Float, car: Float, seconds: float, t_obs_s: float = 0.0) -> tuple[Float, Float]:
    """Follow one plan from t = 0; states [T, 4] and controls [T, 2]."""
    control = np.zeros((1, 2))
    states, controls = [car.copy()], []
    for k in range(round(seconds / DT)):
        control, _ = tick(plan, t_obs_s, k * DT, car, control)
        advance(car, control)
        states.append(car.copy())
        controls.append(control[0].copy())
    return np.array(states), np.array(controls)


def quintic(u: Float) -> Float:
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (10.0 - 15.0 * u + 6.0 * u * u)


def reference(kind: str, speed: float, t: Float) -> Float:
    """Rows (x, y, course, speed) of a car that drives straight, along an arc at 2.5 m/s2, or changes lane in 4 s."""
    if kind == "straight":
        return np.stack([speed * t, 0 * t, 0 * t, 0 * t + speed], axis=1)
    if kind == "arc":
        radius = max(speed * speed / 2.5, 9.0)
        angle = speed * t / radius
        return np.stack([radius * np.sin(angle), radius * (1 - np.cos(angle)), angle, 0 * t + speed], axis=1)
    y, e = 3.5 * quintic(t / 4.0), 1e-4
    slope = 3.5 * (quintic((t + e) / 4.0) - quintic((t - e) / 4.0)) / (2 * e)
    return np.stack([speed * t, y, np.arctan2(slope, speed), np.hypot(speed, slope)], axis=1)


def plan_of(kind: str, speed: float, start_s: float = 0.0) -> Float:
    t = np.arange(21) * 0.25
    return np.column_stack([t, reference(kind, speed, start_s + t)])


@pytest.mark.parametrize("kind", ["straight", "arc", "lane change"])
@pytest.mark.parametrize("speed", [5.0, 12.0, 20.0, 30.0])
def test_follows_feasible_plans(kind: str, speed: float) -> None:
    states, _ = drive(plan_of(kind, speed), np.array([0.0, 0.0, 0.0, speed]), 4.8)
    wanted = reference(kind, speed, np.arange(len(states)) * DT)
    dx, dy = (states[:, 0] - wanted[:, 0]), (states[:, 1] - wanted[:, 1])
    across = dy * np.cos(wanted[:, 2]) - dx * np.sin(wanted[:, 2])
    assert np.abs(across).max() < 0.2
    assert np.abs(states[:, 3] - wanted[:, 3]).max() < 0.5
    assert np.abs(dx * np.cos(wanted[:, 2]) + dy * np.sin(wanted[:, 2])).max() < 0.5


@pytest.mark.parametrize("speed", [6.0, 14.0, 30.0])
def test_full_brake_stops_within_its_distance(speed: float) -> None:
    b, ramp = LIMITS.max_braking_mps2, LIMITS.max_braking_mps2 / LIMITS.braking_jerk_mps3
    t = np.arange(21) * 0.25
    v = np.maximum(speed - b * t, 0.0)
    x = np.where(v > 0, speed * t - 0.5 * b * t * t, speed * speed / (2 * b))
    plan = np.column_stack([t, x, 0 * t, 0 * t, v])
    states, _ = drive(plan, np.array([0.0, 0.0, 0.0, speed]), 4.9)
    expected = speed * ramp / 2 + speed * speed / (2 * b) - b * ramp * ramp / 24
    assert states[-1, 3] == 0.0
    assert states[-1, 0] == pytest.approx(expected, rel=0.05)


def test_standing_plan_holds_the_car() -> None:
    t = np.arange(21) * 0.25
    plan = np.column_stack([t, 0 * t + 3.0, 0 * t + 0.4, 0 * t, 0 * t])  # ahead and beside: no creeping there
    states, controls = drive(plan, np.array([0.0, 0.0, 0.05, 0.0]), 3.0)
    assert np.all(states == states[0])
    assert np.all(controls == 0.0)


def test_late_plan_is_entered_at_its_time() -> None:
    plan = plan_of("straight", 10.0)
    plan[:, 4] = 10.0 + 2.0 * plan[:, 0]
    plan[:, 1] = 10.0 * plan[:, 0] + plan[:, 0] ** 2
    car = np.array([10.0 * 2 + 4.0, 0.0, 0.0, 14.0])  # where the plan is at 2 s
    control, flags = tick(plan, 1.0, 3.0, car, np.array([[2.0, 0.0]]))
    assert control[0, 0] == pytest.approx(2.0, abs=1e-9)
    assert flags == 0


def test_past_the_horizon_it_brakes_and_says_so() -> None:
    plan = plan_of("straight", 20.0)
    car = np.array([100.0, 0.0, 0.0, 20.0])
    control = np.array([[0.0, 0.0]])
    for k in range(50):
        control, flags = tick(plan, 0.0, 5.0 + (k + 1) * DT, car, control)
        advance(car, control)
        assert flags == SATURATED
    assert control[0, 0] == pytest.approx(-LIMITS.horizon_braking_mps2, abs=0.3)
    assert car[3] == pytest.approx(17.0, abs=0.3)


def test_without_a_plan_the_car_coasts() -> None:
    out, flags = np.zeros((1, 2)), np.zeros(1, np.uint8)
    now, one = np.array([0]), np.array([9.0])
    track(
        np.zeros((1, 21, 5)), now, now, np.zeros(1, np.bool_), one, one, one, one, np.array([LENGTH]),
        np.array([[0.1, 0.3]]), DT, LIMITS.array(), out, flags,
    )  # fmt: skip
    assert flags[0] == NO_PLAN
    assert out[0, 0] == 0.0
    assert out[0, 1] == pytest.approx(0.3 - LIMITS.max_steering_rate_radps * DT)


# Largest tolerable delay in front of a slower lead (constant speeds, brake ramping from 0 to b within ramp seconds):
# gap needed = dv (tau + ramp / 2) + dv^2 / (2 b) - b ramp^2 / 24.
@pytest.mark.parametrize("delay", [0.0, 0.3, 0.76])
def test_latency_margin(delay: float) -> None:
    b, ramp = LIMITS.max_braking_mps2, LIMITS.max_braking_mps2 / LIMITS.braking_jerk_mps3
    lead, dv = 10.0, 15.0
    speed = lead + dv
    needed = dv * (delay + ramp / 2) + dv * dv / (2 * b) - b * ramp * ramp / 24
    t = np.arange(21) * 0.25
    v = np.maximum(speed - b * t, 0.0)
    x = np.where(v > 0, speed * t - 0.5 * b * t * t, speed * speed / (2 * b))
    brake, hold = np.column_stack([t, x, 0 * t, 0 * t, v]), plan_of("straight", speed)
    car, control, gap, least = np.array([0.0, 0.0, 0.0, speed]), np.zeros((1, 2)), needed, needed
    for k in range(200):
        control, _ = tick(brake if k * DT >= delay - 1e-9 else hold, 0.0, k * DT, car, control)
        before = car[0]
        advance(car, control)
        gap += lead * DT - (car[0] - before)
        least = min(least, gap)
    assert abs(least) <= dv * DT


finite = st.floats(-1.0, 1.0)


@settings(max_examples=200, deadline=None)
@given(noise=st.lists(finite, min_size=63, max_size=63), speed=st.floats(0.0, 35.0), planned=st.floats(0.0, 35.0))
def test_limits_always_hold(noise: list[float], speed: float, planned: float) -> None:
    jitter = np.array(noise).reshape(21, 3)
    plan = plan_of("straight", planned)
    plan[:, 1:3] += 3.0 * jitter[:, :2]
    plan[:, 4] = np.maximum(planned + 10.0 * jitter[:, 2], 0.0)
    car, control = np.array([0.0, 0.0, 0.0, speed]), np.zeros((1, 2))
    for k in range(100):
        before = control
        control, _ = tick(plan, 0.0, k * DT, car, control)
        stops = car[3] + control[0, 0] * DT <= 1e-9
        advance(car, control)
        rise, turn = control[0, 0] - before[0, 0], abs(control[0, 1] - before[0, 1])
        assert -LIMITS.max_braking_mps2 <= control[0, 0] <= LIMITS.max_acceleration_mps2
        assert rise >= -LIMITS.braking_jerk_mps3 * DT - 1e-9
        assert stops or rise <= LIMITS.braking_jerk_mps3 * DT + 1e-9
        assert turn <= LIMITS.max_steering_rate_radps * DT + 1e-9
        assert abs(control[0, 1]) <= LIMITS.max_steering_rad + 1e-9
        assert car[3] >= -1e-9
        slip = math.atan(0.5 * math.tan(control[0, 1]))
        assert car[3] ** 2 * math.sin(slip) / (LENGTH / 2) <= LIMITS.max_lateral_acceleration_mps2 + 0.8


def test_worlds_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(3)
    count = 16
    plans = np.stack([plan_of("lane change", v) for v in rng.uniform(3.0, 30.0, count)])
    state = rng.normal(0.0, 0.5, (3, count))
    speed, previous = rng.uniform(0.0, 30.0, count), rng.normal(0.0, 0.02, (count, 2))
    now, zero = np.full(count, 700_000), np.zeros(count, np.int64)
    length, ready = np.full(count, LENGTH), np.ones(count, np.bool_)

    def run(rows: Long) -> Float:
        out, flags = np.zeros((len(rows), 2)), np.zeros(len(rows), np.uint8)
        columns = [column[rows].copy() for column in (*state, speed, length)]
        track(plans[rows], zero[rows], now[rows], ready[rows], *columns, previous[rows], DT, LIMITS.array(), out, flags)
        return out

    together, order = run(np.arange(count)), rng.permutation(count)
    assert np.array_equal(run(order), together[order])
    assert np.array_equal(np.concatenate([run(np.array([row])) for row in range(count)]), together)


def test_planned_acceleration_is_read_off_the_plan_by_time_stamp() -> None:
    t = np.array([0.0, 1.0, 2.0, 4.0])
    speed = np.array([10.0, 10.0, 8.0, 8.0])  # holds, brakes at 2 m/s2, holds
    x = np.array([0.0, 10.0, 19.0, 35.0])
    plan = np.stack([t, x, np.zeros(4), np.zeros(4), speed], axis=1)
    plans, out = np.repeat(plan[None], 4, axis=0), np.full(4, 9.0)
    now = np.array([0, 1_500_000, 4_500_000, 1_500_000])
    planned_accelerations(plans, np.zeros(4, np.int64), now, np.array([True, True, True, False]), 3.0, out)
    assert out == pytest.approx([0.0, -2.0, -3.0, 9.0])  # past its end a plan brakes; the last one is not asked


def test_emergency_brake_overrides_within_the_jerk_limit() -> None:
    out = np.array([[1.0, 0.2], [1.0, 0.2]])
    previous = np.array([[0.5, 0.2], [0.5, 0.2]])
    emergency_brake(np.array([True, False]), previous, np.full(2, 9.0), DT, LIMITS.array(), out)
    assert out[0].tolist() == [pytest.approx(0.5 - LIMITS.braking_jerk_mps3 * DT), 0.2]
    assert out[1].tolist() == [1.0, 0.2]


def test_limits_are_checked() -> None:
    with pytest.raises(ParameterError, match="max_braking_mps2"):
        TrackerLimits(max_braking_mps2=-8.0)
