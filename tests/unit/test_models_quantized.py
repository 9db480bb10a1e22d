"""Linear maps with integer weights: exact products on every kernel, folders that load again, an 8-bit cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from model_kit import save_tiny, tiny_tokenizer
from torch import nn

from simdrive.errors import ParameterError, SimdriveError, UnknownNameError
from simdrive.models.folder import ModelFolderError, load_model, save_model
from simdrive.models.hadamard import block_of, hadamard, turned
from simdrive.models.int_codes import decode, encode, from_nibbles, nibbles, symmetric_scale, zero_scale
from simdrive.models.int_kernels import Int4Weight, Int8Product, Int8Weight
from simdrive.models.kv_cache import Eight, Plain, set_kv_bits
from simdrive.models.lean import Joint, LeanDecoder
from simdrive.models.quant_spec import QuantSpec
from simdrive.models.quantized import QuantizedLinear, joined, quantized
from simdrive.models.quantized_folder import QUANTIZATION, Quantization, place_quantized


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    found = nn.Linear(inputs, outputs, bias)
    with torch.no_grad():
        found.weight.copy_(draws(outputs, inputs, seed=1))
        if bias:
            found.bias.copy_(draws(outputs, seed=2))
    return found


def of(source: nn.Linear, spec: QuantSpec, **more: object) -> QuantizedLinear:
    weight = source.weight.detach()
    scale, zero = (
        zero_scale(weight, spec.group) if spec.zero else (symmetric_scale(weight, spec.bits, spec.group), None)
    )
    return quantized(source, spec, scale, zero, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("way", ["int_mm", "x86", "carried", None])
@pytest.mark.parametrize("bits", [7, 8])
def test_integer_products_are_exact_on_every_kernel(rows: int, way: str | None, bits: int) -> None:
    rng = torch.Generator().manual_seed(rows)
    top = 2 ** (bits - 1) - 1
    left = torch.randint(-top, top + 1, (rows, 96), generator=rng)
    right = torch.randint(-127, 128, (32, 96), generator=rng)
    left[0], right[0], right[1] = top, 127, -127  # the largest sums there are: kernels that saturate show it here
    found = Int8Product(right.to(torch.int8), way)(left.float(), bits)
    assert torch.equal(found.long(), left @ right.T)


def test_codes_by_hand() -> None:
    weight = torch.tensor([[1.0, -0.5, 0.25, 0.0]])
    scale = torch.tensor([[1.0 / 127.0]])
    assert encode(weight, scale, None, 8).tolist() == [
        [127, -64, 32, 0]
    ]  # 63.5 and 31.75 to the nearest, even on a tie
    codes = torch.tensor([[-8, 7, 0, 3]], dtype=torch.int8)
    assert nibbles(codes).tolist() == [[0 | 15 << 4, 8 | 11 << 4]]
    assert torch.equal(from_nibbles(nibbles(codes)), codes)
    low_high = torch.tensor([[0.0, 15.0, 3.0, 7.0]])
    scale, zero = zero_scale(low_high, 0)
    assert (scale.item(), zero.item()) == (1.0, 8.0)
    assert torch.equal(decode(encode(low_high, scale, zero, 4), scale, zero), low_high)


@pytest.mark.parametrize("spec", [
    QuantSpec(8), QuantSpec(8, 32), QuantSpec(4, 32), QuantSpec(4, 32, zero=True), QuantSpec(4),
    QuantSpec(8, activation="dynamic"), QuantSpec(8, activation="dynamic", activation_bits=7), QuantSpec(4, 32, True, "dynamic"),
    QuantSpec(8, activation="static"), QuantSpec(8, high=3, activation="dynamic"), QuantSpec(8, activation="dynamic", rotate=32),
])  # fmt: skip
def test_a_quantized_map_is_its_own_dequantized_weight(spec: QuantSpec) -> None:
    source, x = linear(96, 48), draws(2, 3, 96, seed=4)
    high = torch.tensor([5, 50, 90]) if spec.high else None
    if spec.rotate:
        source.weight.data = turned(source.weight.data, spec.rotate)
    made = of(source, spec, input_scale=0.03, high=high)
    seen = turned(x, spec.rotate) if spec.rotate else x
    naive = nn.functional.linear(seen, made.weight, source.bias)
    # Weight-only kernels round their input to bfloat16; 8-bit activations round it to 1/254 of its largest value.
    allowed = {"none": 0.01, "dynamic": 0.02, "static": 0.02}[spec.activation] * (2 if spec.activation_bits == 7 else 1)
    assert (made(x) - naive).abs().max() < allowed * naive.abs().max()
    long = made(x.expand(20, 2, 3, 96))
    assert (long[0] - naive).abs().max() < allowed * naive.abs().max()
    if spec.bits == 8:
        exact = nn.functional.linear(seen, source.weight, source.bias)
        assert (naive - exact).abs().max() < 0.02 * exact.abs().max()


def test_dynamic_products_are_the_naive_integer_formula() -> None:
    source, x = linear(96, 48), draws(7, 96, seed=4)
    made = of(source, QuantSpec(8, activation="dynamic"))
    step = x.abs().amax(1, keepdim=True) / 127
    codes = (x / step).round().long()
    naive = (codes @ made.codes.long().T).double() * step.double() * made.scale.double().T + source.bias.double()
    assert made.runs_on == "int8"
    assert torch.allclose(made(x).double(), naive, atol=1e-5, rtol=1e-5)


def test_joined_maps_are_the_maps_one_by_one() -> None:
    spec, x = QuantSpec(8, activation="dynamic"), draws(4, 64, seed=3)
    parts = [of(linear(64, size, bias), spec) for size, bias in ((32, True), (16, False))]
    whole = joined(parts)
    assert whole is not None
    assert torch.allclose(whole(x), torch.cat([part(x) for part in parts], -1), atol=1e-6)
    assert torch.equal(Joint(parts)(x), whole(x))
    assert joined([parts[0], of(linear(64, 16), QuantSpec(8))]) is None


def test_hadamard_blocks_turn_back() -> None:
    assert torch.allclose(hadamard(2), torch.tensor([[1.0, 1.0], [1.0, -1.0]]) * 2**-0.5)
    x = draws(3, 832)
    assert block_of(832) == 64
    assert torch.allclose(turned(turned(x, 64), 64), x, atol=1e-5)
    assert torch.allclose(turned(x, 64).norm(dim=-1), x.norm(dim=-1), rtol=1e-5)
    spike = torch.zeros(1, 64)
    spike[0, 9] = 8.0
    assert turned(spike, 64).abs().tolist()[0] == pytest.approx([1.0] * 64)


def test_an_8_bit_cache_holds_what_it_was_given() -> None:
    tokens = draws(2, 3, 5, 16)
    for kind, allowed in ((Plain, 0.0), (Eight, 0.5 / 127)):
        kept = kind(tokens, (2, 3, 9, 16))
        kept.put(0, tokens[:, :, :4])
        kept.put(4, tokens[:, :, 4:])
        error = (kept.upto(5) - tokens).abs() / tokens.abs().amax(-1, keepdim=True)
        assert float(error.max()) <= allowed * 1.001
    assert kept.bytes < 0.4 * Plain(tokens, (2, 3, 9, 16)).bytes
    with pytest.raises(ParameterError, match="kv_bits"):
        set_kv_bits(nn.Module(), 4)


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_a_quantized_folder_loads_as_it_was(tmp_path: Path, family: str) -> None:
    loaded = load_model(save_tiny(tmp_path / "float", family))
    model, specs = loaded.model, {}
    for name, spec in (("model.language_model.layers.0.self_attn.q_proj", QuantSpec(8, activation="dynamic")),
                       ("model.language_model.layers.1.mlp.down_proj", QuantSpec(4, 16, True)),
                       ("model.language_model.layers.1.mlp.up_proj", QuantSpec(8, activation="static", high=2))):  # fmt: skip
        source = model.get_submodule(name)
        assert isinstance(source, nn.Linear)
        place_quantized(
            model, name, of(source, spec, input_scale=0.0123456789, high=torch.tensor([1, 7]) if spec.high else None)
        )
        specs[name] = spec
    done = Quantization(specs, 8, ("rtn",))
    card = save_model(
        tmp_path / "q", model, tiny_tokenizer(), loaded.processor, "q", dtype=torch.float32, quantization=done
    )
    again = load_model(tmp_path / "q")
    assert card.parameters == loaded.card.parameters
    assert 8.0 < card.bits < 32.0
    assert again.model.kv_bits == 8
    assert again.model.lm_head.weight is again.model.get_input_embeddings().weight
    ids = torch.arange(12)[None]
    with torch.inference_mode():
        assert torch.equal(again.model(input_ids=ids).logits, model(input_ids=ids).logits)
    half = load_model(tmp_path / "q", dtype=torch.bfloat16).model
    assert half.dtype == torch.bfloat16
    static = half.get_submodule("model.language_model.layers.1.mlp.up_proj")
    assert float(static.input_scale) == pytest.approx(0.0123456789)
    assert torch.isfinite(half(input_ids=ids).logits).all()
    assert LeanDecoder(half).cache(torch.zeros(1, dtype=torch.bfloat16), 1, 4).keys[0].upto(0).dtype == torch.bfloat16


def test_a_damaged_quantized_folder_is_refused(tmp_path: Path) -> None:
    loaded = load_model(save_tiny(tmp_path / "float"))
    name = "model.language_model.layers.0.mlp.up_proj"
    place_quantized(loaded.model, name, of(loaded.model.get_submodule(name), QuantSpec(8)))  # type: ignore[arg-type]
    save_model(
        tmp_path, loaded.model, tiny_tokenizer(), loaded.processor, "q", quantization=Quantization({name: QuantSpec(8)})
    )
    path = tmp_path / QUANTIZATION
    good = json.loads(path.read_text())
    for change, text in (({"version": 9}, "version 9"), ({"layers": {"model.nothing": {"bits": 8}}}, "lacks model.nothing.codes"),
                         ({"layers": {name: {"bits": 3}}}, "4 or 8"), ({"layers": {name: {"bats": 8}}}, "bats"),
                         ({"layers": {}}, "missing keys"), ({"layers": 3}, "lacks its layers")):  # fmt: skip
        path.write_text(json.dumps(good | change))
        with pytest.raises(ModelFolderError, match=text):
            load_model(tmp_path)
    path.write_text("{")
    with pytest.raises(ModelFolderError, match=QUANTIZATION):
        load_model(tmp_path)
    with pytest.raises(SimdriveError, match="no layer"):
        place_quantized(loaded.model, "model.nothing", nn.Identity())


def test_what_does_not_fit_is_refused_in_words() -> None:
    with pytest.raises(ParameterError, match=r"832 input columns, which do not divide into groups of 128; choose.* 64"):
        QuantSpec(4, 128).check("down_proj", 832)
    with pytest.raises(UnknownNameError, match="dynamic"):
        QuantSpec(8, activation="dynamc")  # type: ignore[arg-type]
    for spec in ({"bits": 5}, {"activation_bits": 4}, {"rotate": 3}, {"zero": True}):
        with pytest.raises(ParameterError):
            QuantSpec(**spec)
    with pytest.raises(ParameterError, match="8 bits"):
        QuantSpec(4).check("odd", 33)
    assert QuantSpec.from_json(QuantSpec(4, 64, True).to_json()) == QuantSpec(4, 64, True)


def test_weight_only_kernels_are_their_dequantized_weight() -> None:
    x = draws(3, 128)
    eight = torch.randint(-127, 128, (32, 128), dtype=torch.int8, generator=torch.Generator().manual_seed(1))
    step = torch.rand(32, 1).bfloat16().float() + 0.5
    naive = x.bfloat16().float() @ (eight.float() * step).T
    assert torch.allclose(Int8Weight(eight, step)(x), naive, rtol=0.02, atol=0.01 * float(naive.abs().max()))
    assert Int4Weight.fits(32, 64)
    assert not Int4Weight.fits(32, 48)
