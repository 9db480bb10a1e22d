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
from simdrive.sim.raster import CODE, MAX_CORNERS, SIZE
from simdrive.sim.state import Float
from simdrive.types import CameraSpec, Long

# Columns of a camera row (fixed to the ego) and, from EYE_X on, of a view (that camera in the world).
FOCAL, CENTRE_X, CENTRE_Y, WIDTH, HEIGHT, COS_PITCH, SIN_PITCH, YAW, AHEAD, ASIDE, EYE_Z, TAN_HALF, SECANT, PIXELS = (
    range(14)
)
EYE_X, EYE_Y, COS, SIN, EGO_HEADING = range(14, 19)
VIEW_COLUMNS = 19
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
        row[SECANT] = math.sqrt(1.0 + tangent * tangent)
        row[PIXELS] = spec.supersample  # sub-pixels per pixel
    return rows


@jit_inline
def place_view(camera: Float, ego_x: float, ego_y: float, ego_heading: float, frame: Float) -> None:
    """Fill ``view`` with a camera row placed at an ego pose."""
    for column in range(EYE_X):
        frame[column] = camera[column]
    cos, sin = math.cos(ego_heading), math.sin(ego_heading)
    frame[EYE_X] = ego_x + camera[AHEAD] * cos - camera[ASIDE] * sin
    frame[EYE_Y] = ego_y + camera[AHEAD] * sin + camera[ASIDE] * cos
    heading = ego_heading + camera[YAW]
    frame[COS], frame[SIN], frame[EGO_HEADING] = math.cos(heading), math.sin(heading), ego_heading


@jit_inline
def to_camera(frame: Float, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Return camera coordinates of a world point."""
    dx, dy = x - frame[EYE_X], y - frame[EYE_Y]
    ahead, right = dx * frame[COS] + dy * frame[SIN], dy * frame[COS] - dx * frame[SIN]
    up = z - frame[EYE_Z]
    return (
        ahead * frame[COS_PITCH] - up * frame[SIN_PITCH],
        right,
        ahead * frame[SIN_PITCH] + up * frame[COS_PITCH],
    )


@jit_inline
def circle_in_view(frame: Float, x: float, y: float, radius: float, far: float) -> bool:
    """Tell whether an upright cylinder may touch the view; with a pitch, everything in front may."""
    dx, dy = x - frame[EYE_X], y - frame[EYE_Y]
    ahead, right = dx * frame[COS] + dy * frame[SIN], dy * frame[COS] - dx * frame[SIN]
    reach = ahead * frame[TAN_HALF] + radius * frame[SECANT]
    return ahead >= -radius and ahead <= far + radius and (abs(right) <= reach or frame[SIN_PITCH] != 0.0)


@jit_inline
def emit(draw: Float, cursor: Long, frame: Float, geo: Float, corners: int, code: int) -> bool:
    """Clip a polygon at the near plane, project it, append it to the list; False if nothing of it is in view.

    A full list is counted on but not written, so that the caller learns how long it should have been. The function
    has one exit: with several, numba would count references to every array on every call.

    Args:
        draw: draw list (``raster.draw_list``); cursor: ``[2]`` polygons so far, next object id.
        geo: the first ``corners`` rows hold the polygon in camera coordinates.
    """
    room = cursor[0] < draw.shape[0]
    place = cursor[0] if room else 0
    focal, centre_x, centre_y = frame[FOCAL], frame[CENTRE_X], frame[CENTRE_Y]
    nearest = geo[0, 0]
    for corner in range(1, corners):
        nearest = min(nearest, geo[corner, 0])
    size = corners
    if nearest >= NEAR_M:
        for corner in range(corners):
            scale = focal / geo[corner, 0]
            draw[place, 2 * corner] = centre_x + geo[corner, 1] * scale
            draw[place, 2 * corner + 1] = centre_y - geo[corner, 2] * scale
    else:
        size = _clip(draw, place, geo, corners, focal, centre_x, centre_y)
    low_x, high_x, low_y, high_y = math.inf, -math.inf, math.inf, -math.inf
    for corner in range(size):
        x, y = draw[place, 2 * corner], draw[place, 2 * corner + 1]
        low_x, high_x, low_y, high_y = min(low_x, x), max(high_x, x), min(low_y, y), max(high_y, y)
    shown = size >= 3 and high_x > 0.0 and low_x < frame[WIDTH] and high_y > 0.0 and low_y < frame[HEIGHT]
    if shown:
        cursor[0] += 1
        if room:
            draw[place, SIZE], draw[place, CODE] = size, code
    return shown


@jit
def append(draw: Float, cursor: Long, frame: Float, geo: Float, corners: int, code: int) -> bool:
    """``emit`` as a call, for what a frame has few of."""
    return emit(draw, cursor, frame, geo, corners, code)


@jit
def _clip(draw: Float, place: int, geo: Float, corners: int, focal: float, centre_x: float, centre_y: float) -> int:
    """Project the part of a polygon beyond the near plane; returns its number of corners."""
    size = 0
    back = corners - 1
    for corner in range(corners):
        depth, before = geo[corner, 0], geo[back, 0]
        if (depth >= NEAR_M) != (before >= NEAR_M):
            share = (NEAR_M - before) / (depth - before)
            right = geo[back, 1] + share * (geo[corner, 1] - geo[back, 1])
            up = geo[back, 2] + share * (geo[corner, 2] - geo[back, 2])
            draw[place, 2 * size] = centre_x + right * (focal / NEAR_M)
            draw[place, 2 * size + 1] = centre_y - up * (focal / NEAR_M)
            size += 1
        if depth >= NEAR_M:
            scale = focal / depth
            draw[place, 2 * size] = centre_x + geo[corner, 1] * scale
            draw[place, 2 * size + 1] = centre_y - geo[corner, 2] * scale
            size += 1
        back = corner
    return size


assert MAX_CORNERS >= 9 + 1
