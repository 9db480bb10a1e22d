"""``simdrive onnx``: what it writes and says, and that an agent drives with it; skipped without the extra ``onnx``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from loop_kit import inputs
from model_kit import save_tiny
from test_compress_samples import rows
from test_shadow_stored import PICTURED
from typer.testing import CliRunner

from simdrive.agents.vlm import Vlm
from simdrive.cli import app
from simdrive.compress.samples import pack, write_shard
from simdrive.eval.rollout import rollout
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant


def onnx(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["onnx", *words], env={"COLUMNS": "200"})
    return found.exit_code, found.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["out=x"], "model=... is needed"),
        (["model=m"], "out=... is needed"),
        (["model=m", "out=x", "rows=0"], "rows must be a whole number of at least 1"),
        (["model=m", "out=x", "int8=maybe"], "int8 is true or false"),
        (["model=m", "out=x", "depth=3"], "depth"),
    ],
)
def test_wrong_words_are_told(words: list[str], said: str) -> None:
    code, output = onnx(*words)
    assert code == 2
    assert said in output


def test_it_exports_compares_and_drives(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    model, out = save_tiny(tmp_path / "model"), tmp_path / "graphs"
    rng = np.random.default_rng(2)
    blocks = [pack(rng.integers(0, 255, PICTURED.shape, dtype=np.uint8)) for _ in range(8)]
    made = [{**row, "split": "train", "frames": block} for row, block in zip(rows(8), blocks, strict=True)]
    (tmp_path / "data").mkdir()
    write_shard(tmp_path / "data" / "0.parquet", made, PICTURED)
    words = [f"model={model}", f"out={out}", f"data=[{tmp_path / 'data'}]", "rows=4", "split=train", "--json"]
    code, output = onnx(*words)
    assert code == 0, output
    told = json.loads(output.splitlines()[-1])
    assert sorted(told["bytes"]) == sorted(
        f"{folder}{name}.onnx" for folder in ("", "int8/") for name in ("vision", "prefill", "decode")
    )
    assert all((out / name).stat().st_size == size for name, size in told["bytes"].items())
    (exact, *_) = told["same_answers"].values()
    assert set(exact.values()) == {1.0}
    setting = LatencySetting(Constant(400), Mode("streaming"))
    plain, graphs = (
        rollout(inputs(), Vlm(str(model), constrained=True, deterministic=True, graphs=where), setting)[0]
        for where in ("", str(out))
    )
    assert plain.requests.text == graphs.requests.text
    np.testing.assert_array_equal(plain.x, graphs.x)
    code, output = onnx(f"model={tmp_path / 'nothing'}", f"out={out}")
    assert code == 2
    assert "no folder of that path" in output
