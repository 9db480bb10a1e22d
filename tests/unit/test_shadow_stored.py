"""Two models on the stored frames of a data folder: what is compared, what the page shows, and what is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from model_kit import save_tiny
from test_compress_samples import rows
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.compress.samples import Pictured, pack, write_shard
from simdrive.compress.shadow.stored import stored_differences
from simdrive.errors import ParameterError
from simdrive.types import CameraSpec

CAMERAS = (CameraSpec("front", 64, 32), CameraSpec("right", 64, 32, yaw_deg=60.0))
PICTURED = Pictured(CAMERAS, (0, -300_000))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    save_tiny(folder / "teacher")
    save_tiny(folder / "student", "qwen2_5_vl")
    rng = np.random.default_rng(4)
    made = [
        {**row, "case_key": f"case{k // 2}", "split": "validation",
         "frames": pack(rng.integers(0, 255, PICTURED.shape, dtype=np.uint8))}
        for k, row in enumerate(rows(12))
    ]  # fmt: skip
    (folder / "data").mkdir()
    write_shard(folder / "data" / "0.parquet", made, PICTURED)
    return folder


def test_answers_differ_by_question_and_the_largest_carry_their_pictures(here: Path) -> None:
    found = stored_differences(str(here / "teacher"), str(here / "student"), here / "data", "validation", 12, top=3)
    assert len(found) == 12
    assert found["speed_mps"].notna().all()  # driving answers are held to the language
    assert (found["teacher_text"] == found["teacher_drive"]).all()
    pictured = found[found["picture"].notna()]
    assert len(pictured) == 3
    assert pictured["case_key"].is_unique
    assert pictured["speed_mps"].min() >= found.groupby("case_key")["speed_mps"].max().sort_values().iloc[-3]
    assert imageio.imread(pictured["picture"].iloc[0]).shape == (
        64,
        64,
        3,
    )  # two cameras of 64 x 32, one below the other
    alike = stored_differences(str(here / "teacher"), str(here / "teacher"), here / "data", "validation", 5)
    assert len(alike) == 5
    assert (alike[["speed_mps", "lateral_m", "brakes_later_s", "perception"]] == 0.0).all(axis=None)


def shadow(here: Path, *words: str) -> Any:
    given = (f"teacher={here / 'teacher'}", f"student={here / 'student'}", f"source={here / 'data'}", *words)
    return CliRunner().invoke(app, ["shadow", *given])


def test_the_page_shows_them_and_what_stored_frames_cannot_do_is_said(here: Path, tmp_path: Path) -> None:
    result = shadow(here, "rows=6", "top=2", f"out={tmp_path / 'out'}", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["observations"] == 6
    page = (tmp_path / "out" / "shadow.html").read_text()
    blocks = [part.split('"')[0] for part in page.split("data:image/png;base64,")[1:]]
    assert [base64.b64decode(block)[:4] for block in blocks] == [b"\x89PNG"] * 2
    assert "speed " in page.split("teacher: <code>")[1]
    for word in ("driver=teacher", "cases=3", "corruption=fog"):
        refused = shadow(here, word, f"out={tmp_path / 'no'}")
        assert refused.exit_code == 2
        assert "stored frames are as they are" in refused.output.replace("\n", " ")


def test_two_sets_of_cameras_are_not_compared_at_once(here: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number, pictured in enumerate((PICTURED, Pictured(CAMERAS, (0, -700_000)))):
        frames = pack(np.zeros(pictured.shape, np.uint8))
        made = [{**row, "split": "validation", "frames": frames} for row in rows(2)]
        write_shard(tmp_path / "data" / f"{number}.parquet", made, pictured)
    with pytest.raises(ParameterError, match="other pictures"):
        stored_differences(str(here / "teacher"), str(here / "teacher"), tmp_path / "data", "validation", 4)
