"""Fills convex quads of one colour: all that a view straight from above needs."""

from __future__ import annotations

import math

import numpy.typing as npt

from simdrive.jit import jit
from simdrive.sim.state import Float


@jit
def fill_quads(corners: Float, colours: npt.NDArray, image: npt.NDArray) -> None:  # type: ignore[type-arg]
    """Paint convex quads in order, later ones over earlier ones; pixel centres are at half-integers.

    Args:
        corners: ``[K, 4, 2]`` pixel x (right), y (down); a triangle repeats a corner.
        colours: ``[K, 3]`` uint8.
        image: ``[H, W, 3]`` uint8, written.
    """
    height, width = image.shape[0], image.shape[1]
    for k in range(len(corners)):
        top = min(corners[k, 0, 1], corners[k, 1, 1], corners[k, 2, 1], corners[k, 3, 1])
        bottom = max(corners[k, 0, 1], corners[k, 1, 1], corners[k, 2, 1], corners[k, 3, 1])
        if not (bottom > 0.0 and top < height):  # also refuses NaN
            continue
        for row in range(math.ceil(max(top - 0.5, 0.0)), math.ceil(min(bottom - 0.5, height))):
            y = row + 0.5
            left, right = math.inf, -math.inf
            for i in range(4):
                xa, ya = corners[k, i, 0], corners[k, i, 1]
                xb, yb = corners[k, (i + 1) % 4, 0], corners[k, (i + 1) % 4, 1]
                if (ya <= y) != (yb <= y):
                    x = xa + (y - ya) * (xb - xa) / (yb - ya)
                    left, right = min(left, x), max(right, x)
            if right <= 0.0 or left >= width or right <= left:
                continue
            for column in range(math.ceil(max(left - 0.5, 0.0)), math.ceil(min(right - 0.5, width))):
                for channel in range(3):
                    image[row, column, channel] = colours[k, channel]
