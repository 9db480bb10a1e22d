"""From the frame of a recording to that of a world: the ego starts at the origin, heading along x, y to its right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simdrive.types import Float


@dataclass(frozen=True)
class SceneFrame:
    """Pose of the ego's start in the frame of the recording (x east, y north, counter-clockwise)."""

    x_m: float
    y_m: float
    heading_rad: float

    def points(self, points: Float) -> Float:
        """Return points ``[n, 2]`` in the world frame."""
        cos, sin = math.cos(self.heading_rad), math.sin(self.heading_rad)
        dx, dy = points[:, 0] - self.x_m, points[:, 1] - self.y_m
        return np.column_stack([dx * cos + dy * sin, dx * sin - dy * cos])

    def point(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Return one point in the world frame."""
        x, y = self.points(np.array([[x_m, y_m]]))[0]
        return float(x), float(y)

    def headings(self, headings: Float) -> Float:
        """Return headings in the world frame, not wrapped."""
        turned: Float = self.heading_rad - headings
        return turned
