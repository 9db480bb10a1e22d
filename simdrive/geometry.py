"""Array geometry shared by simulator and metrics: oriented boxes, their overlap, distance and meeting time.

A box is (x, y, heading, length, width): centre in the world frame in metres, heading in radians.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simdrive.jit import jit

Float = npt.NDArray[np.float64]


def wrap_angle(angle: Float) -> Float:
    """Return ``angle`` (rad, any shape) folded into [-pi, pi)."""
    wrapped: Float = (np.asarray(angle, dtype=np.float64) + np.pi) % (2.0 * np.pi) - np.pi
    return wrapped


def box_corners(x: Float, y: Float, heading: Float, length: Float, width: Float) -> Float:
    """Return the corners ``[..., 4, 2]`` (rear left, rear right, front right, front left) of boxes of shape
    ``[...]``.
    """
    along = np.array([-0.5, -0.5, 0.5, 0.5]) * np.asarray(length)[..., None]
    across = np.array([-0.5, 0.5, 0.5, -0.5]) * np.asarray(width)[..., None]
    cos, sin = np.cos(heading)[..., None], np.sin(heading)[..., None]
    corners: Float = np.stack(
        [
            np.asarray(x)[..., None] + along * cos - across * sin,
            np.asarray(y)[..., None] + along * sin + across * cos,
        ],
        axis=-1,
    )
    return corners


@jit
def boxes_overlap(
    xa: float,
    ya: float,
    ha: float,
    la: float,
    wa: float,
    xb: float,
    yb: float,
    hb: float,
    lb: float,
    wb: float,
) -> bool:
    """Return whether two boxes share at least a boundary point (separating axes, exact up to rounding)."""
    dx, dy = xb - xa, yb - ya
    reach = 0.5 * (math.sqrt(la * la + wa * wa) + math.sqrt(lb * lb + wb * wb))
    if dx * dx + dy * dy > reach * reach:
        return False
    cos_a, sin_a = math.cos(ha), math.sin(ha)
    cos_b, sin_b = math.cos(hb), math.sin(hb)
    cos_d = abs(cos_a * cos_b + sin_a * sin_b)
    sin_d = abs(cos_a * sin_b - sin_a * cos_b)
    hla, hwa, hlb, hwb = 0.5 * la, 0.5 * wa, 0.5 * lb, 0.5 * wb
    if abs(dx * cos_a + dy * sin_a) > hla + hlb * cos_d + hwb * sin_d:
        return False
    if abs(dy * cos_a - dx * sin_a) > hwa + hlb * sin_d + hwb * cos_d:
        return False
    if abs(dx * cos_b + dy * sin_b) > hlb + hla * cos_d + hwa * sin_d:
        return False
    return abs(dy * cos_b - dx * sin_b) <= hwb + hla * sin_d + hwa * cos_d


@jit
def _axis_interval(offset: float, speed: float, reach: float) -> tuple[float, float]:
    """Return the times at which ``|offset + speed * t| <= reach`` (empty: start after end)."""
    if speed == 0.0:
        if abs(offset) <= reach:
            return -math.inf, math.inf
        return math.inf, -math.inf
    first, second = (-reach - offset) / speed, (reach - offset) / speed
    return min(first, second), max(first, second)


@jit
def swept_overlap(
    xa: float,
    ya: float,
    ha: float,
    la: float,
    wa: float,
    vxa: float,
    vya: float,
    xb: float,
    yb: float,
    hb: float,
    lb: float,
    wb: float,
    vxb: float,
    vyb: float,
) -> tuple[float, float]:
    """Return (first, last) time in s at which two boxes overlap when each keeps its velocity (m/s) and
    heading.

    Two convex boxes overlap at a time exactly when their shadows do on each of the four side directions.
    Along one direction that is one interval of time, so the answer is the intersection of four intervals,
    in closed form. Times may be negative; without any overlap the answer is (inf, -inf).
    """
    dx, dy, vx, vy = xb - xa, yb - ya, vxb - vxa, vyb - vya
    cos_a, sin_a, cos_b, sin_b = math.cos(ha), math.sin(ha), math.cos(hb), math.sin(hb)
    cos_d = abs(cos_a * cos_b + sin_a * sin_b)
    sin_d = abs(cos_a * sin_b - sin_a * cos_b)
    hla, hwa, hlb, hwb = 0.5 * la, 0.5 * wa, 0.5 * lb, 0.5 * wb
    first, last = _axis_interval(dx * cos_a + dy * sin_a, vx * cos_a + vy * sin_a, hla + hlb * cos_d + hwb * sin_d)
    start, end = _axis_interval(dy * cos_a - dx * sin_a, vy * cos_a - vx * sin_a, hwa + hlb * sin_d + hwb * cos_d)
    first, last = max(first, start), min(last, end)
    start, end = _axis_interval(dx * cos_b + dy * sin_b, vx * cos_b + vy * sin_b, hlb + hla * cos_d + hwa * sin_d)
    first, last = max(first, start), min(last, end)
    start, end = _axis_interval(dy * cos_b - dx * sin_b, vy * cos_b - vx * sin_b, hwb + hla * sin_d + hwa * cos_d)
    first, last = max(first, start), min(last, end)
    if first > last:
        return math.inf, -math.inf
    return first, last


@jit
def segment_hits_box(
    x0: float, y0: float, x1: float, y1: float, xb: float, yb: float, hb: float, lb: float, wb: float
) -> bool:
    """Return whether the segment (x0, y0)-(x1, y1) and a box share a point (clipping in the frame of the
    box).
    """
    cos_b, sin_b = math.cos(hb), math.sin(hb)
    px, py = (x0 - xb) * cos_b + (y0 - yb) * sin_b, (y0 - yb) * cos_b - (x0 - xb) * sin_b
    qx, qy = (x1 - xb) * cos_b + (y1 - yb) * sin_b, (y1 - yb) * cos_b - (x1 - xb) * sin_b
    first, last = _axis_interval(px, qx - px, 0.5 * lb)
    start, end = _axis_interval(py, qy - py, 0.5 * wb)
    return max(first, start, 0.0) <= min(last, end, 1.0)


@jit
def _distance_to_box(px: float, py: float, half_length: float, half_width: float) -> float:
    """Return the distance of a point, given in the frame of a box, to that box (0 inside)."""
    dx, dy = max(abs(px) - half_length, 0.0), max(abs(py) - half_width, 0.0)
    return math.sqrt(dx * dx + dy * dy)


@jit
def box_distance(
    xa: float,
    ya: float,
    ha: float,
    la: float,
    wa: float,
    xb: float,
    yb: float,
    hb: float,
    lb: float,
    wb: float,
) -> float:
    """Return the smallest distance in m between two boxes, 0 where they overlap.

    Disjoint rectangles are closest at a corner of one of them, so eight corner distances suffice.
    """
    if boxes_overlap(xa, ya, ha, la, wa, xb, yb, hb, lb, wb):
        return 0.0
    best = math.inf
    cos_a, sin_a, cos_b, sin_b = math.cos(ha), math.sin(ha), math.cos(hb), math.sin(hb)
    for along in (-0.5, 0.5):
        for across in (-0.5, 0.5):
            dx = xa + along * la * cos_a - across * wa * sin_a - xb
            dy = ya + along * la * sin_a + across * wa * cos_a - yb
            near = _distance_to_box(dx * cos_b + dy * sin_b, dy * cos_b - dx * sin_b, 0.5 * lb, 0.5 * wb)
            best = min(best, near)
            dx = xb + along * lb * cos_b - across * wb * sin_b - xa
            dy = yb + along * lb * sin_b + across * wb * cos_b - ya
            near = _distance_to_box(dx * cos_a + dy * sin_a, dy * cos_a - dx * sin_a, 0.5 * la, 0.5 * wa)
            best = min(best, near)
    return best
