"""FLOPs three ways: from a card, from a Hugging Face configuration, counted on the module itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from simdrive.errors import UnsupportedError  # noqa: E402
from simdrive.latency.architecture import ArchitectureCard, architecture_card  # noqa: E402
from simdrive.latency.hf_config import architecture_from_hf  # noqa: E402
from simdrive.latency.language_cost import prefill_operators  # noqa: E402
from simdrive.latency.operators import total_flops  # noqa: E402
from simdrive.latency.tiling import PictureLoad  # noqa: E402
from simdrive.latency.vision_cost import vision_operators  # noqa: E402
from simdrive.models.flops import count_flops  # noqa: E402

SIDE, IMAGE_TOKEN, VOCABULARY, TEXT = 112, 5, 512, 40
PATCHES = (SIDE // 14) ** 2
LANGUAGE = {"width": 128, "vocabulary": VOCABULARY, "tied": True}


@dataclass(frozen=True)
class Case:
    """A module with inputs, and the card that a person would write for it."""

    module: Any
    inputs: dict[str, Any]
    card: ArchitectureCard


def text_config(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "model_type": kind, "vocab_size": VOCABULARY, "hidden_size": 128, "num_hidden_layers": 3,
        "intermediate_size": 352, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        "tie_word_embeddings": True, **more,
    }  # fmt: skip


def prompt(image_tokens: int, around: tuple[int, ...] = ()) -> Any:
    image = [IMAGE_TOKEN] * image_tokens
    words = [10 + index for index in range(TEXT - len(around))]
    return torch.tensor([[*around[:1], *image, *around[1:], *words]])


def blocks(count: int = 3) -> list[dict[str, Any]]:
    attention = {"heads": 4, "kv_heads": 2, "head_dim": 32, "qkv_bias": True}
    return [{"count": count, "attention": attention, "feedforward": {"width": 352}}]


def internvl() -> Case:
    from transformers import InternVLConfig, InternVLForConditionalGeneration

    config = InternVLConfig(
        text_config=text_config("qwen2"),
        vision_config={"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256,
                       "image_size": [SIDE, SIDE], "patch_size": [14, 14]},
        image_token_id=IMAGE_TOKEN, image_seq_length=PATCHES // 4, downsample_ratio=0.5, tie_word_embeddings=True,
    )  # fmt: skip
    ids = prompt(PATCHES // 4)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": torch.zeros(1, 3, SIDE, SIDE)}
    vision = {"width": 64, "layers": 2, "heads": 4, "mlp_width": 256, "patch_values": 588, "class_tokens": 1}
    projector = {"input_width": 256, "hidden_width": 128, "output_width": 128}
    tiling = {"tiles": {"tile": SIDE, "most": 1}}
    card = architecture_card("tiny_internvl", {**LANGUAGE, "blocks": blocks()}, vision, projector, tiling)
    module: Any = InternVLForConditionalGeneration(config)
    return Case(module.eval(), inputs, card)


def qwen() -> Case:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]}
    config = Qwen2_5_VLConfig(
        text_config=text_config("qwen2_5_vl_text", rope_parameters=rope),
        vision_config={"depth": 3, "hidden_size": 64, "num_heads": 4, "intermediate_size": 160, "out_hidden_size": 128,
                       "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 56,
                       "fullatt_block_indexes": [2]},
        image_token_id=IMAGE_TOKEN, vision_start_token_id=6, vision_end_token_id=7, video_token_id=8,
        tie_word_embeddings=True,
    )  # fmt: skip
    ids = prompt(PATCHES // 4, (6, 7))
    inputs = {
        "input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": torch.zeros(PATCHES, 1176),
        "image_grid_thw": torch.tensor([[1, SIDE // 14, SIDE // 14]]), "mm_token_type_ids": (ids == IMAGE_TOKEN).long(),
    }  # fmt: skip
    vision = {"width": 64, "layers": 3, "heads": 4, "mlp_width": 160, "patch_values": 1176, "gated": True,
              "norm_vectors": 1, "patch_bias": False, "window_patches": 16, "full_layers": 1}  # fmt: skip
    projector = {"input_width": 256, "hidden_width": 256, "output_width": 128}
    card = architecture_card("tiny_qwen", {**LANGUAGE, "blocks": blocks()}, vision, projector, {"grid": {"patch": 14}})
    module: Any = Qwen2_5_VLForConditionalGeneration(config)
    return Case(module.eval(), inputs, card)


CASES = {"internvl": internvl, "qwen2_5_vl": qwen}


def card_flops(card: ArchitectureCard, tokens: int, causal: bool = False) -> float:
    load = PictureLoad(1, PATCHES, PATCHES // 4, SIDE * SIDE)
    operators = (*vision_operators(card, load), *prefill_operators(card, tokens, causal=causal))
    return float(total_flops(operators))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_card_configuration_and_module_agree_within_two_percent(name: str, attention: str) -> None:
    case = CASES[name]()
    case.module.set_attn_implementation(attention)
    tokens = case.inputs["input_ids"].shape[1]
    counted = count_flops(lambda: case.module(**case.inputs, logits_to_keep=1)).total
    from_config = card_flops(architecture_from_hf(case.module.config.to_dict()), tokens)
    assert card_flops(case.card, tokens) == from_config
    assert counted == pytest.approx(from_config, rel=0.02)
    # The causal half of the square is far enough away that a wrong count of attention would show.
    assert from_config - card_flops(case.card, tokens, causal=True) > 0.01 * from_config


@pytest.mark.parametrize("name", CASES)
def test_parameters_of_the_configuration_are_those_of_the_module(name: str) -> None:
    module = CASES[name]().module
    stored = sum(parameter.numel() for parameter in module.parameters())
    assert architecture_from_hf(module.config.to_dict()).parameters() == pytest.approx(stored, rel=0.005)


def test_fused_attention_and_integer_products_count() -> None:
    query, key = torch.zeros(2, 3, 5, 8), torch.zeros(2, 3, 7, 8)
    attention = torch.nn.functional.scaled_dot_product_attention
    assert count_flops(lambda: attention(query, key, key)).total == 4 * 2 * 3 * 5 * 7 * 8
    left, right = torch.zeros(32, 16, dtype=torch.int8), torch.zeros(16, 24, dtype=torch.int8)
    counted = count_flops(lambda: torch._int_mm(left, right))
    assert (counted.total, counted.by_operator) == (2 * 32 * 16 * 24, {"aten._int_mm": 2 * 32 * 16 * 24})


def test_a_product_without_a_formula_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no FLOP formula for aten.dot"):
        count_flops(lambda: torch.dot(torch.ones(3), torch.ones(3)))
