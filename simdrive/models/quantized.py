"""A linear map whose weights are integers, in memory and on disk, and whose products run on integer kernels where they pay.

    y = (codes_x * step_x) (codes_w * scale)^T = step_x * scale * (codes_x codes_w^T)      (Jacob et al. 2018, arXiv:1712.05877)

What is stored are codes and scales; the layouts that kernels want depend on the processor and are made when first needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from simdrive.models.hadamard import turned
from simdrive.models.int_codes import decode, encode, from_nibbles, nibbles, token_codes
from simdrive.models.int_kernels import FEW_ROWS, Int4Weight, Int8Product, Int8Weight, plain_linear
from simdrive.models.quant_spec import QuantSpec


class QuantizedLinear(nn.Module):
    """Stands where a ``nn.Linear`` was. Buffers ``codes``, ``scale``, and where the spec asks for them ``zero``, ``bias``,
    ``input_scale``, ``high``, ``high_weight`` are all that a file holds."""

    codes: torch.Tensor  # int8 [out, in], or uint8 [out, in / 2]
    scale: torch.Tensor  # [out, groups]
    zero: torch.Tensor | None
    bias: torch.Tensor | None
    input_scale: torch.Tensor | None  # [] of static activations
    high: torch.Tensor | None  # int64 [n]: input columns in floating point
    high_weight: torch.Tensor | None  # [out, n]

    def __init__(self, spec: QuantSpec, inputs: int, outputs: int, bias: bool) -> None:
        """Make room; the content comes from a file or ``quantized``."""
        super().__init__()
        spec.check("a linear map", inputs)
        self.spec, self.in_features, self.out_features = spec, inputs, outputs
        groups = inputs // (spec.group or inputs)
        four = spec.bits == 4
        kind = torch.uint8 if four else torch.int8
        self.register_buffer("codes", torch.zeros(outputs, inputs // 2 if four else inputs, dtype=kind))
        self.register_buffer("scale", torch.ones(outputs, groups))
        self.register_buffer("zero", torch.zeros(outputs, groups) if spec.zero else None)
        self.register_buffer("bias", torch.zeros(outputs) if bias else None)
        self.register_buffer("input_scale", torch.ones(()) if spec.activation == "static" else None)
        self.register_buffer("high", torch.zeros(spec.high, dtype=torch.int64) if spec.high else None)
        self.register_buffer("high_weight", torch.zeros(outputs, spec.high) if spec.high else None)
        self._kernel: Int8Product | Int8Weight | Int4Weight | None = None

    @property
    def whole_codes(self) -> torch.Tensor:
        """Codes as int8 ``[out, in]``."""
        return from_nibbles(self.codes) if self.spec.bits == 4 else self.codes

    @property
    def weight(self) -> torch.Tensor:
        """The weight ``[out, in]`` that the codes stand for, in the coordinates of the (turned) input."""
        found = decode(self.whole_codes, self.scale, self.zero)
        if self.high is not None and self.high_weight is not None:
            found = found.index_copy(1, self.high, self.high_weight.to(found.dtype))
        return found

    @property
    def runs_on(self) -> str:
        """How products are executed: ``int8``, ``int8 weight``, ``int4 weight``, or ``dequantized``."""
        spec = self.spec
        if spec.activation != "none":
            return "int8" if spec.bits == 8 and not spec.group else "dequantized"
        if spec.bits == 8:
            fits = not spec.group and Int8Weight.fits(self.out_features, self.in_features)
            return "int8 weight" if fits else "dequantized"
        return "int4 weight" if Int4Weight.fits(self.out_features, spec.group or self.in_features) else "dequantized"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[..., out]`` in the type of ``x``."""
        rows = x.reshape(-1, self.in_features)
        if self.spec.rotate:
            rows = turned(rows, self.spec.rotate)
        beside: torch.Tensor | None = None
        if self.high is not None and self.high_weight is not None:
            beside = plain_linear(rows[:, self.high], self.high_weight)
            rows = rows.index_fill(1, self.high, 0.0)
        found = self._whole(rows) if self.spec.activation != "none" else self._weights_only(rows)
        if beside is not None:
            found = found + beside
        if self.bias is not None:
            found = found + self.bias.to(found.dtype)
        return found.view(*x.shape[:-1], self.out_features)

    def _whole(self, rows: torch.Tensor) -> torch.Tensor:
        bits, step = self.spec.activation_bits, self.input_scale
        codes, step = token_codes(rows.float(), bits, step)
        if self.runs_on != "int8":
            return plain_linear((codes * step).to(rows.dtype), self._dense())
        if self._kernel is None:
            self._kernel = Int8Product(self.codes)
        assert isinstance(self._kernel, Int8Product)
        found = self._kernel(codes, bits).mul_(step).mul_(self.scale[:, 0].float())
        return found.to(rows.dtype)

    def _weights_only(self, rows: torch.Tensor) -> torch.Tensor:
        if len(rows) > FEW_ROWS or self.runs_on == "dequantized" or rows.device.type != "cpu":
            return plain_linear(rows, self._dense())
        if self._kernel is None:
            eight = self.spec.bits == 8
            self._kernel = (
                Int8Weight(self.codes, self.scale) if eight else Int4Weight(self.whole_codes, self.scale, self.zero)
            )
        assert not isinstance(self._kernel, Int8Product)
        return self._kernel(rows)

    def _dense(self) -> torch.Tensor:
        """Weights for long inputs: made for one product, since keeping them would undo what quantization saves."""
        return decode(self.whole_codes, self.scale.float(), None if self.zero is None else self.zero.float())

    def _apply(self, fn: object, recurse: bool = True) -> QuantizedLinear:
        self._kernel = None  # laid out for the device of before
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def quantized(
    linear: nn.Linear,
    spec: QuantSpec,
    scale: torch.Tensor,
    zero: torch.Tensor | None = None,
    *,
    codes: torch.Tensor | None = None,
    input_scale: float | None = None,
    high: torch.Tensor | None = None,
) -> QuantizedLinear:
    """Return a linear map with integer weights.

    Args:
        linear: the map, its input columns already turned where the spec rotates them.
        spec: how it is quantized.
        scale, zero: ``[out, groups]``.
        codes: int8 ``[out, in]``; None = rounded to nearest.
        input_scale: of static activations.
        high: int64 ``[n]`` input columns that stay as they are.
    """
    weight = linear.weight.detach().float()
    made = QuantizedLinear(spec, linear.in_features, linear.out_features, linear.bias is not None)
    found = encode(weight, scale, zero, spec.bits) if codes is None else codes
    if high is not None and made.high is not None and made.high_weight is not None:
        made.high.copy_(high)
        made.high_weight.copy_(weight[:, high])
        found = found.index_fill(1, high, 0)
    made.codes.copy_(nibbles(found) if spec.bits == 4 else found)
    made.scale.copy_(scale)
    if made.zero is not None and zero is not None:
        made.zero.copy_(zero)
    if made.bias is not None:
        made.bias.copy_(linear.bias.detach())
    if made.input_scale is not None and input_scale is not None:
        made.input_scale.fill_(input_scale)
    return made.to(linear.weight.device)


def joined(parts: Sequence[QuantizedLinear]) -> QuantizedLinear | None:
    """Return several maps of one input as one, so that the input is encoded once; None if they differ in kind."""
    first = parts[0]
    static = [part.input_scale for part in parts if part.input_scale is not None]
    if any(part.spec != first.spec for part in parts) or first.high is not None:
        return None
    if any(not torch.equal(one, static[0]) for one in static):
        return None
    rows = sum(part.out_features for part in parts)
    made = QuantizedLinear(first.spec, first.in_features, rows, any(part.bias is not None for part in parts))
    for name in ("codes", "scale", "zero"):
        if getattr(first, name) is not None:
            setattr(made, name, torch.cat([getattr(part, name) for part in parts]))
    if made.bias is not None:
        made.bias = torch.cat(
            [part.scale.new_zeros(part.out_features) if part.bias is None else part.bias for part in parts]
        )
    if static:
        made.input_scale = static[0].clone()
    return made.to(first.codes.device)
