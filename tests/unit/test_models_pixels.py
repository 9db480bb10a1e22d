"""How pictures reach a vision tower."""

import numpy as np
import pytest
import torch

from simdrive.errors import ParameterError
from simdrive.models.lookup import changes
from simdrive.models.pixels import DEVIATION, MEAN, cut_tiles, normalised, strips_of
from simdrive.models.processor import Processor
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


@pytest.mark.parametrize("gain", [3.0, 1.7, 0.25])
def test_tables_say_what_arithmetic_says(gain: float) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (3, 2, 3, 16, 8, 3), dtype=np.uint8)
    moved = np.subtract(frames[:, :, :1], frames[:, :, 1:], dtype=np.int16)
    by_hand = frames.copy()
    by_hand[:, :, 1:] = np.clip(128.0 + np.float32(gain) * moved, 0.0, 255.0)
    np.testing.assert_array_equal(changes(frames, gain), by_hand)
    np.testing.assert_array_equal(changes(frames[:, :, :, ::2], gain), by_hand[:, :, :, ::2])  # not contiguous
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        pixels = torch.from_numpy(frames).flatten(0, 1).to(dtype)
        assert torch.equal(normalised(frames, "cpu", dtype), pixels * (1.0 / (255.0 * DEVIATION)) - MEAN / DEVIATION)


def test_a_low_picture_is_folded_into_a_square_and_its_tokens_find_their_places() -> None:
    """Two cameras of 2 x 8 blocks of 32 pixels: the left half of each lies above its right half in one tile."""
    blocks = np.arange(2)[:, None, None] * 100 + np.arange(2)[:, None] * 10 + np.arange(8)
    frames = np.repeat(np.repeat(blocks, 32, axis=1), 32, axis=2).astype(np.uint8)[None, :, None, ..., None]
    tiles = cut_tiles(np.repeat(frames, 3, axis=-1), 128)
    assert tiles.shape == (1, 2, 3, 128, 128)
    tokens = tiles[:, :, 0, ::32, ::32]
    assert tokens[0, 0].tolist() == [[0, 1, 2, 3], [10, 11, 12, 13], [4, 5, 6, 7], [14, 15, 16, 17]]
    cameras = (CameraSpec("a", 256, 64), CameraSpec("b", 256, 64))
    processor = Processor.of(VlmShape(frames=1), cameras, (0,))
    assert processor.slots == (32,)
    assert processor.spread(tokens.reshape(1, -1).astype(float))[0].tolist() == blocks.tolist()
    flat = Processor.of(VlmShape(frames=1, tile_px=64), cameras, (0,))
    cut = cut_tiles(np.repeat(frames, 3, axis=-1), 64)[:, :, 0, ::32, ::32]
    assert flat.spread(cut.reshape(1, -1).astype(float))[0].tolist() == blocks.tolist()


@pytest.mark.parametrize(("tile", "height", "width"), [(128, 64, 128), (128, 48, 256), (96, 64, 192), (64, 96, 128)])
def test_pictures_that_do_not_fill_tiles_are_refused(tile: int, height: int, width: int) -> None:
    with pytest.raises(ParameterError, match=f"frames of {width} x {height} pixels do not divide into tiles of {tile}"):
        strips_of(tile, height, width)
