"""Small vision-language models from a shape: the transformers classes of the big ones, weights drawn here."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from simdrive.errors import UnknownNameError
from simdrive.models.patches import map_patches
from simdrive.models.shape import VlmShape
from simdrive.models.tokenizer import END, IMAGE, IMAGE_CLOSE, IMAGE_OPEN, MARKS, PAD, START

CLASSES = {"internvl": InternVLForConditionalGeneration, "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration}


def model_config(shape: VlmShape, tokenizer: PreTrainedTokenizerFast) -> PretrainedConfig:
    """Return the transformers configuration of a shape.

    Raises:
        UnknownNameError: if the family is not known.
    """
    if shape.family == "internvl":
        return _internvl(shape, tokenizer)
    if shape.family == "qwen2_5_vl":
        return _qwen(shape, tokenizer)
    raise UnknownNameError("model family", shape.family, CLASSES)


def build_model(shape: VlmShape, tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> PreTrainedModel:
    """Return a model with weights drawn from ``seed``, in fp32 on the CPU, with SDPA attention."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = model_config(shape, tokenizer)
        model: PreTrainedModel = CLASSES[shape.family](config)
    map_patches(model)
    ids = _ids(tokenizer)
    assert model.generation_config is not None
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = ids[END], ids[PAD]
    return model


def _ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    ids: Any = tokenizer.convert_tokens_to_ids(list(MARKS))  # a list for a list
    return dict(zip(MARKS, ids, strict=True))


def _text(shape: VlmShape, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    ids = _ids(tokenizer)
    return {
        "model_type": "qwen2",
        "vocab_size": -(-len(tokenizer) // 8) * 8,
        "hidden_size": shape.text_width,
        "num_hidden_layers": shape.text_layers,
        "intermediate_size": shape.text_ffn,
        "num_attention_heads": shape.text_heads,
        "num_key_value_heads": shape.text_kv_heads,
        "max_position_embeddings": shape.positions,
        "bos_token_id": ids[START],
        "eos_token_id": ids[END],
        "pad_token_id": ids[PAD],
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "tie_word_embeddings": True,
    }


def _internvl(shape: VlmShape, tokenizer: PreTrainedTokenizerFast) -> InternVLConfig:
    config = InternVLConfig(
        tie_word_embeddings=True,
        downsample_ratio=1.0 / shape.merge,
        image_token_id=_ids(tokenizer)[IMAGE],
        image_seq_length=shape.tokens_per_tile,
        text_config=_text(shape, tokenizer),
        vision_config={
            "hidden_size": shape.vision_width,
            "num_hidden_layers": shape.vision_layers,
            "num_attention_heads": shape.vision_heads,
            "intermediate_size": shape.vision_ffn,
            "image_size": [shape.tile_px, shape.tile_px],
            "patch_size": [shape.patch_px, shape.patch_px],
            "num_channels": 3 * shape.frames,
        },
    )
    config._attn_implementation = "sdpa"
    return config


def _qwen(shape: VlmShape, tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    """A tile is the window within which all layers of the tower but the last attend."""
    ids = _ids(tokenizer)
    half = shape.text_width // shape.text_heads // 2
    across = (half - half // 4) // 2
    text = _text(shape, tokenizer)
    text |= {"model_type": "qwen2_5_vl_text"}
    text["rope_parameters"] |= {"mrope_section": [half - 2 * across, across, across]}
    config = Qwen2_5_VLConfig(
        tie_word_embeddings=True,
        image_token_id=ids[IMAGE],
        video_token_id=ids[PAD],  # stacked pictures of one camera are one picture here
        vision_start_token_id=ids[IMAGE_OPEN],
        vision_end_token_id=ids[IMAGE_CLOSE],
        text_config=text,
        vision_config={
            "hidden_size": shape.vision_width,
            "depth": shape.vision_layers,
            "num_heads": shape.vision_heads,
            "intermediate_size": shape.vision_ffn,
            "patch_size": shape.patch_px,
            "spatial_merge_size": shape.merge,
            "temporal_patch_size": shape.frames,
            "window_size": shape.tile_px,
            "fullatt_block_indexes": [shape.vision_layers - 1],
            "out_hidden_size": shape.text_width,
        },
    )
    config._attn_implementation = "sdpa"
    return config
