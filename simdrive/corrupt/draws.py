"""Random draws of a corrupted frame: they depend on episode, camera and step alone, so paired runs see equal pixels.

What stays on the lens (a drop, a smear, a dead camera) is drawn once per episode; what moves (flakes, noise, bit errors)
is drawn per step. Severity never enters: a worse picture is a worse version of the same draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps

import numpy as np

from simdrive.streams import stream
from simdrive.types import Bytes


@dataclass(frozen=True)
class Draws:
    """Where a frame stands: the generators that its corruption may use."""

    case_key: str
    corruption: str  # name of the effect
    camera: str
    place: int  # of the camera in the rig
    cameras: int  # in the rig
    step: int  # number of the frame in its episode

    def held(self) -> np.random.Generator:
        """Return the generator of this camera, the same at every step of the episode."""
        return stream(self.case_key, f"corruption.{self.corruption}.{self.camera}")

    def moving(self) -> np.random.Generator:
        """Return the generator of this camera at this step."""
        return stream(self.case_key, f"corruption.{self.corruption}.{self.camera}.step", self.step)

    def rig(self) -> np.random.Generator:
        """Return the generator that all cameras of the episode share."""
        return stream(self.case_key, f"corruption.{self.corruption}")


Effect = Callable[[Bytes, int, Sequence[Draws]], Bytes]  # frames [K, H, W, 3], severity 1..5, K draws -> frames


def each_frame(effect: Callable[[Bytes, int, Draws], Bytes]) -> Effect:
    """Turn an effect on one frame ``[H, W, 3]`` into one on K frames; a frame never depends on the others."""

    @wraps(effect)
    def on_all(frames: Bytes, severity: int, draws: Sequence[Draws]) -> Bytes:
        if not len(frames):
            return frames
        return np.stack([effect(frame, severity, draw) for frame, draw in zip(frames, draws, strict=True)])

    return on_all
