"""Tiny models and tokenizers for tests."""

from __future__ import annotations

import functools

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from simdrive.agents.language.codec import vocabulary
from simdrive.models.build import build_model
from simdrive.models.shape import VlmShape
from simdrive.models.tokenizer import train_tokenizer

TINY = VlmShape(
    text_width=32, text_layers=2, text_heads=4, text_kv_heads=2, text_ffn=48,
    vision_width=16, vision_layers=2, vision_heads=2, vision_ffn=32, tile_px=32, patch_px=8, merge=2, frames=2,
)  # fmt: skip


@functools.cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    words = [word for place in vocabulary() for word in place]
    lines = [f"speed {word} {word} side {word} What do you do now? system user assistant" for word in words]
    return train_tokenizer([*lines, "user\n", "assistant\n"] * 2)


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
