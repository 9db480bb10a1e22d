"""Roll-outs as a LeRobotDataset v3.0: rows by hand, the layout that its description asks for, videos of the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from logs import make_log, make_requests, straight_plan
from run_fixtures import CONFIG, log_of, plan, planned, tables_of
from straight_worlds import straight_world
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.errors import ParameterError
from simdrive.eval.store import RunStore
from simdrive.report.lerobot import CAMERA, VIDEO, write_lerobot
from simdrive.report.lerobot_meta import image_stats, joined_image_stats, row_stats
from simdrive.report.rollouts import FEATURES, plan_from, regular_rows, rollout_rows
from simdrive.types import EndReason

LENGTHS = [11, 12, 13, 14]  # of the first four episodes of the fixture, without the short last row


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan(1))
    store.write_part(tables_of(0, 1, 2, 3, count=1))
    return store


def keys() -> list[str]:
    return [entry.key for entry in planned(1)]


def table(root: Path, *parts: str) -> pd.DataFrame:
    frame: pd.DataFrame = pq.read_table(root.joinpath(*parts)).to_pandas()
    return frame


def test_rows_of_an_episode() -> None:
    log = make_log(4, speed=np.array([10.0, 12.0, 14.0, 16.0]), last_us=40_000, end=EndReason.GOAL)
    assert regular_rows(log).tolist() == [0, 1, 2]
    rows = rollout_rows(log)
    assert set(rows) == set(FEATURES)
    state = dict(zip(FEATURES["observation.state"].names, rows["observation.state"].T, strict=True))
    assert state["speed_mps"].tolist() == [10.0, 12.0, 14.0]
    assert state["x_m"].tolist() == pytest.approx([0.0, 1.1, 2.4])
    np.testing.assert_allclose(rows["action"][:, 0], log.acceleration[1:4, 0], rtol=1e-6)  # of the following row
    assert rows["next.done"].tolist() == rows["next.success"].tolist() == [False, False, True]
    assert rows["plan_age_s"].tolist() == [0.0, 0.0, 0.0]
    assert not rows["plan_known"].any()
    assert not rows["plan"].any()
    assert not rollout_rows(make_log(4))["next.success"].any()
    assert len(rollout_rows(make_log(1))["action"]) == 1


def test_plan_is_seen_from_the_car() -> None:
    north = 0.5 * np.pi
    plans = straight_plan(5.0, 0.0, north, 10.0)[None]  # from (5, 0) along +y, 4 s
    fields: dict[str, Any] = {"requests": make_requests([0], 0, plans), "plan_request": np.zeros(12, np.int32)}
    log = make_log(12, speed=0.0, x0=5.0, heading=north, **fields)
    points = plan_from(log, 0)
    assert points is not None
    np.testing.assert_allclose(points.reshape(6, 4)[0], [5.0, 0.0, 0.0, 10.0], atol=1e-9)
    np.testing.assert_allclose(points.reshape(6, 4)[-1], [30.0, 0.0, 0.0, 10.0], atol=1e-9)
    late = plan_from(log, 10)  # 1 s later, the car still stands: 3 s ahead is where the plan ends
    assert late is not None
    np.testing.assert_allclose(late.reshape(6, 4)[:, 0], [15.0, 20.0, 25.0, 30.0, 35.0, 40.0], atol=1e-9)
    assert plan_from(log, 11) is None
    aside = make_log(2, speed=0.0, x0=5.0, y=-2.0, **(fields | {"plan_request": np.zeros(2, np.int32)}))
    seen = plan_from(aside, 0)  # heading +x, y counts to the right
    assert seen is not None
    np.testing.assert_allclose(seen.reshape(6, 4)[0], [0.0, 7.0, north, 10.0], atol=1e-9)


def test_statistics_by_hand() -> None:
    stats = row_stats(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert (stats["mean"], stats["std"], stats["max"], stats["count"]) == ([2.0, 5.0], [1.0, 0.0], [3.0, 5.0], [2])
    assert row_stats(np.array([False, True]))["mean"] == [0.5]
    black, white = (image_stats(np.full((count, 2, 2, 3), value, np.uint8)) for count, value in ((1, 0), (3, 255)))
    both = joined_image_stats([black, white])
    assert both["mean"] == [[[0.75]]] * 3
    assert np.allclose(both["std"], np.sqrt(0.75 * 0.25))
    assert (both["min"], both["max"], both["count"]) == ([[[0.0]]] * 3, [[[1.0]]] * 3, [4])


def test_layout_without_video(store: RunStore, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "set"
    made = write_lerobot(store, keys(), out, video=False, frames_per_file=20)
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == [
        "data/chunk-000/file-000.parquet", "data/chunk-000/file-001.parquet", "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json", "meta/stats.json", "meta/tasks.parquet",
    ]  # fmt: skip
    assert (made.episodes, made.frames, made.files) == (4, sum(LENGTHS), 2)
    info = json.loads((out / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["video_path"]) == ("v3.0", 10, None)
    assert (info["total_episodes"], info["total_frames"], info["splits"]) == (4, sum(LENGTHS), {"train": "0:4"})
    parts = [table(out, info["data_path"].format(chunk_index=0, file_index=k)) for k in (0, 1)]
    rows = pd.concat(parts, ignore_index=True)
    assert set(rows.columns) == set(info["features"])
    assert rows["index"].tolist() == list(range(sum(LENGTHS)))
    assert rows["timestamp"].to_numpy() == pytest.approx(rows["frame_index"].to_numpy() / 10)
    assert rows["next.done"].sum() == 4
    for name, feature in info["features"].items():
        first = rows[name].iloc[0]
        assert np.size(first) == feature["shape"][0]
        assert np.asarray(first).dtype == feature["dtype"]
        assert feature["names"] is None or len(feature["names"]) == feature["shape"][0]
    assert pq.ParquetFile(out / files[0]).num_row_groups == 2  # one per episode


def test_tables_find_the_rows(store: RunStore, tmp_path: Path) -> None:
    write_lerobot(store, keys()[::-1], tmp_path / "set", video=False, frames_per_file=20)
    episodes = table(tmp_path / "set", "meta", "episodes", "chunk-000", "file-000.parquet")
    assert episodes["length"].tolist() == LENGTHS[::-1]
    assert episodes["dataset_to_index"].tolist() == np.cumsum(LENGTHS[::-1]).tolist()
    assert episodes["dataset_from_index"].tolist() == [0, *np.cumsum(LENGTHS[::-1])[:-1]]
    assert episodes["data/file_index"].tolist() == [0, 0, 1, 1]
    assert episodes["key"].tolist() == keys()[::-1]
    assert episodes["failure"].tolist() == [1.0, 1.0, 0.0, 0.0]
    tasks = table(tmp_path / "set", "meta", "tasks.parquet")
    assert tasks.index.name == "task"
    assert [list(found) for found in episodes["tasks"]] == [[tasks.index[0]]] * 4
    assert tasks["task_index"].tolist() == [0]
    second = table(tmp_path / "set", "data", "chunk-000", "file-001.parquet")
    mine = second[second["episode_index"] == 3]
    speeds = np.stack(mine["observation.state"].tolist())[:, 3]
    np.testing.assert_allclose(speeds, log_of(planned(1)[0]).speed[:-1, 0], rtol=1e-6)
    stats = json.loads((tmp_path / "set" / "meta" / "stats.json").read_text())
    assert stats["index"]["max"] == [sum(LENGTHS) - 1]
    assert stats["action"]["count"] == [sum(LENGTHS)]
    assert episodes["stats/frame_index/max"].iloc[0].tolist() == [LENGTHS[3] - 1]


def test_video_holds_the_same_rows(store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simdrive.report.lerobot.build_case", lambda case: straight_world())
    out = tmp_path / "set"
    write_lerobot(store, keys()[:2], out, video=True)
    film = cv2.VideoCapture(str(out / "videos" / VIDEO / "chunk-000" / "file-000.mp4"))
    count = 0
    while (found := film.read())[0]:
        assert found[1].shape == (CAMERA.height, CAMERA.width, 3)
        count += 1
    film.release()
    assert count == sum(LENGTHS[:2])
    episodes = table(out, "meta", "episodes", "chunk-000", "file-000.parquet")
    assert episodes[f"videos/{VIDEO}/from_timestamp"].tolist() == [0.0, 1.1]
    assert episodes[f"videos/{VIDEO}/to_timestamp"].tolist() == [1.1, 2.3]
    info = json.loads((out / "meta/info.json").read_text())
    assert info["features"][VIDEO]["shape"] == [CAMERA.height, CAMERA.width, 3]
    stats = json.loads((out / "meta/stats.json").read_text())[VIDEO]
    assert np.shape(stats["mean"]) == (3, 1, 1)
    assert stats["count"] == [4]  # rows 0 and 10 of each
    assert 0.0 < stats["mean"][0][0][0] < 1.0


def test_another_reader_finds_the_episodes(store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = pytest.importorskip("rerun.experimental", reason="needs the extra rerun").LeRobotReader
    monkeypatch.setattr("simdrive.report.lerobot.build_case", lambda case: straight_world())
    write_lerobot(store, keys(), tmp_path / "set", video=True, frames_per_file=20)
    found = reader(tmp_path / "set")
    assert (found.version, found.episodes()) == ("v3", [0, 1, 2, 3])
    for episode, length in enumerate(LENGTHS):
        rows = {chunk.entity_path: chunk.num_rows for chunk in found.stream(episode) if not chunk.is_static}
        assert length in rows.values(), rows


def test_what_is_there_is_left_alone(store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine").write_text("x")
    with pytest.raises(ParameterError, match="there already"):
        write_lerobot(store, keys(), tmp_path / "set", video=False)
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["mine"]
    assert {path.name for path in tmp_path.iterdir()} == {"run", "set"}


def command(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["export", *words])
    return result.exit_code, " ".join(result.output.split())


def test_command(store: RunStore, tmp_path: Path) -> None:
    code, told = command(str(store.path), "--to", "lerobot", "--choose", "failures", "--json")
    assert code == 0, told
    facts = json.loads(told[told.index("{") :])
    assert facts == {"file": (store.path / "export" / "lerobot").as_posix(), "episodes": 2, "frames": 27, "files": 1}
    code, told = command(str(store.path), "--to", "lerobot", "--choose", "successes", "-o", str(tmp_path / "good"))
    assert (code, "2 episodes, 23 frames, 1 files" in told) == (0, True), told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "lerobott"], "Did you mean 'lerobot'"),
        (["--to", "lerobot", "--table", "steps"], "--table does not go with --to lerobot"),
        (["--to", "csv", "--choose", "all"], "--choose does not go with --to csv"),
        (["--video"], "--video does not go with --to parquet"),
        (["--to", "lerobot", "--choose", "best"], "--choose must be all"),
        (["--to", "lerobot", "--choose", "worst:0"], "worst:N"),
    ],
)
def test_command_explains_bad_words(store: RunStore, words: list[str], told: str) -> None:
    code, output = command(str(store.path), *words)
    assert (code, told in output) == (2, True), output
