"""Jittered request times: a lognormal factor describes the body of measured latency distributions well.

Every stage draws from its own stream, so changing the jitter of one stage leaves the draws of the others as
they were, and all agents on a case meet the same draws (common random numbers).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from simdrive.errors import ParameterError
from simdrive.latency.source import RequestBatch, stage_shares, whole_us
from simdrive.streams import stream
from simdrive.types import STAGES, Float, Long

_Z99 = NormalDist().inv_cdf(0.99)


@dataclass(frozen=True)
class Lognormal:
    """Stage times ``median * exp(sigma z)``, z standard normal: the median stays, the tail is skewed.

    Args:
        median_ms: median time of the request (of all stages together while sigma is 0).
        p99_ms: 99th percentile; sets ``sigma = ln(p99 / median) / 2.326``. Give it or ``sigma``, not both.
        sigma: standard deviation of the logarithm, for every stage; or a mapping from stage to its own.
        split: share of each stage; None puts all of it into ``decode``, and then ``p99_ms`` is that of the
            request. With several stages it is that of each stage, and the request's own tail is thinner.
    """

    median_ms: float = 200.0
    p99_ms: float | None = None
    sigma: float | Mapping[str, float] | None = None
    split: Mapping[str, float] | None = None
    _medians_us: Float = field(init=False, repr=False, compare=False)
    _sigmas: Float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        medians = np.array(stage_shares(self.split)) * whole_us(self.median_ms, "median_ms")
        object.__setattr__(self, "_medians_us", medians)
        object.__setattr__(self, "_sigmas", self._stage_sigmas())

    def _stage_sigmas(self) -> Float:
        if (self.p99_ms is None) == (self.sigma is None):
            raise ParameterError("lognormal latency needs exactly one of p99_ms and sigma")
        if self.p99_ms is not None:
            if not (math.isfinite(self.p99_ms) and self.p99_ms >= self.median_ms > 0.0):
                raise ParameterError(f"p99_ms must be at least median_ms > 0, got {self.p99_ms} and {self.median_ms}")
            return np.full(len(STAGES), math.log(self.p99_ms / self.median_ms) / _Z99)
        if isinstance(self.sigma, Mapping):
            stage_shares({**self.sigma, "decode": 1.0})  # only for its checks of names and values
            sigmas = np.array([float(self.sigma.get(name, 0.0)) for name in STAGES])
        else:
            sigmas = np.full(len(STAGES), float(self.sigma or 0.0))
        if not (np.isfinite(sigmas).all() and (sigmas >= 0.0).all()):
            raise ParameterError(f"sigma must be finite and at least 0, got {self.sigma}")
        return sigmas

    def price(self, requests: RequestBatch) -> Long:
        """Return jittered stage times; row i draws from (case, stage, request index) alone."""
        factor = np.ones((len(requests), len(STAGES)))
        for stage in np.flatnonzero((self._medians_us > 0.0) & (self._sigmas > 0.0)):
            name, sigma = f"latency.{STAGES[stage]}", self._sigmas[stage]
            for row, (key, index) in enumerate(zip(requests.case_key, requests.index, strict=True)):
                factor[row, stage] = math.exp(sigma * stream(key, name, int(index)).standard_normal())
        return np.rint(self._medians_us * factor).astype(np.int64)

    def identity(self) -> dict[str, Any]:
        """Return medians and sigmas of the stages."""
        medians, sigmas = self._medians_us.tolist(), self._sigmas.tolist()
        return {"source": "lognormal", "medians_us": medians, "sigmas": sigmas}
