"""Where the answer in use looked, over the pictures of a video: warm cells in the camera, sectors seen from above.

Attention is a weight inside the model and no proof of cause; it shows what was read, not what decided.
"""

from __future__ import annotations

import math

import numpy as np

from simdrive.types import Bytes, CameraSpec, EpisodeLog, Float

WARM = (255, 96, 32)
_STRONGEST = 150  # of 255, where most attention lies
_REACH_M = 16.0  # of the sectors around the ego


def in_use(log: EpisodeLog, row: int) -> Float | None:
    """Return where the answer whose plan is in use looked, ``[C, R, W]``; None if that is not known."""
    request, looked = int(log.plan_request[row]), log.requests.looked
    if looked is None or request < 0 or np.isnan(looked.share[request]).any():
        return None
    return np.asarray(looked.share[request], np.float64)


def draw_looked(picture: Bytes, camera: CameraSpec, log: EpisodeLog, row: int) -> Bytes:
    """Return a camera picture ``[H, W, 3]`` with the cells warmed that the answer in use looked at.

    The answer saw an older picture from where the ego then was; cells stand where its cameras would have them now.
    """
    share = in_use(log, row)
    if share is None or log.requests.looked is None or not share.max() > 0.0:
        return picture
    weight = np.zeros(picture.shape[:2])
    for place, seen_by in enumerate(log.requests.looked.cameras):
        weight = np.maximum(weight, _cells(camera, seen_by, share[place]))
    strength = np.rint(_STRONGEST * weight / share.max()).astype(np.uint16)[..., None]
    mixed = (picture * (255 - strength) + np.array(WARM, np.uint16) * strength + 127) // 255
    return np.asarray(mixed, np.uint8)


def _cells(shown: CameraSpec, seen_by: CameraSpec, share: Float) -> Float:
    """Return for each pixel of one camera the share of the cell of another that looks the same way; 0 outside of it."""
    ahead, right, up = _rays(shown)
    turn = math.radians(seen_by.yaw_deg)
    ahead, right = ahead * math.cos(turn) + right * math.sin(turn), right * math.cos(turn) - ahead * math.sin(turn)
    pitch = math.radians(seen_by.pitch_deg)
    depth, high = ahead * math.cos(pitch) - up * math.sin(pitch), ahead * math.sin(pitch) + up * math.cos(pitch)
    focal = 0.5 * seen_by.width / math.tan(0.5 * math.radians(seen_by.horizontal_fov_deg))
    front = depth > 1e-6
    safe = np.where(front, depth, 1.0)
    rows, columns = share.shape
    column = np.floor((0.5 + focal * right / safe / seen_by.width) * columns)
    line = np.floor((0.5 - focal * high / safe / seen_by.height) * rows)
    inside = front & (0 <= column) & (column < columns) & (0 <= line) & (line < rows)
    found = share[line.clip(0, rows - 1).astype(int), column.clip(0, columns - 1).astype(int)]
    return np.where(inside, found, 0.0)


def _rays(camera: CameraSpec) -> tuple[Float, Float, Float]:
    """Return the directions of a camera's pixels ``[H, W]`` from the ego: ahead, right, up."""
    focal = 0.5 * camera.width / math.tan(0.5 * math.radians(camera.horizontal_fov_deg))
    right = ((np.arange(camera.width) + 0.5 - 0.5 * camera.width) / focal)[None, :]
    high = ((0.5 * camera.height - np.arange(camera.height) - 0.5) / focal)[:, None]
    pitch, yaw = math.radians(camera.pitch_deg), math.radians(camera.yaw_deg)
    level, up = math.cos(pitch) + high * math.sin(pitch), high * math.cos(pitch) - math.sin(pitch)
    return (
        level * math.cos(yaw) - right * math.sin(yaw),
        level * math.sin(yaw) + right * math.cos(yaw),
        up + 0.0 * right,
    )


def sectors(log: EpisodeLog, row: int) -> list[tuple[Float, float]]:
    """Return sectors around the ego that the answer in use looked at: world points ``[n, 2]`` and strength up to 1."""
    share = in_use(log, row)
    if share is None or log.requests.looked is None:
        return []
    by_column = share.sum(axis=1)  # [C, W]
    if not by_column.max() > 0.0:
        return []
    heading, centre = float(log.heading[row, 0]), np.array([log.x[row, 0], log.y[row, 0]])
    found = []
    for camera, values in zip(log.requests.looked.cameras, by_column, strict=True):
        focal = 0.5 / math.tan(0.5 * math.radians(camera.horizontal_fov_deg))
        edges = (
            heading + math.radians(camera.yaw_deg) + np.arctan((np.arange(len(values) + 1) / len(values) - 0.5) / focal)
        )
        for left, right, value in zip(edges[:-1], edges[1:], values, strict=True):
            arc = np.linspace(left, right, 5)
            rim = centre + _REACH_M * np.stack([np.cos(arc), np.sin(arc)], axis=1)
            found.append((np.concatenate([centre[None], rim]), float(value / by_column.max())))
    return found
