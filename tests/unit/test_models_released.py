"""Released checkpoints: configurations, picture processing, and small ones saved in their layout."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_kit import TINY, every_line
from scenes import Actor, observe
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from simdrive.agents.vlm import Vlm
from simdrive.errors import ParameterError
from simdrive.latency.names import load_card
from simdrive.models.build import build_model
from simdrive.models.local import LocalModel, open_model
from simdrive.models.released import ReleasedProcessor
from simdrive.models.shape import VlmShape
from simdrive.models.tokenizer import train_tokenizer
from simdrive.types import CameraSpec

INTERNVL_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<IMG_CONTEXT>\n' }}{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{'<|im_end|>\n'}}{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)
INTERNVL_PICTURES = {"size": {"height": 448, "width": 448}, "min_patches": 1, "max_patches": 12}
QWEN_PICTURES = {
    "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
}  # fmt: skip


def test_internvl3_1b_builds_on_the_meta_device() -> None:
    config = InternVLConfig(
        text_config={
            "model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
            "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 151674, "tie_word_embeddings": False,
        },
        vision_config={
            "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
            "image_size": [448, 448], "patch_size": [14, 14], "attention_bias": True,
        },
        tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        model = InternVLForConditionalGeneration(config)
    published = load_card("architecture", "internvl3_1b").published_parameters
    assert sum(value.numel() for value in model.parameters()) == pytest.approx(published, rel=0.001)


def test_qwen2_5_vl_3b_builds_on_the_meta_device() -> None:
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2,
            "intermediate_size": 11008, "vocab_size": 151936, "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        vision_config={
            "depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420, "out_hidden_size": 2048,
        },
        tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    published = load_card("architecture", "qwen2_5_vl_3b").published_parameters
    assert sum(value.numel() for value in model.parameters()) == pytest.approx(published, rel=0.001)


def _released(family: str, width: int, height: int, **options: Any) -> ReleasedProcessor:
    config = INTERNVL_PICTURES if family == "internvl" else QWEN_PICTURES
    return ReleasedProcessor(family, config, (CameraSpec(width=width, height=height),), **options)


@pytest.mark.parametrize(
    ("family", "width", "height", "tokens"),
    [
        ("internvl", 448, 448, 256),  # one tile of 32 x 32 patches, a quarter of them after pixel shuffle
        ("internvl", 1344, 896, 7 * 256),  # 3 x 2 tiles and a thumbnail
        ("internvl", 896, 448, 3 * 256),
        ("qwen2_5_vl", 448, 448, 256),  # 16 x 16 merged patches
        ("qwen2_5_vl", 2044, 1372, 49 * 73),
        ("qwen2_5_vl", 224, 28, 8),
    ],
)
def test_pictures_become_the_published_number_of_tokens(family: str, width: int, height: int, tokens: int) -> None:
    assert _released(family, width, height).slots == (tokens,)


def test_drive_kd_takes_one_tile_per_picture() -> None:
    assert _released("internvl", 1344, 896, most_tiles=1, frame_offsets_us=(0, -300_000)).slots == (256, 256)
    with pytest.raises(ParameterError, match="most_tiles is for InternVL"):
        _released("qwen2_5_vl", 448, 448, most_tiles=1)


@settings(max_examples=12, deadline=None)
@given(st.integers(60, 900), st.integers(60, 900))
def test_token_counts_are_those_that_latency_prices(width: int, height: int) -> None:
    for family, card in (("internvl", "internvl3_1b"), ("qwen2_5_vl", "qwen2_5_vl_3b")):
        priced = load_card("architecture", card).pictures(1, height, width).tokens
        assert _released(family, width, height).slots[0] + 2 == priced  # the marks around a picture are priced too


def test_the_oldest_frame_comes_first() -> None:
    processor = _released("qwen2_5_vl", 56, 56, frame_offsets_us=(0, -300_000))
    frames = np.zeros((1, 1, 2, 56, 56, 3), np.uint8)
    frames[:, :, 1] = 255  # the older one
    values = processor.pictures(frames).values
    assert values[: len(values) // 2].mean() > values[len(values) // 2 :].mean()


@pytest.fixture(scope="module", params=["internvl", "qwen2_5_vl"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint as its makers would publish it: no card, their processor configuration and template."""
    family, folder = request.param, tmp_path_factory.mktemp("released") / request.param
    tokenizer = train_tokenizer(every_line())
    pictures: dict[str, Any] = {
        "size": {"height": 56, "width": 56},
        "image_processor_type": "GotOcr2ImageProcessorFast",
    }
    if family == "qwen2_5_vl":
        tokenizer.add_special_tokens(
            {"additional_special_tokens": ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>"]}
        )
        pictures = {**QWEN_PICTURES, "image_processor_type": "Qwen2VLImageProcessorFast"}
    else:
        tokenizer.chat_template = INTERNVL_TEMPLATE
    shape = VlmShape(**{**vars(TINY), "family": family, "tile_px": 56, "patch_px": 14, "frames": 1})
    shape = dataclasses.replace(shape, frames=2) if family == "qwen2_5_vl" else shape
    model = build_model(shape, tokenizer, seed=1)
    if family == "qwen2_5_vl":
        model.config.image_token_id = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    return folder


def test_the_prompt_is_that_of_the_release(checkpoint: Path) -> None:
    loaded = open_model(str(checkpoint))
    local = LocalModel(
        loaded, cameras=[CameraSpec(width=56, height=56)], frame_offsets_us=[0, -300_000], briefing="Hi. "
    )
    if checkpoint.name == "internvl":
        slot = "<img>" + "<IMG_CONTEXT>" * 4 + "</img>\n"
        expected = f"<|im_start|>user\n{slot * 2}Hi. go?<|im_end|>\n<|im_start|>assistant\n"
    else:
        slot = "<|vision_start|>" + "<|image_pad|>" * 4 + "<|vision_end|>"
        system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        expected = f"{system}<|im_start|>user\n{slot * 2}Hi. go?<|im_end|>\n<|im_start|>assistant\n"
    assert loaded.tokenizer.decode(local.chat.prompt("go?")) == expected
    assert local.chat.image_tokens == 12


def test_a_released_checkpoint_drives(checkpoint: Path) -> None:
    options: dict[str, Any] = {"cameras": [{"width": 112, "height": 56}], "frame_offsets_us": [-300_000, 0]}
    agent = Vlm(str(checkpoint), constrained=True, briefing="Answer as told. ", **options)
    assert agent.wants.frame_offsets_us == (-300_000, 0)
    batch = observe([[Actor(20.0)], [Actor(40.0)]], slots=[0, 1])
    frames = np.random.default_rng(0).integers(0, 256, (2, 1, 2, 56, 112, 3), dtype=np.uint8)
    answer = agent.plan(dataclasses.replace(batch, frames=frames))
    assert answer.error == (None, None)
    # InternVL: 2 tiles and a thumbnail per picture; Qwen: 4 x 2 merged patches; two marks around each picture.
    tokens = 2 * (3 * 4 + 2) if checkpoint.name == "internvl" else 2 * (8 + 2)
    assert answer.usage.image.tolist() == [tokens] * 2
    blind = Vlm(str(checkpoint), constrained=True, text_only=True, **options)
    assert blind.plan(batch).error == (None, None)
