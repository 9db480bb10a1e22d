"""What lies on the lens: water and dirt. Both stay where they are for the whole episode."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from simdrive.corrupt.draws import Draws, each_frame
from simdrive.corrupt.imaging import Field, as_bytes, as_field, blurred, mixed, scale_of
from simdrive.types import Bytes

DROPS = 10  # per severity
DROP_RADIUS = (6.0, 16.0)  # pixels of the reference picture
DROP_WHITE = 0.2  # share of white in a drop
DROP_BLUR = (2.0, 3.5, 5.0, 6.5, 8.0)  # standard deviation, reference pixels (OpenCV kernels of 11 to 51)
SMEAR_BLUR = (2.0, 4.25, 6.5, 8.75, 11.0)  # likewise, kernels of 11 to 71
SMEAR_LIGHT = 0.6  # share of the light that comes through


def _ellipses(frame: Bytes, ellipses: list[tuple[float, float, float, float]], soft_px: float) -> Field:
    """Return a mask [H, W] of ellipses (x, y, half axes), 1 inside, with a soft edge."""
    layer = Image.new("L", (frame.shape[1], frame.shape[0]))
    draw = ImageDraw.Draw(layer)
    for x, y, across, down in ellipses:
        draw.ellipse((x - across, y - down, x + across, y + down), fill=255)
    return as_field(blurred(np.asarray(layer), soft_px))


@each_frame
def water_splash(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Drops on the lens: ``10 severity`` discs that blur and whiten what is behind them."""
    scale, rng = scale_of(frame), draws.held()
    height, width = frame.shape[:2]
    places = rng.uniform(size=(DROPS * 5, 3))[: DROPS * severity]  # a worse splash adds drops
    low, high = DROP_RADIUS
    radii = (low + places[:, 2] * (high - low)) * scale
    drops = [(x * width, y * height, r, r) for (x, y), r in zip(places[:, :2], radii, strict=True)]
    mask = _ellipses(frame, drops, scale)
    behind = as_field(blurred(frame, DROP_BLUR[severity - 1] * scale))
    return as_bytes(mixed(as_field(frame), behind + DROP_WHITE * (1.0 - behind), mask))


@each_frame
def lens_obstacle(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Dirt near the middle of the lens: one ellipse that blurs and dims; its half axes are 0.1 to ``0.1 severity`` of
    the picture's width and height.
    """
    scale, rng = scale_of(frame), draws.held()
    height, width = frame.shape[:2]
    centre = np.clip(rng.normal(0.5, 0.15, 2), 0.1, 0.9)
    axes = 0.1 + 0.1 * (severity - 1) * rng.uniform(size=2)
    mask = _ellipses(frame, [(centre[0] * width, centre[1] * height, axes[0] * width, axes[1] * height)], 4.0 * scale)
    behind = as_field(blurred(frame, SMEAR_BLUR[severity - 1] * scale))
    return as_bytes(mixed(as_field(frame), SMEAR_LIGHT * behind, mask))
