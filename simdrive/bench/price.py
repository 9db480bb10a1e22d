"""How long pricing takes: requests through the chip source, beside the straightforward way of one by one.

The baseline builds the operators of prefill and decode for each request and adds them up; it gives the same times to
a microsecond. Tables are warm, as they are from the second request of a run on; filling them is a row of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from simdrive.bench.host import host
from simdrive.errors import ParameterError
from simdrive.latency.charging import charged_pricer
from simdrive.latency.chip_source import ChipLatency
from simdrive.latency.language_cost import mean_context
from simdrive.latency.pricing import Pricer
from simdrive.latency.source import RequestBatch
from simdrive.latency.token_load import token_load
from simdrive.streams import stream
from simdrive.types import Charge, Float, TokenUsage

CHARGE = Charge("internvl3_1b", "w4a16")
CHIP, RUNTIME = "agx_orin_64gb", "trt_edge_llm"
BATCHES = (1, 64, 1024)
TURN_S = 0.02  # least time of one turn


def bench_price(batches: tuple[int, ...] | list[int] = BATCHES, repetitions: int = 20) -> dict[str, Any]:
    """Return the bench object: one row per batch size, microseconds per request, and one for cold tables.

    Args:
        batches: requests per call.
        repetitions: turns per row; the fastest gives the value, the median of the turns the ratio.

    Raises:
        ParameterError: for a batch size or number of repetitions below 1.
    """
    if repetitions < 1 or not batches or min(batches) < 1:
        raise ParameterError(f"batches and repetitions must be at least 1, got {batches} and {repetitions}")
    rows = [_row(batch, repetitions) for batch in batches]
    difference = max(row.pop("difference_us") for row in rows)
    summary = {
        "us_per_request": {row["case"]: row["value"] for row in rows},
        "largest_difference_us": difference,
        "first_request_us": _cold(),
        "baseline": "operators built and added up for each request by itself",
    }
    return {"bench": "price", "rows": rows, "summary": summary, "host": host()}


def _requests(count: int) -> RequestBatch:
    """Return requests as a camera model sends them: one picture of 256 tokens, prompts and answers of varied length."""
    random = stream("bench", "price")
    text, output = random.integers(40, 600, count), random.integers(3, 100, count)
    usage = TokenUsage(text, np.full(count, 256, np.int64), output)
    ones = np.ones(count, dtype=np.int64)
    return RequestBatch(("case",) * count, np.arange(count), usage, ones, 200_704 * ones, CHARGE)


def _row(batch: int, repetitions: int) -> dict[str, Any]:
    source, requests = ChipLatency(CHIP, RUNTIME), _requests(batch)
    plain, model = min(batch, 64), charged_pricer(CHIP, RUNTIME, CHARGE)
    ours = source.price(requests)
    theirs = np.array([_straightforward(model, requests, row) for row in range(plain)])
    fast, slow = [], []
    for _ in range(repetitions):
        fast.append(_us(lambda: source.price(requests)) / batch)
        slow.append(_us(lambda: [_straightforward(model, requests, row) for row in range(plain)]) / plain)
    return {
        "case": f"batch {batch}", "value": min(fast), "unit": "us/request", "baseline": min(slow),
        "ratio": median(b / a for a, b in zip(fast, slow, strict=True)),
        "difference_us": float(np.abs(ours[:plain, 2:5] - theirs * 1e6).max()),
    }  # fmt: skip


def _straightforward(model: Pricer, requests: RequestBatch, row: int) -> Float:
    """Return vision, prefill and decode of one request in seconds."""
    text, image, output = (
        int(part[row]) for part in (requests.usage.prompt, requests.usage.image, requests.usage.output)
    )
    steps = max(output - 1, 0)
    vision = model.vision_seconds(token_load(model.architecture, image, int(requests.images[row])))
    decode = steps * model.step_seconds(mean_context(text + image, steps))
    return np.array([vision, float(model.prefill_seconds(text + image)), float(decode)])


def _us(work: Callable[[], object]) -> float:
    """Return microseconds of one call, measured over at least ``TURN_S``."""
    calls, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < TURN_S:
        work()
        calls += 1
    return spent / calls * 1e6


def _cold() -> float:
    """Return microseconds of the first request of a process under a charge, cards and tables included."""
    charged_pricer.cache_clear()
    requests, began = _requests(1), time.perf_counter()
    ChipLatency(CHIP, RUNTIME).price(requests)
    return (time.perf_counter() - began) * 1e6
