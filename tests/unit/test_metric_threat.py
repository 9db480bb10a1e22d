"""Threat metrics on hand-computed followers, and the ride on hand-computed vibrations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from logs import make_log, with_fields

from simdrive.metrics import ride, threat
from simdrive.types import EpisodeLog


def following(ego_mps: float, leader_mps: float, gap_m: float, rows: int = 1) -> EpisodeLog:
    """Both boxes are 5 m long and 2 m wide."""
    return make_log(rows, speed=ego_mps, others=[{"x": gap_m + 5.0, "speed": leader_mps}])


def with_acceleration(log: EpisodeLog, *columns: float) -> EpisodeLog:
    return with_fields(log, acceleration=np.tile(np.array(columns), (len(log.t_us), 1)))


def test_headway_is_the_gap_over_the_speed_of_the_ego() -> None:
    assert threat.min_thw()(following(20.0, 15.0, 30.0)).value == pytest.approx(1.5)
    assert threat.min_thw()(following(20.0, 15.0, 30.0, rows=5)).value == pytest.approx(28.0 / 20.0)


def test_the_leader_is_the_nearest_in_the_way_not_beside_or_behind() -> None:
    log = make_log(1, speed=10.0, others=[{"x": 8.0, "y": 3.0}, {"x": -8.0}, {"x": 25.0, "y": 1.5}, {"x": 45.0}])
    assert threat.leader(log).gap_m[0] == pytest.approx(20.0)
    assert not threat.min_thw()(make_log(3, others=[{"x": 8.0, "y": 3.0}])).valid
    assert not threat.min_thw()(make_log(3, speed=0.0, others=[{"x": 8.0}])).valid


def test_modified_time_to_collision_is_the_first_root() -> None:
    # 12 = 2 t + t^2 has the root 2.606; without acceleration 12 / 2; opening speed that turns round: -2 t + 2 t^2 = 12.
    gap, closing, more = np.full(5, 12.0), np.array([2.0, 2.0, -2.0, 2.0, -2.0]), np.array([2.0, 0.0, 4.0, -2.0, 0.0])
    found = threat.modified_ttc(gap, closing, more)
    assert found[:3] == pytest.approx([math.sqrt(13.0) - 1.0, 6.0, 3.0])
    assert np.isinf(found[3:]).all()  # it stops short of the leader; it falls back
    assert np.isnan(threat.modified_ttc(np.array([np.nan]), closing[:1], more[:1])).all()


def test_modified_time_to_collision_of_a_braking_leader() -> None:
    log = with_acceleration(following(10.0, 10.0, 18.0), 0.0, -4.0)
    assert threat.min_mttc()(log).value == pytest.approx(3.0)  # 18 = 4 t^2 / 2
    assert threat.min_mttc()(following(10.0, 12.0, 18.0)).value == 10.0


def test_brake_threat_is_what_stops_behind_the_leader() -> None:
    # dv 10, gap 12.5: 4 m/s2; a leader that brakes with 2 m/s2 adds these.
    assert threat.max_btn()(following(20.0, 10.0, 12.5)).value == pytest.approx(0.5)
    assert threat.max_btn()(with_acceleration(following(20.0, 10.0, 12.5), 0.0, -2.0)).value == pytest.approx(0.75)
    assert threat.max_btn()(following(10.0, 12.0, 12.5)).value == 0.0
    assert threat.max_btn()(following(30.0, 0.0, 0.0)).value == threat.CAP


def test_steer_threat_is_the_shorter_way_past_the_leader() -> None:
    # TTC 1 s; centres 0.5 m apart, widths 2 m: 1.5 m to the free side, 2 * 1.5 / 1 / 8.
    log = make_log(1, speed=20.0, others=[{"x": 15.0, "y": 0.5, "speed": 10.0}])
    assert threat.max_stn()(log).value == pytest.approx(3.0 / 8.0)
    assert threat.max_stn()(following(10.0, 12.0, 12.5)).value == 0.0


def test_steer_threat_sees_a_leader_that_moves_out_of_the_way() -> None:
    # It drifts 3 m/s to the right: after 1 s it is gone.
    log = make_log(2, speed=20.0, others=[{"x": 15.0, "y": np.array([0.0, 0.3]), "speed": 10.0}])
    assert threat.max_stn()(log).value == 0.0


def test_rss_margin() -> None:
    # 20 * .75 + 3 * .75^2 / 2 + 22.25^2 / 12 - 15^2 / 12
    safe = 15.0 + 0.84375 + 22.25**2 / 12.0 - 225.0 / 12.0
    assert threat.min_rss_margin()(following(20.0, 15.0, 30.0)).value == pytest.approx(30.0 - safe)
    assert threat.min_rss_margin()(following(5.0, 40.0, 30.0)).value == pytest.approx(30.0)  # clipped at 0


def test_integrated_time_to_collision() -> None:
    # Times to collision 2.5, 2.4 .. 1.5 s in rows 0 .. 10; below 1.85 s: 0.05 + 0.15 + 0.25 in rows 7, 8, 9.
    log = make_log(11, others=[{"x": 30.0}])
    assert threat.ttc_integrated(below_s=1.85)(log).value == pytest.approx(0.1 * 0.45)
    assert threat.ttc_integrated()(log).value == 0.0
    assert not threat.ttc_integrated()(make_log(5)).valid


def test_worst_case_time_solves_the_quartic() -> None:
    # Centres 50 m apart, closing with 10 m/s, radii 2 x sqrt(29) / 2: 50 - 10 t = sqrt(29) + 8 t^2.
    root = (-10.0 + math.sqrt(100.0 + 32.0 * (50.0 - math.sqrt(29.0)))) / 16.0
    assert threat.min_wttc()(make_log(1, speed=10.0, others=[{"x": 50.0}])).value == pytest.approx(root, abs=1e-9)
    assert threat.min_wttc()(make_log(1, speed=10.0, others=[{"x": 4.0, "y": 3.0}])).value == 0.0
    assert threat.min_wttc()(make_log(1, speed=10.0, others=[{"x": 900.0}])).value == 5.0


def test_worst_case_time_against_the_roots_of_the_quartic() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        x, y, heading = float(rng.uniform(10.0, 60.0)), float(rng.uniform(-20.0, 20.0)), float(rng.uniform(-3.0, 3.0))
        log = make_log(1, speed=12.0, others=[{"x": x, "y": y, "heading": heading, "speed": 9.0}])
        vx, vy = 9.0 * math.cos(heading) - 12.0, 9.0 * math.sin(heading)
        r = math.sqrt(29.0)  # |p + v t|^2 = (r + 8 t^2)^2
        quartic = [-64.0, 0.0, vx * vx + vy * vy - 16.0 * r, 2.0 * (x * vx + y * vy), x * x + y * y - r * r]
        roots = np.roots(quartic)
        first = min(root.real for root in roots if abs(root.imag) < 1e-9 and root.real > 0.0)
        assert threat.min_wttc()(log).value == pytest.approx(min(first, 5.0), abs=1e-6)


def test_weighting_of_the_horizontal_axes() -> None:
    # Published gains at 0.5, 1, 2 and 4 Hz.
    gains = ride.weighting(np.array([0.5, 1.0, 2.0, 4.0]))
    assert gains == pytest.approx([0.848, 1.009, 0.886, 0.512], abs=0.001)


def test_weighted_vibration_of_a_sine() -> None:
    t = 0.1 * np.arange(100)
    log = make_log(100, others=[])
    shaken = with_fields(log, acceleration=np.sqrt(2.0) * 0.7 * np.sin(2.0 * np.pi * t)[:, None])
    assert ride.iso2631()(shaken).value == pytest.approx(0.7 * 1.009, abs=0.001)
    assert not ride.iso2631()(make_log(10)).valid


def test_bench2drive_smoothness_counts_whole_segments() -> None:
    log = make_log(65)  # three segments and a rest that is left out
    harsh = np.zeros((65, 1))
    harsh[25:28] = -9.0
    harsh[62:] = -9.0
    assert ride.bench2drive_smoothness()(log).value == 1.0
    assert ride.bench2drive_smoothness()(with_fields(log, acceleration=harsh)).value == pytest.approx(2.0 / 3.0)
    assert not ride.bench2drive_smoothness()(make_log(19)).valid
    turning = make_log(20, speed=5.0, heading=0.5 * 3.0 * (0.1 * np.arange(20)) ** 2)  # 3 rad/s2
    assert ride.bench2drive_smoothness()(turning).value == 0.0
