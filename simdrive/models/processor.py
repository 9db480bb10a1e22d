"""What a model is shown: which cameras and frames, how they become pictures, and how many tokens that makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from simdrive.errors import ParameterError
from simdrive.models.lookup import changes
from simdrive.models.pixels import (
    DEVIATION,
    MEAN,
    Pictures,
    cut_patches,
    cut_tiles,
    normalised,
    strips_of,
    tile_count,
)
from simdrive.models.shape import VlmShape
from simdrive.types import Bytes, CameraSpec, Float, Wants

KIND = "simdrive_tiles"


@dataclass(frozen=True)
class Processor:
    """Cuts camera frames for a model of the simdrive family.

    Args:
        family: of the model; ``internvl`` cuts tiles, ``qwen2_5_vl`` one grid of patches per camera.
        tile_px, patch_px, merge: as in ``VlmShape``.
        cameras: what the model was trained to see, all of one size.
        frame_offsets_us: pictures of one camera that are stacked, newest first.
        motion_gain: older pictures are shown as what has changed since, times this, around middle grey; 0 = as they are.
            A patch embedding is linear: it sees small motion far sooner as a change than as two nearly equal pictures.
    """

    family: str
    tile_px: int
    patch_px: int
    merge: int
    cameras: tuple[CameraSpec, ...]
    frame_offsets_us: tuple[int, ...] = (0, -300_000)
    motion_gain: float = 0.0

    def __post_init__(self) -> None:
        sizes = {(camera.height, camera.width) for camera in self.cameras}
        if len(sizes) != 1:
            raise ParameterError(f"cameras must be of one size, got {sorted(sizes)} (height, width)")
        tile_count(VlmShape(tile_px=self.tile_px, patch_px=self.patch_px, merge=self.merge), 1, *sizes.pop())

    @classmethod
    def of(
        cls,
        shape: VlmShape,
        cameras: Sequence[CameraSpec],
        frame_offsets_us: Sequence[int] = (0, -300_000),
        motion_gain: float = 0.0,
    ) -> Processor:
        """Return the processor of a shape.

        Raises:
            ParameterError: if the number of offsets is not the shape's number of frames, or a size does not fit.
        """
        if len(frame_offsets_us) != shape.frames:
            raise ParameterError(
                f"frame_offsets_us {tuple(frame_offsets_us)} must name {shape.frames} frames, as VlmShape.frames says"
            )
        return cls(
            shape.family, shape.tile_px, shape.patch_px, shape.merge, tuple(cameras), tuple(frame_offsets_us), motion_gain
        )  # fmt: skip

    @property
    def wants(self) -> Wants:
        """What an agent with this model asks for."""
        return Wants(self.cameras, self.frame_offsets_us)

    @property
    def slots(self) -> tuple[int, ...]:
        """Image tokens of each picture group of a prompt: one group for all tiles, or one per camera."""
        camera = self.cameras[0]
        tokens = (camera.height // self.patch_px // self.merge) * (camera.width // self.patch_px // self.merge)
        if self.family == "internvl":
            return (tokens * len(self.cameras),)
        return (tokens,) * len(self.cameras)

    def pictures(
        self, frames: Bytes, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Pictures:
        """Return what the vision tower takes for frames ``[N, camera, time, H, W, 3]``."""
        if self.motion_gain:
            frames = changes(frames, self.motion_gain)
        if self.family == "internvl":
            return Pictures(normalised(cut_tiles(frames, self.tile_px), device, dtype))
        _, cameras, _, height, width, _ = frames.shape
        grid = torch.tensor([1, height // self.patch_px, width // self.patch_px], device=device)
        values = normalised(cut_patches(frames, self.patch_px, self.merge), device, dtype)
        return Pictures(values, grid.expand(len(frames) * cameras, 3))

    def spread(self, values: Float) -> Float:
        """Return values of picture tokens ``[N, slots]`` where they belong: ``[N, camera, rows, columns]``."""
        camera, step = self.cameras[0], self.patch_px * self.merge
        rows, columns = camera.height // step, camera.width // step
        if self.family != "internvl":
            return values.reshape(len(values), -1, rows, columns)
        side, strips = self.tile_px // step, strips_of(self.tile_px, camera.height, camera.width)
        low = side // strips  # rows of tokens of a strip
        cut = values.reshape(len(values), -1, rows // low, columns // side // strips, strips, low, side)
        return np.ascontiguousarray(cut.transpose(0, 1, 2, 5, 3, 4, 6)).reshape(len(values), -1, rows, columns)

    def to_config(self) -> dict[str, Any]:
        """Return the content of ``preprocessor_config.json``."""
        return {"processor": KIND, **asdict(self), "image_mean": MEAN, "image_std": DEVIATION}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Processor:
        """Return the processor of a ``preprocessor_config.json``.

        Raises:
            ParameterError: if a field is missing, unknown, or another normalisation than this version's.
        """
        fields = {key: value for key, value in config.items() if key not in ("processor", "image_mean", "image_std")}
        if (config.get("image_mean"), config.get("image_std")) != (MEAN, DEVIATION):
            raise ParameterError(
                f"image_mean and image_std must be {MEAN} and {DEVIATION}, "
                f"got {config.get('image_mean')} and {config.get('image_std')}"
            )
        try:
            cameras = tuple(CameraSpec(**camera) for camera in fields.pop("cameras"))
            offsets = tuple(int(offset) for offset in fields.pop("frame_offsets_us"))
            return cls(**fields, cameras=cameras, frame_offsets_us=offsets)
        except (KeyError, TypeError) as error:
            raise ParameterError(f"not the fields of a {KIND} processor: {error}") from error


def grey(frames: Bytes) -> Bytes:
    """Return frames that show nothing: the mean of the normalisation, everywhere."""
    hidden: Bytes = frames.copy()
    hidden[...] = round(255 * MEAN)
    return hidden
