"""What decode overheads follow, the modes that rows ran in, and the simpler formulas beside the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simdrive.latency.baselines import decode_baselines
from simdrive.latency.chip import chip_card
from simdrive.latency.comparison import Target, mode_of
from simdrive.latency.launches import block_kernels, launches
from simdrive.latency.layers import Attention, Block, Experts, Feedforward
from simdrive.latency.measurements import Measurement
from simdrive.latency.names import load_card
from simdrive.latency.parameters import prior
from simdrive.latency.roofline import PACE_POWER, Machine, Work, WorkStack, machine_for, stage_seconds
from simdrive.latency.validation import left_out

ATTENTION = Attention(heads=4, kv_heads=2, head_dim=8)


def test_kernels_of_a_layer_by_hand() -> None:
    assert block_kernels(Block(1, ATTENTION, Feedforward(32))) == 9
    assert block_kernels(Block(1, ATTENTION, Experts(8, 2, 16))) == 13
    assert block_kernels(Block(1, ATTENTION, Experts(8, 2, 16, shared_width=8))) == 16
    assert block_kernels(Block(1, None, Feedforward(32), norms=1)) == 4
    assert launches(load_card("architecture", "qwen3_8b").language) == 36
    assert launches(load_card("architecture", "qwen3_30b_a3b").language) == pytest.approx(48 * 13 / 9)


def test_overhead_per_layer_follows_the_vector_rate_and_overhead_per_call_does_not() -> None:
    parameters = replace(prior("decode"), layer_us=100.0, call_us=50.0, layer_factor={"fp16": 2.0})
    nothing = Work(0.0, 0.0, 10)
    orin, half = Machine(1e11, 1e13, 5.3e12), Machine(1e11, 1e13, 2.65e12)
    assert stage_seconds(nothing, orin, parameters) == pytest.approx(10 * 200e-6 + 50e-6)
    assert stage_seconds(nothing, half, parameters) == pytest.approx(10 * 200e-6 * 2**PACE_POWER + 50e-6)
    assert Machine(1e11).pace == 1.0


def test_a_chip_factor_moves_that_chip_alone_and_never_beats_the_bandwidth() -> None:
    parameters = replace(
        prior("decode"), bandwidth_share=0.8, layer_us=0.0, call_us=0.0, chip_factor={"a": 0.5, "b": 9}
    )
    work = Work(0.0, 1e9, 0)
    times = [float(stage_seconds(work, Machine(1e10, None, chip=name), parameters)) for name in ("a", "b", "c")]
    assert times == pytest.approx([0.25, 0.1, 0.125])
    pairs = [(work, Machine(1e10, None, chip=name)) for name in ("a", "b", "c")]
    assert WorkStack.of(pairs).seconds(parameters).tolist() == pytest.approx(times)


def row(power: str) -> Measurement:
    return Measurement(2, "c", "m", "r", 4, 16, None, None, None, None, None, None, None, {}, "", power)


def test_rows_name_their_power_mode_in_watts_or_words() -> None:
    modes = {"15w": {"power_w": 15, "compute_share": 0.3, "bandwidth_gb_s": 50}, "maxn": {"compute_share": 1.0},
             "40w": {"power_w": 40}}  # fmt: skip
    chip = chip_card("c", {"fp16": 10.0}, 100.0, power_modes=modes, measured_in={"r": "15w"})
    assert [mode_of(row(power), chip, "other") for power in ("15", "MAXN", "40", "", "60")] == [
        "15w", "maxn", None, None, None,
    ]  # fmt: skip
    assert mode_of(row(""), chip, "r") == "15w"
    form = load_card("runtime", "trt_edge_llm").format("w16a16")
    assert machine_for(chip, form, mode="15w").bandwidth == 50e9
    assert machine_for(chip, form, mode="maxn").bandwidth == 100e9


def made_up(hidden: bool = False) -> list[Target]:
    found = []
    for chip in range(3):
        machine = Machine(1e11 * (1 + chip), 1e14, 5.3e12)
        for model in range(6):
            work = Work(1e9, 2e8 * 1.9**model, 16 + 4 * model)
            seconds = float(work.bytes) / machine.bandwidth / 0.8 + work.layers * 50e-6
            found.append(Target(chip * 6 + model, "decode", seconds, work, machine, f"chip{chip}", "r", f"m{model}", "w",
                                hidden, nominal_bytes=1e8 * 2.5**model))  # fmt: skip
    return found


def test_baselines_find_what_they_can_express() -> None:
    rows = made_up()
    errors = decode_baselines(rows, left_out(rows, "chip"))["all"]
    assert [errors[name]["n"] for name in ("S0", "S1", "S2", "model")] == [18] * 4
    assert errors["S2"]["p90_error"] < 1e-6  # the data were made by its formula
    assert errors["S1"]["median_error"] > 0.05
    assert errors["S0"]["median_error"] > errors["S1"]["median_error"]
    assert errors["model"]["median_error"] < errors["S1"]["median_error"]
    assert decode_baselines(made_up(hidden=True), [])["all"]["S2"]["n"] == 0


def test_the_model_beats_the_simpler_formulas_on_published_rows() -> None:
    from simdrive.latency.comparison import targets_of
    from simdrive.latency.measurements import SHIPPED_ROWS, read_measurements

    rows = [target for target in targets_of(read_measurements(SHIPPED_ROWS))[0] if target.runtime == "trt_edge_llm"]
    left = left_out(rows, "chip")
    errors = decode_baselines(rows, left)["by_runtime"]["trt_edge_llm"]
    assert errors["model"]["median_error"] < min(errors[name]["median_error"] for name in ("S0", "S1", "S2"))
    assert errors["model"]["p90_error"] < 0.25
    decode = [item for item in left if item.target.stage == "decode"]
    assert 0.7 <= np.mean([item.covered for item in decode]) <= 0.9
