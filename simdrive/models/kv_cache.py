"""Keys and values of past tokens: as they are, or in 8 bits with one scale per token and head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from simdrive.errors import ParameterError
from simdrive.models.int_codes import LEAST

KV_BITS = (16, 8)
_TOP = 127.0


class Kept(Protocol):
    """Keys or values of one layer, ``[N, kv heads, T, head width]``; T is prompt plus answer."""

    def put(self, start: int, tokens: torch.Tensor) -> None:
        """Keep ``tokens`` [N, kv heads, C, width] at ``start``."""

    def upto(self, end: int) -> torch.Tensor:
        """Return what was kept before ``end``, in the type it came in."""

    @property
    def bytes(self) -> int:
        """Memory that it takes."""


@dataclass(frozen=True)
class Cache:
    """Keys and values of each layer."""

    keys: tuple[Kept, ...]
    values: tuple[Kept, ...]

    @property
    def bytes(self) -> int:
        """Memory that all layers take."""
        return sum(part.bytes for part in (*self.keys, *self.values))


class Plain:
    """In the type of the model."""

    def __init__(self, like: torch.Tensor, shape: tuple[int, int, int, int]) -> None:
        self._kept = like.new_empty(shape)

    def put(self, start: int, tokens: torch.Tensor) -> None:
        """Keep tokens."""
        self._kept[:, :, start : start + tokens.shape[2]] = tokens

    def upto(self, end: int) -> torch.Tensor:
        """Return what was kept before ``end``."""
        return self._kept[:, :, :end]

    @property
    def bytes(self) -> int:
        """Memory."""
        return self._kept.nbytes


class Eight:
    """Symmetric int8 codes; a scale per token and head, so that a token never changes those before it."""

    def __init__(self, like: torch.Tensor, shape: tuple[int, int, int, int]) -> None:
        self._codes = torch.empty(shape, dtype=torch.int8, device=like.device)
        self._scale = like.new_empty((*shape[:3], 1))

    def put(self, start: int, tokens: torch.Tensor) -> None:
        """Keep tokens."""
        place = slice(start, start + tokens.shape[2])
        scale = (tokens.abs().amax(-1, keepdim=True) / _TOP).clamp_min(LEAST)
        self._scale[:, :, place] = scale
        self._codes[:, :, place] = (tokens / scale).round().clamp(-_TOP, _TOP).to(torch.int8)

    def upto(self, end: int) -> torch.Tensor:
        """Return what was kept before ``end``."""
        return self._codes[:, :, :end].to(self._scale.dtype) * self._scale[:, :, :end]

    @property
    def bytes(self) -> int:
        """Memory."""
        return self._codes.nbytes + self._scale.nbytes


def set_kv_bits(model: Any, bits: int) -> None:
    """Say how a model's cache is kept by the lean loop.

    Raises:
        ParameterError: if bits are neither 16 (as they are) nor 8.
    """
    if bits not in KV_BITS:
        raise ParameterError(f"kv_bits must be 16 (keys and values as they are) or 8, got {bits}")
    model.kv_bits = bits


def cache_kind(model: Any) -> Callable[[torch.Tensor, tuple[int, int, int, int]], Kept]:
    """Return what keeps the keys and values of a model."""
    return Eight if getattr(model, "kv_bits", 16) == 8 else Plain
