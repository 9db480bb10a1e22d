"""A chain of prunings and roundings on one card, and an agent that is priced by it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_compress_samples import PICTURED
from test_compress_trainer import TINY, TOKENIZER

from simdrive.agents.vlm import Vlm
from simdrive.compress.charge import charge_on, compounded, quantized_charge, regrown
from simdrive.compress.prune.cutting import cut_to, sizes_of
from simdrive.compress.prune.scores import magnitude
from simdrive.compress.prune.settings import Sizes
from simdrive.compress.prune.shares import shares_left
from simdrive.compress.quant.layout import group_of, linears
from simdrive.models.build import build_model
from simdrive.models.folder import load_model, save_model
from simdrive.models.int_codes import symmetric_scale
from simdrive.models.processor import Processor
from simdrive.models.quant_spec import QuantSpec
from simdrive.models.quantized import quantized
from simdrive.models.quantized_folder import Quantization


def test_shares_multiply_along_a_chain() -> None:
    first = {"keep_layers": 0.5, "keep_heads": 0.75}
    assert compounded(first, {"keep_layers": 0.5, "keep_feedforward": 0.8}) == {
        "keep_layers": 0.25, "keep_heads": 0.75, "keep_feedforward": 0.8,
    }  # fmt: skip
    assert compounded({}, first) == first
    assert regrown(first, 0) == first
    assert regrown(first, 8) == {"keep_heads": 0.75}


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_a_pruned_model_that_is_quantized_reloads_and_is_priced_as_what_is_left(tmp_path: Path, family: str) -> None:
    shape = replace(TINY, family=family, text_layers=3)  # type: ignore[arg-type]
    model = build_model(shape, TOKENIZER, 3)
    processor = Processor.of(shape, PICTURED.cameras, PICTURED.frame_offsets_us)
    before = sizes_of(model)
    cut_to(model, magnitude(model), Sizes(2, 2, 1, 24, 1, 1, 8))
    shares = shares_left(before, sizes_of(model))
    save_model(tmp_path / "pruned", model, TOKENIZER, processor, "pruned", dtype=torch.float32, data={"charge": shares})
    loaded = load_model(tmp_path / "pruned")
    spec = QuantSpec(8)
    chosen = [name for name in linears(loaded.model) if group_of(name) in ("attention", "feedforward")]
    for name in chosen:
        linear: Any = loaded.model.get_submodule(name)
        loaded.model.set_submodule(name, quantized(linear, spec, symmetric_scale(linear.weight.detach(), 8, 0)))
    data = {"charge": quantized_charge(charge_on(loaded.card), loaded.model)}
    done = Quantization(dict.fromkeys(chosen, spec))
    save_model(
        tmp_path / "both", loaded.model, TOKENIZER, processor, "both", dtype=torch.float32, quantization=done, data=data
    )
    again = load_model(tmp_path / "both")
    ids = torch.tensor([[5, 6, 7, 8]])
    mine, other = (one.model.language_model(ids).last_hidden_state for one in (loaded.model, again.model))
    assert torch.equal(mine, other)
    # Widths that pruning leaves need not be those that the integer kernels take.
    ways = {name: again.model.get_submodule(name).runs_on for name in chosen}
    assert ways["model.language_model.layers.0.mlp.down_proj"] == "dequantized"  # 24 columns
    assert ways["model.language_model.layers.0.self_attn.o_proj"] == "dequantized"  # 16 columns
    assert ways["model.language_model.layers.0.self_attn.q_proj"] == "int8 weight"  # 32 columns
    layers = again.model.model.language_model.layers
    assert [(layer.mlp.down_proj.in_features, layer.self_attn.o_proj.in_features) for layer in layers] == [(24, 16)] * 2
    charge = Vlm(str(tmp_path / "both"), charge={"architecture": "internvl3_1b"}).charge
    assert (charge.architecture, charge.precision) == ("internvl3_1b", "w8a16")
    assert (charge.keep_layers, charge.keep_feedforward) == (2 / 3, 0.5)
    bits = dict(charge.bits)
    assert bits["vision"] == bits["projector"] == 16.0
    assert 8.0 < bits["attention"] < 9.0  # a scale of 16 bits for each row of 32 or 16 weights
    assert 8.0 < bits["feedforward"] < 9.0
    plain = Vlm(str(tmp_path / "both"), charge={"architecture": "internvl3_1b", "precision": "w16a16"}).charge
    assert (plain.precision, plain.bits, plain.keep_layers) == ("w16a16", (), 2 / 3)


def test_inputs_are_those_of_the_narrowest_maps() -> None:
    """A runtime has kernels for 4-bit weights with 16-bit inputs beside 8-bit ones with 8-bit inputs, none for ``w4a8``."""
    model: Any = build_model(TINY, TOKENIZER, 3)
    for name in [name for name in linears(model) if group_of(name) in ("attention", "feedforward")]:
        linear = model.get_submodule(name)
        four = group_of(name) == "feedforward"
        spec = QuantSpec(4) if four else QuantSpec(8, activation="dynamic")
        scale = symmetric_scale(linear.weight.detach(), spec.bits, 0)
        model.set_submodule(name, quantized(linear, spec, scale))
    assert quantized_charge({}, model)["precision"] == "w4a16"
