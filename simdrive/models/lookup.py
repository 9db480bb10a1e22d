"""Pixels through tables: what is to become of one shade, or of the gap between two, is worked out once for each."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from simdrive.jit import jit
from simdrive.types import Bytes


def changes(frames: Bytes, gain: float) -> Bytes:
    """Return frames ``[N, camera, time, H, W, 3]`` whose older pictures show the newest minus them, around middle grey."""
    held = np.ascontiguousarray(frames)
    shown = np.empty_like(held)
    flat = (held.shape[0] * held.shape[1], held.shape[2], int(np.prod(held.shape[3:])))
    _gaps(held.reshape(flat), _shades(float(gain)), shown.reshape(flat))
    return shown


def looked_up(values: Bytes, table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what a table ``[256]`` has for each of ``values``, in their shape."""
    held = np.ascontiguousarray(values)
    found = np.empty(held.shape, table.dtype)
    _entries(held.reshape(-1), table, found.reshape(-1))
    return found


@functools.cache
def _shades(gain: float) -> Bytes:
    """Return the shade ``[511]`` of every gap from -255 to 255."""
    gaps = np.arange(-255, 256, dtype=np.int16)
    shades: Bytes = np.clip(128.0 + np.float32(gain) * gaps, 0.0, 255.0).astype(np.uint8)
    return shades


@jit
def _gaps(frames: Bytes, shades: Bytes, shown: Bytes) -> None:
    """Fill ``shown`` from frames, ``[M, time, pixels]`` both."""
    count, times, pixels = frames.shape
    for row in range(count):
        for pixel in range(pixels):
            shown[row, 0, pixel] = frames[row, 0, pixel]
        for time in range(1, times):
            for pixel in range(pixels):
                gap = np.int64(frames[row, 0, pixel]) - np.int64(frames[row, time, pixel])
                shown[row, time, pixel] = shades[gap + 255]


@jit
def _entries(values: Bytes, table: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> None:
    for place in range(len(values)):
        found[place] = table[values[place]]
