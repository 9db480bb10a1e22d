"""An architecture card from any Hugging Face ``config.json`` of the families that simdrive prices.

Llama, Qwen2, Qwen3 and their mixtures of experts, alone or behind the towers of InternVL, Qwen2.5-VL and
Qwen3-VL. Other layouts are refused by name: a wrong card would price silently wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simdrive.errors import ParameterError, UnsupportedError
from simdrive.latency.architecture import ArchitectureCard, LanguageModel, Projector, VisionTower
from simdrive.latency.layers import Attention, Block, Experts, Feedforward, GatedDelta
from simdrive.latency.tiling import DynamicTiles, NativeGrid

Config = Mapping[str, Any]

DENSE = ("llama", "mistral", "qwen2", "qwen3", "qwen2_5_vl", "qwen2_5_vl_text", "qwen3_vl", "qwen3_vl_text")
MIXED = ("qwen3_moe", "qwen3_vl_moe", "qwen3_vl_moe_text")
HYBRID = ("qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text")
INTERNVL = ("internvl_chat", "internvl")
QWEN_VL = ("qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe")


def _need(config: Config, *names: str) -> int:
    """Return the first of several spellings of a whole number."""
    for name in names:
        if config.get(name) is not None:
            return int(config[name])
    raise ParameterError(f"the configuration lacks {' / '.join(names)}; it has {', '.join(sorted(config))}")


def _attention(text: Config) -> Attention:
    kind, heads = str(text.get("model_type", "")), _need(text, "num_attention_heads")
    window = text.get("sliding_window") if text.get("use_sliding_window", kind == "mistral") else None
    return Attention(
        heads=heads,
        kv_heads=int(text.get("num_key_value_heads") or heads),
        head_dim=int(text.get("head_dim") or _need(text, "hidden_size") // heads),
        qkv_bias=bool(text.get("attention_bias", kind.startswith("qwen2"))),
        output_bias=bool(text.get("attention_bias", False)),
        qk_norm=kind.startswith("qwen3"),
        gate=bool(text.get("attn_output_gate", kind in HYBRID)),
        window=int(window or 0),
    )


def _feedforward(text: Config) -> Feedforward | Experts:
    if not text.get("num_experts"):
        return Feedforward(_need(text, "intermediate_size"), bias=bool(text.get("mlp_bias", False)))
    if int(text.get("decoder_sparse_step") or 1) != 1 or text.get("mlp_only_layers"):
        raise UnsupportedError("experts in some layers only have no card; only models with experts in all layers have")
    shared = int(text.get("shared_expert_intermediate_size") or 0)
    active, width = _need(text, "num_experts_per_tok"), _need(text, "moe_intermediate_size")
    return Experts(_need(text, "num_experts"), active, width, shared_width=shared, shared_gate=shared > 0)


def _hybrid_blocks(text: Config, layers: int) -> tuple[Block, ...]:
    every = int(text.get("full_attention_interval") or 4)
    kinds = text.get("layer_types") or [
        "full_attention" if (index + 1) % every == 0 else "linear_attention" for index in range(layers)
    ]
    full = sum(kind == "full_attention" for kind in kinds)
    delta = GatedDelta(
        key_heads=_need(text, "linear_num_key_heads"),
        value_heads=_need(text, "linear_num_value_heads"),
        key_dim=_need(text, "linear_key_head_dim"),
        value_dim=_need(text, "linear_value_head_dim"),
        kernel=_need(text, "linear_conv_kernel_dim"),
    )
    feedforward = _feedforward(text)
    parts = ((layers - full, delta), (full, _attention(text)))
    return tuple(Block(count, mixer, feedforward) for count, mixer in parts if count)


def _language(text: Config, tied: bool) -> LanguageModel:
    kind, layers = str(text.get("model_type", "")), _need(text, "num_hidden_layers")
    if kind in HYBRID:
        blocks = _hybrid_blocks(text, layers)
    elif kind in DENSE or kind in MIXED:
        blocks = (Block(layers, _attention(text), _feedforward(text)),)
    else:
        known = ", ".join(sorted({*DENSE, *MIXED, *HYBRID}))
        raise UnsupportedError(f"no card for language models of type {kind!r}; known types are {known}")
    return LanguageModel(_need(text, "hidden_size"), _need(text, "vocab_size"), tied, blocks)


def _side(value: Any) -> int:
    """Return one side of a size that some files give as a pair."""
    return int(value[0] if isinstance(value, list | tuple) else value)


def _internvl(config: Config, language: LanguageModel, name: str) -> ArchitectureCard:
    eye, native = config["vision_config"], config.get("model_type") == "internvl"
    width, patch = _need(eye, "hidden_size"), _side(eye.get("patch_size", 14))
    tile = _side(config.get("force_image_size") or eye.get("image_size", 448))
    qk_norm = bool(eye.get("use_qk_norm" if native else "qk_normalization", False))
    positions = (_side(eye.get("image_size", tile)) // patch) ** 2 + 1
    tower = VisionTower(
        width=width,
        layers=_need(eye, "num_hidden_layers"),
        heads=_need(eye, "num_attention_heads"),
        mlp_width=_need(eye, "intermediate_size"),
        patch_values=int(eye.get("num_channels") or 3) * patch**2,
        class_tokens=1,
        positions=positions,
        norm_vectors=1 if eye.get("norm_type") == "rms_norm" else 2,
        layer_vectors=4 if qk_norm else 2,
        qkv_bias=bool(eye.get("attention_bias" if native else "qkv_bias", True)),
    )
    merge = round(1.0 / float(config.get("downsample_ratio", 0.5)) ** 2)
    most = int(config.get("max_dynamic_patch") or 12) if config.get("dynamic_image_size", True) else 1
    tiles = DynamicTiles(
        tile, patch, merge, int(config.get("min_dynamic_patch") or 1), most, bool(config.get("use_thumbnail", True))
    )
    inner = merge * width
    projector = Projector(inner, language.width, language.width, norm_parameters=2 * inner)
    return ArchitectureCard(name, language, tower, projector, tiles, provenance="config.json given by the user")


def _qwen_vl(config: Config, language: LanguageModel, name: str) -> ArchitectureCard:
    eye, old = config["vision_config"], str(config.get("model_type")) == "qwen2_5_vl"
    width, side = _need(eye, "hidden_size"), int(eye.get("spatial_merge_size", 2))
    patch = _need(eye, "patch_size")
    tower = VisionTower(
        width=width,
        layers=_need(eye, "depth"),
        heads=_need(eye, "num_heads"),
        mlp_width=_need(eye, "intermediate_size"),
        patch_values=3 * int(eye.get("temporal_patch_size", 2)) * patch**2,
        gated=old,
        positions=0 if old else int(eye.get("num_position_embeddings", 0)),
        norm_vectors=1 if old else 2,
        patch_bias=not old,
        window_patches=(int(eye.get("window_size", 0)) // patch) ** 2 if old else 0,
        full_layers=len(eye.get("fullatt_block_indexes", ())) if old else 0,
    )
    deep, inner = len(eye.get("deepstack_visual_indexes") or ()), side**2 * width
    norms = width if old else 2 * width + deep * 2 * inner
    projector = Projector(inner, inner, language.width, copies=1 + deep, norm_parameters=norms)
    # Pixel limits live in the processor's file, not in config.json: those of the published checkpoints.
    limits = (3136, 12845056) if old else (65536, 16777216)
    grid = NativeGrid(patch, side**2, *limits)
    return ArchitectureCard(name, language, tower, projector, grid, provenance="config.json given by the user")


def _planned(text: Config, counts: Config | None) -> dict[str, int]:
    """Return what a plan changes of a language model: fewer heads of the same width."""
    if not counts:
        return {}
    width = int(text.get("head_dim") or _need(text, "hidden_size") // _need(text, "num_attention_heads"))
    heads = {"num_attention_heads": int(counts["heads"]), "num_key_value_heads": int(counts["kv_heads"])}
    return {**heads, "head_dim": width}


def _with_heads(card: ArchitectureCard, counts: Config | None) -> ArchitectureCard:
    tower = card.vision
    if not counts or tower is None:
        return card
    heads = int(counts["heads"])
    return replace(card, vision=replace(tower, heads=heads, attention_width=heads * tower.width // tower.heads))


def architecture_from_hf(config: Config, name: str = "from_config", plan: Config | None = None) -> ArchitectureCard:
    """Return the card of a model from the contents of its ``config.json``.

    Args:
        config: the whole file as a mapping.
        name: name of the card.
        plan: content of ``prune_plan.json``, head counts that the configuration could not say; None = there is none.

    Raises:
        UnsupportedError: if the family has no card.
        ParameterError: if a needed entry is missing.
    """
    kind = str(config.get("model_type", ""))
    inner = config.get("text_config") or config.get("llm_config")
    text = {"model_type": kind, **(inner or config), **_planned(inner or config, (plan or {}).get("text"))}
    # Qwen-VL classes read the outer flag, InternVL hands its inner configuration to the language model.
    outer, own = config.get("tie_word_embeddings"), text.get("tie_word_embeddings")
    first, second = (own, outer) if kind in INTERNVL else (outer, own)
    tied = bool(first if first is not None else second)
    language = _language(text, tied)
    if kind in INTERNVL:
        return _with_heads(_internvl(config, language, name), (plan or {}).get("vision"))
    if kind in QWEN_VL and config.get("vision_config"):
        return _with_heads(_qwen_vl(config, language, name), (plan or {}).get("vision"))
    if config.get("vision_config"):
        known = ", ".join((*INTERNVL, *QWEN_VL))
        raise UnsupportedError(f"no card for vision-language models of type {kind!r}; known types are {known}")
    return ArchitectureCard(name, language, provenance="config.json given by the user")
