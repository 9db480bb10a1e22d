"""A chain of models: what is held against the first, where answers look, and whether answers foretell driving."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_kit import save_tiny, tiny_model, tiny_tokenizer
from test_compress_samples import rows
from test_shadow_stored import PICTURED
from typer.testing import CliRunner

from simdrive.agents.language.sights import KINDS, MOTIONS, PLACES
from simdrive.cli import app
from simdrive.compress.chain import Link, chain, deciding, ranked
from simdrive.compress.quant.stage import quantize_stage
from simdrive.compress.requests import settings_of
from simdrive.compress.samples import Samples, pack, read_samples, write_shard
from simdrive.models.folder import load_model, save_model
from simdrive.models.local import open_model
from simdrive.models.merge import merge_tokens

CAR, CYCLIST = (1 + list(KINDS.values()).index(kind) for kind in ("car", "cyclist"))
LANE, LEFT = (1 + PLACES.index(place) for place in ("lane", "left"))
BRAKES = 1 + MOTIONS.index("brakes")


def cells() -> bytes:
    """Two cameras of four columns: the deciding car in columns 1 and 2 of the first, another one to the left in the second."""
    found = np.zeros((2, 4, 7), np.float16)
    found[0, 1:3, [0, 4, 5]] = np.array([[CAR], [LANE], [BRAKES]])
    found[1, 0, [0, 4, 5]] = (CAR, LEFT, BRAKES)
    found[1, 3, [0, 4, 5]] = (CYCLIST, LANE, BRAKES)
    return found.tobytes()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    save_tiny(folder / "teacher")
    with torch.no_grad():
        other: Any = load_model(folder / "teacher")
        other.model.model.language_model.layers[0].self_attn.q_proj.weight.mul_(3.0)
    save_model(folder / "moved", other.model, tiny_tokenizer(), other.processor, "moved", dtype=torch.float32)
    rng = np.random.default_rng(4)
    made = [
        {**row, "split": "test", "columns": cells(), "reasoning": "car lane brakes" if k % 2 else "nothing",
         "frames": pack(rng.integers(0, 255, PICTURED.shape, dtype=np.uint8))}
        for k, row in enumerate(rows(8))
    ]  # fmt: skip
    (folder / "data").mkdir()
    write_shard(folder / "data" / "0.parquet", made, PICTURED)
    assert tiny_model() is not other.model
    return folder


def samples(here: Path) -> Samples:
    return read_samples([here / "data"], "test")


def test_who_decides_is_found_in_the_columns(here: Path) -> None:
    found = deciding(samples(here), [0, 1], open_model(str(here / "teacher")).processor)
    assert found.shape == (2, 2, 4)
    assert not found[0].any()  # nobody decides
    assert found[1].tolist() == [[False, True, True, False], [False] * 4]


def test_a_model_does_not_drift_from_itself_and_another_does(here: Path) -> None:
    first, again, moved = chain([str(here / name) for name in ("teacher", "teacher", "moved")], samples(here), range(8))
    assert (again.drift, again.exact, again.on_actor) == (first.drift, first.exact, first.on_actor)
    assert set(first.drift.values()) == {0.0}
    assert moved.drift["perception"] > 0.0
    assert (first.frames_with_actor, first.by_chance) == (4, 0.25)  # two columns of eight
    assert 0.0 < first.on_actor < 1.0
    assert first.weight_bytes > 4 * first.parameters * 0.9
    assert first.weight_hash != moved.weight_hash


def test_a_quantized_model_is_compared_too(here: Path) -> None:
    (here / "train").mkdir()
    rng = np.random.default_rng(5)
    frames = [pack(rng.integers(0, 255, PICTURED.shape, dtype=np.uint8)) for _ in range(8)]
    made = [{**row, "split": "train", "frames": block} for row, block in zip(rows(8), frames, strict=True)]
    write_shard(here / "train" / "0.parquet", made, PICTURED)
    given = {"model": str(here / "moved"), "data": [str(here / "train")], "rows": 8, "agree_rows": 0}
    folder = quantize_stage(settings_of("quantize", given), here / "int8", lambda line: None)
    whole, small = chain([str(here / "moved"), str(folder)], samples(here), range(8))
    assert small.weight_bytes < 0.5 * whole.weight_bytes  # fp32 before; 8 bits with their scales after
    assert small.bits < 16.0
    assert all(0.0 < value < 1.0 for value in small.drift.values())  # rounded, but the same model


def test_a_model_with_joined_picture_tokens_is_compared_by_area(here: Path) -> None:
    other = load_model(here / "teacher")
    processor = merge_tokens(other.model, other.processor, 2)
    save_model(here / "joined", other.model, other.tokenizer, processor, "joined", dtype=torch.float32)
    _, joined = chain([str(here / "teacher"), str(here / "joined")], samples(here), range(8))
    assert all(0.0 < value < 1.0 for value in joined.drift.values())


def test_ranks_need_models_that_differ() -> None:
    base = Link("m", (), "", 1, 1, 16.0, 0.0, {"a": 0.0}, (1.0,), {}, 0.1, 0.1, 1)
    links = [replace(base, weight_hash=str(k), exact={"a": 0.1 * k}) for k in range(6)]
    assert math.isnan(ranked(links, {str(k): 0.5 for k in range(4)}).rho)  # too few
    assert math.isnan(ranked(links, dict.fromkeys("012345", 0.5)).rho)  # all alike
    falling = ranked(links, {str(k): 1.0 - 0.1 * k for k in range(6)})
    assert (falling.models, falling.rho) == (6, -1.0)
    assert falling.p_value == pytest.approx(2 / math.factorial(6), abs=1e-3)


def test_the_command_writes_text_and_tables_and_says_what_is_missing(here: Path, tmp_path: Path) -> None:
    words = [f"models=[{here / 'teacher'},{here / 'moved'}]", f"data=[{here / 'data'}]", f"out={tmp_path / 'out'}"]
    found = CliRunner().invoke(app, ["study", "chain", *words, "--json"])
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout.splitlines()[-1])
    assert [row["model"] for row in told["models"]] == ["tiny_internvl", "moved"]
    assert told["frames"] == 8
    text = (tmp_path / "out" / "chain.txt").read_text()
    assert "0 models with both, 5 different ones are needed" in text
    assert len((tmp_path / "out" / "chain.csv").read_text().splitlines()) == 3
    for change, said in ((["models=[]"], "models=[...] is needed"), (["split=holdout"], "holdout")):
        refused = CliRunner().invoke(app, ["study", "chain", *words, *change])
        assert refused.exit_code == 2
        assert said in refused.output
