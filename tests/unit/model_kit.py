"""Tiny models and tokenizers for tests."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from simdrive.agents.language.questions import every_word
from simdrive.models.build import build_model
from simdrive.models.folder import save_model
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.models.tokenizer import train_tokenizer
from simdrive.types import CameraSpec

TINY = VlmShape(
    text_width=32, text_layers=2, text_heads=4, text_kv_heads=2, text_ffn=48,
    vision_width=16, vision_layers=2, vision_heads=2, vision_ffn=32, tile_px=32, patch_px=8, merge=2, frames=2,
)  # fmt: skip


@functools.cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that knows every word of the driving language."""
    return train_tokenizer(every_line())


def every_line() -> list[str]:
    """Lines to train a tokenizer on: every word of the driving language, twice."""
    return [line for line in every_word() for _ in range(2)]


@functools.cache
def tiny_model(family: str = "internvl") -> PreTrainedModel:
    """A model whose answers vary: weights drawn ten times as wide as for training."""
    shape = VlmShape(**{**vars(TINY), "family": family})
    model = build_model(shape, tiny_tokenizer(), seed=3).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim > 1 and "embed" not in name and "lm_head" not in name:
                value.mul_(10.0)
    return model


def save_tiny(folder: Path, family: str = "internvl") -> Path:
    """Save the tiny model with two cameras of 64 x 32 pixels, two frames each."""
    shape = VlmShape(**{**vars(TINY), "family": family})
    cameras = [CameraSpec("front", 64, 32), CameraSpec("right", 64, 32, yaw_deg=60.0)]
    processor = Processor.of(shape, cameras)
    save_model(folder, tiny_model(family), tiny_tokenizer(), processor, f"tiny_{family}", dtype=torch.float32)
    return folder
