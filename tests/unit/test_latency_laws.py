"""Laws that hold for every model, chip and format; and what the table of measurements refuses."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simdrive.errors import ParameterError
from simdrive.latency.charging import charged_pricer
from simdrive.latency.measurements import COLUMNS, Measurement, read_measurements
from simdrive.latency.pricing import Pricer
from simdrive.types import Charge

CHIPS = ("agx_orin_64gb", "orin_nx_16gb", "orin_nano_8gb", "jetson_thor_t5000", "rtx_4090")
MODELS = ("internvl3_1b", "internvl3_8b", "qwen2_5_vl_7b", "qwen3_30b_a3b", "gemma2_2b", "qwen3_5_4b")
FORMATS = ("w16a16", "w4a16", "w8a8")
RUNTIMES = ("trt_edge_llm", "vllm")
contexts = st.integers(0, 30_000)
cards = st.tuples(st.sampled_from(CHIPS), st.sampled_from(RUNTIMES), st.sampled_from(MODELS), st.sampled_from(FORMATS))


def model_of(choice: tuple[str, str, str, str], bits: tuple[tuple[str, float], ...] = ()) -> Pricer:
    chip, runtime, architecture, precision = choice
    return charged_pricer(chip, runtime, Charge(architecture, precision, bits=bits))


@settings(max_examples=25, deadline=None)
@given(cards, contexts, st.floats(1.0, 4.0))
def test_more_bandwidth_never_slows_decode_and_helps_no_more_than_its_factor(
    choice: tuple[str, str, str, str], context: int, factor: float
) -> None:
    base = model_of(choice)
    wider = base.chip.with_figures(bandwidth_gb_s=base.chip.bandwidth_bytes_per_s() / 1e9 * factor)
    slow, fast = float(base.step_seconds(context)), float(replace(base, chip=wider).step_seconds(context))
    assert slow / factor * (1.0 - 1e-9) <= fast <= slow * (1.0 + 1e-9)


@settings(max_examples=25, deadline=None)
@given(cards, contexts)
def test_halving_all_bits_never_more_than_halves_a_step(choice: tuple[str, str, str, str], context: int) -> None:
    base = model_of(choice)
    names = ("attention", "feedforward", "head", "embedding", "kv", "state", "activation")
    bits = tuple((name, max(1.0, getattr(base.form.bits, name) / 2.0)) for name in names)
    whole, half = float(base.step_seconds(context)), float(model_of(choice, bits).step_seconds(context))
    assert 0.5 * whole * (1.0 - 1e-9) <= half <= whole


@settings(max_examples=25, deadline=None)
@given(cards, contexts)
def test_no_step_beats_the_published_bandwidth(choice: tuple[str, str, str, str], context: int) -> None:
    model = model_of(choice)
    work = model.decode_work(context)
    assert float(model.step_seconds(context)) > float(work.bytes) / model.chip.bandwidth_bytes_per_s()


@settings(max_examples=20, deadline=None)
@given(cards, st.integers(1, 4000), st.integers(1, 4000))
def test_a_longer_prompt_never_takes_less(choice: tuple[str, str, str, str], tokens: int, more: int) -> None:
    model = model_of(choice)
    assert float(model.prefill_seconds(tokens + more)) >= float(model.prefill_seconds(tokens)) * (1.0 - 1e-9)
    assert float(model.step_seconds(tokens + more)) >= float(model.step_seconds(tokens)) * (1.0 - 1e-9)


def test_one_more_camera_costs_its_tokens_and_the_square_of_them() -> None:
    model = model_of(("agx_orin_64gb", "trt_edge_llm", "internvl3_8b", "w4a16"))
    card = model.architecture
    loads = [card.pictures(cameras, 448, 448) for cameras in (1, 2, 3)]
    assert [load.tokens for load in loads] == [258, 516, 774]
    flops = [float(model.prefill_work(load.tokens + 100).flops) for load in loads]
    # 4 n_h d_h L per pair of tokens, T (T + 1) / 2 pairs: the second difference is 258^2 pairs.
    assert flops[2] - 2 * flops[1] + flops[0] == pytest.approx(4 * 28 * 3584 * 258**2, rel=1e-6)
    towers = [float(model.vision_work(load).flops) for load in loads]
    assert towers[2] - towers[1] == pytest.approx(towers[1] - towers[0])


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["", "4", "-1", "nan", "inf", "1e99", "w4", "mode=vanilla;vit_ms=x", "accept_len=0.2"]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(cells, min_size=len(COLUMNS), max_size=len(COLUMNS)), min_size=1, max_size=4))
def test_any_table_is_read_or_refused_with_its_rows(tmp_path: Path, rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([COLUMNS, *rows])
    path = tmp_path / "rows.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    problem = ""
    found: tuple[Measurement, ...] = ()
    try:
        found = read_measurements(path)
    except ParameterError as error:
        problem = str(error)
    assert found or "row" in problem
    for row in found:
        assert row.chip.strip()
        assert row.decode_tok_s is None or 0.0 < row.decode_tok_s < 1e8
