"""Comfort, jerk and smoothness: the filter against scipy, bounds by hand, published golden values."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from logs import make_log, with_fields
from scipy.signal import savgol_filter

from simdrive.errors import UnknownNameError
from simdrive.metrics import comfort, jerk, smoothness, trace
from simdrive.metrics.base import percentile
from simdrive.metrics.smooth import savgol

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "smoothness.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("window", "order", "derivative"), [(8, 2, 0), (15, 2, 1), (5, 2, 1), (5, 3, 2), (5, 2, 2)])
def test_filter_agrees_with_scipy_at_every_length(window: int, order: int, derivative: int) -> None:
    rng = np.random.default_rng(1)
    for count in [*range(order + 1, 20), 40, 137]:
        traces = rng.normal(size=(2, count))
        clipped = min(window, count)
        expected = savgol_filter(traces, clipped, order, deriv=derivative, delta=0.1)
        np.testing.assert_allclose(savgol(traces, window, order, derivative, 0.1), expected, rtol=0, atol=1e-8)


def test_filter_refuses_traces_that_cannot_carry_the_polynomial() -> None:
    with pytest.raises(ValueError, match="more than 3 samples, got 3"):
        savgol(np.zeros(3), 5, 3)


def test_signals_are_nuplans_chain_of_filters() -> None:
    rng = np.random.default_rng(2)
    speed = 10.0 + np.cumsum(rng.normal(size=60)) * 0.1
    heading = np.cumsum(rng.normal(size=60)) * 0.01
    found = trace.signals(make_log(60, speed=speed, heading=heading))
    assert found is not None
    log = make_log(60, speed=speed, heading=heading)
    along = log.acceleration[:, 0]
    across = speed * np.gradient(heading, 0.1)
    smooth = savgol_filter(along, 8, 2)
    np.testing.assert_allclose(found.longitudinal_acceleration, smooth, atol=1e-9)
    np.testing.assert_allclose(found.lateral_acceleration, savgol_filter(across, 8, 2), atol=1e-9)
    np.testing.assert_allclose(found.longitudinal_jerk, savgol_filter(smooth, 15, 2, deriv=1, delta=0.1), atol=1e-8)
    magnitude = savgol_filter(np.hypot(along, across), 8, 2)
    np.testing.assert_allclose(found.magnitude_jerk, savgol_filter(magnitude, 15, 2, deriv=1, delta=0.1), atol=1e-8)
    np.testing.assert_allclose(found.yaw_rate, savgol_filter(heading, 5, 2, deriv=1, delta=0.1), atol=1e-9)
    np.testing.assert_allclose(found.yaw_acceleration, savgol_filter(heading, 5, 3, deriv=2, delta=0.1), atol=1e-8)


def braking(mps2: float, rows: int = 15) -> np.ndarray:
    return 20.0 - mps2 * 0.1 * np.arange(rows)


@pytest.mark.parametrize(("mps2", "inside"), [(0.0, 1.0), (4.0, 1.0), (4.1, 0.0), (-2.3, 1.0), (-2.5, 0.0)])
def test_bounds_of_longitudinal_acceleration(mps2: float, inside: float) -> None:
    log = make_log(15, speed=braking(mps2))
    assert comfort.comfort()(log).value == inside
    assert comfort.discomfort_share()(log).value == 1.0 - inside  # constant: all samples or none


@pytest.mark.parametrize(("yaw_rate", "inside"), [(0.0, 1.0), (0.48, 1.0), (0.5, 0.0)])
def test_bound_of_lateral_acceleration(yaw_rate: float, inside: float) -> None:
    # 10 m/s on a circle: the lateral acceleration is 10 times the yaw rate, the bound 4.89 m/s2.
    log = make_log(20, heading=yaw_rate * 0.1 * np.arange(20))
    assert comfort.comfort()(log).value == inside


def test_bound_of_yaw_rate_where_slow_driving_keeps_the_force_small() -> None:
    slow = make_log(20, speed=1.0, heading=0.1 * np.arange(20) * 1.0)
    assert comfort.comfort()(slow).value == 0.0
    found = trace.signals(slow)
    assert found is not None
    np.testing.assert_allclose(found.yaw_rate, 1.0)
    np.testing.assert_allclose(found.yaw_acceleration, 0.0, atol=1e-9)


def test_share_outside_counts_samples() -> None:
    log = make_log(40, speed=10.0)
    acceleration = log.acceleration.copy()
    acceleration[20:, 0] = 3.0
    share = comfort.discomfort_share()(with_fields(log, acceleration=acceleration)).value
    # Half of the samples are above 2.4 m/s2; the smoothed step moves its edge by a sample or two.
    assert share == pytest.approx(0.5, abs=0.06)


def test_too_short_traces_are_unscored() -> None:
    for rows in (1, 2, 3):
        assert not comfort.comfort()(make_log(rows)).valid
        assert not jerk.jerk("longitudinal", "rms")(make_log(rows)).valid
    assert comfort.comfort()(make_log(4)).valid
    assert not comfort.comfort()(make_log(4, last_us=20_000)).valid  # the short last row is left out


def test_a_short_last_row_changes_nothing() -> None:
    speed = 10.0 + np.sin(0.3 * np.arange(31))
    whole = make_log(30, speed=speed[:30])
    log = with_fields(make_log(31, speed=speed, last_us=20_000))
    acceleration = log.acceleration.copy()
    acceleration[:30] = whole.acceleration
    for statistic in ("rms", "p95", "max"):
        score = jerk.jerk("longitudinal", statistic)
        assert score(with_fields(log, acceleration=acceleration)).value == score(whole).value


def test_other_spacings_are_interpolated_to_ten_hertz() -> None:
    log = make_log(16, speed=braking(3.0, 16))
    fifteen = with_fields(log, t_us=np.round(np.arange(16) * 1e6 / 15).astype(np.int64))
    found = trace.signals(fifteen)
    assert found is not None
    assert len(found.speed_mps) == 11  # 1.0 s
    np.testing.assert_allclose(found.speed_mps, np.interp(np.arange(11) * 1.5, np.arange(16), braking(3.0, 16)))


def test_steady_braking_has_no_jerk_and_a_swerve_is_lateral_only() -> None:
    steady = make_log(30, speed=braking(3.0, 30))
    assert jerk.jerk("longitudinal", "max")(steady).value == pytest.approx(0.0, abs=1e-9)
    swerve = make_log(60, heading=0.05 * np.sin(0.2 * np.arange(60)))
    assert jerk.jerk("longitudinal", "max")(swerve).value == pytest.approx(0.0, abs=1e-9)
    # Lateral acceleration 10 * 0.05 * 2 cos(2 t), its derivative has amplitude 2 m/s3 before smoothing.
    assert jerk.jerk("lateral", "max")(swerve).value == pytest.approx(2.0, rel=0.2)
    assert jerk.jerk("lateral", "rms")(swerve).value == pytest.approx(math.sqrt(2.0), rel=0.2)


def test_jerk_names_and_refusals() -> None:
    assert jerk.jerk("lateral", "p95").name == "lateral_jerk_p95_mps3"
    with pytest.raises(UnknownNameError, match="Did you mean 'lateral'"):
        jerk.jerk("latteral", "p95")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="statistic"):
        jerk.jerk("lateral", "p99")  # type: ignore[arg-type]


def test_percentile_agrees_with_numpy() -> None:
    values = np.random.default_rng(3).normal(size=37)
    for percent in (0.0, 12.5, 50.0, 95.0, 100.0):
        assert percentile(values, percent) == pytest.approx(float(np.percentile(values, percent)), abs=1e-12)
    assert math.isnan(percentile(np.zeros(0), 50.0))
    assert percentile(np.array([4.0]), 95.0) == 4.0


def test_published_golden_values_of_smoothness() -> None:
    t = np.arange(-1.0, 1.0, 0.01)
    speed = np.exp(-5.0 * t**2)
    assert smoothness.sparc(speed, 100.0) == pytest.approx(GOLDEN["sparc"], abs=5e-6)
    assert smoothness.dimensionless_jerk(speed, 100.0) == pytest.approx(GOLDEN["dimensionless_jerk"], abs=5e-6)
    assert smoothness.log_dimensionless_jerk(speed, 100.0) == pytest.approx(GOLDEN["log_dimensionless_jerk"], abs=5e-6)


def test_braking_event_is_the_largest_fall_of_the_speed() -> None:
    speed = np.concatenate([np.linspace(5, 10, 6), np.linspace(10, 8, 5)[1:], np.full(3, 12.0), np.linspace(12, 4, 9)])
    event = smoothness.braking_event(speed, least_drop_mps=3.0)
    assert event is not None
    np.testing.assert_allclose(event, np.arange(9.0))  # from the last sample at 12 m/s on
    assert smoothness.braking_event(speed, least_drop_mps=9.0) is None
    assert smoothness.braking_event(np.array([9.0, 1.0]), least_drop_mps=3.0) is None  # too short


def test_a_jerky_stop_is_less_smooth_than_a_gentle_one() -> None:
    t = np.linspace(0.0, 1.0, 40)
    gentle = 15.0 - 12.0 * t**2 * (3.0 - 2.0 * t)
    jerky = gentle + 0.4 * np.sin(40.0 * t)
    for metric in (smoothness.braking_ldlj(), smoothness.braking_sparc()):
        assert metric(make_log(40, speed=jerky)).value < metric(make_log(40, speed=gentle)).value
        assert not metric(make_log(40, speed=10.0)).valid
