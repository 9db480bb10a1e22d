"""``simdrive latency`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.latency.measurements import SHIPPED_ROWS
from simdrive.latency.parameters import read_parameters, shipped


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, ["latency", *words])


def last_json(*words: str) -> Any:
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


CARDS = ("chip=agx_orin_64gb", "architecture=internvl3_1b", "precision=w4a16")


def test_predict() -> None:
    found = last_json("predict", *CARDS, "tokens.prompt=300", "tokens.image=256", "tokens.output=30", "power_mode=maxn")
    assert found["total"]["low_ms"] < found["total"]["ms"] < found["total"]["high_ms"]
    assert found["total"]["ms"] == pytest.approx(sum(stage["ms"] for stage in found["stages"].values()))
    assert found["energy_j"] > 0.0
    assert found["chip_measured"]
    assert "decode" in invoke("predict", *CARDS).stdout


def test_table_says_what_cannot_be_had() -> None:
    rows = last_json("table", "chips=agx_orin_64gb", "architectures=[internvl3_1b,internvl3_78b]", "precisions=w16a16")[
        "rows"
    ]
    assert "refused" not in rows[0]
    assert "does not fit" in rows[1]["refused"]
    assert invoke("table", "chips=[agx_orin_64gb,axera_ax650n]").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "chip=agx_orin_6gb", *CARDS[1:]), "Did you mean 'agx_orin_64gb'?"),
        (("predict", *CARDS, "token.prompt=3"), "Did you mean 'tokens.prompt'?"),
        (("predict", *CARDS, "tokens.prompt=-3"), "tokens.prompt"),
        (("predict", *CARDS, "tokens.output=3.5"), "tokens.output"),
        (("predict", *CARDS[1:]), "chip=... is needed"),
        (("predict", "chip"), "key=value"),
        (("table", "chips=[agx_orin_6gb]"), "Did you mean"),
        (("validate", "no.csv"), "cannot read"),
    ],
)
def test_bad_words(words: tuple[str, ...], message: str) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_calibrate_writes_what_is_shipped_and_validate_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "fitted.json"
    found = last_json("calibrate", str(SHIPPED_ROWS), f"out={out}")
    assert {"runtimes", "leave_one_chip_out", "leave_one_model_out", "skipped"} <= found.keys()
    assert read_parameters(out).keys() == shipped().keys()
    errors = last_json("validate", str(SHIPPED_ROWS), f"parameters={out}")
    assert {"decode", "prefill", "by_runtime", "by_chip", "by_format", "leave_one_chip_out"} <= errors.keys()
    assert {"n", "median_error", "p90_error"} <= errors["decode"].keys()


def test_nothing_is_written_from_a_malformed_table(tmp_path: Path) -> None:
    bad, out = tmp_path / "rows.csv", tmp_path / "fitted.json"
    bad.write_text(SHIPPED_ROWS.read_text(encoding="utf-8").replace("76.0", "quick", 1), encoding="utf-8")
    result = invoke("calibrate", str(bad), f"out={out}")
    assert result.exit_code == 2
    assert "row 2, column decode_tok_s" in " ".join(result.output.split())
    assert not list(tmp_path.glob("fitted*"))
