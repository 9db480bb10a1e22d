"""Integer codes of weights and activations: rounding, scales, two 4-bit codes in a byte."""

from __future__ import annotations

import torch

LEAST = 1e-10  # of a scale: a row of zeros has codes of zero


def top_code(bits: int) -> int:
    """Return the largest symmetric code, e.g. 127."""
    return int(2 ** (bits - 1) - 1)


def grouped(weight: torch.Tensor, group: int) -> torch.Tensor:
    """Return ``[out, groups, columns]`` of a weight ``[out, in]``; group 0 = one group."""
    return weight.reshape(len(weight), -1, group or weight.shape[1])


def symmetric_scale(weight: torch.Tensor, bits: int, group: int, clip: torch.Tensor | float = 1.0) -> torch.Tensor:
    """Return ``[out, groups]``: ``clip * max abs / top code``, rounded to bfloat16 as the weight-only kernels take it."""
    return (grouped(weight, group).abs().amax(-1) * clip / top_code(bits)).clamp_min(LEAST).bfloat16().float()


def zero_scale(weight: torch.Tensor, group: int, clip: torch.Tensor | float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and zero ``[out, groups]`` of 4-bit codes: ``value = (code - 8) * scale + zero``.

    Both are rounded to bfloat16, which is what the 4-bit kernel takes.
    """
    parts = grouped(weight, group)
    low, high = parts.amin(-1) * clip, parts.amax(-1) * clip
    scale = ((high - low) / 15.0).clamp_min(LEAST).bfloat16().float()
    return scale, (low + 8.0 * scale).bfloat16().float()


def encode(weight: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor | None, bits: int) -> torch.Tensor:
    """Return int8 codes ``[out, in]`` of a weight with scales ``[out, groups]``."""
    group = weight.shape[1] // scale.shape[1]
    parts = grouped(weight, group) - (0.0 if zero is None else zero[..., None])
    top = top_code(bits)
    low, high = (-top, top) if zero is None else (-8, 7)
    return (parts / scale[..., None]).round().clamp(low, high).to(torch.int8).flatten(1)


def decode(codes: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor | None) -> torch.Tensor:
    """Return the weight ``[out, in]`` that int8 codes stand for, in the type of the scale."""
    group = codes.shape[1] // scale.shape[1]
    parts = grouped(codes.to(scale.dtype), group) * scale[..., None]
    return (parts if zero is None else parts + zero[..., None]).flatten(1)


def nibbles(codes: torch.Tensor) -> torch.Tensor:
    """Return 4-bit codes from -8 to 7, ``[out, in]``, two to a byte: uint8 ``[out, in / 2]``, the first one low."""
    shifted = (codes + 8).to(torch.uint8).reshape(len(codes), -1, 2)
    found: torch.Tensor = shifted[..., 0] | (shifted[..., 1] << 4)
    return found


def from_nibbles(packed: torch.Tensor) -> torch.Tensor:
    """Return the int8 codes ``[out, in]`` behind ``nibbles``."""
    return torch.stack([packed & 15, packed >> 4], dim=-1).flatten(1).to(torch.int8) - 8


def token_codes(x: torch.Tensor, bits: int, scale: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return whole numbers as floats ``[M, in]`` and their scale: per token ``[M, 1]``, or the given static one."""
    top = top_code(bits)
    step = (x.abs().amax(-1, keepdim=True) / top).clamp_min(LEAST) if scale is None else scale
    return (x / step).round_().clamp_(-top, top), step
