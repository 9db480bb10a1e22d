"""Weather and light in the picture: brightness, low light, fog, snow, rain.

Brightness, fog and snow follow Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations" (ICLR 2019); low light follows Kar et al., "3D Common Corruptions" (CVPR 2022). They lie over the picture
and know nothing of depth; what the world itself does (fog that hides actors from everybody) is lighting of the scenario.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from simdrive.corrupt.draws import Draws, each_frame
from simdrive.corrupt.imaging import Field, as_bytes, as_field, resized, scale_of, streaked
from simdrive.types import Bytes

BRIGHTER = (0.1, 0.2, 0.3, 0.4, 0.5)  # added to the value of HSV
DARKER = (0.6, 0.5, 0.4, 0.3, 0.2)  # white becomes this, after gamma 2
PHOTONS = (600.0, 250.0, 120.0, 50.0, 30.0)  # that white stands for
READ_NOISE = (0.008, 0.012, 0.018, 0.026, 0.038)  # standard deviation, 1 = white
FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))  # strength, decay per octave
# Mean and deviation of the flake field, its zoom, threshold, streak radius and deviation, share of the scene that is kept.
SNOW = (
    (0.1, 0.3, 3.0, 0.5, 10.0, 4.0, 0.8),
    (0.2, 0.3, 2.0, 0.5, 12.0, 4.0, 0.7),
    (0.55, 0.3, 4.0, 0.9, 12.0, 8.0, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12.0, 8.0, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12.0, 12.0, 0.55),
)
RAIN_AREA = (770, 680, 590, 500, 400)  # pixels per streak
RAIN_LENGTH = (20, 35, 50, 65, 80)  # longest streak, pixels; the shortest is 10
RAIN_CONTRAST = (0.8, 0.725, 0.65, 0.575, 0.5)
RAIN_GREY, RAIN_ALPHA, RAIN_SLANT = 0.78, 0.6, 0.35  # streaks by day; slant at most, rad
RAIN_NIGHT, RAIN_LIT = 0.2, 1.2  # streaks shine with the scene: offset, and share of its mean, at most RAIN_GREY
_GREY = np.array((0.299, 0.587, 0.114), np.float32)


@each_frame
def brightness(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Overexposure: adds to the value of HSV, hue and saturation kept."""
    picture = as_field(frame)
    value = picture.max(axis=2, keepdims=True)
    raised = np.minimum(value + np.float32(BRIGHTER[severity - 1]), 1.0)
    black = value <= 0.0
    return as_bytes(np.where(black, raised, picture * (raised / np.where(black, 1.0, value))))


@each_frame
def low_light(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Night without lamps: gamma 2, less light, and the noise of few photons and of the sensor.

    Poisson and read noise are drawn as one Gaussian of their joint variance ``x / photons + read^2``.
    """
    level = severity - 1
    dark = np.float32(DARKER[level]) * as_field(frame) ** 2
    deviation = np.sqrt(dark / np.float32(PHOTONS[level]) + np.float32(READ_NOISE[level] ** 2))
    return as_bytes(dark + deviation * draws.moving().standard_normal(frame.shape, np.float32))


@each_frame
def fog(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Fog in patches that stand still: ``(x + c m) max(x) / (max(x) + c)`` with a fractal field ``m``."""
    strength, decay = FOG[severity - 1]
    picture = as_field(frame)
    brightest = max(float(picture.max()), 1.0 / 255.0)
    patches = np.float32(strength) * plasma(frame.shape[0], frame.shape[1], decay, draws.held())[..., None]
    return as_bytes((picture + patches) * np.float32(brightest / (brightest + strength)))


def plasma(height: int, width: int, decay: float, rng: np.random.Generator) -> Field:
    """Return a fractal field ``[height, width]`` from 0 to 1: octaves of noise, each ``decay`` times weaker."""
    total = np.zeros((height, width), np.float32)
    cells, weight = 2, 1.0
    while cells < 2 * max(height, width):
        rows = max(round(cells * height / max(height, width)), 1) + 1
        grid = rng.uniform(-1.0, 1.0, (rows, cells + 1)).astype(np.float32)
        total += np.float32(weight) * resized(grid, height, width)
        cells, weight = 2 * cells, weight / decay
    lowest, highest = total.min(), total.max()
    stretched: Field = (total - lowest) / max(highest - lowest, np.float32(1e-6))
    return stretched


@each_frame
def snow(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Falling flakes, streaked by their fall, over a whitened scene."""
    mean, deviation, zoom, threshold, radius, sigma, kept = SNOW[severity - 1]
    picture, scale, rng = as_field(frame), scale_of(frame), draws.moving()
    (height, width), zoom = frame.shape[:2], max(zoom * scale, 1.0)
    small = rng.normal(mean, deviation, (int(height / zoom) + 2, int(width / zoom) + 2)).astype(np.float32)
    flakes = resized(small, height, width)
    flakes = np.clip(np.where(flakes < threshold, 0.0, flakes), 0.0, 1.0).astype(np.float32)
    angle = np.deg2rad(rng.uniform(45.0, 135.0))  # downwards
    flakes = streaked(flakes, radius * scale, sigma * scale, angle)
    grey = (picture * _GREY).sum(axis=2, keepdims=True)
    whitened = np.maximum(picture, grey * 1.5 + 0.5)
    scene = np.float32(kept) * picture + np.float32(1.0 - kept) * whitened
    return as_bytes(scene + (flakes + flakes[::-1, ::-1])[..., None])


@each_frame
def rain(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Streaks of rain, slanted by the wind of the episode, over a scene with less contrast."""
    level, scale, rng = severity - 1, scale_of(frame), draws.moving()
    height, width = frame.shape[:2]
    slant = draws.held().uniform(-RAIN_SLANT, RAIN_SLANT)
    count = round(height * width / (scale**2 * RAIN_AREA[level]))
    drops = rng.uniform(size=(count, 3))
    layer = Image.new("L", (width, height))
    draw = ImageDraw.Draw(layer)
    thick = max(round(scale), 1)
    for across, down, long in drops:
        length = (10.0 + long * (RAIN_LENGTH[level] - 10.0)) * scale
        x, y = across * width, down * (height + length) - length
        end = (x + length * float(np.sin(slant)), y + length * float(np.cos(slant)))
        draw.line([(x, y), end], fill=255, width=thick)
    streaks = as_field(np.asarray(layer.filter(ImageFilter.GaussianBlur(0.4 * thick))))
    picture = as_field(frame)
    mean = float(picture.mean(dtype=np.float64))
    flat = np.float32(mean) + np.float32(RAIN_CONTRAST[level]) * (picture - np.float32(mean))
    return as_bytes(
        flat + (RAIN_ALPHA * streaks)[..., None] * (np.float32(min(RAIN_GREY, RAIN_NIGHT + RAIN_LIT * mean)) - flat)
    )
