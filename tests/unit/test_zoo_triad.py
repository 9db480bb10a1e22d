"""The zoo's list and open-loop scores."""

import json
from pathlib import Path

import pytest
import torch
from test_compress_samples import PICTURED, rows, written
from test_compress_trainer import TINY, TOKENIZER
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.compress.samples import Pictured, read_samples, write_shard
from simdrive.compress.triad import majority, triad
from simdrive.errors import ParameterError
from simdrive.models.build import build_model
from simdrive.models.folder import save_model
from simdrive.models.processor import Processor
from simdrive.models.where import ZOO_ROOT
from simdrive.models.zoo import zoo
from simdrive.types import CameraSpec


def model(folder: Path, name: str = "tiny") -> Path:
    processor = Processor.of(TINY, PICTURED.cameras, PICTURED.frame_offsets_us)
    data = {"steps": 3, "batch": 4, "samples": 12, "blind": False}
    scores = {"driving": {"failures": 2, "cases": 9}}
    save_model(folder / name, build_model(TINY, TOKENIZER, 1), TOKENIZER, processor, name, data=data, scores=scores)
    return folder / name


def test_the_list_knows_size_parents_scores_and_hash(tmp_path: Path) -> None:
    folder = model(tmp_path)
    (row,) = [entry.row() for entry in zoo(tmp_path)]
    assert row["state"] == "ok"
    assert row["bytes"] == (folder / "model.safetensors").stat().st_size
    found = CliRunner().invoke(app, ["zoo", "--root", str(tmp_path)], env={"COLUMNS": "200"})
    assert found.exit_code == 0
    assert "12 of 12 samples" in found.stdout
    assert "2/9" in found.stdout
    assert row["weight_hash"][:12] in found.stdout


def test_changed_weights_are_an_error(tmp_path: Path) -> None:
    folder = model(tmp_path)
    path = folder / "model.safetensors"
    block = bytearray(path.read_bytes())
    block[-1] ^= 1
    path.write_bytes(bytes(block))
    found = CliRunner().invoke(app, ["zoo", "--root", str(tmp_path), "--json"])
    assert found.exit_code != 0
    assert "was changed" in json.loads(found.stdout.splitlines()[-1])["models"][0]["state"]


def test_every_model_of_the_zoo_is_whole() -> None:
    assert [entry.state for entry in zoo(ZOO_ROOT) if entry.state != "ok"] == []


def test_majority_says_the_commonest(tmp_path: Path) -> None:
    samples = written(tmp_path, 6)
    found = majority(samples, range(6))
    for topic, score in found.topics.items():
        right = samples.texts[topic]
        assert score.exact == score.majority == max(map(right.count, right)) / 6
        assert score.balanced == pytest.approx(1 / len(set(right)))
    assert found.driving.unparsable == 0.0


def test_a_model_is_scored_with_and_without_eyes(tmp_path: Path) -> None:
    samples = written(tmp_path / "data", 12)
    found = triad([str(model(tmp_path))], samples, [0, 3, 5])
    assert [(row.model, row.sight) for row in found] == [
        ("tiny", "pictures"), ("tiny", "grey"), ("tiny", "text_only"), ("majority", ""),
    ]  # fmt: skip
    assert all(row.driving.count == 3 for row in found)
    other = Pictured((CameraSpec("front", 32, 16, 90.0),), (0, -300_000))
    (tmp_path / "other").mkdir()
    write_shard(tmp_path / "other" / "a.parquet", rows(2), other)
    with pytest.raises(ParameterError, match="other pictures"):
        triad([str(tmp_path / "tiny")], read_samples([tmp_path / "other"]), [0])
    assert torch.get_num_threads() >= 1


def test_the_command_prints_a_table(tmp_path: Path) -> None:
    written(tmp_path / "data", 12)
    words = ["triad", str(model(tmp_path)), "--data", str(tmp_path / "data"), "--split", "train", "--rows", "4"]
    found = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert found.exit_code == 0, found.output
    assert "majority" in found.stdout
    assert CliRunner().invoke(app, [*words[:5], "dance"]).exit_code == 2
