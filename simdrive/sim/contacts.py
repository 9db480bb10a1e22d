"""Finds the ego's first contact by exact box overlap: the contact that is scored."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.geometry import boxes_overlap
from simdrive.jit import jit
from simdrive.sim.kernel_frame import COLLIDABLE, HEADING, LATERAL_SPEED, LENGTH, PRESENT, SPEED, WIDTH, X, Y
from simdrive.sim.state import Float, Whole


@jit
def touched_actor(numbers: Float, whole: Whole, count: int) -> int:
    """Return the present, collidable actor of lowest index below ``count`` whose box overlaps the ego's, or -1.

    Args:
        numbers, whole: the frame (simdrive.sim.kernel_frame); the ego is row 0.
        count: actors in use.
    """
    ego = numbers[0]
    for v in range(1, count):
        if whole[v, PRESENT] and whole[v, COLLIDABLE]:
            other = numbers[v]
            if boxes_overlap(
                ego[X], ego[Y], ego[HEADING], ego[LENGTH], ego[WIDTH],
                other[X], other[Y], other[HEADING], other[LENGTH], other[WIDTH],
            ):  # fmt: skip
                return v
    return -1


@jit
def impact_speed(ego: Float, other: Float) -> float:
    """Return the magnitude of the relative velocity of two actors (rows of a frame), m/s."""
    turn = other[HEADING] - ego[HEADING]
    along = other[SPEED] * math.cos(turn) - other[LATERAL_SPEED] * math.sin(turn) - ego[SPEED]
    across = other[SPEED] * math.sin(turn) + other[LATERAL_SPEED] * math.cos(turn) - ego[LATERAL_SPEED]
    return math.hypot(along, across)
