"""Shared picture arithmetic: lengths that fit the picture, blurs, streaks.

Published recipes give lengths in pixels of a 224 x 224 picture. Here they grow with the square root of the picture's area,
so that a camera of 256 x 64 and one of 640 x 360 suffer alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from simdrive.types import Bytes

Field = npt.NDArray[np.float32]  # [H, W] or [H, W, 3], 1 = white
REFERENCE_PX = 224


def scale_of(frame: Bytes | Field) -> float:
    """Return by how much lengths of a recipe grow for this picture."""
    return float(np.sqrt(frame.shape[0] * frame.shape[1])) / REFERENCE_PX


def as_field(frame: Bytes) -> Field:
    """Return 0 .. 255 as 0 .. 1."""
    return frame.astype(np.float32) / np.float32(255.0)


def as_bytes(field: Field) -> Bytes:
    """Return 0 .. 1 as 0 .. 255, rounded; values outside are cut."""
    rounded: Bytes = np.rint(np.clip(field, 0.0, 1.0) * np.float32(255.0)).astype(np.uint8)
    return rounded


def resized(field: Field, height: int, width: int) -> Field:
    """Return ``[h, w]`` stretched bilinearly to ``[height, width]``."""
    image = Image.fromarray(field)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)


def blurred(frame: Bytes, sigma_px: float) -> Bytes:
    """Return a picture ``[H, W, 3]`` or mask ``[H, W]`` under a Gaussian blur."""
    return np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(sigma_px)))


def mixed(first: Field, second: Field, share: Field) -> Field:
    """Return ``first`` where ``share`` [H, W] is 0 and ``second`` where it is 1."""
    return first + share[..., None] * (second - first)


def streaked(field: Field, radius_px: float, sigma_px: float, angle_rad: float) -> Field:
    """Return ``[H, W, ...]`` moved along a line while it is exposed.

    The one-sided Gaussian line kernel of Hendrycks and Dietterich (2019): width ``2 radius + 1``, standard deviation
    ``sigma``, whole-pixel shifts; edges are repeated.
    """
    radius = max(round(radius_px), 1)
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-0.5 * (steps / max(sigma_px, 0.3)) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    rows = np.rint(steps * np.sin(angle_rad)).astype(int)
    columns = np.rint(steps * np.cos(angle_rad)).astype(int)
    kept = weights > 1e-3  # what is below cannot move a byte
    top, left = max(-rows[kept].min(), 0), max(-columns[kept].min(), 0)
    bottom, right = max(rows[kept].max(), 0), max(columns[kept].max(), 0)
    edges = [(top, bottom), (left, right)] + [(0, 0)] * (field.ndim - 2)
    padded = np.pad(field, edges, mode="edge")
    height, width = field.shape[:2]
    total = np.zeros_like(field)
    for weight, row, column in zip(weights[kept], rows[kept], columns[kept], strict=True):
        total += weight * padded[top + row : top + row + height, left + column : left + column + width]
    mean: Field = total / weights[kept].sum()
    return mean
