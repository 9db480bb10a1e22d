"""A pruned model says what the whole one says with the removed parts silenced, and comes back from disk as it was."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from model_kit import TINY, save_tiny, tiny_tokenizer

from simdrive.errors import ParameterError, UnsupportedError
from simdrive.models.anatomy import TEXT, VISION, layers_of
from simdrive.models.build import build_model
from simdrive.models.folder import ModelFolderError, load_model, save_model
from simdrive.models.headcount import PLAN, plan_of
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.models.surgery import keep_heads, keep_inner, keep_layers, settle
from simdrive.types import CameraSpec

FAMILIES = ["internvl", "qwen2_5_vl"]
SHAPE = {**vars(TINY), "text_width": 64, "text_heads": 8, "text_layers": 4, "vision_width": 32, "vision_heads": 4,
         "vision_layers": 3}  # fmt: skip
QUERIES, GROUPS, EYES = (1, 2, 6, 7), (0, 1), (0, 3)
INNER, SEEN = tuple(range(3, 35)), (0, *range(8, 23))


def model_of(family: str, **more: Any) -> Any:
    model = build_model(VlmShape(**{**SHAPE, "family": family, **more}), tiny_tokenizer(), seed=5).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "bias" in name:
                value.normal_(generator=torch.Generator().manual_seed(value.numel()))
            elif value.ndim > 1 and "embed" not in name and "lm_head" not in name:
                value.mul_(5.0)
    return model


def inputs(model: Any) -> dict[str, Any]:
    rng = torch.Generator().manual_seed(0)
    image = [model.config.image_token_id] * 8
    ids = torch.tensor([[*image, 20, 30, 40, 50], [*image, 60, 70, 80, 90]])
    if hasattr(model.model, "vision_tower"):
        return {"input_ids": ids, "pixel_values": torch.randn(4, 6, 32, 32, generator=rng)}
    grid = torch.tensor([[1, 4, 8], [1, 4, 8]])
    places = (ids == model.config.image_token_id).long()
    values = torch.randn(64, 3 * 2 * 8 * 8, generator=rng)
    return {"input_ids": ids, "pixel_values": values, "image_grid_thw": grid, "mm_token_type_ids": places}


@torch.no_grad()
def said(model: Any) -> torch.Tensor:
    found: torch.Tensor = model(**inputs(model)).logits
    return found


def silence(linear: Any, columns: set[int]) -> None:
    linear.weight.data[:, sorted(columns)] = 0.0


def masked(model: Any) -> Any:
    """The whole model with the outputs of what is not kept at zero, made without the code under test."""
    dense = copy.deepcopy(model)
    internvl = hasattr(dense.model, "vision_tower")
    for layer in dense.model.language_model.layers:
        silence(layer.self_attn.o_proj, {h * 8 + k for h in range(8) if h not in QUERIES for k in range(8)})
        silence(layer.mlp.down_proj, set(range(48)) - set(INNER))
    for layer in dense.model.vision_tower.encoder.layer if internvl else dense.model.visual.blocks:
        out = layer.attention.projection_layer if internvl else layer.attn.proj
        silence(out, {h * 8 + k for h in range(4) if h not in EYES for k in range(8)})
        silence(layer.mlp.fc2 if internvl else layer.mlp.down_proj, set(range(32)) - set(SEEN))
    for layer in (dense.model.language_model.layers[k] for k in (0, 2)):
        for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
            linear.weight.data.zero_()
    gone = dense.model.vision_tower.encoder.layer[1] if internvl else dense.model.visual.blocks[1]
    for linear in (gone.attention.projection_layer, gone.mlp.fc2) if internvl else (gone.attn.proj, gone.mlp.down_proj):
        linear.weight.data.zero_()
        linear.bias.data.zero_()
    return dense


def pruned(model: Any) -> Any:
    small = copy.deepcopy(model)
    for layer in layers_of(small, TEXT):
        keep_heads(layer, QUERIES, GROUPS)
        keep_inner(layer, INNER)
    for layer in layers_of(small, VISION):
        keep_heads(layer, EYES, EYES)
        keep_inner(layer, SEEN)
    keep_layers(small, TEXT, (1, 3))
    keep_layers(small, VISION, (0, 2))
    settle(small)
    return small


@pytest.mark.parametrize("family", FAMILIES)
def test_pruned_equals_masked_dense_and_reloads_exactly(family: str, tmp_path: Path) -> None:
    whole = model_of(family)
    small, dense = pruned(whole), masked(whole)
    assert (said(small) - said(dense)).abs().max() < 1e-5
    assert (said(small) - said(whole)).abs().max() > 1e-2
    assert sum(p.numel() for p in small.parameters()) < 0.65 * sum(p.numel() for p in whole.parameters())
    processor = Processor.of(VlmShape(**{**SHAPE, "family": family}), [CameraSpec("front", 64, 32)])
    card = save_model(tmp_path, small, tiny_tokenizer(), processor, "small", dtype=torch.float32)
    again = load_model(tmp_path)
    assert torch.equal(said(again.model), said(small))
    weights, expected = again.model.state_dict(), small.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    buffers = dict(small.named_buffers())
    assert all(torch.equal(value, buffers[name]) for name, value in again.model.named_buffers())
    assert card.parameters == sum(p.numel() for p in small.parameters())
    ids = inputs(small)["input_ids"]
    reloaded: Any = again.model
    assert reloaded.generate(**inputs(small), max_new_tokens=3, do_sample=False).shape[1] == ids.shape[1] + 3


@pytest.mark.parametrize("family", FAMILIES)
def test_bf16_folders_come_back_exactly_too(family: str, tmp_path: Path) -> None:
    small = pruned(model_of(family))
    processor = Processor.of(VlmShape(**{**SHAPE, "family": family}), [CameraSpec("front", 64, 32)])
    save_model(tmp_path, small, tiny_tokenizer(), processor, "small")
    wide, narrow = load_model(tmp_path).model, load_model(tmp_path, dtype=torch.bfloat16).model
    for name, value in small.named_parameters():
        assert torch.equal(wide.get_parameter(name), value.bfloat16().float()), name
        assert torch.equal(narrow.get_parameter(name), value.bfloat16()), name
    for name, buffer in small.named_buffers():  # rotary frequencies stay fp32
        assert torch.equal(narrow.get_buffer(name), buffer), name


def test_a_plan_is_written_only_where_the_configuration_cannot_say_it(tmp_path: Path) -> None:
    assert plan_of(model_of("internvl")) == plan_of(model_of("qwen2_5_vl")) == {}
    small = model_of("internvl")
    for layer in layers_of(small, TEXT):
        keep_heads(layer, QUERIES, GROUPS)
    for layer in layers_of(small, VISION):
        keep_inner(layer, SEEN)
    settle(small)
    assert plan_of(small) == {}
    processor = Processor.of(VlmShape(**SHAPE), [CameraSpec("front", 64, 32)])
    save_model(tmp_path, small, tiny_tokenizer(), processor, "small", dtype=torch.float32)
    assert not (tmp_path / PLAN).exists()
    plain: Any = type(small)
    assert torch.equal(said(plain.from_pretrained(tmp_path)), said(small))  # no code of ours
    assert plan_of(pruned(model_of("qwen2_5_vl"))) == {
        "text": {"heads": 4, "kv_heads": 2}, "vision": {"heads": 2, "kv_heads": 2},
    }  # fmt: skip


def test_whole_groups_can_go() -> None:
    whole = model_of("internvl")
    small, dense = copy.deepcopy(whole), copy.deepcopy(whole)
    for layer in layers_of(small, TEXT):
        keep_heads(layer, (5, 7), (1,))
    settle(small)
    for layer in dense.model.language_model.layers:
        silence(layer.self_attn.o_proj, {h * 8 + k for h in (0, 1, 2, 3, 4, 6) for k in range(8)})
    assert (said(small) - said(dense)).abs().max() < 1e-5
    assert small.model.language_model.layers[0].self_attn.k_proj.weight.shape == (8, 64)


def test_what_cannot_be_cut_is_refused() -> None:
    model = model_of("internvl")
    first, eye = layers_of(model, TEXT)[0], layers_of(model, VISION)[0]
    with pytest.raises(ParameterError, match=r"equally many query heads, got \[2, 1\]"):
        keep_heads(first, (0, 1, 5), (0, 1))
    with pytest.raises(ParameterError, match="query heads of text.0 to keep must be some of 0 to 7"):
        keep_heads(first, (), ())
    with pytest.raises(ParameterError, match="0 to 31"):
        keep_inner(eye, (32,))
    with pytest.raises(ParameterError, match="vision layers to keep must be some of 0 to 2"):
        keep_layers(model, VISION, ())
    with pytest.raises(ParameterError, match="text layers"):
        keep_layers(model, TEXT, (0, 4))
    keep_inner(first, range(8))
    with pytest.raises(UnsupportedError, match="cut all layers of a part alike"):
        settle(model)
    eye.attention.q_norm = torch.nn.LayerNorm(32)
    with pytest.raises(UnsupportedError, match="across its heads"):
        keep_heads(eye, (0,), (0,))
    model.config.vision_feature_layer = -2
    with pytest.raises(UnsupportedError, match="feature layer -1"):
        keep_layers(model, VISION, (0, 1))
    model.model.language_model.layers[1].mlp.down_proj = torch.nn.Identity()
    with pytest.raises(UnsupportedError, match="prune before quantizing"):
        layers_of(model, TEXT)


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    for content, text in (
        ("nonsense", "no plan of head counts"),
        (json.dumps({"vision": {"heads": 9, "kv_heads": 9}}), "cannot be cut to 9"),
        (json.dumps({"nose": {"heads": 1, "kv_heads": 1}}), "for text and vision"),
        (json.dumps({"vision": {"heads": 1, "kv_heads": 1}}), "does not fit"),
    ):
        (tmp_path / PLAN).write_text(content)
        with pytest.raises(ModelFolderError, match=text):
            load_model(tmp_path)
