"""How pictures reach a vision tower."""

import numpy as np
import torch

from simdrive.models.processor import Processor, changes
from simdrive.models.shape import VlmShape
from simdrive.types import CameraSpec


def test_motion_is_shown_as_change() -> None:
    frames = np.zeros((1, 1, 3, 2, 2, 3), np.uint8)
    frames[0, 0, 0], frames[0, 0, 1], frames[0, 0, 2] = 100, 90, 250
    shown = changes(frames, 3.0)
    assert shown[0, 0, :, 0, 0, 0].tolist() == [100, 158, 0]
    assert frames[0, 0, 1, 0, 0, 0] == 90
    shape = VlmShape(tile_px=16, patch_px=8, merge=2, frames=3)
    cameras = (CameraSpec("front", 16, 16),)
    plain, moved = (Processor.of(shape, cameras, (0, -1, -2), gain) for gain in (0.0, 3.0))
    big = np.repeat(np.repeat(frames, 8, axis=3), 8, axis=4)
    assert plain.pictures(big).values[0, :, 0, 0].tolist() != moved.pictures(big).values[0, :, 0, 0].tolist()
    same = plain.pictures(changes(big, 3.0)).values
    assert torch.equal(same, moved.pictures(big).values)
    assert Processor.from_config(moved.to_config()) == moved
