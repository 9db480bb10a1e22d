"""Array geometry shared by simulator and metrics: oriented boxes, their overlap and distances.

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
    """Return the corners ``[..., 4, 2]`` (rear left, rear right, front right, front left) of boxes of shape ``[...]``."""
    along = np.array([-0.5, -0.5, 0.5, 0.5]) * np.asarray(length)[..., None]
    across = np.array([-0.5, 0.5, 0.5, -0.5]) * np.asarray(width)[..., None]
    cos, sin = np.cos(heading)[..., None], np.sin(heading)[..., None]
    corners: Float = np.stack(
        [np.asarray(x)[..., None] + along * cos - across * sin, np.asarray(y)[..., None] + along * sin + across * cos],
        axis=-1,
    )
    return corners


@jit
def boxes_overlap(
    xa: float, ya: float, ha: float, la: float, wa: float, xb: float, yb: float, hb: float, lb: float, wb: float
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
