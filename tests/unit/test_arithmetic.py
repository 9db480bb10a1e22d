"""Scalar arithmetic: rounding exactly as numpy, BLAS and Python round."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simdrive.sim.arithmetic import (
    bit,
    clip,
    dot2,
    dot3,
    fused_multiply_add,
    lowest_bit,
    norm2,
    not_zero,
    numpy_dot_is_fused,
    without_lowest_bit,
    wrap_to_pi,
)

moderate = st.floats(-1e3, 1e3)


def exactly_fused(a: float, b: float, c: float) -> float:
    return float(Fraction(a) * Fraction(b) + Fraction(c))


@given(st.floats(-1e4, 1e4))
def test_wrap_to_pi_is_pythons_remainder(angle: float) -> None:
    assert wrap_to_pi(angle) == ((angle + np.pi) % (2 * np.pi)) - np.pi


@pytest.mark.parametrize(("angle", "wrapped"), [(0.0, 0.0), (math.pi, -math.pi), (-math.pi, -math.pi)])
def test_wrap_to_pi_at_the_seam(angle: float, wrapped: float) -> None:
    assert wrap_to_pi(angle) == wrapped


@given(moderate, moderate, moderate)
def test_fused_multiply_add_rounds_once(a: float, b: float, c: float) -> None:
    assert fused_multiply_add(a, b, c) == exactly_fused(a, b, c)


@given(moderate, moderate, moderate, moderate)
def test_dot_product_of_either_flavour(ax: float, ay: float, bx: float, by: float) -> None:
    assert dot2(False, ax, ay, bx, by) == ax * bx + ay * by
    assert dot2(True, ax, ay, bx, by) == exactly_fused(ay, by, ax * bx)
    fused = numpy_dot_is_fused()
    assert dot2(fused, ax, ay, bx, by) == np.dot(np.array([ax, ay]), np.array([bx, by]))
    assert norm2(fused, ax, ay) == np.linalg.norm(np.array([ax, ay]))


@given(moderate, moderate, moderate, moderate, moderate, moderate)
def test_dot_product_of_three(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> None:
    expected = np.dot(np.array([ax, ay, az]), np.array([bx, by, bz]))
    assert dot3(numpy_dot_is_fused(), ax, ay, az, bx, by, bz) == expected


@given(st.floats(allow_nan=False), st.floats(-5, 0), st.floats(0, 5))
def test_clip_is_numpys(value: float, low: float, high: float) -> None:
    assert clip(value, low, high) == np.clip(value, low, high)


@pytest.mark.parametrize(("value", "guarded"), [(0.0, 0.01), (-0.01, -0.01), (0.02, 0.02), (-3.0, -3.0), (1e-9, 0.01)])
def test_not_zero(value: float, guarded: float) -> None:
    assert not_zero(value) == guarded


@given(st.sets(st.integers(0, 63), min_size=1))
def test_bits_are_walked_in_ascending_order(positions: set[int]) -> None:
    word, found = sum(1 << position for position in positions), []
    left = np.uint64(word)
    while left:
        found.append(lowest_bit(left))  # type: ignore[arg-type]
        left = np.uint64(without_lowest_bit(left))  # type: ignore[arg-type]
    assert found == sorted(positions)
    assert sum(int(bit(position)) for position in positions) == word
