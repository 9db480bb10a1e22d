"""How long a piece of work takes on a chip: one formula for all three stages of a model.

    c = FLOPs / compute rate,   m = bytes / (bandwidth_share * bandwidth)
    t = (c^p + m^p)^(1/p) + layers * layer_us * layer_factor / pace + call_us

p = 1: computing and moving do not overlap; p -> infinity: the slower one alone counts (the roofline of Williams
et al. 2009). The compute rate is a fitted share of the dense peak that the operands run at. Weight-only formats
widen their weights on the vector units before each product, so their rate is a fitted multiple of the chip's FP32
rate instead, and never above the matrix peak.

Overhead per layer is the time of many small kernels (norms, rotations, the ramps of each product), which run on the
device, so a slower device takes longer for it: ``pace = (FP32 rate / that of the Jetson AGX Orin)^0.75``, between
chains of dependent instructions (the clock alone) and evenly spread work (clock times units, which is the FP32
rate). Overhead per call belongs to the host and is the same everywhere.
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
REFERENCE_VECTOR_FLOPS = 5.3e12  # FP32 rate of the Jetson AGX Orin 64GB: overheads per layer are given on it
PACE_POWER = 0.75
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
    chip: str = ""

    @property
    def pace(self) -> float:
        """How fast the device runs small kernels; 1 = Jetson AGX Orin, and where nothing is known."""
        if self.vector_flops is None:
            return 1.0
        return float((self.vector_flops / REFERENCE_VECTOR_FLOPS) ** PACE_POWER)

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
    known = chip.precisions()
    vector = chip.peak_flops("fp32", mode) if "fp32" in known else None
    if not need_peak and precision not in known:
        return Machine(bandwidth, None, vector, kernel, chip.name)
    return Machine(bandwidth, chip.peak_flops(precision, mode), vector, kernel, chip.name)


@dataclass(frozen=True)
class Work:
    """What a stage has to do; figures may be arrays over requests. ``layers`` weigh by their kernels, see ``launches``."""

    flops: Amount
    bytes: Amount
    layers: float


@dataclass(frozen=True)
class StageParameters:
    """How well one runtime uses a machine in one stage: fitted, see ``calibration``.

    Args:
        bandwidth_share: of the published bandwidth, at most 1.
        layer_us: overhead per layer on a device of pace 1.
        call_us: overhead per call.
        compute_share: per kind of kernel, of the dense peak (``dequantize``: of the FP32 rate, may exceed 1).
        overlap: p of the formula, per kind of kernel.
        layer_factor: of the overhead per layer, per kind of kernel; a kind that is not there has 1.
        chip_factor: of both shares, per chip among the measurements; a chip that is not there has 1.
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
    layer_factor: Mapping[str, float] = field(default_factory=dict)
    chip_factor: Mapping[str, float] = field(default_factory=dict)

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
    factor = parameters.chip_factor.get(machine.chip, 1.0)
    rate = machine.compute_rate(parameters.compute_share[machine.kernel] * factor)
    moving = np.asarray(work.bytes, float) / (min(1.0, parameters.bandwidth_share * factor) * machine.bandwidth)
    computing = np.zeros_like(moving) if rate is None else np.asarray(work.flops, float) / rate
    layer_us = parameters.layer_us * parameters.layer_factor.get(machine.kernel, 1.0) / machine.pace
    overhead = (work.layers * layer_us + parameters.call_us) * 1e-6
    return joint_seconds(computing, moving, parameters.overlap[machine.kernel]) + overhead


@dataclass(frozen=True)
class WorkStack:
    """Many pieces of work on different machines as arrays: the same formula, for fits.

    Attributes:
        layers: divided by the pace of the machine.
        cap, unit: the compute rate is ``min(share * unit, cap)``; ``unit`` infinite = peak not known.
        kernel, chip: index into ``kernels`` and ``chips``.
    """

    flops: Float
    bytes: Float
    layers: Float
    bandwidth: Float
    unit: Float
    cap: Float
    kernel: Long
    chip: Long
    kernels: tuple[str, ...]
    chips: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Sequence[tuple[Work, Machine]]) -> WorkStack:
        """Stack pairs of work and machine."""
        kernels = tuple(sorted({machine.kernel for _, machine in pairs}))
        chips = tuple(sorted({machine.chip for _, machine in pairs}))
        columns = [(float(w.flops), float(w.bytes), w.layers / m.pace, m.bandwidth, *m.rate_terms()) for w, m in pairs]
        flops, moved, layers, bandwidth, unit, cap = np.array(columns, float).reshape(-1, 6).T
        kernel = np.array([kernels.index(machine.kernel) for _, machine in pairs], np.int64)
        chip = np.array([chips.index(machine.chip) for _, machine in pairs], np.int64)
        return cls(flops, moved, layers, bandwidth, unit, cap, kernel, chip, kernels, chips)

    def seconds(self, parameters: StageParameters) -> Float:
        """Return the median times."""
        own = np.array([parameters.chip_factor.get(name, 1.0) for name in self.chips])[self.chip]
        share = np.array([parameters.compute_share[name] for name in self.kernels])[self.kernel] * own
        power = np.array([parameters.overlap[name] for name in self.kernels])[self.kernel]
        computing = self.flops / np.minimum(share * self.unit, self.cap)
        moving = self.bytes / (np.minimum(1.0, parameters.bandwidth_share * own) * self.bandwidth)
        factor = np.array([parameters.layer_factor.get(name, 1.0) for name in self.kernels])[self.kernel]
        overhead = (self.layers * factor * parameters.layer_us + parameters.call_us) * 1e-6
        return np.asarray(joint_seconds(computing, moving, power) + overhead, float)
