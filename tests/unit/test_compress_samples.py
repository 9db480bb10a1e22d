"""Sample files, who drives while they are made, and which rows a training step sees."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simdrive.compress.collect import Keeping, collect, part_of
from simdrive.compress.data import DataRequest, data_cases, make_data, splits
from simdrive.compress.draws import Draws, augmented, sample_weights
from simdrive.compress.drivers import FAULTS, fault_of
from simdrive.compress.samples import Pictured, Samples, pack, read_samples, split_of, unpack, write_shard
from simdrive.compress.settings import TrainSettings
from simdrive.errors import ParameterError, SimdriveError
from simdrive.types import CameraSpec, Case, Wants

PICTURED = Pictured((CameraSpec("front", 32, 16, 60.0),), (0, -300_000))


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "case_key": f"{k:08x}00000000", "scenario": ("cut_in", "free_drive")[k % 2], "seed": k, "split": "train",
            "t_us": 100_000 * k, "driver": "expert_none", "ego": [float(k)] * 7, "state": f"at {k} of 15 side 0m follow",
            "drive": "speed 0 0 0 side 0m 0m", "perception": "nothing", "reasoning": "nothing",
            "planning": "keep straight for nothing", "visible": "[]", "critical": k % 3 == 0,
            "columns": np.array([[[1, 5.0 + k, -2, 0, 3, 8, 0.5], [0.0] * 7]], np.float16).tobytes(),
            "frames": pack(rng.integers(0, 255, PICTURED.shape, dtype=np.uint8)),
        }
        for k in range(count)
    ]  # fmt: skip


def written(folder: Path, count: int = 12) -> Samples:
    folder.mkdir(exist_ok=True)
    write_shard(folder / "a.parquet", rows(count), PICTURED)
    return read_samples([folder])


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    made, found = rows(12), written(tmp_path)
    assert len(found) == 12
    assert found.pictured == PICTURED
    assert found.texts["state"] == [row["state"] for row in made]
    assert found.frames([3, 1]).tobytes() == b"".join(
        unpack(made[k]["frames"], PICTURED.shape).tobytes() for k in (3, 1)
    )
    assert found.columns([2, 0]).tolist() == [
        [[[1, 7, -2, 0, 3, 8, 0.5], [0] * 7]],
        [[[1, 5, -2, 0, 3, 8, 0.5], [0] * 7]],
    ]


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(SimdriveError, match="simdrive data"):
        read_samples([tmp_path])
    written(tmp_path)
    path = tmp_path / "a.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SimdriveError, match=r"a\.parquet cannot be read"):
        read_samples([tmp_path])
    with pytest.raises(SimdriveError, match="damaged"):
        unpack(b"nothing", PICTURED.shape)


def test_other_pictures_are_not_mixed(tmp_path: Path) -> None:
    written(tmp_path)
    other = Pictured((CameraSpec("front", 32, 16, 90.0),), (0, -300_000))
    write_shard(tmp_path / "b.parquet", rows(2), other)
    with pytest.raises(SimdriveError, match="other pictures"):
        read_samples([tmp_path])


def test_the_split_of_a_case_never_changes_and_all_are_used() -> None:
    found = [split_of(f"{int((k + 0.5) * 2**32 / 500):08x}ffffffff") for k in range(500)]
    assert found.count("validation") == 20
    assert found.count("test") == 20
    assert found[0] == split_of("00000000abcdef00") == "validation"


def test_half_of_a_batch_is_critical(tmp_path: Path) -> None:
    found = written(tmp_path, 60)
    weights = sample_weights(found)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[found.critical].sum() == pytest.approx(0.5)
    rare = Draws(found, {"plan": 1.0}, seed=4, critical_share=TrainSettings(critical=0.01).critical)
    drawn = np.concatenate([rare.draw(step, 500)[1] for step in range(20)])
    assert found.critical[drawn].mean() == pytest.approx(0.01, abs=0.004)
    with pytest.raises(ParameterError, match="critical is a share"):
        TrainSettings(critical=1.5)


def test_a_step_draws_the_same_whenever_it_is_asked(tmp_path: Path) -> None:
    draws = Draws(written(tmp_path, 60), {"plan": 1.0, "reasoning": 1.0}, seed=4)
    first, again, other = draws.draw(7, 20), draws.draw(7, 20), draws.draw(7, 20, rank=1)
    assert first[0] == again[0] == other[0]
    assert first[1].tolist() == again[1].tolist() != other[1].tolist()
    assert {draws.draw(step, 2)[0].topic for step in range(30)} == {"", "reasoning"}


def test_brightness_changes_but_not_the_scene() -> None:
    tiles = np.random.default_rng(0).integers(40, 200, (4, 2, 6, 8, 8), dtype=np.uint8)
    changed = augmented(tiles, np.random.default_rng(1))
    assert changed.dtype == np.uint8
    for before, after in zip(tiles, changed, strict=True):
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.99
    assert (changed != tiles).mean() > 0.9
    rng = np.random.default_rng(1)
    gain, lift = rng.uniform(0.8, 1.25, 4).astype(np.float32), rng.uniform(-16.0, 16.0, 4).astype(np.float32)
    assert changed[3, 1, 2, 5, 0] == int(np.clip(np.float32(tiles[3, 1, 2, 5, 0]) * gain[3] + lift[3], 0.0, 255.0))


def test_faults_belong_to_the_case() -> None:
    cases = [Case("cut_in", (("n", k),), k) for k in range(200)]
    kinds = [fault_of(case, 4_000_000).kind for case in cases]
    assert set(kinds) == set(FAULTS)
    assert kinds == [fault_of(case, 4_000_000).kind for case in cases]
    assert kinds != [fault_of(case, 4_000_000, number=1).kind for case in cases]


def test_a_data_folder_is_made_once_and_holds_what_was_asked(tmp_path: Path) -> None:
    suite = tmp_path / "tiny.yaml"
    suite.write_text(
        "name: tiny\nversion: 1\ndescription: x\nseed: 1\nentries:\n  - {scenario: lead_braking, cases: 1}\n"
    )
    request = DataRequest(str(suite), seed=77, cases=3, pictured=PICTURED, control=0.0, batch=2)
    made = list(make_data(request, tmp_path / "out"))
    assert [shard.cases for shard in made] == [2, 1]
    assert list(make_data(request, tmp_path / "out")) == []
    found = read_samples([tmp_path / "out"])
    assert len(found) == sum(shard.samples for shard in made)
    assert found.critical.any()
    assert not found.critical.all()
    assert set(found.scenario) == {"lead_braking"}
    assert sum(splits(data_cases(request)).values()) == 3
    again = collect(data_cases(request)[:2], PICTURED)
    first = read_samples([tmp_path / "out"]).texts["drive"][: len(again)]
    assert [row["drive"] for row in again] == first


def test_calm_frames_are_kept_more_seldom(tmp_path: Path) -> None:
    case = data_cases(DataRequest("control", 5, 1, PICTURED, control=0.0))[:1]
    many, few = (len(collect(case, PICTURED, keeping=Keeping(1, calm))) for calm in (1, 4))
    assert 2 * few <= many <= 5 * few


def test_wrong_requests_say_what_is_wrong() -> None:
    with pytest.raises(ParameterError, match="cases and batch"):
        DataRequest("smoke", 1, 0, PICTURED)
    with pytest.raises(ParameterError, match="model_share"):
        DataRequest("smoke", 1, 1, PICTURED, model_share=2.0)
    with pytest.raises(ParameterError, match="keep_critical"):
        DataRequest("smoke", 1, 1, PICTURED, keeping=Keeping(0, 1))


def test_a_model_is_shown_the_part_of_the_pictures_that_it_wants() -> None:
    narrow, wide = CameraSpec("narrow", 256, 64, 50.0), CameraSpec("wide", 256, 64, 120.0)
    shown = Pictured((narrow, wide), (0, -300_000, -900_000))
    assert part_of(shown, Wants((wide,), (0, -900_000))) == ([1], [0, 2])
    assert part_of(shown, Wants()) is None
    with pytest.raises(ParameterError, match="name them in the data"):
        part_of(shown, Wants((wide,), (0, -600_000)))
