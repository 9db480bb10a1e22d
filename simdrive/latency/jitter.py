"""Random factors around whatever a source prices: a skewed body, a heavy tail, bursts, a slow first request.

Every part draws from a stream of its own, with the request index as counter, so switching one part on or off leaves the
draws of the others, and of every other stage, as they were. The sensor's exposure is no computation and never jitters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.streams import stream
from simdrive.types import STAGES

COMPUTED = STAGES[1:]
_NORMAL = NormalDist()
_Z99 = _NORMAL.inv_cdf(0.99)


@dataclass(frozen=True)
class Jitter:
    """How request times scatter; what is None or 0 is off.

    Args:
        p99_over_median: 99th percentile of a stage over its median; the body is ``median * exp(sigma z)`` with
            ``sigma = ln(p99_over_median) / 2.326``. Give it or ``sigma``, not both.
        sigma: standard deviation of the logarithm, for every stage, or a mapping from stage to its own.
        tail_quantile: q, at least 0.5 so that the median stays; above the q-quantile u of the body the factor is
            ``u + (s / xi) ((1 - v)^-xi - 1)``, v uniform: a generalised Pareto tail that begins where the body ends
            (Pickands-Balkema-de Haan).
        tail_scale: s, as a share of the median.
        tail_shape: xi, 0 (exponential) to below 1 (finite mean).
        burst_factor: of all stages of a request in the bad state of a two-state chain (Gilbert-Elliott): misses cluster.
        burst_enter, burst_leave: chance per request to go bad and to get well again; together at most 1.
        cold_start_ms: added to the prefill of the first request of an episode (lazy compilation).
    """

    p99_over_median: float | None = None
    sigma: float | Mapping[str, float] | None = None
    tail_quantile: float | None = None
    tail_scale: float = 0.1
    tail_shape: float = 0.2
    burst_factor: float | None = None
    burst_enter: float = 0.02
    burst_leave: float = 0.2
    cold_start_ms: float = 0.0

    def __post_init__(self) -> None:
        if self.p99_over_median is not None and self.sigma is not None:
            raise ParameterError("give jitter.p99_over_median or jitter.sigma, not both")
        _check("p99_over_median", self.p99_over_median, 1.0, math.inf)
        for name, value in self._sigmas().items():
            if name not in COMPUTED:
                raise UnknownNameError("stage in jitter.sigma", name, COMPUTED)
            _check(f"sigma.{name}", value, 0.0, math.inf)
        _check("tail_quantile", self.tail_quantile, 0.5, 0.999999)
        _check("tail_scale", self.tail_scale, 0.0, math.inf)
        _check("tail_shape", self.tail_shape, 0.0, 1.0)
        _check("burst_factor", self.burst_factor, 0.0, math.inf)
        _check("burst_enter", self.burst_enter, 1e-9, 1.0)
        _check("burst_leave", self.burst_leave, 1e-9, 1.0)
        _check("cold_start_ms", self.cold_start_ms, 0.0, math.inf)
        if self.burst_enter + self.burst_leave > 1.0:
            raise ParameterError(
                f"jitter.burst_enter + jitter.burst_leave must be at most 1, got {self.burst_enter} + {self.burst_leave}: above "
                "that bad requests come singly, which is no burst"
            )

    def _sigmas(self) -> dict[str, float]:
        if isinstance(self.sigma, Mapping):
            return {str(name): value for name, value in self.sigma.items()}
        value = math.log(self.p99_over_median) / _Z99 if self.p99_over_median is not None else float(self.sigma or 0.0)
        return dict.fromkeys(COMPUTED, value)

    def scatters(self, stage: str) -> bool:
        """Whether a stage has a body or a tail."""
        return stage in COMPUTED and (self._sigmas().get(stage, 0.0) > 0.0 or self.tail_quantile is not None)

    def factor(self, case_key: str, stage: str, index: int) -> float:
        """Return the factor of one stage of one request: body and tail."""
        if not self.scatters(stage):
            return 1.0
        sigma = self._sigmas().get(stage, 0.0)
        z = float(stream(case_key, f"latency.jitter.{stage}", index).standard_normal())
        if self.tail_quantile is None or _NORMAL.cdf(z) <= self.tail_quantile:
            return math.exp(sigma * z)
        begin = math.exp(sigma * _NORMAL.inv_cdf(self.tail_quantile))
        left = 0.5 * math.erfc(z / math.sqrt(2.0)) / (1.0 - self.tail_quantile)  # 1 - v, uniform
        if self.tail_shape == 0.0:
            return begin - self.tail_scale * math.log(left)
        return begin + self.tail_scale / self.tail_shape * (math.pow(left, -self.tail_shape) - 1.0)

    def in_burst(self, case_key: str, index: int) -> bool:
        """Tell whether a request runs in the bad state.

        A draw below ``burst_enter`` is bad and one above ``1 - burst_leave`` good whatever came before; between the two the
        state stays. So the last decisive draw says it, and the chain needs no memory.
        """
        if self.burst_factor is None:
            return False
        for before in range(index, 0, -1):
            u = stream(case_key, "latency.jitter.burst", before).random()
            if u < self.burst_enter:
                return True
            if u >= 1.0 - self.burst_leave:
                return False
        stationary = self.burst_enter / (self.burst_enter + self.burst_leave)
        return bool(stream(case_key, "latency.jitter.burst", 0).random() < stationary)

    def cold_start_us(self, index: int) -> int:
        """Return what the first request of an episode takes longer."""
        return round(self.cold_start_ms * 1000.0) if index == 0 else 0

    def identity(self) -> dict[str, Any]:
        """Return the fields that are not as by default."""
        plain = Jitter()
        given = {field.name: getattr(self, field.name) for field in fields(Jitter)}
        return {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in given.items()
            if value != getattr(plain, name)
        }


def _check(name: str, value: Any, low: float, high: float) -> None:
    if value is None:
        return
    number = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    if not (number and low <= value <= high and (name != "tail_shape" or value < high)):
        bound = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ParameterError(f"jitter.{name} must be a number {bound}, got {value!r}")
