"""How long a piece of work takes on a chip: one formula for all three stages of a model.

    c = FLOPs / compute rate,   m = bytes / (bandwidth_share * bandwidth)
    t = (c^p + m^p)^(1/p) + layers * layer_us + call_us

p = 1: computing and moving do not overlap; p -> infinity: the slower one alone counts (the roofline of Williams
et al. 2009). The compute rate is a fitted share of the dense peak that the operands run at. Weight-only formats
widen their weights on the vector units before each product, so their rate is a fitted multiple of the chip's FP32
rate instead, and never above the matrix peak.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simdrive.errors import ParameterError
from simdrive.latency.chip import ChipCard
from simdrive.latency.operators import Amount
from simdrive.latency.runtime import Format
from simdrive.types import Float, Long

DEQUANTIZE = "dequantize"
# FP32 rate over dense FP16 matrix peak of the Jetson Orin family (5.3 / 42.5): for chips that do not publish it.
VECTOR_SHARE = 1.0 / 8.0
Z80 = 1.2815515655446004  # 80 % of a normal distribution lie within this many standard deviations


def kernel_of(form: Format, vision: bool = False) -> str:
    """Return which kind of matrix product a format runs: shares of peak are fitted per kind."""
    if vision:
        return form.vision_compute
    return DEQUANTIZE if form.dequantize else form.compute


@dataclass(frozen=True)
class Machine:
    """What a chip offers one kind of kernel; ``peak_flops`` None = not published."""

    bandwidth: float  # bytes/s
    peak_flops: float | None = None
    vector_flops: float | None = None
    kernel: str = "fp16"

    def rate_terms(self) -> tuple[float, float]:
        """Return (unit, cap): the compute rate at a share is ``min(share * unit, cap)``."""
        if self.peak_flops is None:
            return math.inf, math.inf
        if self.kernel != DEQUANTIZE:
            return self.peak_flops, math.inf
        return self.vector_flops or VECTOR_SHARE * self.peak_flops, self.peak_flops

    def compute_rate(self, share: float) -> float | None:
        """Return FLOPs per second at a fitted share; None where the peak is unknown."""
        unit, cap = self.rate_terms()
        return None if math.isinf(unit) else min(share * unit, cap)


def machine_for(
    chip: ChipCard, form: Format, vision: bool = False, mode: str | None = None, need_peak: bool = True
) -> Machine:
    """Return what a chip offers a format in a power mode.

    Raises:
        ParameterError: if the bandwidth, or a peak that is needed, is not published.
    """
    precision = form.vision_compute if vision else form.compute
    bandwidth = chip.bandwidth_bytes_per_s(mode)
    kernel = kernel_of(form, vision)
    if not need_peak and precision not in chip.precisions():
        return Machine(bandwidth, None, None, kernel)
    vector = chip.peak_flops("fp32", mode) if "fp32" in chip.precisions() else None
    return Machine(bandwidth, chip.peak_flops(precision, mode), vector, kernel)


@dataclass(frozen=True)
class Work:
    """What a stage has to do; figures may be arrays over requests."""

    flops: Amount
    bytes: Amount
    layers: float


@dataclass(frozen=True)
class StageParameters:
    """How well one runtime uses a machine in one stage: fitted, see ``calibration``.

    Args:
        bandwidth_share: of the published bandwidth, at most 1.
        layer_us: overhead per layer.
        call_us: overhead per call.
        compute_share: per kind of kernel, of the dense peak (``dequantize``: of the FP32 rate, may exceed 1).
        overlap: p of the formula, per kind of kernel.
        log_sigma: spread of the logarithm of measured over predicted time on models that the fit had not seen.
        chip_log_sigma: further spread on chips that the fit had not seen.
        rows: measurements behind the fit; 0 = none, all figures are the prior.
        chips: cards of the chips among them.
    """

    bandwidth_share: float
    layer_us: float
    call_us: float
    compute_share: Mapping[str, float]
    overlap: Mapping[str, float]
    log_sigma: float
    chip_log_sigma: float
    rows: int = 0
    chips: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 < self.bandwidth_share <= 1.0:
            raise ParameterError(f"bandwidth_share must be above 0 and at most 1, got {self.bandwidth_share}")
        for name in ("layer_us", "call_us", "log_sigma", "chip_log_sigma"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ParameterError(f"{name} must be finite and at least 0, got {getattr(self, name)}")

    def sigma(self, chip: str) -> float:
        """Return the spread of the logarithm on a chip; wider where the fit has not seen it."""
        return self.log_sigma if chip in self.chips else float(np.hypot(self.log_sigma, self.chip_log_sigma))


def joint_seconds(computing: Float, moving: Float, power: Float | float) -> Float:
    """Return ``(c^p + m^p)^(1/p)`` without underflow: the larger part is taken out of the power."""
    most = np.maximum(np.maximum(computing, moving), 1e-30)
    return np.asarray(most * ((computing / most) ** power + (moving / most) ** power) ** (1.0 / power), float)


def stage_seconds(work: Work, machine: Machine, parameters: StageParameters) -> Float:
    """Return the median time of a stage; without a known peak the computing part is left out."""
    rate = machine.compute_rate(parameters.compute_share[machine.kernel])
    moving = np.asarray(work.bytes, float) / (parameters.bandwidth_share * machine.bandwidth)
    computing = np.zeros_like(moving) if rate is None else np.asarray(work.flops, float) / rate
    overhead = (work.layers * parameters.layer_us + parameters.call_us) * 1e-6
    return joint_seconds(computing, moving, parameters.overlap[machine.kernel]) + overhead


@dataclass(frozen=True)
class WorkStack:
    """Many pieces of work on different machines as arrays: the same formula, for fits.

    Attributes:
        cap, unit: the compute rate is ``min(share * unit, cap)``; ``unit`` infinite = peak not known.
        kernel: index into ``kernels``.
    """

    flops: Float
    bytes: Float
    layers: Float
    bandwidth: Float
    unit: Float
    cap: Float
    kernel: Long
    kernels: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Sequence[tuple[Work, Machine]]) -> WorkStack:
        """Stack pairs of work and machine."""
        kernels = tuple(sorted({machine.kernel for _, machine in pairs}))
        columns = [
            (float(w.flops), float(w.bytes), w.layers, m.bandwidth, *m.rate_terms(), kernels.index(m.kernel))
            for w, m in pairs
        ]
        flops, moved, layers, bandwidth, unit, cap, kernel = np.array(columns, float).reshape(-1, 7).T
        return cls(flops, moved, layers, bandwidth, unit, cap, kernel.astype(np.int64), kernels)

    def seconds(self, parameters: StageParameters) -> Float:
        """Return the median times."""
        share = np.array([parameters.compute_share[name] for name in self.kernels])[self.kernel]
        power = np.array([parameters.overlap[name] for name in self.kernels])[self.kernel]
        computing = self.flops / np.minimum(share * self.unit, self.cap)
        moving = self.bytes / (parameters.bandwidth_share * self.bandwidth)
        overhead = (self.layers * parameters.layer_us + parameters.call_us) * 1e-6
        return joint_seconds(computing, moving, power) + overhead
