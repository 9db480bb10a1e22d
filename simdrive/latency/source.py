"""What a request costs in simulated time: the protocol of latency sources, and the constant one.

A source sees only what a request is (case, index, tokens, pictures, charge), never the host's clock, so a run
gives the same times on every machine. Sources that price from chip cards fit the same protocol.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.types import STAGES, Charge, Long, TokenUsage


@dataclass(frozen=True)
class RequestBatch:
    """What a source may know about N requests."""

    case_key: tuple[str, ...]  # [N] keys the random streams, so that all agents draw the same numbers
    index: Long  # [N] position among the started requests of the episode, from 0
    usage: TokenUsage  # tokens; -1 = unknown (the agent failed): a source that reads them takes its median
    images: Long  # [N] pictures shown
    pixels: Long  # [N] pixels of all of them together
    charge: Charge  # (architecture, precision) that the requests are priced as
    t_start_us: Long | None = None  # [N] when they start, for sources whose chip changes with time; None = 0

    def __len__(self) -> int:
        return len(self.index)


class LatencySource(Protocol):
    """Prices requests. The answer for a row depends on that row alone, never on the batch around it."""

    def price(self, requests: RequestBatch) -> Long:
        """Return the stage times ``[N, 6]`` in microseconds, in the order of ``STAGES``, all at least 0."""

    def identity(self) -> dict[str, Any]:
        """Return plain data that is equal for equal sources; part of the key of every episode."""


@runtime_checkable
class Conditioned(Protocol):
    """A source that also knows under which conditions (clock state, burst, cold start) a request runs."""

    def conditions(self, requests: RequestBatch) -> tuple[str, ...]:
        """Return words joined by ``+`` for each request, empty where all is as usual."""


def stage_shares(split: Mapping[str, float] | None) -> tuple[float, ...]:
    """Return how a total is shared among ``STAGES``, summing to 1; without a split all of it is ``decode``.

    Raises:
        UnknownNameError: if a stage does not exist.
        ParameterError: if a share is negative or not finite, or all are zero.
    """
    given = dict(split) if split else {"decode": 1.0}
    for name, share in given.items():
        if name not in STAGES:
            raise UnknownNameError("stage in split", name, STAGES)
        if not (math.isfinite(share) and share >= 0.0):
            raise ParameterError(f"split.{name} must be a finite share of at least 0, got {share}")
    total = sum(given.values())
    if total <= 0.0:
        raise ParameterError(f"split must give at least one stage a share above 0, got {given}")
    return tuple(given.get(name, 0.0) / total for name in STAGES)


def whole_us(milliseconds: float, name: str) -> int:
    """Return a duration given in ms as whole microseconds.

    Raises:
        ParameterError: if it is negative or not finite.
    """
    if not (math.isfinite(milliseconds) and milliseconds >= 0.0):
        raise ParameterError(f"{name} must be a finite number of at least 0 ms, got {milliseconds}")
    return round(milliseconds * 1000.0)


@dataclass(frozen=True)
class Constant:
    """Every request takes the same time: the setting of constant-delay simulators, and of unit tests.

    Args:
        delay_ms: time of the whole request.
        split: share of each stage (any scale); None puts all of it into ``decode``.
    """

    delay_ms: float = 200.0
    split: Mapping[str, float] | None = None
    _stages_us: Long = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Differences of rounded running sums: whole microseconds that add up to the delay exactly.
        running = np.cumsum((0.0, *stage_shares(self.split))) * whole_us(self.delay_ms, "delay_ms")
        object.__setattr__(self, "_stages_us", np.diff(np.rint(running)).astype(np.int64))

    def price(self, requests: RequestBatch) -> Long:
        """Return the same stage times for every request."""
        return np.repeat(self._stages_us[None], len(requests), axis=0)

    def identity(self) -> dict[str, Any]:
        """Return the stage times."""
        return {"source": "constant", "stages_us": self._stages_us.tolist()}
