"""Pinhole geometry: from the world into a camera, clipped at its near plane, onto its pixels.

Camera coordinates of a point are (depth along the optical axis, right, up), metres. A pixel is
(centre_x + focal * right / depth, centre_y - focal * up / depth); pixel centres are at half-integers.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simdrive.errors import ParameterError
from simdrive.jit import jit, jit_inline
from simdrive.sim.raster import MAX_CORNERS, DrawList
from simdrive.sim.state import Float
from simdrive.types import CameraSpec

# Columns of a camera row (fixed to the ego) and, from EYE_X on, of a view (that camera in the world).
FOCAL, CENTRE_X, CENTRE_Y, WIDTH, HEIGHT, COS_PITCH, SIN_PITCH, YAW, AHEAD, ASIDE, EYE_Z, TAN_HALF, PIXELS = range(13)
EYE_X, EYE_Y, COS, SIN, EGO_HEADING = range(13, 18)
VIEW_COLUMNS = 18
NEAR_M = 0.25


def camera_rows(cameras: Sequence[CameraSpec]) -> Float:
    """Return camera rows ``[C, VIEW_COLUMNS]`` in supersampled pixels; the columns from EYE_X on are left empty.

    Raises:
        ParameterError: if a camera has a size, field of view, height or supersampling that cannot be drawn.
    """
    rows = np.zeros((len(cameras), VIEW_COLUMNS))
    for row, spec in zip(rows, cameras, strict=True):
        if spec.width < 1 or spec.height < 1 or not 1 <= spec.supersample <= 8:
            raise ParameterError(
                f"camera {spec.name!r} needs width and height >= 1 and supersample 1..8, "
                f"got {spec.width} x {spec.height} x {spec.supersample}"
            )
        if not 1.0 <= spec.horizontal_fov_deg <= 150.0 or not 0.2 <= spec.z_m <= 100.0 or abs(spec.pitch_deg) > 80.0:
            raise ParameterError(
                f"camera {spec.name!r} needs horizontal_fov_deg 1..150, z_m 0.2..100 and pitch_deg -80..80, "
                f"got {spec.horizontal_fov_deg}, {spec.z_m}, {spec.pitch_deg}"
            )
        width, height = spec.width * spec.supersample, spec.height * spec.supersample
        tangent = math.tan(math.radians(spec.horizontal_fov_deg) / 2)
        pitch = math.radians(spec.pitch_deg)
        row[FOCAL], row[CENTRE_X], row[CENTRE_Y] = 0.5 * width / tangent, 0.5 * width, 0.5 * height
        row[WIDTH], row[HEIGHT] = width, height
        row[COS_PITCH], row[SIN_PITCH], row[YAW] = math.cos(pitch), math.sin(pitch), math.radians(spec.yaw_deg)
        row[AHEAD], row[ASIDE], row[EYE_Z], row[TAN_HALF] = spec.x_m, spec.y_m, spec.z_m, tangent
        row[PIXELS] = spec.supersample  # sub-pixels per pixel
    return rows


@jit_inline
def place_view(camera: Float, ego_x: float, ego_y: float, ego_heading: float, view: Float) -> None:
    """Fill ``view`` with a camera row placed at an ego pose."""
    for column in range(EYE_X):
        view[column] = camera[column]
    cos, sin = math.cos(ego_heading), math.sin(ego_heading)
    view[EYE_X] = ego_x + camera[AHEAD] * cos - camera[ASIDE] * sin
    view[EYE_Y] = ego_y + camera[AHEAD] * sin + camera[ASIDE] * cos
    heading = ego_heading + camera[YAW]
    view[COS], view[SIN], view[EGO_HEADING] = math.cos(heading), math.sin(heading), ego_heading


@jit_inline
def to_camera(view: Float, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Return camera coordinates of a world point."""
    dx, dy = x - view[EYE_X], y - view[EYE_Y]
    ahead, right = dx * view[COS] + dy * view[SIN], dy * view[COS] - dx * view[SIN]
    up = z - view[EYE_Z]
    return (
        ahead * view[COS_PITCH] - up * view[SIN_PITCH],
        right,
        ahead * view[SIN_PITCH] + up * view[COS_PITCH],
    )


@jit_inline
def circle_in_view(view: Float, x: float, y: float, radius: float, far: float) -> bool:
    """Tell whether an upright cylinder may touch the view; pitch is allowed for by a wider side angle."""
    dx, dy = x - view[EYE_X], y - view[EYE_Y]
    ahead, right = dx * view[COS] + dy * view[SIN], dy * view[COS] - dx * view[SIN]
    if ahead < -radius or ahead > far + radius:
        return False
    if view[SIN_PITCH] != 0.0:
        return True
    reach = radius * math.sqrt(1.0 + view[TAN_HALF] * view[TAN_HALF])
    return abs(right) <= ahead * view[TAN_HALF] + reach


@jit_inline
def emit(draw: DrawList, view: Float, polygon: Float, corners: int, code: int) -> bool:
    """Clip a polygon at the near plane, project it, append it to the list; False if nothing of it is in view.

    Args:
        polygon: ``[>= corners, 3]`` camera coordinates.
    """
    place = draw.count[0]
    room = place < draw.size.shape[0]
    slot = place if room else 0
    low_x = low_y = math.inf
    high_x = high_y = -math.inf
    size = 0
    back = corners - 1
    for corner in range(corners):
        depth, before = polygon[corner, 0], polygon[back, 0]
        for part in range(2):
            if part == 0:
                if (depth >= NEAR_M) == (before >= NEAR_M):
                    continue
                share = (NEAR_M - before) / (depth - before)
                right = polygon[back, 1] + share * (polygon[corner, 1] - polygon[back, 1])
                up = polygon[back, 2] + share * (polygon[corner, 2] - polygon[back, 2])
                scale = view[FOCAL] / NEAR_M
            else:
                if depth < NEAR_M:
                    continue
                right, up = polygon[corner, 1], polygon[corner, 2]
                scale = view[FOCAL] / depth
            x, y = view[CENTRE_X] + right * scale, view[CENTRE_Y] - up * scale
            low_x, high_x, low_y, high_y = min(low_x, x), max(high_x, x), min(low_y, y), max(high_y, y)
            draw.corners[slot, size, 0], draw.corners[slot, size, 1] = x, y
            size += 1
        back = corner
    outside = high_x <= 0.0 or low_x >= view[WIDTH] or high_y <= 0.0 or low_y >= view[HEIGHT]
    if size < 3 or outside:
        return False
    draw.count[0] = place + 1
    if room:
        draw.size[slot], draw.code[slot] = size, code
    return True


@jit
def facing(polygon: Float) -> float:
    """Return a number > 0 if the first three corners turn right-up as seen from the camera, < 0 if they do not."""
    a0, a1, a2 = polygon[0, 0], polygon[0, 1], polygon[0, 2]
    b0, b1, b2 = polygon[1, 0], polygon[1, 1], polygon[1, 2]
    c0, c1, c2 = polygon[2, 0], polygon[2, 1], polygon[2, 2]
    return a0 * (b1 * c2 - b2 * c1) - a1 * (b0 * c2 - b2 * c0) + a2 * (b0 * c1 - b1 * c0)


assert MAX_CORNERS >= 9 + 1
