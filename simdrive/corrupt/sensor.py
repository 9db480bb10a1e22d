"""Failures of the sensor: a dead camera, lost frames, wrong saturation."""

from __future__ import annotations

import math

import numpy as np

from simdrive.corrupt.draws import Draws, each_frame
from simdrive.corrupt.imaging import as_bytes, as_field
from simdrive.types import Bytes

SATURATE = ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))  # factor and offset of the saturation of HSV
_SIXTHS = 6  # DriveBench's rig has six cameras


@each_frame
def camera_crash(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Dead cameras are black: ``severity`` of six, in a smaller rig the same share rounded up, drawn once per episode.

    A single camera is dead at every severity.
    """
    dead = math.ceil(draws.cameras * severity / _SIXTHS)
    order = draws.rig().permutation(draws.cameras)
    return np.zeros_like(frame) if draws.place in order[:dead] else frame


@each_frame
def frame_lost(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Each frame of each camera is black with probability ``severity / 6``."""
    return np.zeros_like(frame) if draws.moving().uniform() < severity / _SIXTHS else frame


@each_frame
def saturate(frame: Bytes, severity: int, draws: Draws) -> Bytes:
    """Colour gain gone wrong: saturation times a factor plus an offset, hue and value kept.

    Severities 1 and 2 take colour away, 3 to 5 add it (Hendrycks and Dietterich 2019). Grey has no hue and stays grey.
    """
    factor, offset = SATURATE[severity - 1]
    picture = as_field(frame)
    value = picture.max(axis=2, keepdims=True)
    spread = value - picture.min(axis=2, keepdims=True)
    before = spread / np.maximum(value, np.float32(1e-6))
    after = np.clip(np.float32(factor) * before + np.float32(offset), 0.0, 1.0)
    gain = np.where(before > 0.0, after / np.where(before > 0.0, before, 1.0), 1.0)
    return as_bytes(value - (value - picture) * gain)
