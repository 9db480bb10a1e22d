"""A latency source in the real world: the same source under clock states, beside other tasks, with jitter.

A request's stage is slowed down by what it is bound by. Vision and action heads need compute; decoding, which reads all
weights for every token, needs memory bandwidth; prefill needs compute where its prompt is long and bandwidth where it is
short (below about the tokens per weight at which a chip computes as fast as it reads). Where that is not clear, a stage
takes the worse of the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from simdrive.build import config_names, instantiate, load_config
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.device import DeviceSpec, Job, build_device
from simdrive.latency.jitter import Jitter
from simdrive.latency.source import LatencySource, RequestBatch
from simdrive.latency.states import ClockStates
from simdrive.types import STAGES, Charge, Float, Long

LAYERS = ("jitter", "states", "corunners", "device")  # what a configuration may put around any source
RIDGE_TOKENS = 128  # assumption: a 16-bit model on an embedded chip; half and double of it bound the unclear range
_NONE = Jitter()
_PREFILL = STAGES.index("prefill")


@dataclass(frozen=True)
class Corunner:
    """A task that runs beside the planner all the time and takes shares of the chip."""

    name: str
    bandwidth: float = 0.0
    compute: float = 0.0

    def __post_init__(self) -> None:
        for field in ("bandwidth", "compute"):
            value = getattr(self, field)
            if isinstance(value, bool) or not (math.isfinite(value) and 0.0 <= value < 1.0):
                raise ParameterError(
                    f"{field} of corunner {self.name!r} must be a share from 0 to below 1, got {value}"
                )


def slowdowns(compute: float, bandwidth: float, prompt_tokens: int) -> Float:
    """Return the time factors ``[6]`` of the stages at shares of the nominal compute and bandwidth.

    ``prompt_tokens`` below 1 are unknown: prefill then takes the worse of the two.
    """
    by_compute, by_bandwidth = 1.0 / compute, 1.0 / bandwidth
    prefill = max(by_compute, by_bandwidth)
    if prompt_tokens >= 2 * RIDGE_TOKENS:
        prefill = by_compute
    elif 1 <= prompt_tokens <= RIDGE_TOKENS // 2:
        prefill = by_bandwidth
    return np.array([1.0, 1.0, by_compute, prefill, by_bandwidth, by_compute])


@dataclass(frozen=True)
class Disturbed:
    """A source with jitter, clock states and co-running tasks around it; its own price stays the typical one."""

    undisturbed: LatencySource
    jitter: Jitter = _NONE
    states: ClockStates | None = None
    corunners: tuple[Corunner, ...] = ()

    def __post_init__(self) -> None:
        for field in ("bandwidth", "compute"):
            if sum(getattr(one, field) for one in self.corunners) >= 1.0:
                names = ", ".join(one.name for one in self.corunners)
                raise ParameterError(f"the corunners {names} take all of the {field}; lower their shares to below 1")

    def price(self, requests: RequestBatch) -> Long:
        """Return disturbed stage times; row i depends on its case, index, start time and tokens alone."""
        stages = self.undisturbed.price(requests).astype(np.float64)
        for row, (key, index) in enumerate(zip(requests.case_key, requests.index.tolist(), strict=True)):
            self._disturb(stages[row], requests, row, key, index)
        return np.rint(stages).astype(np.int64)

    def _disturb(self, stages: Float, requests: RequestBatch, row: int, key: str, index: int) -> None:
        if self.states is not None or self.corunners:
            tokens = np.array([requests.usage.prompt[row], requests.usage.image[row]])
            compute, bandwidth = self._speeds(requests, row, key)
            stages *= slowdowns(compute, bandwidth, int(tokens.clip(0).sum()))
        burst = self.jitter.burst_factor if self.jitter.in_burst(key, index) else None
        for stage, name in enumerate(STAGES):
            if name != "sensor" and stages[stage] > 0.0:
                stages[stage] *= self.jitter.factor(key, name, index) * (1.0 if burst is None else burst)
        stages[_PREFILL] += self.jitter.cold_start_us(index)

    def _speeds(self, requests: RequestBatch, row: int, key: str) -> tuple[float, float]:
        state = self.states.at(key, _start_us(requests, row)) if self.states is not None else None
        left = [1.0 - sum(getattr(one, field) for one in self.corunners) for field in ("compute", "bandwidth")]
        return (left[0], left[1]) if state is None else (left[0] * state.compute, left[1] * state.bandwidth)

    def check_charge(self, charge: Charge) -> None:
        """Refuse an agent that the source inside cannot price.

        Raises:
            SimdriveError: saying why.
        """
        check = getattr(self.undisturbed, "check_charge", None)
        if check is not None:
            check(charge)

    def conditions(self, requests: RequestBatch) -> tuple[str, ...]:
        """Return the clock state, ``burst`` and ``cold_start`` of each request, joined by ``+``."""
        found = []
        for row, (key, index) in enumerate(zip(requests.case_key, requests.index.tolist(), strict=True)):
            words = [self.states.at(key, _start_us(requests, row)).name] if self.states is not None else []
            words += ["burst"] if self.jitter.in_burst(key, index) else []
            words += ["cold_start"] if self.jitter.cold_start_us(index) else []
            found.append("+".join(words))
        return tuple(found)

    def identity(self) -> dict[str, Any]:
        """Return the source's identity with that of what is around it."""
        plain = self.undisturbed.identity()
        if self.jitter != _NONE:
            plain["jitter"] = self.jitter.identity()
        if self.states is not None:
            plain["states"] = self.states.identity()
        if self.corunners:
            plain["corunners"] = sorted([one.bandwidth, one.compute] for one in self.corunners)
        return plain


def _start_us(requests: RequestBatch, row: int) -> int:
    return 0 if requests.t_start_us is None else int(requests.t_start_us[row])


def build_source(config: Mapping[str, Any]) -> tuple[LatencySource, DeviceSpec | None]:
    """Return the source behind a configuration with whatever its layers put around it, and the shared device.

    Args:
        config: a ``_target_`` with its fields, and any of ``LAYERS``.

    Raises:
        UnknownNameError: if a name or field does not exist.
        ParameterError: if a value is out of range.
    """
    source: LatencySource = instantiate({key: value for key, value in config.items() if key not in LAYERS})
    jitter, states = _jitter(config.get("jitter")), _states(config.get("states"))
    corunners, jobs = _corunners(config.get("corunners") or ())
    device = build_device(config.get("device"), jobs)
    if jitter != _NONE or states is not None or corunners:
        return Disturbed(source, jitter, states, corunners), device
    return source, device


def _jitter(given: Mapping[str, Any] | None) -> Jitter:
    set_ = {str(key): value for key, value in (given or {}).items() if value is not None}
    allowed = [field.name for field in fields(Jitter)]
    for key in set_:
        if key not in allowed:
            raise UnknownNameError("field of latency.jitter", key, allowed)
    return Jitter(**set_)


def _states(given: str | Mapping[str, Any] | None) -> ClockStates | None:
    if given is None:
        return None
    config = load_config("states", given) if isinstance(given, str) else dict(given)
    if "_target_" not in config and "states" not in config:
        raise ParameterError(
            f"latency.states must be one of {', '.join(config_names('states'))}, a yaml file, or a mapping with states: "
            "{name: {compute, bandwidth, dwell_s, next}}"
        )
    states: ClockStates = instantiate({"_target_": "simdrive.latency.states.ClockStates", **config})
    return states


def _corunners(given: Sequence[Mapping[str, Any]]) -> tuple[tuple[Corunner, ...], tuple[Job, ...]]:
    """Return who takes shares and who takes turns."""
    shares, jobs = [], []
    for number, entry in enumerate(given):
        if not isinstance(entry, Mapping):
            raise ParameterError(
                f"entry {number} of latency.corunners must be a mapping, e.g. {{name: lidar, bandwidth: 0.2}}, got {entry!r}"
            )
        plain = {"name": f"task_{number}", **{str(key): value for key, value in entry.items()}}
        kind: type[Job] | type[Corunner] = Job if "period_ms" in plain or "cost_ms" in plain else Corunner
        allowed = [field.name for field in fields(kind)]
        for key in plain:
            if key not in allowed:
                raise UnknownNameError(
                    f"field of corunner {plain['name']!r} (shares: bandwidth, compute; or turns: period_ms, cost_ms, "
                    "priority, phase_ms)", key, allowed,
                )  # fmt: skip
        if kind is Job:
            if not {"period_ms", "cost_ms"} <= set(plain):
                raise ParameterError(f"corunner {plain['name']!r} needs period_ms and cost_ms")
            jobs.append(Job(**plain))
        else:
            shares.append(Corunner(**plain))
    return tuple(shares), tuple(jobs)
