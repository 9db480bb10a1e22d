"""Training with rounding in it, bits chosen against a chip, and the stage of a recipe."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from quant_kit import copied, noise, ready, saved
from test_compress_samples import PICTURED, rows
from torch import nn

from simdrive.compress.quant.agreement import divergence, exact_logits
from simdrive.compress.quant.layout import bits_by_layer
from simdrive.compress.quant.mixed import Option, choose, parts_of, sensitivity
from simdrive.compress.quant.part_price import Request, Target, part_bytes, part_seconds
from simdrive.compress.quant.qat import FakeQuantLinear, Imitation, make_integer, make_trainable
from simdrive.compress.quant.rounding import Rounding, prepare, round_all, specs_of
from simdrive.compress.recipe import Stage, load_recipe, run_recipe
from simdrive.compress.samples import write_shard
from simdrive.compress.settings import TrainSettings
from simdrive.compress.trainer import Trainer
from simdrive.errors import ParameterError, RunFolderError, UnknownNameError
from simdrive.models.folder import load_model, read_card
from simdrive.models.int_codes import symmetric_scale, zero_scale
from simdrive.models.local import LocalModel
from simdrive.models.quant_spec import QuantSpec
from simdrive.models.quantized import QuantizedLinear, quantized
from simdrive.models.quantized_folder import quantization_of


@pytest.mark.parametrize("spec", [QuantSpec(4, 16, True), QuantSpec(8, activation="dynamic"), QuantSpec(8, activation="static"),
                                  QuantSpec(8, activation="dynamic", high=2)])  # fmt: skip
def test_fake_and_integer_maps_are_the_same_function(spec: QuantSpec) -> None:
    linear = nn.Linear(32, 16)
    weight, high = linear.weight.detach(), torch.tensor([3, 30]) if spec.high else None
    scale, zero = (
        zero_scale(weight, spec.group) if spec.zero else (symmetric_scale(weight, spec.bits, spec.group), None)
    )
    integer = quantized(linear, spec, scale, zero, input_scale=0.02, high=high)
    fake = FakeQuantLinear(linear, spec, integer)
    x = noise(40, 32)  # more rows than the weight-only kernels take: nothing is rounded to bfloat16
    assert torch.allclose(fake(x), integer(x), atol=2e-5)
    assert torch.allclose(fake.quantized()(x), integer(x), atol=1e-6)


def test_gradients_are_those_of_lsq() -> None:
    linear = nn.Linear(4, 1, bias=False)
    linear.weight.data = torch.tensor([[0.26, -0.4, 9.0, -9.0]])
    spec = QuantSpec(4)
    fake = FakeQuantLinear(linear, spec, quantized(linear, spec, torch.tensor([[0.5]])))
    fake(torch.ones(1, 4)).sum().backward()
    # Inside the range: round(w / s) - w / s; outside: the end of the range. Times s, since the logarithm is learned.
    inside = (1 - 0.52) + (-1 + 0.8)
    assert fake.scale.grad is not None
    assert fake.weight.grad is not None
    assert float(fake.scale.grad) == pytest.approx((inside + 7 - 7) * 0.5, rel=1e-3)
    assert fake.weight.grad.tolist() == [[1.0, 1.0, 0.0, 0.0]]  # straight through, but not beyond the ends


def four(model: Any, batches: Any) -> tuple[Any, Any]:
    """The model in 4 bits, and as it was before rounding."""
    how, bits = Rounding(group=0), bits_by_layer(model, {"attention": 4, "feedforward": 4, "projector": 4})
    specs = specs_of(model, bits, how)
    stats = prepare(model, specs, batches, how)
    exact = copy.deepcopy(model)
    round_all(model, specs, stats, batches, how)
    return model, exact


def test_training_recovers_what_rounding_lost(tmp_path: Path) -> None:
    loaded, samples, batches = ready(tmp_path)
    with torch.no_grad():
        words: Any = loaded.model.get_input_embeddings()
        words.weight.mul_(10.0)  # drawn weights say nothing for sure: let them
    model, exact = four(copied(loaded), batches)
    wanted = exact_logits(exact, batches)
    lost = divergence(exact_logits(model, batches[:1]), wanted[:1])
    integer = copy.deepcopy(model)
    make_trainable(model, exact)
    assert divergence(exact_logits(model, batches[:1]), wanted[:1]) == pytest.approx(lost, rel=0.2)
    settings = TrainSettings(steps=40, batch=4, learning_rate=1e-3, warmup=2, decay=30, weight_decay=0.0, augment=False,
                             save_every=100, lessons={"plan": 1.0})  # fmt: skip
    trainer = Trainer(model, loaded.tokenizer, loaded.processor, samples, settings, tmp_path / "out",
                      objective=lambda base, learner: Imitation(base, exact))  # fmt: skip
    trainer.run()
    model.eval()
    make_integer(model)
    assert not any(isinstance(part, FakeQuantLinear) for part in model.modules())
    assert divergence(exact_logits(model, batches[:1]), wanted[:1]) < 0.7 * lost
    moved = [not torch.equal(part.scale, integer.get_submodule(name).scale) for name, part in model.named_modules()
             if isinstance(part, QuantizedLinear)]  # fmt: skip
    assert all(moved)


def test_training_after_gptq_begins_where_gptq_ended(tmp_path: Path) -> None:
    loaded, _, batches = ready(tmp_path)
    model = copied(loaded)
    how, bits = Rounding(group=0, methods=("gptq",)), bits_by_layer(model, {"attention": 4, "feedforward": 4})
    specs = specs_of(model, bits, how)
    stats = prepare(model, specs, batches, how)
    exact = copy.deepcopy(model)
    round_all(model, specs, stats, batches, how)
    found, plain = copy.deepcopy(model), copy.deepcopy(model)
    make_trainable(found, exact, compensated=True)
    make_trainable(plain, exact)
    for each in (found, plain):
        make_integer(each)
    codes = {name: part.codes for name, part in model.named_modules() if isinstance(part, QuantizedLinear)}
    assert all(torch.equal(found.get_submodule(name).codes, value) for name, value in codes.items())
    assert not all(torch.equal(plain.get_submodule(name).codes, value) for name, value in codes.items())


def test_the_choice_of_bits_is_the_best_there_is() -> None:
    rng = torch.Generator().manual_seed(0)
    for budget in (1.5, 2.5, 4.0):
        options = {
            f"p{k}": [Option(b, float(torch.rand((), generator=rng)) * (16 - b), float(torch.rand((), generator=rng)) * b / 16)
                      for b in (16, 8, 4)] for k in range(6)
        }  # fmt: skip
        best = min(sum(o.loss for o in picked) for picked in itertools.product(*options.values())
                    if sum(o.cost for o in picked) <= budget)  # fmt: skip
        found = choose(options, budget)
        assert found.loss == pytest.approx(best)
        assert found.cost <= budget
    with pytest.raises(ParameterError, match=r"cannot be met: the best possible is .* s, with p0"):
        choose(options, 0.01)


def test_parts_are_priced_as_the_chip_runs_them() -> None:
    parts = [f"layers.{k}.{group}" for k in range(2) for group in ("attention", "feedforward")] + [
        "vision",
        "projector",
        "head",
    ]
    found = part_seconds(Target("agx_orin_64gb"), parts, Request())
    layer = found["layers.0.feedforward"]
    assert layer[16] > layer[8] > 0.0
    assert found["layers.0.feedforward"] == found["layers.1.feedforward"]
    long = part_seconds(Target("agx_orin_64gb"), parts, Request(output_tokens=200))["layers.0.feedforward"]
    assert long[16] / long[4] > layer[16] / layer[4]  # decode reads weights: there 4 bits pay most
    assert long[4] < long[8] < long[16]
    with pytest.raises(UnknownNameError, match="part"):
        part_seconds(Target("agx_orin_64gb"), ["layers.0.norm"], Request())
    assert part_bytes({"a": 1000}, group=64)["a"] == {16: 2000.0, 8: 1000.0, 4: 562.5}


def test_sensitivity_grows_with_fewer_bits(tmp_path: Path) -> None:
    loaded, _, batches = ready(tmp_path)
    parts = {
        name: row
        for name, row in parts_of(loaded.model).items()
        if name in ("layers.1.feedforward", "layers.0.attention")
    }
    how = Rounding(group=0)
    found = sensitivity(loaded.model, batches[:1], {8: how, 4: how}, parts)
    assert set(found) == set(parts)
    for row in found.values():
        assert row[16] == 0.0 < row[8] < row[4]


RECIPE = """
stages:
  - {stage: quantize, name: small, model: MODEL, data: [DATA], rows: 8, agree_rows: 4, group: 16, methods: [smoothquant, gptq],
     groups: {attention: 8, feedforward: 4, vision: 8}, activation: static, kv_bits: 8, layers: {"*.layers.0.mlp.*": 8}}
  - {stage: quantize, name: trained, model: MODEL, data: [DATA], rows: 8, agree_rows: 0, group: 0, methods: [],
     groups: {attention: 4}, qat: {steps: 2, batch: 2}}
"""


def recipe(folder: Path) -> str:
    model, data = saved(folder / "parent"), folder / "data"
    data.mkdir()
    made = [row | {"split": "validation" if k % 4 == 0 else "train"} for k, row in enumerate(rows(24))]
    write_shard(data / "a.parquet", made, PICTURED)
    path = folder / "small.yaml"
    path.write_text(RECIPE.replace("MODEL", str(model)).replace("DATA", str(data)))
    return str(path)


def test_a_recipe_makes_quantized_folders_that_answer(tmp_path: Path) -> None:
    name = recipe(tmp_path)
    said: list[str] = []
    stages = load_recipe(name)
    done = run_recipe(stages, tmp_path / "out", said.append)
    card = read_card(done[0].result)
    assert card.parents == ("tiny",)
    assert card.data["bits"] == {
        "attention": [8],
        "feedforward": [4, 8],
        "head": [16],
        "projector": [16],
        "vision": [8],
    }
    assert card.data["methods"] == ["smoothquant", "gptq"]
    assert card.data["bytes"] == (done[0].result / "model.safetensors").stat().st_size
    assert 0.0 <= card.scores["plans_as_parent"] <= 1.0
    found = quantization_of(done[0].result)
    assert found is not None
    assert found.kv_bits == 8
    loaded = load_model(done[0].result)
    assert loaded.model.kv_bits == 8
    assert LocalModel(loaded).wants.frame_offsets_us == PICTURED.frame_offsets_us
    assert read_card(done[1].result).data["qat"]["steps"] == 2
    state = json.loads((tmp_path / "out" / "trained" / "checkpoint" / "state.json").read_text())
    assert state["step"] == 2
    again: list[str] = []
    assert run_recipe(stages, tmp_path / "out", again.append) == done
    assert again == []
    with pytest.raises(RunFolderError, match="other settings"):
        run_recipe([Stage("quantize", "small", {**stages[0].settings, "group": 8})], tmp_path / "out", said.append)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mixed": {"budget_mb": 0.001}, "group": 8}, "cannot be met: the best possible is"),
        ({"mixed": {"budget_mb": 1.0, "budget_ms": 1.0}}, "one budget"),
        ({"kv_bits": 4}, "kv_bits"),
        ({"model": None}, "model names nothing"),
        ({"methods": ["gtpq"]}, "Did you mean 'gptq'"),
        ({"layers": {"*nothing*": 8}}, "unknown layer"),
        ({"groups": {"feedforward": 4}, "group": 20}, "do not divide into groups of 20"),
    ],
)
def test_a_stage_refuses_what_it_cannot_do(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    stages = load_recipe(recipe(tmp_path), {"small": change})
    with pytest.raises((ParameterError, UnknownNameError), match=text):
        run_recipe(stages[:1], tmp_path / "out", lambda line: None)


def test_a_budget_decides_over_the_bits(tmp_path: Path) -> None:
    name = recipe(tmp_path)
    whole = load_recipe(name, {"small": {"mixed": {"budget_mb": 0.055}, "group": 8, "layers": {}}})
    done = run_recipe(whole[:1], tmp_path / "out", lambda line: None)
    mixed = read_card(done[0].result).data["mixed"]
    assert mixed["cost"] <= 0.055e6
    assert set(mixed["bits"].values()) - {16}
