"""Savitzky-Golay filters as nuPlan uses them: polynomial edges, even windows, windows clipped to short
traces.

Same result as ``scipy.signal.savgol_filter(mode="interp")``; written as one serial kernel with cached
weights because an evaluation filters thousands of short traces, and because a serial sum gives the same
bits on every machine.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from simdrive.jit import jit
from simdrive.types import Float


@functools.lru_cache(maxsize=512)
def _weights(window: int, order: int, derivative: int, step_s: float) -> tuple[Float, Float, Float]:
    """Return the weights of the interior (``[window]``), of the first and of the last rows (``[half,
    window]``).
    """

    def at(position: float) -> Float:
        # The derivative at ``position`` of the least-squares polynomial, as weights of the samples. Written out because
        # importing scipy.signal takes two seconds in every process.
        powers = (np.arange(window) - position) ** np.arange(order + 1)[:, None]
        wanted = np.zeros(order + 1)
        if derivative <= order:
            wanted[derivative] = math.factorial(derivative) / step_s**derivative
        found = np.linalg.lstsq(powers, wanted, rcond=None)[0]
        return np.ascontiguousarray(found, dtype=np.float64)

    half = window // 2
    first = np.array([at(position) for position in range(half)]).reshape(half, window)
    last = np.array([at(position) for position in range(window - half, window)]).reshape(half, window)
    middle = half if window % 2 else half - 0.5
    return at(middle), first, last


@jit
def _apply(traces: Float, inner: Float, first: Float, last: Float, out: Float) -> None:
    rows, count = traces.shape
    window, half = len(inner), len(first)
    shift = half - (1 - window % 2)  # an even window looks one sample further ahead than back
    for row in range(rows):
        for k in range(half):
            left, right = 0.0, 0.0
            for j in range(window):
                left += first[k, j] * traces[row, j]
                right += last[k, j] * traces[row, count - window + j]
            out[row, k] = left
            out[row, count - half + k] = right
        for k in range(half, count - half):
            out[row, k] = inner[0] * traces[row, k - shift]
        for j in range(1, window):  # outermost, so that the compiler can work on several samples at once
            for k in range(half, count - half):
                out[row, k] += inner[j] * traces[row, k - shift + j]


def savgol(traces: Float, window: int, order: int, derivative: int = 0, step_s: float = 0.1) -> Float:
    """Return the filtered (``derivative`` 0) or differentiated traces, same shape.

    Args:
        traces: ``[..., n]``, equally spaced.
        window: samples; clipped to n.
        order: of the polynomial; must be below the clipped window.
        derivative: order of the derivative, per second.
        step_s: spacing of the samples.

    Raises:
        ValueError: if n is not larger than ``order``.
    """
    count = traces.shape[-1]
    window = min(window, count)
    if window <= order:
        raise ValueError(f"a polynomial of order {order} needs more than {order} samples, got {count}")
    inner, first, last = _weights(window, order, derivative, step_s)
    flat = np.ascontiguousarray(traces, dtype=np.float64).reshape(-1, count)
    out = np.empty_like(flat)
    _apply(flat, inner, first, last, out)
    return out.reshape(traces.shape)
