"""Released InternVL3 and Qwen2.5-VL checkpoints: their own picture processing, template and text form.

Uses the PIL processors of transformers, so that no torchvision is needed. Tiles and patches are those of the release.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from simdrive.errors import ParameterError
from simdrive.models.pixels import Pictures
from simdrive.models.tokenizer import END, START
from simdrive.types import Bytes, CameraSpec, Wants

MARKS = {
    "internvl": ("<img>", "<IMG_CONTEXT>", "</img>"),
    "qwen2_5_vl": ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>"),
}
_INTERNVL = ("image_mean", "image_std", "size", "min_patches", "max_patches", "resample", "do_convert_rgb")
_QWEN = (
    "image_mean", "image_std", "size", "min_pixels", "max_pixels", "patch_size", "temporal_patch_size", "merge_size",
)  # fmt: skip
_QUESTION = "\N{OBJECT REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class ReleasedProcessor:
    """Turns camera frames into the pictures of a released model, oldest frame first, camera after camera.

    Args:
        family: ``internvl`` or ``qwen2_5_vl``.
        config: the folder's ``preprocessor_config.json``.
        image_tokens_per_tile: of InternVL, 256 in the releases.
        cameras, frame_offsets_us: what to show; each frame is a picture of its own.
        most_tiles: of InternVL, instead of the release's 12; 1 = no tiling.
    """

    family: str
    config: Mapping[str, Any] = field(hash=False)
    cameras: tuple[CameraSpec, ...]
    frame_offsets_us: tuple[int, ...] = (0,)
    image_tokens_per_tile: int = 256
    most_tiles: int | None = None

    def __post_init__(self) -> None:
        if self.family not in MARKS:
            raise ParameterError(f"no released layout of family {self.family!r} is known; known: {', '.join(MARKS)}")
        if self.most_tiles is not None and not (self.family == "internvl" and self.most_tiles >= 1):
            raise ParameterError(f"most_tiles is for InternVL and at least 1, got {self.most_tiles} for {self.family}")

    @property
    def wants(self) -> Wants:
        """What an agent with this model asks for."""
        return Wants(self.cameras, self.frame_offsets_us)

    @functools.cached_property
    def _processor(self) -> Any:
        if self.family == "internvl":
            return GotOcr2ImageProcessorPil(**{key: self.config[key] for key in _INTERNVL if key in self.config})
        return Qwen2VLImageProcessorPil(**{key: self.config[key] for key in _QWEN if key in self.config})

    def _processed(self, images: list[np.ndarray]) -> Any:
        if self.family == "qwen2_5_vl":
            return self._processor(images=images, return_tensors="pt")
        most = {} if self.most_tiles is None else {"max_patches": self.most_tiles}
        return self._processor(images=images, crop_to_patches=True, return_tensors="pt", **most)

    def _tokens(self, height: int, width: int) -> int:
        if self.family == "qwen2_5_vl":
            return (
                int(self._processor.get_number_of_image_patches(height, width)) // int(self._processor.merge_size) ** 2
            )
        options: dict[str, Any] = {"crop_to_patches": True}
        options |= {} if self.most_tiles is None else {"max_patches": self.most_tiles}
        return int(self._processor.get_number_of_image_patches(height, width, options)) * self.image_tokens_per_tile

    @functools.cached_property
    def slots(self) -> tuple[int, ...]:
        """Image tokens of each picture."""
        return tuple(self._tokens(c.height, c.width) for c in self.cameras for _ in self.frame_offsets_us)

    def pictures(
        self, frames: Bytes, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Pictures:
        """Return what the vision tower takes for frames ``[N, camera, time, H, W, 3]``, newest first in time."""
        batch = self._processed(list(frames[:, :, ::-1].reshape(-1, *frames.shape[3:])))
        grid = batch["image_grid_thw"].to(device) if self.family == "qwen2_5_vl" else None
        return Pictures(batch["pixel_values"].to(device, dtype), grid)

    def layout(self, tokenizer: PreTrainedTokenizerBase, briefing: str, shown: bool = True) -> tuple[str, str]:
        """Return the text before and behind a question, from the tokenizer's chat template where it has one."""
        pictures = self.slots if shown else ()
        opening, fill, close = MARKS[self.family]
        text = f"{briefing}{_QUESTION}"
        if tokenizer.chat_template:
            content: Any = [{"type": "image"}] * len(pictures) + [{"type": "text", "text": text}]
            told = str(
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
                )
            )
        elif self.family == "internvl":
            told = f"{START}user\n{f'{fill}{chr(10)}' * len(pictures)}{text}{END}\n{START}assistant\n"
        else:
            system = f"{START}system\nYou are a helpful assistant.{END}\n"
            slots = f"{opening}{fill}{close}" * len(pictures)
            told = f"{system}{START}user\n{slots}{text}{END}\n{START}assistant\n"
        parts = told.split(fill)
        if len(parts) != len(pictures) + 1 or told.count(_QUESTION) != 1:
            raise ParameterError(
                f"the chat template of this model puts {len(parts) - 1} pictures for {len(pictures)}; simdrive knows "
                f"templates that put one {fill} for each"
            )
        filled = [fill * count if self.family == "qwen2_5_vl" else opening + fill * count + close for count in pictures]
        whole = parts[0] + "".join(slot + part for slot, part in zip(filled, parts[1:], strict=True))
        before, _, behind = whole.partition(_QUESTION)
        return before, behind
