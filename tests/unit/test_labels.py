"""A teacher's answers as labels: on training rows only, and told before anything is driven."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from test_compress_samples import PICTURED, rows
from test_layer_study import folder

from simdrive.agents.language.codec import targets_from
from simdrive.compress.data import DataRequest, make_data
from simdrive.compress.labels import answered
from simdrive.compress.samples import Pictured, unpack, write_shard
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.local import LocalModel, open_model
from simdrive.types import CameraSpec

ANSWERS = ("drive", "perception", "reasoning", "planning")


def test_only_training_rows_are_answered_anew(tmp_path: Path) -> None:
    teacher = folder(tmp_path / "teacher")
    given = rows(5)
    given[2]["split"], given[4]["split"] = "validation", "test"
    found = answered(given, PICTURED, str(teacher))
    assert [found[k] for k in (2, 4)] == [given[k] for k in (2, 4)]
    assert all(targets_from([found[k]["drive"]])[1].all() for k in (0, 1, 3))
    for mine, other in zip(found, given, strict=True):
        assert {k: v for k, v in mine.items() if k not in ANSWERS} == {
            k: v for k, v in other.items() if k not in ANSWERS
        }
    asked = LocalModel(open_model(str(teacher)))
    frames = unpack(given[3]["frames"], PICTURED.shape)[None]
    told = asked.answer([f"{given[3]['state']} ; who decides ?"], frames, np.array([64])).texts
    assert found[3]["reasoning"] == told[0] != given[3]["reasoning"]


def test_the_file_says_whose_answers_it_holds(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", rows(2), PICTURED, "teacher")
    assert pq.read_schema(tmp_path / "a.parquet").metadata[b"simdrive.labels"] == b"teacher"


def test_wrong_teachers_are_told_before_anything_is_driven(tmp_path: Path) -> None:
    def made(labels: str, shown: Pictured = PICTURED) -> None:
        list(make_data(DataRequest("smoke", 1, 1, shown, labels=labels), tmp_path / "out"))

    with pytest.raises(UnknownNameError, match="nobody"):
        made("nobody")
    teacher = folder(tmp_path / "teacher")
    with pytest.raises(ParameterError, match="name them in the data"):
        made(str(teacher), Pictured((CameraSpec("rear", 32, 16),), (0, -300_000)))
    path = teacher / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "processor": "somebody else's"}))
    with pytest.raises(ParameterError, match="driving language"):
        made(str(teacher))
    assert not list((tmp_path / "out").glob("*.parquet"))
