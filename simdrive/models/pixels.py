"""From camera frames to the tiles that a vision tower takes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from simdrive.errors import ParameterError
from simdrive.models.lookup import looked_up
from simdrive.models.shape import VlmShape
from simdrive.types import Bytes

MEAN, DEVIATION = 0.45, 0.25  # one pair for all channels: rendered frames know no colour cast of a lens


@dataclass(frozen=True)
class Pictures:
    """The pictures of N requests as a vision tower takes them, in the order of their slots."""

    values: torch.Tensor  # [tiles, channels, y, x], or with a grid [patches, values of a patch]
    grid: torch.Tensor | None = None  # [pictures, 3] patches in time, rows and columns (Qwen2.5-VL)


def strips_of(tile_px: int, height: int, width: int) -> int:
    """Return how many strips of a frame lie one above the other in a tile: 1, or more where a frame is lower than a tile.

    A wide picture that is folded into one square tile is seen as a whole by a tower that works tile by tile.

    Raises:
        ParameterError: if a frame does not divide into tiles.
    """
    strips = max(tile_px // height, 1)
    if (height * strips) % tile_px or width % (strips * tile_px):
        raise ParameterError(
            f"frames of {width} x {height} pixels do not divide into tiles of {tile_px}; choose camera sizes that do"
        )
    return strips


def tile_count(shape: VlmShape, cameras: int, height: int, width: int) -> int:
    """Return how many tiles a request becomes.

    Raises:
        ParameterError: if a frame does not divide into tiles.
    """
    strips_of(shape.tile_px, height, width)
    return cameras * height * width // shape.tile_px**2


def cut_tiles(frames: Bytes, tile_px: int) -> Bytes:
    """Return tiles ``[N, tiles, time * 3, tile, tile]`` of frames ``[N, camera, time, H, W, 3]``.

    Tiles run along a row, row after row, camera after camera; the pictures of one camera lie on the channel axis, the
    newest first. Frames lower than a tile are folded: their left strip lies above the ones to its right.
    """
    n, cameras, times, height, width, _ = frames.shape
    strips = strips_of(tile_px, height, width)
    rows, columns = max(height // tile_px, 1), width // tile_px // strips
    part = tile_px // strips  # height of a strip
    cut = frames.reshape(n, cameras, times, rows, part, columns, strips, tile_px, 3)
    cut = cut.transpose(0, 1, 3, 5, 2, 8, 6, 4, 7)  # n, camera, row, column, time, colour, strip, y, x
    return np.ascontiguousarray(cut).reshape(n, cameras * rows * columns, times * 3, tile_px, tile_px)


def pixel_values(tiles: Bytes, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return normalised pixels ``[N * tiles, channels, tile, tile]`` of uint8 tiles ``[N, tiles, channels, y, x]``."""
    return normalised(tiles, device, dtype)


def cut_patches(frames: Bytes, patch_px: int, merge: int) -> Bytes:
    """Return patches ``[N, patches, 3 * time * patch * patch]`` of frames ``[N, camera, time, H, W, 3]`` (Qwen2.5-VL).

    The ``merge`` x ``merge`` patches that become one token follow each other; the pictures of one camera lie on the
    time axis of a patch, the newest first.

    Raises:
        ParameterError: if a frame does not divide into tokens.
    """
    n, cameras, times, height, width, _ = frames.shape
    step = patch_px * merge
    if height % step or width % step:
        raise ParameterError(
            f"frames of {width} x {height} pixels do not divide into tokens of {step}; choose camera sizes that do"
        )
    cut = frames.reshape(
        n, cameras, times, height // step, merge, patch_px, width // step, merge, patch_px, 3
    )  # n, camera, time, row, row in token, y, column, column in token, x, colour
    cut = cut.transpose(0, 1, 3, 6, 4, 7, 9, 2, 5, 8)
    return np.ascontiguousarray(cut).reshape(n, -1, 3 * times * patch_px * patch_px)


def normalised(values: Bytes, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return uint8 pixels ``[N, pieces, ...]`` as ``[N * pieces, ...]`` around zero."""
    if torch.device(device).type == "cpu" and dtype in _BITS:
        bits = looked_up(values, _table(dtype))
        return torch.from_numpy(bits).view(dtype).flatten(0, 1)
    return _centred(torch.from_numpy(values).to(device).flatten(0, 1).to(dtype))


_BITS = {torch.float32: torch.float32, torch.bfloat16: torch.int16, torch.float16: torch.int16}  # as numpy knows them


@functools.cache
def _table(dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """Return the bits of every normalised shade, ``[256]``."""
    return np.asarray(_centred(torch.arange(256).to(dtype)).view(_BITS[dtype]).numpy())


def _centred(shades: torch.Tensor) -> torch.Tensor:
    """Change shades in place; of each type with its own rounding."""
    return shades.mul_(1.0 / (255.0 * DEVIATION)).sub_(MEAN / DEVIATION)
