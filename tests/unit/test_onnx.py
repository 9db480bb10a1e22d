"""Exported graphs answer as the model does; skipped where the extra ``onnx`` is not installed."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from model_kit import save_tiny

from simdrive.agents.language.grammar import answer_forms
from simdrive.errors import ParameterError, SimdriveError
from simdrive.models.folder import load_model
from simdrive.models.local import LocalModel
from simdrive.models.onnx_folder import GRAPHS, OnnxGenerator, export_model, need, read_shapes

QUESTIONS = ["at 3 of 15 side 0m follow ; what now ?", "at 11 of 15 side 0.5m left ; who decides ?", "drive ?"]


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_graphs_say_what_the_model_says(tmp_path: Path, family: str) -> None:
    """Free and constrained answers of several lengths, prompts shorter than the graphs' included; int8 runs too."""
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    loaded = load_model(save_tiny(tmp_path / "model", family))
    shapes = export_model(loaded, tmp_path / "out", QUESTIONS, answer=24, int8=True)
    assert read_shapes(tmp_path / "out") == shapes
    frames = np.random.default_rng(0).integers(0, 255, (3, 2, 2, 32, 64, 3), np.uint8)
    limits = np.array([12, 24, 9])
    plain = LocalModel(loaded)
    graphs = OnnxGenerator(tmp_path / "out", plain.chat.end_id, plain.chat.pad_id)
    other = LocalModel(loaded, generator=graphs)
    for forms in (None, answer_forms("plan")):
        mine, theirs = (
            local.answer(QUESTIONS, frames, limits, None if forms is None else local.grammar(forms))
            for local in (plain, other)
        )
        assert mine.texts == theirs.texts
        assert mine.usage.output.tolist() == theirs.usage.output.tolist()
    small = OnnxGenerator(tmp_path / "out", plain.chat.end_id, plain.chat.pad_id, int8=True)
    assert len(LocalModel(loaded, generator=small).answer(QUESTIONS, frames, limits).texts) == 3
    sizes = [(tmp_path / "out" / part / GRAPHS[1]).stat().st_size for part in (".", "int8")]
    assert sizes[1] < sizes[0]
    with pytest.raises(ParameterError, match="does not fit"):
        other.answer(["at 3 of 15 side 0m follow ; what now ? what now ? what now ?"], frames[:1], limits[:1])
    with pytest.raises(ParameterError, match="room for 1 to 24"):
        other.answer(QUESTIONS[:1], frames[:1], np.array([25]))


def test_missing_packages_and_folders_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SimdriveError, match="simdrive onnx"):
        read_shapes(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps({"version": 0}))
    with pytest.raises(SimdriveError, match="export the model again"):
        read_shapes(tmp_path)

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(SimdriveError, match=r"onnxruntime is not installed: pip install .*simdrive\[onnx\]"):
        need("onnxruntime.quantization")
