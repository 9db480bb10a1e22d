"""From a model in floating point to one with integer weights: the chosen methods, in the order in which they work."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from simdrive.compress.quant.calibrate import CalibrationBatch, InputStats, collect
from simdrive.compress.quant.gptq import gptq
from simdrive.compress.quant.layout import group_of, linears
from simdrive.compress.quant.protect import high_columns, match_temperature
from simdrive.compress.quant.ranges import Range, input_scale, weight_scale
from simdrive.compress.quant.rotation import online_block, rotate
from simdrive.compress.quant.smooth import awq, smooth
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.hadamard import turned
from simdrive.models.kv_cache import set_kv_bits
from simdrive.models.quant_spec import QuantSpec
from simdrive.models.quantized import quantized
from simdrive.models.quantized_folder import Quantization, place_quantized

METHODS = ("rotate", "smoothquant", "awq", "gptq", "temperature")


@dataclass(frozen=True)
class Rounding:
    """How a model is quantized.

    Args:
        methods: some of ``METHODS``; none = round to nearest.
        group: input columns that share a scale in 4-bit maps; 8-bit maps have one scale per channel, as their kernels want.
        zero: 4-bit codes with a zero per group.
        activation, activation_bits: as in ``QuantSpec``, of 8-bit maps.
        activation_4bit: the same of 4-bit maps, whose integer kernel takes weights only: others are computed with weights
            widened to floating point.
        kv_bits: 16 or 8.
        alpha: of SmoothQuant.
        high: input columns per map that stay in floating point.
        balance: of visual and text tokens in calibration, see ``calibrate.BALANCES``.
        weight_range, activation_range: how far codes reach.
        seed: of the rotation.
    """

    methods: Sequence[str] = ()
    group: int = 64
    zero: bool = True
    activation: str = "none"
    activation_bits: int = 8
    activation_4bit: str = "none"
    kv_bits: int = 16
    alpha: float = 0.5
    high: int = 0
    balance: str = "none"
    weight_range: Range = Range()  # noqa: RUF009 - frozen
    activation_range: Range = Range()  # noqa: RUF009 - frozen
    seed: int = 0

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in METHODS:
                raise UnknownNameError("quantization method", str(method), METHODS)
        if "awq" in self.methods and "smoothquant" in self.methods:
            raise ParameterError("awq and smoothquant both choose the scale of a channel; take one of them")
        if not 0.0 <= self.alpha <= 1.0:
            raise ParameterError(f"alpha must be 0 to 1, got {self.alpha}")


def specs_of(model: Any, bits: Mapping[str, int], how: Rounding) -> dict[str, QuantSpec]:
    """Return the spec of every map that gets fewer than 16 bits.

    Raises:
        ParameterError: if bits are none of 4, 8, 16, or a group does not divide a width.
    """
    found: dict[str, QuantSpec] = {}
    for name, part in linears(model).items():
        wide = bits[name]
        if wide not in (4, 8, 16):
            raise ParameterError(f"bits of {name} must be 4, 8 or 16 (as it is), got {wide}")
        if wide == 16:
            continue
        four = wide == 4
        turn = online_block(name, part.in_features) if "rotate" in how.methods else 0
        rounded_input: Any = how.activation_4bit if four else how.activation
        spec = QuantSpec(wide, how.group if four else 0, how.zero and four, rounded_input, how.activation_bits,
                         min(how.high, part.in_features), turn)  # fmt: skip
        spec.check(name, part.in_features)
        found[name] = spec
    return found


def quantize(model: Any, bits: Mapping[str, int], batches: Sequence[CalibrationBatch], how: Rounding) -> Quantization:
    """Quantize a model in place; return what was done.

    Raises:
        ParameterError, UnknownNameError: if bits, groups or a method do not fit.
    """
    specs = specs_of(model, bits, how)
    return round_all(model, specs, prepare(model, specs, batches, how), batches, how)


def round_all(
    model: Any, specs: Mapping[str, QuantSpec], stats: Mapping[str, InputStats], batches: Sequence[CalibrationBatch],
    how: Rounding,
) -> Quantization:  # fmt: skip
    """Put integer weights into a prepared model, in place; return what was done."""
    exact = copy.deepcopy(model) if "temperature" in how.methods else None
    for name, spec in specs.items():
        place_quantized(model, name, rounded(model.get_submodule(name), spec, stats[name], how))
    set_kv_bits(model, how.kv_bits)
    notes: dict[str, Any] = {}
    if exact is not None:
        notes["temperature"] = match_temperature(model, exact, batches)
    return Quantization(specs, how.kv_bits, tuple(how.methods) or ("rtn",), "rotate" in how.methods, notes)


def prepare(
    model: Any, specs: Mapping[str, QuantSpec], batches: Sequence[CalibrationBatch], how: Rounding
) -> dict[str, InputStats]:
    """Do, in place, what changes weights but not the function; return what then goes into the maps."""
    if "rotate" in how.methods:
        rotate(model, how.seed)
    names = list(specs)
    if "smoothquant" in how.methods:
        smooth(model, collect(model, batches, names, how.balance), specs, how.alpha)
    if "awq" in how.methods:
        awq(model, collect(model, batches, names, how.balance), specs)
    found = collect(model, batches, names, how.balance, moments="gptq" in how.methods)
    return {name: _turned(found[name], spec.rotate) for name, spec in specs.items()}


def _turned(stats: InputStats, block: int) -> InputStats:
    """Return the inputs of a map as its codes meet them."""
    if not block:
        return stats
    rows, moment = turned(stats.rows, block), stats.moment
    if moment is not None:
        moment = turned(turned(moment, block).T, block)
    return replace(stats, rows=rows, largest=rows.abs().amax(0), mean=rows.abs().mean(0), moment=moment)


@torch.no_grad()
def rounded(linear: Any, spec: QuantSpec, stats: InputStats, how: Rounding) -> Any:
    """Return one map with integer weights."""
    if spec.rotate:
        linear = copy.deepcopy(linear)
        linear.weight.copy_(turned(linear.weight, spec.rotate))
    weight = linear.weight.detach().float().cpu()
    high = high_columns(stats, spec.high) if spec.high else None
    if high is not None:
        weight = weight.index_fill(1, high, 0.0)  # what is kept must not widen the scales of the rest
        stats = _without(stats, high)
    codes: torch.Tensor | None = None
    if stats.moment is not None:
        codes, scale, zero = gptq(weight, stats.moment, spec, how.weight_range, high)
    else:
        importance = (stats.rows.square() * stats.weights[:, None]).mean(0)
        scale, zero = weight_scale(weight, spec, how.weight_range, importance)
    fixed = input_scale(stats, spec.activation_bits, how.activation_range) if spec.activation == "static" else None
    return quantized(linear, spec, scale, zero, codes=codes, input_scale=fixed, high=high)


def _without(stats: InputStats, high: torch.Tensor) -> InputStats:
    """Return the inputs with the kept columns taken out."""
    rows, largest = stats.rows.index_fill(1, high, 0.0), stats.largest.index_fill(0, high, 0.0)
    moment = stats.moment
    if moment is not None:
        moment = moment.index_fill(0, high, 0.0).index_fill(1, high, 0.0)
    return replace(stats, rows=rows, largest=largest, moment=moment)


def summary(bits: Mapping[str, int]) -> dict[str, list[int]]:
    """Return which bits each group of layers has, for cards."""
    found: dict[str, set[int]] = {}
    for name, wide in bits.items():
        found.setdefault(group_of(name), set()).add(wide)
    return {group: sorted(wide) for group, wide in sorted(found.items())}
