"""What requests and plans tell: flicker between successive plans, ages, blind metres, drops, errors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from logs import make_log, make_requests, straight_plan
from scipy.signal import savgol_filter

from simdrive.metrics import flicker, staleness
from simdrive.types import EpisodeLog, Float, RequestStatus


def planned(*plans: Float, every_us: int = 500_000) -> EpisodeLog:
    """A log with one request per plan, observed every 0.5 s."""
    times = [every_us * index for index in range(len(plans))]
    return make_log(11, requests=make_requests(times, 150_000, np.stack(plans)))


def test_plans_that_keep_their_word_do_not_flicker() -> None:
    log = planned(*(straight_plan(5.0 * k, 0.0, 0.0, 10.0) for k in range(4)))
    assert flicker.plan_flicker()(log).value == pytest.approx(0.0, abs=1e-12)
    assert flicker.extended_comfort()(log).value == 1.0


def test_flicker_is_the_distance_at_the_same_instant() -> None:
    log = planned(straight_plan(0.0, 0.0, 0.0, 10.0), straight_plan(5.0 + 3.0, 4.0, 0.0, 10.0))
    assert flicker.plan_flicker()(log).value == pytest.approx(5.0)  # 3 m ahead and 4 m aside all along
    assert flicker.extended_comfort()(log).value == 1.0  # neither speed nor turn differ


def test_extended_comfort_breaks_when_the_next_plan_brakes() -> None:
    t = 0.1 * np.arange(41)
    brake = straight_plan(5.0, 0.0, 0.0, 10.0)
    brake[:, 1], brake[:, 4] = 5.0 + 10.0 * t - 0.5 * t**2, 10.0 - 1.0 * t
    log = planned(straight_plan(0.0, 0.0, 0.0, 10.0), brake, straight_plan(10.0, 0.0, 0.0, 10.0))
    assert flicker.extended_comfort()(log).value == 0.0  # 1.0 m/s2 of difference, allowed are 0.7
    gentle = brake.copy()
    gentle[:, 4] = 10.0 - 0.5 * t
    assert flicker.extended_comfort()(planned(straight_plan(0.0, 0.0, 0.0, 10.0), gentle)).value == 1.0


def naive_extended_comfort(log: EpisodeLog) -> float:
    """NAVSIM's comparison, literally: features of both trajectories over the shared time, then their
    differences.
    """
    passed = []
    requests = log.requests
    for k in range(len(requests.status) - 1):
        shift = (requests.t_obs_us[k + 1] - requests.t_obs_us[k]) / 1e6
        old, new = requests.plan[k], requests.plan[k + 1]
        samples = int(np.floor((min(old[-1, 0] - shift, new[-1, 0])) / 0.1 + 1e-6)) + 1
        features = []
        for plan, start in ((old, shift), (new, 0.0)):
            t = start + 0.1 * np.arange(samples)
            speed = np.interp(t, plan[:, 0], plan[:, 4])
            heading = np.interp(t, plan[:, 0], np.unwrap(plan[:, 3]))
            length = np.hypot(np.gradient(speed, 0.1), speed * np.gradient(heading, 0.1))
            smooth = savgol_filter(length, min(8, samples), 2)
            features.append(
                (
                    smooth,
                    savgol_filter(smooth, min(15, samples), 2, deriv=1, delta=0.1),
                    savgol_filter(heading, 5, 2, deriv=1, delta=0.1),
                    savgol_filter(heading, 5, 2, deriv=2, delta=0.1),
                )
            )
        limits = (0.7, 0.5, 0.1, 0.1)
        rms = [np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(*features, strict=True)]
        passed.append(all(value <= limit for value, limit in zip(rms, limits, strict=True)))
    return float(np.mean(passed))


def test_extended_comfort_agrees_with_the_naive_form() -> None:
    rng = np.random.default_rng(5)
    t = 0.1 * np.arange(41)
    plans = []
    for k in range(60):
        plan = straight_plan(2.0 * k, 0.0, 0.0, 10.0)
        plan[:, 4] += rng.normal() * 0.8 * t
        plan[:, 3] = math.pi - 0.02 + rng.normal() * 0.05 * t  # around the jump of wrapped angles
        plan[:, 3] = (plan[:, 3] + math.pi) % (2 * math.pi) - math.pi
        plans.append(plan)
    log = planned(*plans, every_us=200_000)
    value = flicker.extended_comfort()(log).value
    assert value == pytest.approx(naive_extended_comfort(log))
    assert 0.1 < value < 0.9


def test_flicker_needs_two_answers_that_share_time() -> None:
    straight = straight_plan(0.0, 0.0, 0.0, 10.0)
    assert not flicker.plan_flicker()(planned(straight)).valid
    assert not flicker.plan_flicker()(make_log(3)).valid
    apart = planned(straight, straight, every_us=5_000_000)  # the first plan has ended
    assert not flicker.plan_flicker()(apart).valid
    assert not flicker.extended_comfort()(apart).valid


def test_failed_requests_are_skipped_not_compared() -> None:
    plans = np.stack([straight_plan(0, 0, 0, 10.0), np.full((41, 5), np.nan), straight_plan(10.0, 0, 0, 10.0)])
    requests = make_requests([0, 500_000, 1_000_000], 100_000, plans, status=[0, RequestStatus.UNPARSABLE, 0])
    log = make_log(11, requests=requests)
    assert flicker.plan_flicker()(log).value == pytest.approx(0.0, abs=1e-12)


def test_coarse_plans_are_interpolated() -> None:
    coarse = straight_plan(5.0, 0.0, 0.0, 10.0, points=9, spacing_s=0.5)
    padded = np.concatenate([coarse, np.full((32, 5), np.nan)])
    log = planned(straight_plan(0.0, 0.0, 0.0, 10.0), padded)
    assert flicker.plan_flicker()(log).value == pytest.approx(0.0, abs=1e-12)


def test_ages_at_actuation() -> None:
    requests = make_requests([0, 100_000, 200_000, 300_000], 0)
    actuate = np.array([100_000, 300_000, 500_000, -1])  # ages 100, 200, 300 ms and one that never came
    log = make_log(11, requests=replace(requests, t_actuate_us=actuate))
    assert staleness.age_at_actuation(50, "p50")(log).value == pytest.approx(200.0)
    assert staleness.age_at_actuation(95, "p95")(log).value == pytest.approx(290.0)
    assert staleness.age_at_actuation(100, "max")(log).value == pytest.approx(300.0)
    assert not staleness.age_at_actuation(50, "p50")(make_log(3)).valid
    with pytest.raises(ValueError, match=r"0 \.\. 100"):
        staleness.age_at_actuation(101, "p101")


def test_age_in_use_leaves_out_the_time_before_the_first_plan() -> None:
    log = make_log(4, plan_age_us=np.array([-1, 100_000, 200_000, 300_000]))
    assert staleness.age_in_use(50, "p50")(log).value == pytest.approx(200.0)
    assert not staleness.age_in_use(50, "p50")(make_log(2, plan_age_us=np.array([-1, -1]))).valid


def test_blind_metres() -> None:
    requests = make_requests([0, 100_000, 200_000], 50_000, blind_m=np.array([1.0, 4.0, 99.0]))
    actuate = np.array([50_000, 150_000, -1])
    log = make_log(11, requests=replace(requests, t_actuate_us=actuate))
    assert staleness.blind_max()(log).value == 4.0
    assert staleness.blind_mean()(log).value == 2.5
    assert not staleness.blind_max()(make_log(3)).valid


def test_dropped_share_counts_frames_and_queue_overflow() -> None:
    status = [RequestStatus.OK, RequestStatus.OK, RequestStatus.DROPPED]
    log = make_log(11, requests=make_requests([0, 100_000, 200_000], 0, status=status, dropped_frames=5))
    assert staleness.dropped_share()(log).value == pytest.approx(6.0 / 8.0)
    assert not staleness.dropped_share()(make_log(3)).valid


def test_error_shares_count_answered_requests() -> None:
    kinds = RequestStatus
    status = [kinds.OK, kinds.UNPARSABLE, kinds.EXCEPTION, kinds.OK, kinds.DROPPED, kinds.UNFINISHED]
    log = make_log(11, requests=make_requests([100_000 * k for k in range(6)], 0, status=status))
    assert staleness.unparsable_share()(log).value == pytest.approx(0.25)
    assert staleness.agent_error_share()(log).value == pytest.approx(0.5)
    only_dropped = make_log(3, requests=make_requests([0], 0, status=[kinds.DROPPED]))
    assert not staleness.unparsable_share()(only_dropped).valid
