"""Scalar arithmetic that rounds exactly as numpy, BLAS and Python do in highway-env.

``numpy.dot`` of two short vectors is a BLAS call. OpenBLAS kernels for AVX-512 machines accumulate with a
fused multiply-add (one rounding), those for AVX2 machines multiply and add (two roundings); matrix products use
the fused form on both. Kernels therefore take the flavour as data (``RoadTables.fused_dot``): off by default, so
that results do not depend on the host; comparisons with highway-env set it to what numpy does there.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from simdrive.jit import jit_inline

TWO_PI = 2 * math.pi


@intrinsic
def _fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    del typing_context, a, b, c

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@jit_inline
def fused_multiply_add(a: float, b: float, c: float) -> float:
    """Return ``a * b + c`` rounded once."""
    return _fma(a, b, c)  # type: ignore[call-arg]


@intrinsic
def _count_trailing_zeros(typing_context: Any, word: Any) -> Any:
    del typing_context, word

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del signature
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.uint64(types.uint64), generate


@jit_inline
def lowest_bit(word: int) -> int:
    """Return the position of the lowest set bit of an unsigned 64-bit word, which must not be zero."""
    return np.int64(_count_trailing_zeros(word))  # type: ignore[call-arg, return-value]


@jit_inline
def without_lowest_bit(word: int) -> int:
    """Return an unsigned 64-bit word with its lowest set bit cleared."""
    return word & (word - np.uint64(1))  # type: ignore[return-value]


@jit_inline
def bit(position: int) -> int:
    """Return the unsigned 64-bit word with one bit set."""
    return np.uint64(1) << np.uint64(position)  # type: ignore[return-value]


@jit_inline
def dot2(fused: bool, ax: float, ay: float, bx: float, by: float) -> float:
    """Return the dot product of two plane vectors as BLAS rounds it."""
    if fused:
        return fused_multiply_add(ay, by, ax * bx)
    return ax * bx + ay * by


@jit_inline
def dot3(fused: bool, ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    """Return the dot product of two vectors of three as BLAS rounds it."""
    if fused:
        return fused_multiply_add(az, bz, fused_multiply_add(ay, by, ax * bx))
    return ax * bx + ay * by + az * bz


@jit_inline
def norm2(fused: bool, x: float, y: float) -> float:
    """Return the length of a plane vector as ``numpy.linalg.norm`` rounds it."""
    return math.sqrt(dot2(fused, x, y, x, y))


@jit_inline
def wrap_to_pi(angle_rad: float) -> float:
    """Return the angle in [-pi, pi), rounding as ``((a + pi) % (2 pi)) - pi`` does."""
    shifted = angle_rad + math.pi
    if not 0.0 <= shifted < TWO_PI:  # inside, the remainder is the number itself
        shifted = np.fmod(shifted, TWO_PI)
        if shifted < 0.0:
            shifted += TWO_PI
    return shifted - math.pi


@jit_inline
def not_zero(value: float) -> float:
    """Keep a divisor at least 0.01 away from zero, sign preserved."""
    if abs(value) > 1e-2:
        return value
    return 1e-2 if value >= 0 else -1e-2


@jit_inline
def clip(value: float, low: float, high: float) -> float:
    """Limit ``value`` like ``numpy.clip``: the lower limit first, then the upper one wins."""
    raised = low if value < low else value
    return high if raised > high else raised


def numpy_dot_is_fused() -> bool:
    """Probe which rounding ``numpy.dot`` uses on this host.

    The two products cancel except for the rounding error of the second, which only a fused sum keeps.
    """
    a = 1.0 + 2.0**-30
    product = a * a
    return float(np.dot(np.array([-product, a]), np.array([1.0, a]))) != 0.0
