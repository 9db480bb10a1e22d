"""Matrix products of integer codes that torch really runs as such, and which of them is worth calling where.

What is fast depends on the processor. ``torch._int_mm`` uses int8 instructions where there are some (VNNI), and a plain loop
a hundred times slower than fp32 where there are none. There the x86 kernels of ``torch.ops.quantized`` take over: they
multiply 8-bit by 8-bit into 16 bits with saturation, which is exact only for activations of 7 bits, so an 8-bit activation
goes through as two rows (its upper seven bits, and its lowest). Long prompts without VNNI are carried in fp32, whose 24 bits
hold sums of up to 1040 products of two 8-bit codes exactly.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
import torch.nn.functional as F

FEW_ROWS = 32  # up to here a product reads weights for longer than it multiplies
CARRIED_COLUMNS = 2**24 // 127**2  # sums that fp32 holds exactly
_aten, _quantized = torch.ops.aten, torch.ops.quantized


@functools.cache
def has_vnni() -> bool:
    """Tell whether this processor has int8 dot products."""
    return bool(torch.cpu._is_vnni_supported())


@functools.cache
def has_bf16() -> bool:
    """Tell whether this processor multiplies bfloat16."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def plain_linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return ``x @ weight.T`` in a type that the device is quick at, as the type of ``x``."""
    if x.device.type == "cpu" and x.dtype != torch.float32 and not has_bf16():
        return F.linear(x.float(), weight.float()).to(x.dtype)
    return F.linear(x, weight.to(x.dtype))


class Int8Product:
    """Codes times codes: ``[M, in]`` of activations with ``[out, in]`` of weights."""

    def __init__(self, codes: torch.Tensor, way: str | None = None) -> None:
        """Lay the weights out; ``way`` is ``int_mm``, ``x86`` or ``carried``, None = what is fastest here."""
        self._codes, self._way = codes, way
        self._turned: torch.Tensor | None = None
        self._packed: Any = None

    def __call__(self, codes: torch.Tensor, bits: int) -> torch.Tensor:
        """Return the sums ``[M, out]`` as floats, exact as long as 24 bits hold them."""
        way = self._way or self._fastest(codes, bits)
        if way == "int_mm":
            return self._int_mm(codes)
        return self._x86(codes, bits) if way == "x86" else F.linear(codes, self._codes.to(codes.dtype))

    def _fastest(self, codes: torch.Tensor, bits: int) -> str:
        rows, wide = codes.shape
        if codes.device.type == "cuda":
            return "int_mm" if wide % 8 == 0 and len(self._codes) % 8 == 0 else "carried"
        if has_vnni():
            return "int_mm"
        return "x86" if bits == 7 or rows <= FEW_ROWS or wide > CARRIED_COLUMNS else "carried"

    def _int_mm(self, codes: torch.Tensor) -> torch.Tensor:
        if self._turned is None:
            self._turned = self._codes.T.contiguous()
        whole, rows = codes.to(torch.int8), len(codes)
        if codes.device.type == "cuda" and rows < 32:  # the CUDA kernel wants more than 16 rows
            whole = F.pad(whole, (0, 0, 0, 32 - rows))
        found: torch.Tensor = torch._int_mm(whole, self._turned)[:rows].float()
        return found

    def _x86(self, codes: torch.Tensor, bits: int) -> torch.Tensor:
        if self._packed is None:
            self._packed = _prepacked(self._codes)
        product = _quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        if bits == 7:
            found: torch.Tensor = product(codes, 1.0, 64, self._packed)
            return found
        upper = (codes * 0.5).floor_()
        both = product(torch.cat([upper, codes - 2.0 * upper]), 1.0, 64, self._packed)
        return torch.add(both[len(codes) :], both[: len(codes)], alpha=2.0)


def _prepacked(codes: torch.Tensor) -> Any:
    """Lay int8 codes out for the x86 kernel with scales of one: torch warns that its quantized tensors are old."""
    count = len(codes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = torch._make_per_channel_quantized_tensor(
            codes, torch.ones(count, dtype=torch.float64), torch.zeros(count, dtype=torch.int64), 0
        )
        return _quantized.linear_prepack(whole, None)


class Int8Weight:
    """Floats times 8-bit weights with one scale per output channel; few rows only, inputs become bfloat16."""

    def __init__(self, codes: torch.Tensor, scale: torch.Tensor) -> None:
        self._codes, self._scale = codes.contiguous(), scale.flatten().bfloat16()

    @classmethod
    def fits(cls, outputs: int, inputs: int) -> bool:
        """Tell whether the kernel takes a weight: it reads beyond the end of rows that are no multiple of 32 columns."""
        return inputs % 32 == 0 and outputs % 16 == 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[M, out]`` in the type of ``x``."""
        found: torch.Tensor = torch._weight_int8pack_mm(x.bfloat16(), self._codes, self._scale)
        return found.to(x.dtype)


class Int4Weight:
    """Floats times 4-bit weights with a scale and a zero per group; few rows only, inputs become bfloat16."""

    GROUPS = (32, 64, 128, 256)

    def __init__(self, codes: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor | None) -> None:
        """Lay codes from -8 to 7, ``[out, in]``, out as this processor wants them."""
        self._group = codes.shape[1] // scale.shape[1]
        self._packed = _aten._convert_weight_to_int4pack_for_cpu((codes + 8).to(torch.int32), 1)
        pair = torch.stack([scale, torch.zeros_like(scale) if zero is None else zero], dim=-1)
        self._grid = pair.transpose(0, 1).contiguous().bfloat16()

    @classmethod
    def fits(cls, outputs: int, group: int) -> bool:
        """Tell whether the kernel takes a weight."""
        return group in cls.GROUPS and outputs % 16 == 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[M, out]`` in the type of ``x``."""
        found: torch.Tensor = _aten._weight_int4pack_mm_for_cpu(x.bfloat16(), self._packed, self._group, self._grid)
        return found.to(x.dtype)
