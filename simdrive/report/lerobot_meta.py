"""The ``meta`` folder of a LeRobotDataset v3.0: schema, statistics, tasks and the table of episodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from simdrive.report.rollouts import FEATURES, FPS
from simdrive.types import Bytes

Stats = dict[str, list[Any]]

VERSION = "v3.0"
COUNTERS = {
    "timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64",
}  # fmt: skip
_FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def row_stats(values: npt.NDArray[Any]) -> Stats:
    """Return the statistics of one feature, ``[N]`` or ``[N, d]``, per component; its count is the number of rows."""
    return _stats(values.reshape(len(values), -1).astype(np.float64), len(values), lambda row: row.tolist())


def image_stats(pictures: Bytes) -> Stats:
    """Return the statistics of pictures ``[N, H, W, 3]`` per channel, 0..1; its count is the number of pictures."""
    pixels = pictures.reshape(-1, 3).astype(np.float64) / 255.0
    return _stats(pixels, len(pictures), lambda row: [[[value]] for value in row.tolist()])


def _stats(values: npt.NDArray[np.float64], count: int, shaped: Any) -> Stats:
    found = {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        **{name: np.quantile(values, share, axis=0) for name, share in _QUANTILES.items()},
    }
    return {name: shaped(row) for name, row in found.items()} | {"count": [count]}


def joined_image_stats(parts: Sequence[Stats]) -> Stats:
    """Return the statistics of all episodes' pictures; quantiles are means of those of the episodes."""
    weights = np.array([part["count"][0] for part in parts], np.float64)
    weights /= weights.sum()

    def mean(name: str) -> npt.NDArray[np.float64]:
        total: npt.NDArray[np.float64] = np.tensordot(weights, np.array([part[name] for part in parts]), 1)
        return total

    squares = np.tensordot(weights, np.array([np.square(part["std"]) + np.square(part["mean"]) for part in parts]), 1)
    found = {name: mean(name) for name in ("mean", *_QUANTILES)}
    found["std"] = np.sqrt(np.maximum(squares - found["mean"] ** 2, 0.0))
    found["min"] = np.min([part["min"] for part in parts], axis=0)
    found["max"] = np.max([part["max"] for part in parts], axis=0)
    return {name: values.tolist() for name, values in found.items()} | {
        "count": [sum(part["count"][0] for part in parts)]
    }


def write_meta(
    root: Path,
    episodes: Sequence[Mapping[str, Any]],
    stats: Sequence[Mapping[str, Stats]],
    rows: Mapping[str, npt.NDArray[Any]],
    tasks: Mapping[str, int],
    videos: Mapping[str, tuple[int, int, int]],
) -> None:
    """Write the folder.

    Args:
        root: of the dataset.
        episodes: the lines of the table of episodes.
        stats: of each episode, by feature.
        rows: all rows of all files, by feature.
        tasks: words of each task with its index.
        videos: height, width and channels of each video feature.
    """
    meta = root / "meta"
    meta.mkdir(parents=True, exist_ok=True)
    total = {name: row_stats(values) for name, values in rows.items()}
    total |= {name: joined_image_stats([each[name] for each in stats]) for name in videos}
    _write_json(meta / "info.json", _info(len(episodes), len(rows["index"]), len(tasks), videos))
    _write_json(meta / "stats.json", total)
    words = pd.DataFrame({"task_index": list(tasks.values())}, index=pd.Index(list(tasks), name="task"))
    words.to_parquet(meta / "tasks.parquet")
    lines = [
        {**entry, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        | {f"stats/{name}/{kind}": value for name, own in each.items() for kind, value in own.items()}
        for entry, each in zip(episodes, stats, strict=True)
    ]
    path = meta / "episodes" / (_FILE.format(chunk_index=0, file_index=0) + ".parquet")
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(lines), path, compression="snappy")


def _info(episodes: int, frames: int, tasks: int, videos: Mapping[str, tuple[int, int, int]]) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {"dtype": feature.dtype, "shape": [len(feature.names)], "names": list(feature.names)}
        for name, feature in FEATURES.items()
    }
    features |= {name: _video(*size) for name, size in videos.items()}
    features |= {name: {"dtype": kind, "shape": [1], "names": None} for name, kind in COUNTERS.items()}
    return {
        "codebase_version": VERSION,
        "robot_type": "simdrive",
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": FPS,
        "splits": {"train": f"0:{episodes}"},
        "data_path": f"data/{_FILE}.parquet",
        "video_path": f"videos/{{video_key}}/{_FILE}.mp4" if videos else None,
        "features": features,
    }


def _video(height: int, width: int, channels: int) -> dict[str, Any]:
    return {
        "dtype": "video",
        "shape": [height, width, channels],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": height,
            "video.width": width,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.fps": FPS,
            "video.channels": channels,
            "is_depth_map": False,
            "has_audio": False,
        },
    }


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=4, allow_nan=False) + "\n", encoding="utf-8")
