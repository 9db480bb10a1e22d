"""A camera's geometry as the renderer has it, for what is drawn over its pictures."""

from __future__ import annotations

import math

import numpy as np

from simdrive.types import CameraSpec, Float


def focal_px(camera: CameraSpec) -> float:
    """Return the focal length of a camera in pixels."""
    return 0.5 * camera.width / math.tan(0.5 * math.radians(camera.horizontal_fov_deg))


def project_ground(camera: CameraSpec, pose: tuple[float, float, float], points: Float) -> Float:
    """Return pixel x, y and depth (m) ``[n, 3]`` of ground points ``[n, 2]`` seen by a camera of an ego at ``pose``."""
    x, y, heading = pose
    cos, sin = math.cos(heading), math.sin(heading)
    eye_x, eye_y = x + camera.x_m * cos - camera.y_m * sin, y + camera.x_m * sin + camera.y_m * cos
    look = heading + math.radians(camera.yaw_deg)
    dx, dy = points[:, 0] - eye_x, points[:, 1] - eye_y
    ahead = dx * math.cos(look) + dy * math.sin(look)
    right = dy * math.cos(look) - dx * math.sin(look)
    pitch = math.radians(camera.pitch_deg)
    depth = ahead * math.cos(pitch) + camera.z_m * math.sin(pitch)
    up = ahead * math.sin(pitch) - camera.z_m * math.cos(pitch)
    focal = focal_px(camera)
    safe = np.where(depth > 1e-6, depth, np.nan)
    return np.stack([0.5 * camera.width + focal * right / safe, 0.5 * camera.height - focal * up / safe, depth], 1)


def rays(camera: CameraSpec) -> tuple[Float, Float, Float]:
    """Return the directions of a camera's pixels ``[H, W]`` from the ego: ahead, right, up."""
    focal = focal_px(camera)
    right = ((np.arange(camera.width) + 0.5 - 0.5 * camera.width) / focal)[None, :]
    high = ((0.5 * camera.height - np.arange(camera.height) - 0.5) / focal)[:, None]
    pitch, yaw = math.radians(camera.pitch_deg), math.radians(camera.yaw_deg)
    level, up = math.cos(pitch) + high * math.sin(pitch), high * math.cos(pitch) - math.sin(pitch)
    return (
        level * math.cos(yaw) - right * math.sin(yaw),
        level * math.sin(yaw) + right * math.cos(yaw),
        up + 0.0 * right,
    )
