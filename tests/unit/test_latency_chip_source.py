"""The chip source: a request costs what its charge and its own tokens cost."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from simdrive.build import build
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.chip_source import ChipLatency
from simdrive.latency.pricing import HostTimes, pricer
from simdrive.latency.source import RequestBatch
from simdrive.types import STAGES, Charge, TokenUsage

CHARGE = Charge("internvl3_1b", "w4a16")


def requests(text: list[int], image: list[int], output: list[int], charge: Charge = CHARGE) -> RequestBatch:
    usage = TokenUsage(*(np.array(values, dtype=np.int64) for values in (text, image, output)))
    count = len(text)
    ones = np.ones(count, dtype=np.int64)
    return RequestBatch(("case",) * count, np.arange(count), usage, ones, 1000 * ones, charge)


def test_price_is_that_of_the_cards() -> None:
    priced = ChipLatency("agx_orin_64gb").price(requests([40], [256], [30]))
    model = pricer("agx_orin_64gb", "trt_edge_llm", "internvl3_1b", "w4a16")
    arrays = [np.array([value]) for value in (40, 256, 30, 1, 1000)]
    assert priced.tolist() == np.rint(model.price(*arrays, HostTimes()).stages_s * 1e6).astype(int).tolist()
    assert priced.dtype == np.int64


def test_more_tokens_more_time_and_rows_stand_alone() -> None:
    source = ChipLatency("agx_orin_64gb")
    batch = source.price(requests([40, 40, 400], [256, 256, 256], [3, 30, 30]))
    prefill, decode = STAGES.index("prefill"), STAGES.index("decode")
    assert batch[0, decode] < batch[1, decode]
    assert batch[1, prefill] < batch[2, prefill]
    assert source.price(requests([40], [256], [30])).tolist() == batch[1:2].tolist()
    assert source.price(requests([], [], [])).shape == (0, 6)


def test_failed_requests_cost_a_fixed_short_one() -> None:
    source = ChipLatency("agx_orin_64gb")
    assert source.price(requests([-1], [-1], [-1])).tolist() == source.price(requests([256], [0], [32])).tolist()


def test_a_stand_in_is_charged_as_what_it_stands_for() -> None:
    small = ChipLatency("agx_orin_64gb").price(requests([40], [256], [30]))
    source = ChipLatency("agx_orin_64gb", architecture="internvl3_8b", precision="w4a16")
    assert source.price(requests([40], [256], [30], Charge())).sum() > small.sum()
    # One 448 x 448 picture of InternVL is one tile of 256 tokens and two markers, whatever the stand-in reports.
    tiled = ChipLatency("agx_orin_64gb", picture_height=448, picture_width=448)
    plain = ChipLatency("agx_orin_64gb")
    assert tiled.price(requests([40], [9], [30])).tolist() == plain.price(requests([40], [258], [30])).tolist()
    ratio = ChipLatency("agx_orin_64gb", text_ratio=1.5)
    assert ratio.price(requests([40], [0], [30])).tolist() == plain.price(requests([60], [0], [45])).tolist()


def test_agents_without_charge_need_one() -> None:
    with pytest.raises(ParameterError, match=r"latency\.architecture"):
        ChipLatency("agx_orin_64gb").price(requests([40], [0], [3], Charge()))


@pytest.mark.parametrize(
    "fields",
    [
        {"architecture": "internvl3_1b"},
        {"picture_height": 448},
        {"picture_height": 448, "picture_width": 448, "image_tokens": 3},
        {"output_tokens": -1},
        {"text_ratio": 0.0},
        {"sensor_ms": -1.0},
        {"chip": "axera_ax650n"},
    ],
)
def test_contradictions_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        ChipLatency(**{"chip": "agx_orin_64gb", **fields})


@pytest.mark.parametrize(
    ("fields", "near"),
    [({"chip": "agx_orin_6gb"}, "agx_orin_64gb"), ({"runtime": "trt_edge"}, "trt_edge_llm"),
     ({"architecture": "internvl3_1b", "precision": "w4a1"}, "w4a16"), ({"power_mode": "maxm"}, "maxn")],
)  # fmt: skip
def test_wrong_names_are_refused_at_once(fields: dict[str, Any], near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"Did you mean '{near}'"):
        ChipLatency(**{"chip": "agx_orin_64gb", **fields})


def test_a_model_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ParameterError, match="does not fit"):
        ChipLatency("agx_orin_64gb").price(requests([40], [0], [3], Charge("internvl3_78b", "w16a16")))


def test_identity_tells_sources_apart() -> None:
    one, two = ChipLatency("agx_orin_64gb"), build("latency", "chip", chip="agx_orin_64gb")
    assert one.identity() == two.identity()
    assert one.identity() != ChipLatency("agx_orin_64gb", output_tokens=3).identity()


def test_pricing_is_cheap_in_a_batch() -> None:
    source, batch = ChipLatency("agx_orin_64gb"), requests([40] * 1024, [256] * 1024, list(range(1024)))
    source.price(batch)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        source.price(batch)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) / 1024 < 20e-6
