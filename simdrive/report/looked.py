"""Where the answer in use looked, over the pictures of a video: warm cells in the camera, sectors seen from above.

Attention is a weight inside the model and no proof of cause; it shows what was read, not what decided.
"""

from __future__ import annotations

import math

import numpy as np

from simdrive.report.pinhole import focal_px, rays
from simdrive.types import Bytes, CameraSpec, EpisodeLog, Float

WARM = (255, 96, 32)
_STRONGEST = 150  # of 255, where most attention lies
_REACH_M = 16.0  # of the sectors around the ego


def in_use(log: EpisodeLog, row: int) -> tuple[tuple[CameraSpec, ...], Float] | None:
    """Return cameras and where in them the answer whose plan is in use looked, ``[C, R, W]``; None if nowhere known."""
    request, looked = int(log.plan_request[row]), log.requests.looked
    if looked is None or request < 0 or not looked.share[request].max() > 0.0:  # NaN where nothing was said
        return None
    return looked.cameras, np.asarray(looked.share[request], np.float64)


def draw_looked(picture: Bytes, camera: CameraSpec, log: EpisodeLog, row: int) -> Bytes:
    """Return a camera picture ``[H, W, 3]`` with the cells warmed that the answer in use looked at.

    The answer saw an older picture from where the ego then was; cells stand where its cameras would have them now.
    """
    known = in_use(log, row)
    if known is None:
        return picture
    cameras, share = known
    weight = np.zeros(picture.shape[:2])
    for seen_by, cells in zip(cameras, share, strict=True):
        weight = np.maximum(weight, _cells(camera, seen_by, cells))
    strength = np.rint(_STRONGEST * weight / share.max()).astype(np.uint16)[..., None]
    mixed = (picture * (255 - strength) + np.array(WARM, np.uint16) * strength + 127) // 255
    return np.asarray(mixed, np.uint8)


def _cells(shown: CameraSpec, seen_by: CameraSpec, share: Float) -> Float:
    """Return for each pixel of one camera the share of the cell of another that looks the same way; 0 outside of it."""
    ahead, right, up = rays(shown)
    turn = math.radians(seen_by.yaw_deg)
    ahead, right = ahead * math.cos(turn) + right * math.sin(turn), right * math.cos(turn) - ahead * math.sin(turn)
    pitch = math.radians(seen_by.pitch_deg)
    depth, high = ahead * math.cos(pitch) - up * math.sin(pitch), ahead * math.sin(pitch) + up * math.cos(pitch)
    focal = focal_px(seen_by)
    front = depth > 1e-6
    safe = np.where(front, depth, 1.0)
    rows, columns = share.shape
    column = np.floor((0.5 + focal * right / safe / seen_by.width) * columns)
    line = np.floor((0.5 - focal * high / safe / seen_by.height) * rows)
    inside = front & (0 <= column) & (column < columns) & (0 <= line) & (line < rows)
    found = share[line.clip(0, rows - 1).astype(int), column.clip(0, columns - 1).astype(int)]
    return np.where(inside, found, 0.0)


def sectors(log: EpisodeLog, row: int) -> list[tuple[Float, float]]:
    """Return sectors around the ego that the answer in use looked at: world points ``[n, 2]`` and strength up to 1."""
    known = in_use(log, row)
    if known is None:
        return []
    cameras, share = known
    by_column = share.sum(axis=1)  # [C, W]
    heading, centre = float(log.heading[row, 0]), np.array([log.x[row, 0], log.y[row, 0]])
    found = []
    for camera, values in zip(cameras, by_column, strict=True):
        across_px = (np.arange(len(values) + 1) / len(values) - 0.5) * camera.width
        edges = heading + math.radians(camera.yaw_deg) + np.arctan(across_px / focal_px(camera))
        for left, right, value in zip(edges[:-1], edges[1:], values, strict=True):
            arc = np.linspace(left, right, 5)
            rim = centre + _REACH_M * np.stack([np.cos(arc), np.sin(arc)], axis=1)
            found.append((np.concatenate([centre[None], rim]), float(value / by_column.max())))
    return found
