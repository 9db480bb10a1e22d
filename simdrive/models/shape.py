"""The size of a small vision-language model, in the words of its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simdrive.errors import ParameterError


@dataclass(frozen=True)
class VlmShape:
    """What a family member is made of; widths in values, image sizes in pixels.

    A frame is cut into square tiles, or folded into one where it is wide and low; each tile is cut into patches, and
    ``merge`` x ``merge`` patches become one token of the language model. ``frames`` pictures of the same camera are
    stacked on the channel axis, so that a patch can see motion.
    """

    family: Literal["internvl", "qwen2_5_vl"] = "internvl"
    text_width: int = 256
    text_layers: int = 8
    text_heads: int = 8
    text_kv_heads: int = 2
    text_ffn: int = 832
    vision_width: int = 128
    vision_layers: int = 4
    vision_heads: int = 4
    vision_ffn: int = 384
    tile_px: int = 128
    patch_px: int = 16
    merge: int = 2
    frames: int = 2
    positions: int = 1024

    def __post_init__(self) -> None:
        for width, heads, what in (
            (self.text_width, self.text_heads, "text"),
            (self.vision_width, self.vision_heads, "vision"),
        ):
            if width % heads:
                raise ParameterError(f"{what}_width {width} must be a multiple of {what}_heads {heads}")
        if self.text_heads % self.text_kv_heads:
            raise ParameterError(f"text_heads {self.text_heads} must be a multiple of kv heads {self.text_kv_heads}")
        if self.tile_px % (self.patch_px * self.merge):
            raise ParameterError(
                f"tile_px {self.tile_px} must be a multiple of patch_px x merge = {self.patch_px * self.merge}"
            )

    @property
    def tokens_per_tile(self) -> int:
        """Tokens of the language model that one tile becomes."""
        return (self.tile_px // self.patch_px // self.merge) ** 2
