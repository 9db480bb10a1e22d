"""From camera frames to the tiles that a vision tower takes."""

from __future__ import annotations

import numpy as np
import torch

from simdrive.errors import ParameterError
from simdrive.models.shape import VlmShape
from simdrive.types import Bytes

MEAN, DEVIATION = 0.45, 0.25  # one pair for all channels: rendered frames know no colour cast of a lens


def tile_count(shape: VlmShape, cameras: int, height: int, width: int) -> int:
    """Return how many tiles a request becomes.

    Raises:
        ParameterError: if a frame does not divide into tiles.
    """
    if height % shape.tile_px or width % shape.tile_px:
        raise ParameterError(
            f"frames of {width} x {height} pixels do not divide into tiles of {shape.tile_px}; choose camera sizes that do"
        )
    return cameras * (height // shape.tile_px) * (width // shape.tile_px)


def cut_tiles(frames: Bytes, tile_px: int) -> Bytes:
    """Return tiles ``[N, tiles, time * 3, tile, tile]`` of frames ``[N, camera, time, H, W, 3]``.

    Tiles run along a row, row after row, camera after camera; the pictures of one camera lie on the channel axis, the
    newest first.
    """
    n, cameras, times, height, width, _ = frames.shape
    rows, columns = height // tile_px, width // tile_px
    cut = frames.reshape(n, cameras, times, rows, tile_px, columns, tile_px, 3)
    cut = cut.transpose(0, 1, 3, 5, 2, 7, 4, 6)  # n, camera, row, column, time, colour, y, x
    return np.ascontiguousarray(cut).reshape(n, cameras * rows * columns, times * 3, tile_px, tile_px)


def pixel_values(tiles: Bytes, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return normalised pixels ``[N * tiles, channels, tile, tile]`` of uint8 tiles ``[N, tiles, channels, y, x]``."""
    values = torch.from_numpy(tiles).to(device).flatten(0, 1).to(dtype)
    return (values / 255.0 - MEAN) / DEVIATION
