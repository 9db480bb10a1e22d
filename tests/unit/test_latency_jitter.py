"""Every jitter model against its closed form, and that its parts never share draws."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.jitter import COMPUTED, Jitter

COUNT = 6000


def factors(jitter: Jitter, stage: str = "decode", count: int = COUNT, key: str = "case") -> np.ndarray[Any, Any]:
    return np.array([jitter.factor(key, stage, index) for index in range(count)])


def tolerance(share: float, density: float, count: int = COUNT) -> float:
    """Return four standard errors of a sample quantile."""
    return 4.0 * math.sqrt(share * (1.0 - share) / count) / density


def test_the_body_is_lognormal_with_the_given_p99() -> None:
    drawn = factors(Jitter(p99_over_median=1.5))
    sigma = math.log(1.5) / NormalDist().inv_cdf(0.99)
    for share in (0.1, 0.5, 0.9, 0.99):
        z = NormalDist().inv_cdf(share)
        density = NormalDist().pdf(z) / sigma  # of the logarithm
        assert math.log(np.quantile(drawn, share)) == pytest.approx(sigma * z, abs=tolerance(share, density))
    assert np.log(drawn).std() == pytest.approx(sigma, rel=0.04)


def test_the_tail_is_generalised_pareto_above_its_quantile() -> None:
    q, scale, shape = 0.9, 0.2, 0.3
    drawn = factors(Jitter(sigma=0.1, tail_quantile=q, tail_scale=scale, tail_shape=shape))
    begin = math.exp(0.1 * NormalDist().inv_cdf(q))
    assert (drawn > begin).mean() == pytest.approx(1.0 - q, abs=4.0 * math.sqrt(q * (1 - q) / COUNT))
    for share in (0.92, 0.95, 0.99):
        v = (share - q) / (1.0 - q)
        exact = begin + scale / shape * ((1.0 - v) ** -shape - 1.0)
        density = (1.0 - q) * (1.0 / scale) * (1.0 + shape * (exact - begin) / scale) ** (-1.0 / shape - 1.0)
        assert np.quantile(drawn, share) == pytest.approx(exact, abs=tolerance(share, density))
    body = factors(Jitter(sigma=0.1))
    assert np.array_equal(drawn[drawn <= begin], body[drawn <= begin])  # below it nothing has changed


def test_a_tail_of_shape_zero_is_exponential() -> None:
    drawn = factors(Jitter(tail_quantile=0.5, tail_scale=0.4, tail_shape=0.0))
    above = drawn[drawn > 1.0] - 1.0
    assert above.mean() == pytest.approx(0.4, abs=4.0 * 0.4 / math.sqrt(len(above)))
    assert (drawn[drawn <= 1.0] == 1.0).all()  # without a body


def test_bursts_have_the_share_and_length_of_a_two_state_chain() -> None:
    enter, leave = 0.05, 0.25
    jitter = Jitter(burst_factor=2.0, burst_enter=enter, burst_leave=leave)
    states = [[jitter.in_burst(f"case{case}", index) for index in range(100)] for case in range(100)]
    runs = [len(list(group)) for row in states for bad, group in itertools.groupby(row) if bad]
    assert np.mean(states) == pytest.approx(enter / (enter + leave), abs=0.03)
    assert np.mean(runs) == pytest.approx(1.0 / leave, rel=0.1)
    starts = np.mean([row[0] for row in states])  # the chain starts in its long-run mix
    assert starts == pytest.approx(enter / (enter + leave), abs=4.0 * math.sqrt(0.14 / 100))


def test_the_chain_without_memory_is_the_chain_step_by_step() -> None:
    from simdrive.streams import stream

    jitter = Jitter(burst_factor=2.0, burst_enter=0.1, burst_leave=0.3)
    u = [stream("k", "latency.jitter.burst", index).random() for index in range(200)]
    bad = [u[0] < 0.1 / 0.4]
    for draw in u[1:]:
        bad.append(draw < (1.0 - 0.3 if bad[-1] else 0.1))
    assert [jitter.in_burst("k", index) for index in range(200)] == bad


def test_parts_and_stages_do_not_share_draws() -> None:
    one = Jitter(sigma={"decode": 0.2})
    everything = Jitter(
        sigma={"decode": 0.2, "prefill": 0.5}, burst_factor=3.0, burst_enter=0.3, burst_leave=0.3, cold_start_ms=500
    )
    assert np.array_equal(factors(one, count=50), factors(everything, count=50))
    assert (factors(one, "prefill", 50) == 1.0).all()
    first, second = (factors(Jitter(sigma=0.2), stage, 200) for stage in ("decode", "prefill"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.3
    assert not np.array_equal(factors(one, count=5), factors(one, count=5, key="other"))


def test_the_sensor_never_jitters() -> None:
    assert "sensor" not in COMPUTED
    assert (factors(Jitter(sigma=0.5), "sensor", 20) == 1.0).all()


def test_only_the_first_request_starts_cold() -> None:
    assert [Jitter(cold_start_ms=812.5).cold_start_us(index) for index in range(3)] == [812_500, 0, 0]


def test_identity_says_what_differs() -> None:
    assert Jitter().identity() == {}
    assert Jitter(sigma={"decode": 0.1}).identity() == {"sigma": {"decode": 0.1}}


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"p99_over_median": 0.9}, "p99_over_median"),
        ({"p99_over_median": 1.2, "sigma": 0.1}, "not both"),
        ({"sigma": -0.1}, "sigma"),
        ({"sigma": float("nan")}, "sigma"),
        ({"tail_quantile": 0.4}, "tail_quantile"),
        ({"tail_quantile": 1.0}, "tail_quantile"),
        ({"tail_shape": 1.0}, "tail_shape"),
        ({"burst_factor": -1}, "burst_factor"),
        ({"burst_factor": True}, "burst_factor"),
        ({"burst_enter": 0.6, "burst_leave": 0.5}, "at most 1"),
        ({"cold_start_ms": -1}, "cold_start_ms"),
    ],
)
def test_wrong_values_are_named(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        Jitter(**fields)


def test_a_wrong_stage_is_named() -> None:
    with pytest.raises(UnknownNameError, match="decode"):
        Jitter(sigma={"decoding": 0.1})
