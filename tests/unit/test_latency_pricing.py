"""Prices against numbers worked out by hand, and the laws that every price must keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.architecture import architecture_card
from simdrive.latency.chip import chip_card
from simdrive.latency.names import load_card
from simdrive.latency.parameters import prior, prior_of
from simdrive.latency.pricing import HostTimes, Price, Pricer, price_cards, pricer
from simdrive.latency.roofline import (
    DEQUANTIZE,
    VECTOR_SHARE,
    Machine,
    StageParameters,
    Work,
    WorkStack,
    machine_for,
    stage_seconds,
)
from simdrive.latency.runtime import runtime_card
from simdrive.latency.token_load import token_load
from simdrive.types import STAGES, Long

HOST = HostTimes()


def plain_parameters(**changes: object) -> StageParameters:
    free = replace(prior("decode"), bandwidth_share=0.5, layer_us=10.0, call_us=100.0)
    return replace(free, **changes)  # type: ignore[arg-type]


def counts(*values: int) -> Long:
    return np.array(values, dtype=np.int64)


def priced(model: Pricer, text: Long, image: Long, output: Long) -> Price:
    images = np.where(image > 0, 1, 0)
    return model.price(text, image, output, images, np.zeros_like(text), HOST)


def test_formula_by_hand() -> None:
    # 4e9 FLOPs at 0.4 x 1e12 = 10 ms; 1e9 bytes at 0.5 x 1e11 = 20 ms; 2 layers x 10 us + 100 us = 0.12 ms.
    machine = Machine(bandwidth=1e11, peak_flops=1e12)
    parameters = plain_parameters(overlap={"fp16": 1.0})
    assert stage_seconds(Work(4e9, 1e9, 2), machine, parameters) == pytest.approx(0.03012)
    squared = plain_parameters(overlap={"fp16": 2.0})
    assert stage_seconds(Work(4e9, 1e9, 2), machine, squared) == pytest.approx(np.hypot(0.01, 0.02) + 0.00012)


def test_weight_only_formats_run_at_the_vector_rate_and_never_above_the_matrix_peak() -> None:
    assert Machine(1e11, 40e12, 5e12, DEQUANTIZE).compute_rate(3.0) == 15e12
    assert Machine(1e11, 40e12, 5e12, DEQUANTIZE).compute_rate(30.0) == 40e12
    assert Machine(1e11, 40e12, None, DEQUANTIZE).compute_rate(2.0) == 2.0 * VECTOR_SHARE * 40e12
    assert Machine(1e11).compute_rate(0.4) is None


def test_stacked_work_is_the_same_as_one_by_one() -> None:
    parameters = plain_parameters()
    pairs = [
        (Work(4e9, 1e9, 2), Machine(1e11, 1e12)),
        (Work(7e12, 3e9, 36), Machine(2e11, 40e12, 5e12, DEQUANTIZE)),
        (Work(7e12, 3e9, 36), Machine(2e11, 4e12, 5e12, DEQUANTIZE)),
        (Work(1e9, 3e9, 36), Machine(2e11)),
    ]
    naive = [float(stage_seconds(work, machine, parameters)) for work, machine in pairs]
    assert np.allclose(WorkStack.of(pairs).seconds(parameters), naive, rtol=1e-12)
    assert WorkStack.of([]).seconds(parameters).shape == (0,)


TINY = {
    "width": 8,
    "vocabulary": 32,
    "tied": True,
    "blocks": [{"count": 2, "attention": {"heads": 2, "kv_heads": 1, "head_dim": 4}, "feedforward": {"width": 16}}],
}


def tiny() -> Pricer:
    chip = chip_card("tiny", {"fp16": 1.0}, 1.0, 1.0)
    runtime = runtime_card("tiny", {"w16a16": {"bits": {"body": 16}}})
    return price_cards(chip, runtime, architecture_card("tiny", TINY), "w16a16", calibration={})


def test_decode_step_moves_weights_head_and_cache() -> None:
    # Layer: 8x8 + 2 x 8x4 + 8x8 + 3 x 8x16 = 576 weights; head 32 x 8 = 256; all at 2 bytes.
    # Cache at 10 tokens: 10 read + the new one read and written = 12 x 2 x 4 numbers per layer.
    model = tiny()
    weights, cache = (2 * 576 + 256) * 2, 2 * 12 * 8 * 2
    moved = float(model.decode_work(10).bytes)
    activations = moved - weights - cache
    assert 0.0 < activations < 0.35 * moved
    assert float(model.decode_work(11).bytes) - moved == 2 * 8 * 2


def test_first_token_belongs_to_prefill() -> None:
    price = priced(tiny(), counts(10, 10, 10), counts(0, 0, 0), counts(0, 1, 2))
    decode = price.stages_s[:, STAGES.index("decode")]
    assert decode[:2].tolist() == [0.0, 0.0]
    assert decode[2] == pytest.approx(float(tiny().step_seconds(10)))


def test_decode_of_many_tokens_is_the_sum_of_its_steps() -> None:
    model = pricer("agx_orin_64gb", "trt_edge_llm", "internvl3_1b", "w4a16")
    fast = priced(model, counts(200), counts(0), counts(9)).stages_s[0, STAGES.index("decode")]
    assert fast == pytest.approx(sum(float(model.step_seconds(200 + k)) for k in range(8)), rel=1e-3)


def test_a_row_costs_the_same_in_any_batch() -> None:
    model = pricer("agx_orin_64gb", "trt_edge_llm", "internvl3_1b", "w4a16")
    text, image, output = counts(30, 300, 7), counts(258, 0, 258), counts(3, 30, 100)
    batch = priced(model, text, image, output).stages_s
    alone = [priced(model, text[i : i + 1], image[i : i + 1], output[i : i + 1]).stages_s[0] for i in range(3)]
    assert np.array_equal(np.rint(batch * 1e6), np.rint(np.array(alone) * 1e6))


def test_interval_holds_the_median_and_is_wider_on_a_chip_without_measurements() -> None:
    known = pricer("agx_orin_64gb", "trt_edge_llm", "internvl3_1b", "w4a16")
    new = pricer("orin_nx_16gb", "trt_edge_llm", "internvl3_1b", "w4a16")
    widths = []
    for model in (known, new):
        median, low, high = (value[0] for value in priced(model, counts(300), counts(0), counts(30)).total_s())
        assert low < median < high
        widths.append(high / low)
    assert widths[1] > widths[0]


def test_four_bits_help_decode_as_far_as_head_and_overhead_allow_and_prefill_little() -> None:
    price = {
        name: priced(
            pricer("agx_orin_64gb", "trt_edge_llm", "qwen3_8b", name), counts(1000), counts(0), counts(30)
        ).stages_s[0]
        for name in ("w4a16", "w8a8")
    }
    decode, prefill = STAGES.index("decode"), STAGES.index("prefill")
    assert 0.5 < price["w4a16"][decode] / price["w8a8"][decode] < 0.75
    assert price["w4a16"][prefill] > 0.7 * price["w8a8"][prefill]


def test_more_bandwidth_never_slows_and_nothing_beats_the_ceiling() -> None:
    base = pricer("agx_orin_64gb", "trt_edge_llm", "qwen3_8b", "w4a16")
    fast = replace(base, chip=base.chip.with_figures(bandwidth_gb_s=409.6))
    assert float(fast.step_seconds(100)) < float(base.step_seconds(100))
    assert float(base.step_seconds(100)) > float(base.decode_work(100).bytes) / 204.8e9


def test_one_more_camera_costs_its_tokens() -> None:
    model = pricer("agx_orin_64gb", "trt_edge_llm", "internvl3_1b", "w4a16")
    price = priced(model, counts(100, 100), counts(256, 512), counts(10, 10)).stages_s
    vision, prefill = STAGES.index("vision"), STAGES.index("prefill")
    assert price[1, vision] > 1.5 * price[0, vision]
    assert price[1, prefill] > price[0, prefill]


def test_a_model_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ParameterError, match="does not fit"):
        pricer("agx_orin_64gb", "trt_edge_llm", "internvl3_78b", "w16a16").check_fit(100, 10)


def test_unknown_figures_and_formats_are_refused() -> None:
    with pytest.raises(ParameterError, match="bandwidth"):
        priced(pricer("axera_ax650n", "stackflow", "qwen3_vl_2b", "w4a16"), counts(10), counts(0), counts(3))
    with pytest.raises(ParameterError, match="fp4"):
        priced(pricer("agx_orin_64gb", "trt_edge_llm", "qwen3_8b", "w4a4"), counts(10), counts(0), counts(3))
    with pytest.raises(UnknownNameError, match="w4a16"):
        pricer("agx_orin_64gb", "trt_edge_llm", "qwen3_8b", "w4a15")
    with pytest.raises(UnknownNameError, match="maxn"):
        pricer("agx_orin_64gb", "trt_edge_llm", "qwen3_8b", "w4a16", "maxm")


@pytest.mark.parametrize("bad", [(-1, 0, 3), (2_000_000, 0, 3), (0, 0, 3), (10, 0, -2)])
def test_absurd_tokens_are_refused(bad: tuple[int, int, int]) -> None:
    model = pricer("agx_orin_64gb", "trt_edge_llm", "internvl3_1b", "w4a16")
    with pytest.raises(ParameterError, match="token"):
        priced(model, *(counts(value) for value in bad))


def test_energy_needs_the_power_of_a_mode() -> None:
    plain = priced(pricer("agx_orin_64gb", "trt_edge_llm", "internvl3_1b", "w4a16"), counts(9), counts(0), counts(3))
    assert plain.energy_j() is None
    mode = pricer("agx_orin_64gb", "trt_edge_llm", "internvl3_1b", "w4a16", "maxn")
    price = priced(mode, counts(9), counts(0), counts(3))
    energy = price.energy_j()
    assert energy is not None
    assert energy[0] == pytest.approx(60.0 * price.stages_s[0, 2:].sum())


def test_loads_from_image_tokens() -> None:
    assert token_load(load_card("architecture", "internvl3_1b"), 512).sequences == 2
    grid = token_load(load_card("architecture", "qwen3_vl_2b"), 530, images=2)
    assert (grid.sequences, grid.patches) == (2, 1060)
    with pytest.raises(ParameterError, match="takes no pictures"):
        token_load(load_card("architecture", "qwen3_8b"), 10)


def test_runtime_without_measurements_has_the_prior() -> None:
    model = pricer("agx_orin_64gb", "transformers", "internvl3_1b", "w16a16")
    assert model.parameters == prior_of("transformers")


def test_machine_of_decode_does_without_a_peak() -> None:
    chip, form = load_card("chip", "horizon_j6p"), load_card("runtime", "horizon_openexplorer").format("w8a8")
    assert machine_for(chip, form).peak_flops == 560e12
    unknown = replace(chip, peak_tera={})
    assert machine_for(unknown, form, need_peak=False).peak_flops is None
    with pytest.raises(ParameterError, match="int8"):
        machine_for(unknown, form)
