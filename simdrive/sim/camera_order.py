"""Which actor is drawn before which: a painter's order that is right for long boxes too.

Footprints are convex and stand on the ground, so of two actors the one that a ray from the eye enters first hides
the other, and for disjoint footprints every common ray gives the same answer: one ray per pair decides. Within one
camera (field of view below 180 degrees) these relations cannot form a circle; only footprints that overlap can, and
then distance decides. Sorting by centre distance instead would draw a parked bus over the pedestrian before it.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simdrive.jit import jit, jit_inline
from simdrive.sim.camera_view import COS, EYE_X, EYE_Y, NEAR_M, SIN
from simdrive.sim.state import Float, Int

# Columns of a footprint in the camera's ground frame (ahead, right).
AHEAD, RIGHT, COS_H, SIN_H, HALF_LENGTH, HALF_WIDTH, SLOPE_FROM, SLOPE_TO, DISTANCE, GROUP, NEAREST = range(11)
FOOTPRINT_COLUMNS = 12
_NONE, _LAST = np.int64(-1), np.int64(3)


@jit_inline
def place_footprint(
    frame: Float, x: float, y: float, heading: float, length: float, width: float, group: int, foot: Float, row: int
) -> bool:
    """Fill one footprint row; False if the box is wholly behind the camera."""
    dx, dy = x - frame[EYE_X], y - frame[EYE_Y]
    ahead, right = dx * frame[COS] + dy * frame[SIN], dy * frame[COS] - dx * frame[SIN]
    cos_h = math.cos(heading) * frame[COS] + math.sin(heading) * frame[SIN]
    sin_h = math.sin(heading) * frame[COS] - math.cos(heading) * frame[SIN]
    foot[row, AHEAD], foot[row, RIGHT], foot[row, COS_H], foot[row, SIN_H] = ahead, right, cos_h, sin_h
    foot[row, HALF_LENGTH], foot[row, HALF_WIDTH] = 0.5 * length, 0.5 * width
    foot[row, DISTANCE], foot[row, GROUP] = math.sqrt(ahead * ahead + right * right), group
    low, high, nearest = math.inf, -math.inf, math.inf
    before_ahead, before_right = _corner(foot, row, _LAST)
    for corner in range(4):
        corner_ahead, corner_right = _corner(foot, row, corner)
        nearest = min(nearest, corner_ahead)
        if (corner_ahead > NEAR_M) != (before_ahead > NEAR_M):
            share = (NEAR_M - before_ahead) / (corner_ahead - before_ahead)
            slope = (before_right + share * (corner_right - before_right)) / NEAR_M
            low, high = min(low, slope), max(high, slope)
        if corner_ahead > NEAR_M:
            low, high = min(low, corner_right / corner_ahead), max(high, corner_right / corner_ahead)
        before_ahead, before_right = corner_ahead, corner_right
    foot[row, NEAREST], foot[row, SLOPE_FROM], foot[row, SLOPE_TO] = nearest, low, high
    return low < high


@jit_inline
def _corner(foot: Float, row: int, corner: int) -> tuple[float, float]:
    u = foot[row, HALF_LENGTH] if corner == 0 or corner == 1 else -foot[row, HALF_LENGTH]
    v = foot[row, HALF_WIDTH] if corner == 1 or corner == 2 else -foot[row, HALF_WIDTH]
    cos, sin = foot[row, COS_H], foot[row, SIN_H]
    return foot[row, AHEAD] + u * cos - v * sin, foot[row, RIGHT] + u * sin + v * cos


@jit_inline
def _entry(foot: Float, row: int, slope: float) -> float:
    """Return how far ahead the ray right = slope * ahead enters a footprint, inf if it misses."""
    cos, sin = foot[row, COS_H], foot[row, SIN_H]
    eye_u = -(foot[row, AHEAD] * cos + foot[row, RIGHT] * sin)
    eye_v = -(foot[row, RIGHT] * cos - foot[row, AHEAD] * sin)
    ray_u, ray_v = cos + slope * sin, slope * cos - sin
    first, second = (-foot[row, HALF_LENGTH] - eye_u) / ray_u, (foot[row, HALF_LENGTH] - eye_u) / ray_u
    near, far = min(first, second), max(first, second)
    first, second = (-foot[row, HALF_WIDTH] - eye_v) / ray_v, (foot[row, HALF_WIDTH] - eye_v) / ray_v
    near, far = max(near, min(first, second)), min(far, max(first, second))
    return near if near <= far and far > 0.0 else math.inf


@jit
def paint_order(foot: Float, count: int, order: Int, waits: Int, before: npt.NDArray[np.bool_]) -> None:
    """Write into ``order`` the footprint rows [0, count) from back to front.

    Groups come first (0, then 1, then 2). Ties and circles go by distance, then by row.

    Args:
        waits: scratch ``[>= count]``.
        before: scratch ``[>= count, >= count]``.
    """
    for a in range(count):
        waits[a] = 0
        for b in range(count):
            before[a, b] = False
    for a in range(count):
        for b in range(a):
            if foot[a, GROUP] != foot[b, GROUP]:
                continue
            low = max(foot[a, SLOPE_FROM], foot[b, SLOPE_FROM])
            high = min(foot[a, SLOPE_TO], foot[b, SLOPE_TO])
            if low >= high:
                continue
            slope = 0.5 * (low + high)
            entry_a, entry_b = _entry(foot, a, slope), _entry(foot, b, slope)
            if entry_a == entry_b or max(entry_a, entry_b) == math.inf:
                continue
            if entry_a > entry_b:
                before[a, b] = True
                waits[b] += 1
            else:
                before[b, a] = True
                waits[a] += 1
    for place in range(count):
        chosen = _NONE
        for row in range(count):
            if waits[row] >= 0 and (chosen < 0 or _earlier(foot, waits, row, chosen)):
                chosen = row
        order[place] = chosen
        waits[chosen] = -1
        for row in range(count):
            if before[chosen, row] and waits[row] > 0:
                waits[row] -= 1


@jit_inline
def _earlier(foot: Float, waits: Int, a: int, b: int) -> bool:
    if foot[a, GROUP] != foot[b, GROUP]:
        return foot[a, GROUP] < foot[b, GROUP]
    free_a, free_b = waits[a] == 0, waits[b] == 0
    if free_a != free_b:
        return free_a
    return foot[a, DISTANCE] > foot[b, DISTANCE]
