"""The fit finds what made the data, shrugs off outliers, and never sees what it is judged on."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simdrive.errors import ParameterError
from simdrive.latency.calibration import fit_runtimes, fit_stage, log_errors, predicted_seconds
from simdrive.latency.comparison import Target, targets_of
from simdrive.latency.measurements import COLUMNS, SHIPPED_ROWS, read_measurements
from simdrive.latency.parameters import prior, prior_of, read_parameters, shipped, write_parameters
from simdrive.latency.roofline import Machine, StageParameters, Work, stage_seconds
from simdrive.latency.validation import Comparison, compare, errors_of, left_out

TRUTH = replace(prior("decode"), bandwidth_share=0.6, layer_us=40.0, call_us=800.0)


def made_up(seconds_of: StageParameters = TRUTH, chips: int = 3, models: int = 8) -> list[Target]:
    found = []
    for chip in range(chips):
        machine = Machine(1e11 * (1 + chip), 1e14)
        for model in range(models):
            work = Work(1e9, 2e8 * 1.7**model, 16 + 4 * model)
            seconds = float(stage_seconds(work, machine, seconds_of))
            found.append(
                Target(
                    chip * models + model, "decode", seconds, work, machine, f"chip{chip}", "r", f"m{model}", "w", False
                )
            )
    return found


def test_fit_finds_what_made_the_data() -> None:
    fitted = fit_stage(made_up(), "decode")
    assert fitted.bandwidth_share == pytest.approx(0.6, rel=0.03)
    assert fitted.rows == 24
    assert np.abs(log_errors(made_up(), fitted, prior("prefill"))).max() < 0.03
    low, high = fitted.intervals["bandwidth_share"]
    assert low < fitted.bandwidth_share < high


def test_one_wild_row_does_not_move_the_fit() -> None:
    rows = made_up()
    rows[5] = replace(rows[5], seconds=rows[5].seconds * 20.0)
    assert fit_stage(rows, "decode").bandwidth_share == pytest.approx(0.6, rel=0.05)


def test_without_rows_the_prior_stays() -> None:
    assert fit_stage([], "decode") == prior("decode")


def test_stacked_errors_are_those_of_single_predictions() -> None:
    rows = made_up()
    rows[3] = replace(rows[3], steps=20.0, prefill_work=Work(1e12, 1e9, 28))
    stage, prefill = prior("decode"), prior("prefill")
    naive = [np.log(predicted_seconds(row, stage, prefill) / row.seconds) for row in rows]
    assert np.allclose(log_errors(rows, stage, prefill), naive, rtol=1e-12, atol=1e-12)


def test_left_out_rows_do_not_touch_their_own_prediction() -> None:
    rows = made_up()
    spoiled = [replace(row, seconds=row.seconds * 3.0) if row.chip == "chip1" else row for row in rows]
    for by in ("chip", "model"):
        before = {item.target.row: item.seconds for item in left_out(rows, by)}
        assert len(before) == len(rows)
    before = {item.target.row: item.seconds for item in left_out(rows, "chip") if item.target.chip == "chip1"}
    after = {item.target.row: item.seconds for item in left_out(spoiled, "chip") if item.target.chip == "chip1"}
    assert before == after


def test_errors_count_each_cluster_once() -> None:
    row = made_up()[0]
    near, far = Comparison(row, row.seconds * 0.5, 0.1), Comparison(replace(row, chip="b"), row.seconds, 0.1)
    errors = errors_of([near, near, near, far])
    assert (errors["n"], errors["rows"], errors["coverage_80"]) == (2, 4, 0.25)
    assert errors["median_error"] == pytest.approx(0.5)  # rate twice the measured one, and a perfect cluster
    assert errors_of([])["median_error"] is None


def test_parameters_survive_a_file(tmp_path: Path) -> None:
    fitted = {"r": replace(prior_of("r"), decode=fit_stage(made_up(), "decode"))}
    write_parameters(tmp_path / "p.json", fitted, "made up")
    assert read_parameters(tmp_path / "p.json") == fitted
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(ParameterError, match="calibrate"):
        read_parameters(tmp_path / "p.json")


def test_shipped_parameters_are_those_of_the_documented_command() -> None:
    targets, _ = targets_of(read_measurements(SHIPPED_ROWS))
    again, kept = fit_runtimes(targets), shipped()
    assert again.keys() == kept.keys()
    for name, parameters in again.items():
        for stage in ("vision", "prefill", "decode"):
            new, old = parameters.stage(stage), kept[name].stage(stage)
            assert (new.rows, new.chips, new.kernels) == (old.rows, old.chips, old.kernels)
            assert new.bandwidth_share == pytest.approx(old.bandwidth_share, rel=1e-3)
            assert new.log_sigma == pytest.approx(old.log_sigma, rel=1e-2)


def test_shipped_rows_are_predicted() -> None:
    targets, skipped = targets_of(read_measurements(SHIPPED_ROWS))
    decode = errors_of([item for item in compare(targets) if item.target.stage == "decode"])
    assert decode["rows"] > 90
    assert decode["median_error"] < 0.10
    assert all(item.reason for item in skipped)


def table(**changes: str) -> str:
    row = dict.fromkeys(COLUMNS, "") | {
        "chip": "Jetson AGX Orin 64GB", "model": "Qwen3-8B", "weight_bits": "4", "act_bits": "16",
        "runtime": "TensorRT Edge-LLM 0.9.0", "prompt_tokens": "61", "ttft_ms": "65.7", "decode_tok_s": "32.5",
        "note": "mode=vanilla;ttft=LLM prefill only (excl. ViT/preproc)",
    }  # fmt: skip
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerow(row | changes)
    return out.getvalue()


def rows_of(tmp_path: Path, text: str) -> Path:
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    return tmp_path / "rows.csv"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ttft_ms": "fast"}, "row 2, column ttft_ms: 'fast' is not a number"),
        ({"decode_tok_s": "-3"}, "row 2, column decode_tok_s"),
        ({"decode_tok_s": "0"}, "row 2, column decode_tok_s"),
        ({"prompt_tokens": "nan"}, "row 2, column prompt_tokens"),
        ({"image_tokens": "900"}, "row 2, column image_tokens"),
        ({"chip": ""}, "row 2, column chip"),
        ({"note": "vit_ms=x"}, "row 2, column note"),
    ],
)
def test_malformed_cells_are_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ParameterError, match="problem") as caught:
        read_measurements(rows_of(tmp_path, table(**changes)))
    assert message in str(caught.value)


def test_malformed_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="lacks the columns chip"):
        read_measurements(rows_of(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(ParameterError, match="holds no rows"):
        read_measurements(rows_of(tmp_path, ",".join(COLUMNS) + "\n"))
    with pytest.raises(ParameterError, match="row 2: has fewer cells"):
        read_measurements(rows_of(tmp_path, ",".join(COLUMNS) + "\na,b\n"))
    with pytest.raises(ParameterError, match="cannot read"):
        read_measurements(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("changes", "stage", "reason"),
    [
        ({"chip": "Jetson AGX Orin 65GB"}, "all", "unknown chip"),
        ({"weight_bits": "3"}, "all", "format"),
        ({"note": "mode=EAGLE3"}, "decode", "accept length"),
        ({"note": "mode=beam"}, "decode", "plain decoding"),
        ({"note": "mode=e2e_throughput"}, "decode", "output tokens"),
        ({"prompt_tokens": ""}, "prefill", "prompt tokens"),
        ({"note": "mode=vanilla;FlashHead"}, "decode", "LM head"),
    ],
)
def test_rows_that_cannot_be_compared_say_why(tmp_path: Path, changes: dict[str, str], stage: str, reason: str) -> None:
    _, skipped = targets_of(read_measurements(rows_of(tmp_path, table(**changes))))
    assert any(item.stage == stage and reason in item.reason for item in skipped)


def test_targets_by_hand(tmp_path: Path) -> None:
    targets, skipped = targets_of(read_measurements(rows_of(tmp_path, table())))
    assert not skipped
    found = {target.stage: target.seconds for target in targets}
    assert found == {"decode": 1.0 / 32.5, "prefill": pytest.approx(0.0657)}
    drafted, _ = targets_of(read_measurements(rows_of(tmp_path, table(note="mode=EAGLE3;accept_len=4"))))
    assert {target.stage: target.seconds for target in drafted} == {"speculation": 4.0 / 32.5}
    assert compare(drafted) == []
    text = table(runtime="vLLM W4A16", note="mode=e2e_throughput;OSL 128", ttft_ms="")
    (whole,), _ = targets_of(read_measurements(rows_of(tmp_path, text)))
    assert (whole.steps, whole.seconds) == (127.0, 128.0 / 32.5)
    assert whole.prefill_work is not None
