"""How many output tokens fit before a deadline: what the policy ``early_exit`` tells the agent."""

from __future__ import annotations

import dataclasses

import numpy as np

from simdrive.latency.source import LatencySource, RequestBatch
from simdrive.types import TokenUsage

MOST = 4096  # more tokens than this are not asked about


def tokens_within(source: LatencySource, request: RequestBatch, budget_us: int) -> int:
    """Return the largest number of output tokens whose typical price fits, at least 1; -1 = no limit is needed or helps.

    Args:
        source: prices the request; its disturbances (jitter, clock states) are left out, for nobody knows them before.
        request: one row; its prompt and image tokens as expected, its output tokens do not matter.
        budget_us: time from the start of the request to its deadline.
    """
    typical = getattr(source, "undisturbed", source)
    few, many = (_total_us(typical, request, count) for count in (1, MOST))
    if many <= budget_us or few == many:
        return -1
    low, high = 1, MOST  # high does not fit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _total_us(typical, request, middle) <= budget_us else (low, middle)
    return low


def _total_us(source: LatencySource, request: RequestBatch, output: int) -> int:
    usage = TokenUsage(request.usage.prompt, request.usage.image, np.array([output], dtype=np.int64))
    return int(source.price(dataclasses.replace(request, usage=usage)).sum())
