"""Clock states and co-runners around a source: factors by hand, dwell times, and rows that depend on nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simdrive.build import build, load_config
from simdrive.errors import ParameterError, SimdriveError, UnknownNameError
from simdrive.latency.chip_source import ChipLatency
from simdrive.latency.disturbed import Corunner, Disturbed, build_source, slowdowns
from simdrive.latency.jitter import Jitter
from simdrive.latency.lognormal import Lognormal
from simdrive.latency.source import Conditioned, Constant, RequestBatch
from simdrive.latency.states import ClockStates
from simdrive.latency.trace import Trace
from simdrive.latency.trace_files import TraceRow
from simdrive.types import STAGES, Charge, TokenUsage

STAGES_US = (30_000, 2_000, 10_000, 40_000, 100_000, 8_000)
SPLIT = Trace(rows=(TraceRow("", 0, STAGES_US),))
CHARGE = Charge("internvl3_1b", "w4a16")
TWO = ClockStates({"fast": {"dwell_s": 2.0}, "slow": {"compute": 0.5, "bandwidth": 0.8, "dwell_s": 1.0}}, start="fast")


def requests_of(
    keys: list[str], indices: list[int], t_start_us: list[int] | None = None, prompt: int = 0
) -> RequestBatch:
    count = len(keys)
    ones = np.ones(count, dtype=np.int64)
    starts = None if t_start_us is None else np.array(t_start_us, dtype=np.int64)
    usage = TokenUsage(prompt * ones, 0 * ones, 10 * ones)
    return RequestBatch(tuple(keys), np.array(indices), usage, ones, ones, CHARGE, starts)


def test_slowdowns_by_hand() -> None:
    # half the compute, a quarter of the bandwidth gone
    assert slowdowns(0.5, 0.75, 1000).tolist() == [1.0, 1.0, 2.0, 2.0, 1 / 0.75, 2.0]  # long prompt: compute
    assert slowdowns(0.5, 0.75, 20).tolist() == [1.0, 1.0, 2.0, 1 / 0.75, 1 / 0.75, 2.0]  # short prompt: bandwidth
    assert slowdowns(0.5, 0.75, 128)[3] == 2.0  # in between the worse
    assert slowdowns(1.0, 0.5, -1)[3] == 2.0  # unknown: the worse


def test_corunners_add_up_and_slow_stages_apart() -> None:
    source = Disturbed(SPLIT, corunners=(Corunner("lidar", 0.2, 0.3), Corunner("log", 0.3)))
    stages = source.price(requests_of(["a"], [0], prompt=1000))[0]
    assert stages.tolist() == [30_000, 2_000, round(10_000 / 0.7), round(40_000 / 0.7), 200_000, round(8_000 / 0.7)]
    with pytest.raises(ParameterError, match="all of the bandwidth"):
        Disturbed(SPLIT, corunners=(Corunner("a", 0.6), Corunner("b", 0.4)))
    with pytest.raises(ParameterError, match="share"):
        Corunner("a", 1.0)


def test_states_change_with_the_time_of_the_request() -> None:
    end_us, name = TWO.timeline("a", 0)[0]
    assert name == "fast"
    source = Disturbed(SPLIT, states=TWO)
    stages = source.price(requests_of(["a", "a"], [0, 1], [end_us - 1, end_us], prompt=1000))
    assert stages[0].tolist() == list(STAGES_US)
    assert stages[1].tolist() == [30_000, 2_000, 20_000, 80_000, 125_000, 16_000]
    assert source.conditions(requests_of(["a", "a"], [0, 1], [end_us - 1, end_us])) == ("fast", "slow")


def test_dwell_times_and_long_run_shares() -> None:
    fast, slow, dwells = 0, 0, []
    for case in range(60):
        start = 0
        for end_us, name in TWO.timeline(f"case{case}", 100_000_000)[:-1]:
            fast, slow = (fast + end_us - start, slow) if name == "fast" else (fast, slow + end_us - start)
            dwells += [end_us - start] if name == "slow" else []
            start = end_us
    assert fast / (fast + slow) == pytest.approx(2.0 / 3.0, abs=0.02)
    assert np.mean(dwells) == pytest.approx(1e6, rel=0.07)
    assert np.median(dwells) == pytest.approx(1e6 * np.log(2), rel=0.1)  # exponential


def test_a_longer_timeline_begins_with_the_shorter() -> None:
    short, long = TWO.timeline("a", 5_000_000), TWO.timeline("a", 50_000_000)
    assert long[: len(short)] == short
    for t_us in (0, 1_999_999, 47_000_000):
        assert TWO.at("a", t_us).name == next(name for end, name in long if t_us < end)


def test_a_state_for_good_and_weights_of_what_follows() -> None:
    chain = ClockStates({"a": {"dwell_s": 0.5, "next": {"b": 3, "c": 1}}, "b": {}, "c": {"compute": 0.5}}, start="a")
    ends = [chain.at(f"case{case}", 60_000_000).name for case in range(400)]
    assert set(ends) == {"b", "c"}
    assert ends.count("b") / 400 == pytest.approx(0.75, abs=0.09)


@pytest.mark.parametrize(
    ("states", "error", "word"),
    [
        ({}, ParameterError, "at least one"),
        ({"a": {"compute": 0}}, ParameterError, "compute"),
        ({"a": {"dwell_s": -1}}, ParameterError, "dwell_s"),
        ({"a": {"dwell_s": 1.0}}, ParameterError, "nothing follows"),
        ({"a": {"speed": 1}}, UnknownNameError, "compute"),
        ({"a": {"dwell_s": 1, "next": {"b": 1}}}, UnknownNameError, "next"),
        ({"a": 3}, ParameterError, "mapping"),
    ],
)
def test_wrong_states_are_named(states: Any, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        ClockStates(states)


SOURCES = [
    Constant(200, {"vision": 1, "prefill": 2, "decode": 5}),
    Lognormal(median_ms=200, sigma=0.2),
    SPLIT,
    ChipLatency("agx_orin_64gb", prompt_tokens=300, image_tokens=256, output_tokens=20),
    ChipLatency("agx_orin_64gb", picture_height=448, picture_width=448),
]


@pytest.mark.parametrize("source", SOURCES)
def test_any_source_can_be_disturbed_and_rows_stand_alone(source: Any) -> None:
    jitter = Jitter(1.3, burst_factor=2.0, burst_enter=0.3, tail_quantile=0.9, cold_start_ms=700)
    disturbed = Disturbed(source, jitter, TWO, (Corunner("lidar", 0.1, 0.2),))
    keys, indices, starts = ["a", "b", "a", "c"], [0, 0, 7, 3], [0, 40_000, 3_000_000, 900_000]
    together = disturbed.price(requests_of(keys, indices, starts, prompt=300))
    alone = [
        disturbed.price(requests_of([key], [index], [start], prompt=300))[0]
        for key, index, start in zip(keys, indices, starts, strict=True)
    ]
    assert np.array_equal(together, alone)
    assert np.array_equal(together[::-1], disturbed.price(requests_of(keys[::-1], indices[::-1], starts[::-1], 300)))
    assert together.dtype == np.int64
    assert isinstance(disturbed, Conditioned)
    assert disturbed.conditions(requests_of(keys, indices, starts))[0].endswith("cold_start")
    assert disturbed.identity() != source.identity()


def test_failed_rows_keep_the_sources_own_price() -> None:
    source = SOURCES[-1]
    unknown = -np.ones(1, dtype=np.int64)
    failed = RequestBatch(
        ("a",), np.zeros(1, np.int64), TokenUsage(*[unknown] * 3), *[np.ones(1, np.int64)] * 2, CHARGE
    )
    plain, disturbed = source.price(failed), Disturbed(source, corunners=(Corunner("x", 0.5, 0.2),)).price(failed)
    decode, prefill = STAGES.index("decode"), STAGES.index("prefill")
    assert disturbed[0, decode] == 2 * plain[0, decode]
    assert disturbed[0, prefill] == 2 * plain[0, prefill]  # tokens unknown: the worse of both


def test_jitter_moves_the_p99_of_the_request_and_not_its_median() -> None:
    disturbed = Disturbed(Constant(200), Jitter(p99_over_median=1.4))
    total = disturbed.price(requests_of(["case"] * 4000, list(range(4000)))).sum(axis=1)
    assert np.median(total) == pytest.approx(200_000, rel=0.01)
    assert np.quantile(total, 0.99) == pytest.approx(280_000, rel=0.02)


CONSTANT = {"_target_": "simdrive.latency.source.Constant", "delay_ms": 200.0}


def test_build_source_wraps_only_what_is_on() -> None:
    off = {"jitter": {"sigma": None, "cold_start_ms": 0.0}, "states": None, "corunners": [], "device": None}
    assert build_source(CONSTANT | off) == (Constant(200.0), None)
    source, device = build_source(
        CONSTANT | {"jitter": {"sigma": 0.1}, "states": "thermal", "corunners": [{"name": "lidar", "bandwidth": 0.2}]}
    )
    assert device is None
    assert isinstance(source, Disturbed)
    assert source.corunners == (Corunner("lidar", 0.2),)
    assert source.identity()["states"] == build("states", "thermal").identity()


def test_build_source_tells_shares_from_turns() -> None:
    jobs = [{"name": "lidar", "period_ms": 50, "cost_ms": 10, "priority": 1}]
    source, device = build_source(CONSTANT | {"corunners": jobs, "device": {"policy": "preemptive", "priority": 5}})
    assert source == Constant(200.0)
    assert device is not None
    assert (device.policy, device.priority, device.jobs[0].cost_us) == ("preemptive", 5, 10_000)


@pytest.mark.parametrize(
    ("layers", "error", "word"),
    [
        ({"jitter": {"sgma": 1}}, UnknownNameError, "sigma"),
        ({"states": "thermall"}, UnknownNameError, "thermal"),
        ({"states": {"start": "x"}}, ParameterError, "memory_clock"),
        ({"corunners": ["lidar"]}, ParameterError, "mapping"),
        ({"corunners": [{"name": "l", "band": 1}]}, UnknownNameError, "bandwidth"),
        ({"corunners": [{"name": "l", "period_ms": 5}]}, ParameterError, "cost_ms"),
        ({"corunners": [{"name": "l", "period_ms": 5, "cost_ms": 1}]}, ParameterError, "nonpreemptive"),
        (
            {"corunners": [{"name": "l", "period_ms": 5, "cost_ms": 5}], "device": "preemptive"},
            ParameterError,
            "pile up",
        ),
        ({"device": "premptive"}, UnknownNameError, "preemptive"),
        ({"device": {"share": 1}}, UnknownNameError, "policy"),
    ],
)
def test_wrong_layers_are_named(layers: dict[str, Any], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        build_source(CONSTANT | layers)


def test_shipped_states_say_what_they_are() -> None:
    for name in ("thermal", "memory_clock"):
        assert load_config("states", name)["description"].endswith(".")


def test_who_cannot_be_priced_is_refused_through_every_layer() -> None:
    chip = build("latency", "chip", chip="agx_orin_64gb")
    Disturbed(chip).check_charge(CHARGE)
    with pytest.raises(SimdriveError):
        Disturbed(chip).check_charge(Charge())
    Disturbed(Constant(100)).check_charge(Charge())  # a constant prices anybody
