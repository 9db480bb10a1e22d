"""Blur by motion during the exposure, as in Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations" (ICLR 2019).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from simdrive.corrupt.draws import Draws, each_frame
from simdrive.corrupt.imaging import as_bytes, as_field, scale_of, streaked
from simdrive.types import Bytes

STREAK = ((10.0, 3.0), (15.0, 5.0), (15.0, 8.0), (15.0, 12.0), (20.0, 15.0))  # radius and deviation, reference pixels
ZOOM = ((1.10, 0.01), (1.15, 0.01), (1.20, 0.02), (1.25, 0.02), (1.30, 0.03))  # largest zoom, step


@each_frame
def motion_blur(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Shake of the camera: a streak within 45 degrees of the horizontal, in another direction at every step."""
    (radius, sigma), scale = STREAK[severity - 1], scale_of(frame)
    angle = np.deg2rad(draws.moving().uniform(-45.0, 45.0))
    return as_bytes(streaked(as_field(frame), radius * scale, sigma * scale, angle))


@each_frame
def zoom_blur(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Fast approach: the mean of the picture and of enlargements of its middle."""
    largest, step = ZOOM[severity - 1]
    zooms = 1.0 + step * np.arange(1, round((largest - 1.0) / step) + 1)
    image, (height, width) = Image.fromarray(frame), frame.shape[:2]
    total = 2.0 * frame.astype(np.float32)  # the picture itself, and its zoom by 1
    for zoom in zooms:
        across, down = 0.5 * width * (1.0 - 1.0 / zoom), 0.5 * height * (1.0 - 1.0 / zoom)
        box = (across, down, width - across, height - down)
        total += np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))
    return as_bytes(total / np.float32(255.0 * (len(zooms) + 2)))
