"""How far codes reach: up to the largest value, to a percentile, or to where the squared error is least."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from simdrive.compress.quant.calibrate import InputStats
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.int_codes import LEAST, decode, encode, grouped, symmetric_scale, token_codes, top_code, zero_scale
from simdrive.models.quant_spec import QuantSpec

RANGES = ("minmax", "percentile", "mse")
_CLIPS = tuple(1.0 - 0.05 * step for step in range(15))  # down to 0.3 of the largest value


@dataclass(frozen=True)
class Range:
    """How a range is chosen; ``percentile`` of absolute values."""

    kind: str = "minmax"
    percentile: float = 99.9

    def __post_init__(self) -> None:
        if self.kind not in RANGES:
            raise UnknownNameError("range", self.kind, RANGES)
        if not 50.0 < self.percentile <= 100.0:
            raise ParameterError(f"percentile must be above 50 and at most 100, got {self.percentile}")


def input_scale(stats: InputStats, bits: int, how: Range) -> float:
    """Return the one scale of static activations."""
    largest, top = float(stats.largest.max()), top_code(bits)
    if how.kind == "percentile":
        values = stats.rows.abs().flatten()
        place = max(1, round(len(values) * how.percentile / 100.0))
        largest = float(values.kthvalue(place).values)
    elif how.kind == "mse":
        largest *= min(_CLIPS, key=lambda clip: _input_error(stats, bits, largest * clip / top))
    return max(largest / top, LEAST)


def _input_error(stats: InputStats, bits: int, scale: float) -> float:
    codes, _ = token_codes(stats.rows, bits, torch.tensor(max(scale, LEAST)))
    return float((((codes * scale - stats.rows) ** 2).sum(1) * stats.weights).sum())


def weight_scale(
    weight: torch.Tensor, spec: QuantSpec, how: Range, importance: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return scale and zero ``[out, groups]`` of a weight ``[out, in]``.

    Args:
        weight: as it will be encoded.
        spec: bits and groups.
        how: the range.
        importance: ``[in]`` of the columns for ``mse``, e.g. the mean square of their inputs; None = all the same.
    """
    if how.kind == "minmax":
        return _scaled(weight, spec, 1.0)
    if how.kind == "percentile":
        parts = grouped(weight, spec.group).abs()
        place = max(1, round(parts.shape[-1] * how.percentile / 100.0))
        reach = parts.kthvalue(place, dim=-1).values / parts.amax(-1).clamp_min(LEAST)
        return _scaled(weight, spec, reach)
    cost = weight.new_full((len(_CLIPS), *grouped(weight, spec.group).shape[:2]), 0.0)
    heavy = torch.ones(weight.shape[1]) if importance is None else importance
    for number, clip in enumerate(_CLIPS):
        scale, zero = _scaled(weight, spec, clip)
        error = (decode(encode(weight, scale, zero, spec.bits), scale, zero) - weight) ** 2 * heavy
        cost[number] = grouped(error, spec.group).sum(-1)
    best = torch.tensor(_CLIPS)[cost.argmin(0)]
    return _scaled(weight, spec, best)


def _scaled(
    weight: torch.Tensor, spec: QuantSpec, clip: torch.Tensor | float
) -> tuple[torch.Tensor, torch.Tensor | None]:
    return (
        zero_scale(weight, spec.group, clip)
        if spec.zero
        else (symmetric_scale(weight, spec.bits, spec.group, clip), None)
    )
