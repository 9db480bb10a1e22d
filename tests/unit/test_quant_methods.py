"""Quantization methods against hand-computed and naive ones, and against channels that stick out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quant_kit import copied, noise, ready
from torch import nn

from simdrive.compress.quant.agreement import divergence, exact_logits, same_tokens
from simdrive.compress.quant.calibrate import InputStats, calibration_batches, collect
from simdrive.compress.quant.gptq import gptq
from simdrive.compress.quant.layout import bits_by_layer, folds, linears
from simdrive.compress.quant.outliers import inject
from simdrive.compress.quant.protect import high_columns, match_temperature
from simdrive.compress.quant.ranges import Range, input_scale, weight_scale
from simdrive.compress.quant.rotation import rotate
from simdrive.compress.quant.rounding import Rounding, quantize
from simdrive.compress.quant.smooth import awq, smooth
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.int_codes import decode, encode
from simdrive.models.quant_spec import QuantSpec
from simdrive.models.quantized import QuantizedLinear

EIGHT = {"attention": 8, "feedforward": 8}


def stats_of(rows: torch.Tensor) -> InputStats:
    return InputStats(rows.abs().amax(0), rows.abs().mean(0), rows, torch.ones(len(rows)), rows.T @ rows / len(rows))


def test_ranges_by_hand() -> None:
    rows = torch.cat([torch.linspace(0.01, 1.0, 100)[:, None], torch.full((1, 1), -10.0)])
    seen = stats_of(rows)
    assert input_scale(seen, 8, Range()) == pytest.approx(10.0 / 127)
    assert input_scale(seen, 8, Range("percentile", 99.0)) == pytest.approx(1.0 / 127)
    assert input_scale(seen, 8, Range("mse")) == pytest.approx(10.0 / 127)  # cutting the spike costs more than it gains
    weight = torch.tensor([[1.0, 2.0, 3.0, 100.0]])
    spec = QuantSpec(8)
    assert weight_scale(weight, spec, Range())[0].item() == pytest.approx(100 / 127, rel=0.004)
    assert weight_scale(weight, spec, Range("percentile", 75.0))[0].item() == pytest.approx(3 / 127, rel=0.004)
    many = noise(8, 64)
    four = QuantSpec(4)
    errors = []
    for kind in ("minmax", "mse"):
        scale, _ = weight_scale(many, four, Range(kind))
        errors.append(float((decode(encode(many, scale, None, 4), scale, None) - many).square().sum()))
    assert errors[1] < 0.95 * errors[0]


def test_gptq_is_the_naive_recursion_and_beats_rounding() -> None:
    weight, rows = noise(6, 32), noise(200, 32, seed=1) @ noise(32, 32, seed=2)
    moment = rows.T @ rows / len(rows)
    for spec in (QuantSpec(4, 16, True), QuantSpec(4, 8), QuantSpec(8)):
        codes, scale, zero = gptq(weight, moment, spec, Range())
        found = decode(codes, scale, zero)
        left, hessian = (
            weight.double().clone(),
            moment.double() + torch.eye(32) * 0.01 * float(moment.diagonal().mean()),
        )
        one = QuantSpec(spec.bits, 0, spec.zero)
        grid: tuple[torch.Tensor, torch.Tensor | None] = (torch.empty(0), None)
        naive = torch.zeros_like(left)
        for column in range(32):
            if column % (spec.group or 32) == 0:
                grid = weight_scale(left[:, column : column + (spec.group or 32)].float(), one, Range())
            naive[:, column] = decode(encode(left[:, column : column + 1].float(), grid[0], grid[1], spec.bits), *grid)[
                :, 0
            ]
            inverse = torch.linalg.inv(hessian[column:, column:])  # of the columns not rounded yet
            error = (left[:, column] - naive[:, column]) / inverse[0, 0]
            left[:, column:] -= error[:, None] * inverse[0]
        assert torch.allclose(found.double(), naive, atol=1e-5)
        scale, zero = weight_scale(weight, spec, Range())
        nearest = decode(encode(weight, scale, zero, spec.bits), scale, zero)
        loss = [float(((w - weight) @ moment * (w - weight)).sum()) for w in (found, nearest)]
        assert loss[0] < 0.9 * loss[1]


def test_gptq_keeps_columns_and_survives_dead_ones() -> None:
    weight, rows = noise(4, 16), noise(3, 16)  # three rows: far from full rank
    rows[:, 5] = 0.0
    codes, scale, _ = gptq(weight, rows.T @ rows / 3, QuantSpec(4, 0, True), Range(), torch.tensor([2]))
    assert torch.isfinite(scale).all()
    assert codes.abs().max() <= 8


def logits(model: Any, batches: Any) -> list[torch.Tensor]:
    return exact_logits(model, batches)


def far(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    return max(float((x - y).abs().max() / y.abs().max()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_what_folds_and_turns_changes_nothing_before_rounding(tmp_path: Path, family: str) -> None:
    loaded, _, batches = ready(tmp_path, family)
    exact = logits(loaded.model, batches)
    names = list(linears(loaded.model))
    specs = {name: QuantSpec(8) for name in names if name != "lm_head"}
    seen = collect(loaded.model, batches, list(specs))
    for change in (lambda m: smooth(m, seen, specs), lambda m: awq(m, seen, dict.fromkeys(specs, QuantSpec(4))), rotate,
                   lambda m: inject(m, np.random.default_rng(1), 3)):  # fmt: skip
        model = copied(loaded)
        before = model.model.language_model.layers[0].self_attn.q_proj.weight.clone()
        change(model)
        assert not torch.equal(before, model.model.language_model.layers[0].self_attn.q_proj.weight)
        assert far(logits(model, batches), exact) < 1e-4
    assert len(folds(loaded.model)) >= 2 * 4 + 2  # four in each language layer, some in the tower


def test_smoothquant_by_hand(tmp_path: Path) -> None:
    loaded, _, batches = ready(tmp_path)
    model, layer = copied(loaded), "model.language_model.layers.0."
    specs = {f"{layer}mlp.{name}": QuantSpec(8) for name in ("gate_proj", "up_proj")}
    seen = collect(model, batches, list(specs))
    gate, up = (model.get_submodule(name).weight.detach().abs() for name in specs)
    gain = model.get_submodule(f"{layer}post_attention_layernorm").weight.clone()
    wanted = (seen[f"{layer}mlp.up_proj"].largest / torch.maximum(gate.amax(0), up.amax(0))) ** 0.5
    assert smooth(model, seen, specs, 0.5) == 1
    assert torch.allclose(model.get_submodule(f"{layer}post_attention_layernorm").weight, gain / wanted, rtol=1e-5)
    after = collect(model, batches, list(specs))[f"{layer}mlp.up_proj"].largest
    assert torch.allclose(after, seen[f"{layer}mlp.up_proj"].largest / wanted, rtol=1e-4)


@pytest.fixture(scope="module")
def spiked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any, Any]:
    loaded, _, batches = ready(tmp_path_factory.mktemp("spiked"), text_width=64, text_ffn=96)
    model = copied(loaded)
    inject(model, np.random.default_rng(2), 2)
    return loaded, model, batches, exact_logits(loaded.model, batches)


@pytest.mark.parametrize("activation", ["dynamic", "static"])
def test_plain_rounding_fails_on_outliers_and_each_protection_recovers(
    spiked: tuple[Any, Any, Any, Any], activation: str
) -> None:
    loaded, model, batches, exact = spiked

    def lost(source: Any, how: Rounding) -> tuple[float, float]:
        tried = copied_model(source)
        quantize(tried, bits_by_layer(tried, EIGHT), batches, how)
        found = exact_logits(tried, batches)
        return divergence(found, exact), 1.0 - same_tokens(found, exact)

    clean, clean_tokens = lost(loaded.model, Rounding(activation=activation))
    plain, plain_tokens = lost(model, Rounding(activation=activation))
    assert plain > 20.0 * clean
    assert plain_tokens > clean_tokens + 0.04
    for how in (Rounding(("smoothquant",), activation=activation), Rounding(("rotate",), activation=activation),
                Rounding(("awq",), activation=activation), Rounding(high=2, activation=activation)):  # fmt: skip
        left, left_tokens = lost(model, how)
        assert plain - left >= 0.9 * (plain - clean), how
        assert plain_tokens - left_tokens >= 0.9 * (plain_tokens - clean_tokens), how


def copied_model(model: Any) -> Any:
    import copy

    return copy.deepcopy(model)


def test_attention_in_floating_point_protects_from_outliers_at_its_input(spiked: tuple[Any, Any, Any, Any]) -> None:
    loaded, _, batches, exact = spiked
    model = copied(loaded)
    inject(model, np.random.default_rng(2), 2, places=("attention",))
    found = []
    for groups in (EIGHT, {"attention": 16, "feedforward": 8}):
        tried = copied_model(model)
        quantize(tried, bits_by_layer(tried, groups), batches, Rounding(activation="static"))
        found.append(divergence(exact_logits(tried, batches), exact))
    assert found[1] < 0.1 * found[0]


def test_temperature_brings_the_spread_of_a_head_back(spiked: tuple[Any, Any, Any, Any]) -> None:
    loaded, _, batches, exact = spiked
    model = copied(loaded)
    quantize(model, bits_by_layer(model, EIGHT), batches, Rounding(activation="dynamic"))
    good = divergence(exact_logits(model, batches), exact)
    for layer in model.model.language_model.layers:
        layer.self_attn.q_proj.scale.mul_(0.75)  # as if rounding had flattened every head
        layer.self_attn.q_proj.bias.mul_(0.75)
    flat = divergence(exact_logits(model, batches), exact)
    factors = match_temperature(model, loaded.model, batches)
    first, second = factors.values()
    assert np.allclose(first, 1.0 / 0.75, rtol=0.02)
    assert np.allclose(second, 1.0 / 0.75, rtol=0.1)  # its input is that of a flattened first layer
    assert divergence(exact_logits(model, batches), exact) < good + 0.1 * (flat - good)


def test_tokens_of_both_kinds_can_count_the_same(tmp_path: Path) -> None:
    loaded, _, batches = ready(tmp_path)
    name = "model.language_model.layers.0.self_attn.q_proj"
    seen = {
        kind: collect(loaded.model, batches, [name], kind, moments=True)[name] for kind in ("none", "equal", "gradient")
    }
    kept = {}

    def keep(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        kept["x"] = given[0]

    loaded.model.get_submodule(name).register_forward_pre_hook(keep)
    total, weight = torch.zeros(32), 0.0
    with torch.no_grad():
        for batch in batches:
            logits(loaded.model, [batch])
            x, visual = kept["x"].abs(), batch.visual
            text = batch.counts & ~visual
            share = float(text.sum() / visual.sum())
            total += share * x[visual].sum(0) + x[text].sum(0)
            weight += 2.0 * float(text.sum())
    assert torch.allclose(seen["equal"].mean, total / weight, rtol=1e-4)
    assert torch.equal(seen["equal"].largest, seen["none"].largest)
    assert not torch.allclose(seen["gradient"].mean, seen["none"].mean, rtol=1e-3)
    moment = seen["none"].moment
    assert moment is not None
    assert torch.allclose(moment, moment.T, rtol=1e-4)
    assert all(parameter.grad is None for parameter in loaded.model.parameters())


def test_high_columns_are_the_largest() -> None:
    seen = stats_of(torch.tensor([[1.0, -9.0, 2.0, 5.0], [0.0, 1.0, -3.0, 1.0]]))
    assert high_columns(seen, 2).tolist() == [1, 3]


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    loaded, samples, batches = ready(tmp_path)
    with pytest.raises(UnknownNameError, match="smoothquant"):
        Rounding(("smoothqant",))
    with pytest.raises(ParameterError, match="take one"):
        Rounding(("awq", "smoothquant"))
    with pytest.raises(UnknownNameError, match="unknown layer"):
        bits_by_layer(loaded.model, EIGHT, {"model.langage*": 4})
    with pytest.raises(UnknownNameError, match="attention"):
        bits_by_layer(loaded.model, {"atention": 4})
    with pytest.raises(ParameterError, match="48 input columns, which do not divide into groups of 32"):
        quantize(copied(loaded), bits_by_layer(loaded.model, {"feedforward": 4}), batches, Rounding(group=32))
    with pytest.raises(ParameterError, match="4, 8 or 16"):
        quantize(copied(loaded), bits_by_layer(loaded.model, {"feedforward": 6}), batches, Rounding())
    with pytest.raises(UnknownNameError, match="balance"):
        collect(loaded.model, batches, [], "even")
    with pytest.raises(UnknownNameError, match="range"):
        Range("max")
    with pytest.raises(ParameterError, match="no samples"):
        calibration_batches(loaded, samples, [])
    config = dict(loaded.config) | {"frame_offsets_us": [0, -100_000]}
    from dataclasses import replace

    with pytest.raises(ParameterError, match=r"calibration data shows .*simdrive data"):
        calibration_batches(replace(loaded, config=config), samples, [0])


def test_an_oracle_agrees_where_it_is_installed() -> None:
    torchao = pytest.importorskip("torchao.quantization", reason="torchao is not installed")
    plain = nn.Linear(64, 32, bias=False)
    plain.weight.data = noise(32, 64)
    model, x = nn.Sequential(plain), noise(5, 64, seed=1)
    scale, _ = weight_scale(plain.weight.detach(), QuantSpec(8, activation="dynamic"), Range())
    from simdrive.models.quantized import quantized

    ours: QuantizedLinear = quantized(plain, QuantSpec(8, activation="dynamic"), scale)
    wanted = ours(x)
    torchao.quantize_(model, torchao.Int8DynamicActivationInt8WeightConfig())
    assert (model(x) - wanted).abs().max() < 0.02 * wanted.abs().max()
