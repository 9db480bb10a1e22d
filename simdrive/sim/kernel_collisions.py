"""Collisions and their impacts: a circle test, then separating axes with the motion of one step.

``RoadObject.handle_collisions`` and ``utils.are_polygons_intersecting``. The circle test adds the *first* vehicle's
signed travel only; an impact replaces an earlier one of the same step.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import dot2, fused_multiply_add, norm2
from simdrive.sim.kernel_frame import (
    CHECKS,
    COLLIDABLE,
    COS,
    CRASHED,
    DIAGONAL,
    HAS_IMPACT,
    HIT,
    IMPACT_X,
    IMPACT_Y,
    LENGTH,
    OBJECT,
    PRESENT,
    SIN,
    SOLID,
    SPEED,
    WIDTH,
    X,
    Y,
)
from simdrive.sim.state import Float, Whole

Box = tuple[float, float, float, float, float, float, float, float]


@jit_inline
def _corners(x: float, y: float, length: float, width: float, c: float, s: float) -> Box:
    """Return four corners of a box as (x0, y0, x1, y1, ...); a matrix product in BLAS, hence fused."""
    half_l, half_w = length / 2, width / 2
    lx, ly = c * half_l, s * half_l
    return (
        fused_multiply_add(-s, -half_w, -lx) + x,
        fused_multiply_add(c, -half_w, -ly) + y,
        fused_multiply_add(-s, half_w, -lx) + x,
        fused_multiply_add(c, half_w, -ly) + y,
        fused_multiply_add(-s, half_w, lx) + x,
        fused_multiply_add(c, half_w, ly) + y,
        fused_multiply_add(-s, -half_w, lx) + x,
        fused_multiply_add(c, -half_w, ly) + y,
    )


@jit_inline
def _extent(fused: bool, box: Box, nx: float, ny: float) -> tuple[float, float]:
    """Return the interval that a box covers on an axis."""
    a, b = dot2(fused, box[0], box[1], nx, ny), dot2(fused, box[2], box[3], nx, ny)
    c, d = dot2(fused, box[4], box[5], nx, ny), dot2(fused, box[6], box[7], nx, ny)
    return min(min(a, b), min(c, d)), max(max(a, b), max(c, d))


@jit_inline
def _interval_distance(min_a: float, max_a: float, min_b: float, max_b: float) -> float:
    return min_b - max_a if min_a < min_b else min_a - max_b


@jit_inline
def _edge(box: Box, k: int) -> tuple[float, float]:
    """Return the unnormalised normal of edge ``k`` of a box."""
    if k == 0:
        x1, y1, x2, y2 = box[0], box[1], box[2], box[3]
    elif k == 1:
        x1, y1, x2, y2 = box[2], box[3], box[4], box[5]
    elif k == 2:
        x1, y1, x2, y2 = box[4], box[5], box[6], box[7]
    else:
        x1, y1, x2, y2 = box[6], box[7], box[0], box[1]
    return -y2 + y1, x2 - x1


@jit
def boxes_collide(
    fused: bool, box_a: Box, box_b: Box, travel_x: float, travel_y: float
) -> tuple[bool, bool, float, float]:
    """Return (overlapping, will overlap, translation x, y) of two boxes.

    Args:
        fused: rounding of dot products.
        box_a: four corners, m.
        box_b: four corners, m.
        travel_x: motion of A relative to B within the step, m.
        travel_y: the same along y.
    """
    intersecting, will_intersect = True, True
    least, axis_x, axis_y = math.inf, 0.0, 0.0
    centre_x = _mean(box_a[0], box_a[2], box_a[4], box_a[6]) - _mean(box_b[0], box_b[2], box_b[4], box_b[6])
    centre_y = _mean(box_a[1], box_a[3], box_a[5], box_a[7]) - _mean(box_b[1], box_b[3], box_b[5], box_b[7])
    for polygon in range(2):
        for k in range(4):
            nx, ny = _edge(box_a if polygon == 0 else box_b, k)
            size = norm2(fused, nx, ny)
            nx, ny = nx / size, ny / size
            min_a, max_a = _extent(fused, box_a, nx, ny)
            min_b, max_b = _extent(fused, box_b, nx, ny)
            if _interval_distance(min_a, max_a, min_b, max_b) > 0:
                intersecting = False
            projected = dot2(fused, nx, ny, travel_x, travel_y)
            if projected < 0:
                min_a += projected
            else:
                max_a += projected
            distance = _interval_distance(min_a, max_a, min_b, max_b)
            if distance > 0:
                will_intersect = False
            if not intersecting and not will_intersect:
                return False, False, 0.0, 0.0
            if abs(distance) < least:
                least = abs(distance)
                side = 1.0 if dot2(fused, centre_x, centre_y, nx, ny) > 0 else -1.0
                axis_x, axis_y = side * nx, side * ny
    return intersecting, will_intersect, least * axis_x, least * axis_y


@jit_inline
def _mean(a: float, b: float, c: float, d: float) -> float:
    return (a + b + c + d) / 4


@jit_inline
def _box(row: Float) -> Box:
    return _corners(row[X], row[Y], row[LENGTH], row[WIDTH], row[COS], row[SIN])


@jit
def _collide_pair(i: int, j: int, dt: float, fused: bool, numbers: Float, whole: Whole) -> None:
    """Test one pair exactly and write impacts and flags; ``i`` is a vehicle, ``j`` a vehicle or an object."""
    one, two = numbers[i], numbers[j]
    apart = norm2(fused, two[X] - one[X], two[Y] - one[Y])
    if apart > (one[DIAGONAL] + two[DIAGONAL]) / 2 + one[SPEED] * dt:
        return
    travel_x = one[SPEED] * one[COS] * dt - two[SPEED] * two[COS] * dt
    travel_y = one[SPEED] * one[SIN] * dt - two[SPEED] * two[SIN] * dt
    now, soon, push_x, push_y = boxes_collide(fused, _box(one), _box(two), travel_x, travel_y)
    solid = whole[i, SOLID] != 0 and whole[j, SOLID] != 0
    if soon and solid:
        # Against an object the vehicle takes the whole translation, else each takes half.
        share = 1.0 if whole[j, OBJECT] else 0.5
        one[IMPACT_X], one[IMPACT_Y] = push_x * share, push_y * share
        whole[i, HAS_IMPACT] = 1
        if share == 0.5:
            two[IMPACT_X], two[IMPACT_Y] = -push_x * share, -push_y * share
            whole[j, HAS_IMPACT] = 1
    if now and solid:
        whole[i, CRASHED], whole[j, CRASHED] = 1, 1
    if now and not whole[i, SOLID]:
        whole[i, HIT] = 1
    if now and not whole[j, SOLID]:
        whole[j, HIT] = 1


@jit_inline
def _anyone_near(x: Float, y: Float, reach: Float, i: int, end: int) -> bool:
    """Tell whether an actor between ``i`` and ``end`` may touch ``i``; slices from 0, so that the loop vectorises."""
    own_x, own_y, own_reach = x[i], y[i], reach[i]
    others_x, others_y, others_reach = x[i + 1 : end], y[i + 1 : end], reach[i + 1 : end]
    near = False
    for j in range(others_x.size):
        dx, dy, both = others_x[j] - own_x, others_y[j] - own_y, others_reach[j] + own_reach
        near |= dx * dx + dy * dy <= both * both
    return near


@jit_inline
def collide(dt: float, fused: bool, numbers: Float, whole: Whole, circles: Float) -> None:
    """Test every pair of a frame except two objects, and write crashes, hits and pending impacts.

    A first look compares generous circles: half the diagonal plus the travel, with slack for rounding; beyond them the
    exact circle test certainly fails. ``circles``: ``[3, actors]``, working memory.
    """
    count = numbers.shape[0]
    x, y, reach = circles[0], circles[1], circles[2]
    checkers = 0
    for i in range(count):
        takes_part = whole[i, PRESENT] != 0 and whole[i, COLLIDABLE] != 0
        x[i] = numbers[i, X] if takes_part else math.nan
        y[i] = numbers[i, Y]
        reach[i] = (numbers[i, DIAGONAL] / 2 + max(numbers[i, SPEED] * dt, 0.0)) * (1 + 1e-9)
        if takes_part and whole[i, CHECKS]:
            checkers = i + 1  # nobody beyond this index checks
    for i in range(count):
        checks = whole[i, CHECKS] != 0
        end = count if checks else checkers
        if x[i] != x[i] or not _anyone_near(x, y, reach, i, end):
            continue
        for j in range(i + 1, end):
            dx, dy, both = x[j] - x[i], y[j] - y[i], reach[j] + reach[i]
            if not dx * dx + dy * dy <= both * both or not (checks or whole[j, CHECKS]):
                continue
            if not whole[i, OBJECT]:
                _collide_pair(i, j, dt, fused, numbers, whole)
            elif not whole[j, OBJECT]:
                _collide_pair(j, i, dt, fused, numbers, whole)
