"""Cards from Hugging Face configurations equal the shipped cards of the same models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simdrive.errors import ParameterError, UnsupportedError
from simdrive.latency.architecture import ArchitectureCard
from simdrive.latency.hf_config import architecture_from_hf
from simdrive.latency.names import load_card


def text(
    kind: str, layers: int, width: int, heads: int, kv: int, inner: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    return {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        **more,
    }


INTERNVIT = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "image_size": 448,
    "patch_size": 14,
    "norm_type": "layer_norm",
    "qk_normalization": False,
    "qkv_bias": True,
}
QWEN25_EYE = {
    "depth": 32,
    "hidden_size": 1280,
    "num_heads": 16,
    "intermediate_size": 3420,
    "out_hidden_size": 3584,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
QWEN3_EYE = {
    "depth": 27,
    "hidden_size": 1152,
    "num_heads": 16,
    "intermediate_size": 4304,
    "out_hidden_size": 4096,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [8, 16, 24],
}
DELTA = {
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 4,
    "head_dim": 256,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama3_1_8b": text("llama", 32, 4096, 32, 8, 14336, 128256, tie_word_embeddings=False),
    "llama3_2_1b": text("llama", 16, 2048, 32, 8, 8192, 128256, tie_word_embeddings=True, head_dim=64),
    "qwen3_8b": text("qwen3", 36, 4096, 32, 8, 12288, 151936, head_dim=128, tie_word_embeddings=False),
    "qwen3_30b_a3b": text(
        "qwen3_moe", 48, 2048, 32, 4, 6144, 151936, head_dim=128, num_experts=128, num_experts_per_tok=8,
        moe_intermediate_size=768, tie_word_embeddings=False,
    ),
    "internvl3_1b": {
        "model_type": "internvl_chat",
        "llm_config": text("qwen2", 24, 896, 14, 2, 4864, 151674, tie_word_embeddings=False),
        "vision_config": INTERNVIT,
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "max_dynamic_patch": 12,
        "use_thumbnail": True,
        "force_image_size": 448,
    },
    "qwen2_5_vl_7b": {
        **text("qwen2_5_vl", 28, 3584, 28, 4, 18944, 152064, tie_word_embeddings=False, use_sliding_window=False,
               sliding_window=32768),
        "vision_config": QWEN25_EYE,
    },
    "qwen3_vl_8b": {
        "model_type": "qwen3_vl",
        "tie_word_embeddings": False,
        "text_config": text("qwen3_vl_text", 36, 4096, 32, 8, 12288, 151936, head_dim=128),
        "vision_config": QWEN3_EYE,
    },
    "qwen3_5_9b": {
        "model_type": "qwen3_5",
        "tie_word_embeddings": False,
        "text_config": text("qwen3_5_text", 32, 4096, 16, 4, 12288, 248320, **DELTA),
        "vision_config": {**QWEN3_EYE, "deepstack_visual_indexes": []},
    },
}  # fmt: skip


def shapes(card: ArchitectureCard) -> ArchitectureCard:
    return replace(card, name="", description="", aliases=(), provenance="", unconfirmed=(), published_parameters=None)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_configuration_gives_the_shipped_card(name: str) -> None:
    assert shapes(architecture_from_hf(CONFIGS[name])) == shapes(load_card("architecture", name))


def test_internvl_of_transformers_itself() -> None:
    """The ``-hf`` checkpoints spell sizes as pairs and biases as ``attention_bias``."""
    eye = {
        key: INTERNVIT[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    }
    eye |= {"image_size": [448, 448], "patch_size": [14, 14], "attention_bias": True, "norm_type": "layer_norm"}
    config = {
        "model_type": "internvl",
        "text_config": text("qwen2", 24, 896, 14, 2, 4864, 151674),
        "vision_config": eye,
        "downsample_ratio": 0.5,
    }
    assert shapes(architecture_from_hf(config)) == shapes(load_card("architecture", "internvl3_1b"))


def test_unknown_families_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="'mamba2'"):
        architecture_from_hf({"model_type": "mamba2", "num_hidden_layers": 2, "hidden_size": 8, "vocab_size": 9})
    with pytest.raises(UnsupportedError, match="vision-language models of type 'mllama'"):
        architecture_from_hf({"model_type": "mllama", "text_config": CONFIGS["llama3_2_1b"], "vision_config": {}, }
                             | {"vision_config": {"depth": 1}})  # fmt: skip


def test_missing_entries_are_named() -> None:
    config = {key: value for key, value in CONFIGS["qwen3_8b"].items() if key != "intermediate_size"}
    with pytest.raises(ParameterError, match="lacks intermediate_size"):
        architecture_from_hf(config)
