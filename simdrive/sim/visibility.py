"""Which actors the ego could see at any bearing: the line of sight that the expert and the hazard clock rely on.

The same notion as an instance mask, without drawing one. Seen from an eye in the ego, every actor is one or two
upright hulls (``shapes.SIGHT_HULLS``: a car is a body and a greenhouse, so one can look over its bonnet). The
directions that a hull covers are cut into bins; per bin the nearer hulls of other actors raise a horizon, and what
of the hull sticks out above it counts. An actor is in line of sight when more than slivers stick out:
``MIN_ANGLE_RAD`` both in height and, summed over bins, in width. Light and weather limit sight on top of that
(``simdrive.sim.lighting``).
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit, jit_inline
from simdrive.sim.lighting import sight_allows
from simdrive.sim.shapes import compile_hulls
from simdrive.sim.state import Bool, Float, Int, Small, Whole

EYE_AHEAD_M = 0.6  # of the ego's centre, as the front camera
EYE_HEIGHT_M = 1.5
MIN_ANGLE_RAD = math.radians(0.15)
BIN_RAD = math.radians(0.4)
_MIN_BINS, _MAX_BINS = 3, 64
_HULL_START, _HULLS = compile_hulls()
_TWO_PI = 2.0 * math.pi
# Columns of a hull seen from the eye.
_X, _Y, _COS, _SIN, _HALF_LENGTH, _HALF_WIDTH, _TOP, _BEARING, _FROM, _TO, _NEAR, _FAR, _EYE_U, _EYE_V = range(14)
# Columns of a bin.
_RAY_X, _RAY_Y, _ENTRY, _CREST, _HORIZON = range(5)


def line_of_sight(
    present: Bool,
    shape: Small,
    x: Float,
    y: Float,
    heading: Float,
    length: Float,
    width: Float,
    height: Float,
    light: Float,
    out: Bool | None = None,
) -> Bool:
    """Return which actors of N worlds are in line of sight of their ego (column 0), ``[N, V]``.

    The ego counts as seen; absent actors do not. Only rows matter: the answer for a world does not depend on the
    batch.

    Args:
        present, shape: ``[N, V]``.
        x, y, heading: poses in the world frame, ``[N, V]``, m and rad.
        length, width, height: of the boxes, ``[N, V]``, m.
        light: light rows ``[N, LIGHT_COLUMNS]`` (``lighting.light_rows``).
        out: optional ``[N, V]`` array to fill and return.
    """
    visible = np.zeros(present.shape, dtype=np.bool_) if out is None else out
    hulls = 2 * present.shape[1] + 2
    _worlds_sight(
        present, shape, x, y, heading, length, width, height, light, _HULL_START, _HULLS, visible,
        np.empty((hulls, 14)), np.empty(hulls, np.int64), np.empty(hulls, np.int64), np.empty((_MAX_BINS, 5)),
    )  # fmt: skip
    return visible


@jit
def _worlds_sight(
    present: Bool,
    shape: Small,
    x: Float,
    y: Float,
    heading: Float,
    length: Float,
    width: Float,
    height: Float,
    light: Float,
    hull_start: Int,
    hulls: Float,
    visible: Bool,
    seen: Float,
    owner: Whole,
    blockers: Whole,
    bins: Float,
) -> None:
    """Compiled body of ``line_of_sight``; everything after ``visible`` is working memory."""
    worlds, actors = present.shape
    for world in range(worlds):
        eye_x = x[world, 0] + EYE_AHEAD_M * math.cos(heading[world, 0])
        eye_y = y[world, 0] + EYE_AHEAD_M * math.sin(heading[world, 0])
        count = 0
        for actor in range(actors):
            visible[world, actor] = actor == 0 and present[world, 0]
            if actor == 0 or not present[world, actor]:
                continue
            cos, sin = math.cos(heading[world, actor]), math.sin(heading[world, actor])
            for row in range(hull_start[shape[world, actor]], hull_start[shape[world, actor] + 1]):
                scale = length[world, actor]
                middle = 0.5 * (hulls[row, 0] + hulls[row, 1]) * scale
                seen[count, _X] = x[world, actor] + middle * cos - eye_x
                seen[count, _Y] = y[world, actor] + middle * sin - eye_y
                seen[count, _COS], seen[count, _SIN] = cos, sin
                seen[count, _HALF_LENGTH] = 0.5 * (hulls[row, 1] - hulls[row, 0]) * scale
                seen[count, _HALF_WIDTH] = hulls[row, 2] * width[world, actor]
                seen[count, _TOP] = hulls[row, 3] * height[world, actor] - EYE_HEIGHT_M
                if not _place(seen, count):
                    visible[world, actor] = True  # the eye is inside: touching is seeing
                    continue
                owner[count] = actor
                count += 1
        for target in range(count):
            actor = owner[target]
            if visible[world, actor]:
                continue
            near_x, near_y = _nearest_point(seen, target)
            if not sight_allows(
                light[world],
                eye_x,
                eye_y,
                heading[world, 0],
                shape[world, actor],
                eye_x + near_x,
                eye_y + near_y,
            ):
                continue
            settled = _settle(seen, owner, count, target, blockers)
            visible[world, actor] = settled == 1 or (settled < 0 and _sticks_out(seen, target, blockers, bins))


@jit_inline
def _quick_atan2(y: float, x: float) -> float:
    """Return atan2(y, x) within 2e-5 rad (a 70th of ``MIN_ANGLE_RAD``), several times faster than the library.

    Polynomial: Abramowitz and Stegun, Handbook of Mathematical Functions, 4.4.49.
    """
    small, large = min(abs(x), abs(y)), max(abs(x), abs(y))
    ratio = small / large if large > 0.0 else 0.0
    square = ratio * ratio
    angle = ratio * (
        0.9998660 + square * (-0.3302995 + square * (0.1801410 + square * (-0.0851330 + square * 0.0208351)))
    )
    if abs(y) > abs(x):
        angle = 0.5 * math.pi - angle
    if x < 0.0:
        angle = math.pi - angle
    return angle if y >= 0.0 else -angle


@jit_inline
def _place(seen: Float, row: int) -> bool:
    """Fill in bearing, angular extent and distances of a hull; False if the eye is inside its footprint."""
    dx, dy, cos, sin = seen[row, _X], seen[row, _Y], seen[row, _COS], seen[row, _SIN]
    half_length, half_width = seen[row, _HALF_LENGTH], seen[row, _HALF_WIDTH]
    eye_u, eye_v = -(dx * cos + dy * sin), dx * sin - dy * cos
    if abs(eye_u) <= half_length and abs(eye_v) <= half_width:
        return False
    seen[row, _EYE_U], seen[row, _EYE_V] = eye_u, eye_v
    low, high = 0.0, 0.0
    for corner in range(4):
        u = half_length if corner < 2 else -half_length
        v = half_width if corner % 2 == 0 else -half_width
        corner_x, corner_y = dx + u * cos - v * sin, dy + u * sin + v * cos
        angle = _quick_atan2(dx * corner_y - dy * corner_x, dx * corner_x + dy * corner_y)
        low, high = min(low, angle), max(high, angle)
    distance = math.sqrt(dx * dx + dy * dy)
    radius = math.sqrt(half_length**2 + half_width**2)
    seen[row, _BEARING], seen[row, _FROM], seen[row, _TO] = _quick_atan2(dy, dx), low, high
    seen[row, _NEAR], seen[row, _FAR] = distance - radius, distance + radius
    return True


@jit_inline
def _nearest_point(seen: Float, row: int) -> tuple[float, float]:
    """Return the point of a hull's footprint nearest to the eye, relative to the eye, world axes, m."""
    dx, dy, cos, sin = seen[row, _X], seen[row, _Y], seen[row, _COS], seen[row, _SIN]
    along = min(max(-(dx * cos + dy * sin), -seen[row, _HALF_LENGTH]), seen[row, _HALF_LENGTH])
    across = min(max(-(dy * cos - dx * sin), -seen[row, _HALF_WIDTH]), seen[row, _HALF_WIDTH])
    return dx + along * cos - across * sin, dy + along * sin + across * cos


@jit_inline
def _cross(seen: Float, row: int, ray_x: float, ray_y: float) -> tuple[float, float]:
    """Return the distances at which a ray from the eye enters and leaves a footprint; (inf, inf) if it misses."""
    cos, sin = seen[row, _COS], seen[row, _SIN]
    eye_u, eye_v = seen[row, _EYE_U], seen[row, _EYE_V]
    ray_u, ray_v = ray_x * cos + ray_y * sin, ray_y * cos - ray_x * sin
    # A ray parallel to a side divides by zero: the limits become infinite with the right signs.
    first, second = (-seen[row, _HALF_LENGTH] - eye_u) / ray_u, (seen[row, _HALF_LENGTH] - eye_u) / ray_u
    near, far = min(first, second), max(first, second)
    first, second = (-seen[row, _HALF_WIDTH] - eye_v) / ray_v, (seen[row, _HALF_WIDTH] - eye_v) / ray_v
    near, far = max(near, min(first, second)), min(far, max(first, second))
    if near <= far and near > 0.0:
        return near, far
    return math.inf, math.inf


@jit_inline
def _slope(top: float, near: float, far: float) -> float:
    """Return the tangent of the elevation of the highest edge of a hull along one ray."""
    return top / near if top > 0.0 else top / far


@jit_inline
def _turn_to(seen: Float, target: int, blocker: int) -> float:
    """Return the bearing of one hull from another, rad in [-pi, pi)."""
    turn = seen[blocker, _BEARING] - seen[target, _BEARING]
    if turn >= math.pi:
        return turn - _TWO_PI
    return turn + _TWO_PI if turn < -math.pi else turn


@jit
def _settle(seen: Float, owner: Whole, count: int, target: int, blockers: Whole) -> int:
    """Settle the plain cases and list the hulls that may stand before a hull.

    Returns 1 if the hull plainly shows at one of its sides, 0 if one nearer hull hides all of it, -1 if only
    ``_sticks_out`` can tell. ``blockers[0]`` gets the number of listed hulls, the rows follow.
    """
    low, high, near, far = seen[target, _FROM], seen[target, _TO], seen[target, _NEAR], seen[target, _FAR]
    crest = _slope(seen[target, _TOP], max(near, 0.1), far)
    gap_low = gap_high = high - low
    listed = 0
    for other in range(count):
        if seen[other, _NEAR] > far or owner[other] == owner[target]:
            continue
        turn = _turn_to(seen, target, other)
        begin, end = turn + seen[other, _FROM], turn + seen[other, _TO]
        if begin < high and end > low:
            if begin <= low and end >= high and seen[other, _NEAR] > 0.1 and seen[other, _FAR] < near:
                # The lowest that this horizon can be: seen over its far edge if high, its near edge if low.
                if crest - _slope(seen[other, _TOP], seen[other, _FAR], seen[other, _NEAR]) < MIN_ANGLE_RAD:
                    return 0
            gap_low, gap_high = min(gap_low, begin - low), min(gap_high, high - end)
            listed += 1
            blockers[listed] = other
    blockers[0] = listed
    tall = seen[target, _TOP] + EYE_HEIGHT_M >= MIN_ANGLE_RAD * far
    return 1 if tall and max(gap_low, gap_high) >= MIN_ANGLE_RAD else -1


@jit
def _sticks_out(seen: Float, target: int, blockers: Whole, bins: Float) -> bool:
    """Tell whether more than slivers of one hull stick out above the hulls before it, bin by bin."""
    low = seen[target, _FROM]
    span = seen[target, _TO] - low
    count = min(max(int(span / BIN_RAD) + 1, _MIN_BINS), _MAX_BINS)
    step = span / count
    first = seen[target, _BEARING] + low + 0.5 * step
    ray_x, ray_y, cos, sin = math.cos(first), math.sin(first), math.cos(step), math.sin(step)
    for row in range(count):
        near, far = _cross(seen, target, ray_x, ray_y)
        bins[row, _RAY_X], bins[row, _RAY_Y], bins[row, _ENTRY] = ray_x, ray_y, near
        bins[row, _CREST] = _slope(seen[target, _TOP], near, far) if near < math.inf else -math.inf
        bins[row, _HORIZON] = -EYE_HEIGHT_M / near
        ray_x, ray_y = ray_x * cos - ray_y * sin, ray_x * sin + ray_y * cos
    for place in range(1, blockers[0] + 1):
        other = blockers[place]
        turn = _turn_to(seen, target, other) - low
        begin = int(math.floor((turn + seen[other, _FROM]) / step))
        end = int(math.ceil((turn + seen[other, _TO]) / step))
        for row in range(max(begin, 0), min(end, count)):
            near, far = _cross(seen, other, bins[row, _RAY_X], bins[row, _RAY_Y])
            if near < bins[row, _ENTRY]:
                bins[row, _HORIZON] = max(bins[row, _HORIZON], _slope(seen[other, _TOP], near, far))
    clear = 0.0
    for row in range(count):
        if bins[row, _CREST] - bins[row, _HORIZON] >= MIN_ANGLE_RAD:
            clear += step
    return clear >= MIN_ANGLE_RAD
