"""Pictures of a moment for a page."""

from __future__ import annotations

import imageio.v3 as imageio

from simdrive.types import Bytes


def png(frames: Bytes) -> bytes:
    """Return pictures ``[camera, H, W, 3]`` one below the other as PNG."""
    return bytes(imageio.imwrite("<bytes>", frames.reshape(-1, *frames.shape[2:]), extension=".png"))
