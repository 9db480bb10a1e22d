"""Roll-outs of a run as a LeRobotDataset v3.0: rows and frames of many episodes in shared files, found through tables."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simdrive.errors import ParameterError, StorageError
from simdrive.eval.corruptions import corruption_of
from simdrive.eval.store import RunStore
from simdrive.report.encode import write_video
from simdrive.report.lerobot_meta import COUNTERS, Stats, image_stats, row_stats, write_meta
from simdrive.report.rollouts import FEATURES, FPS, Rows, regular_rows, rollout_rows
from simdrive.report.video import as_seen
from simdrive.scenarios.sampling import build_case
from simdrive.sim.camera import render, state_from_log
from simdrive.sim.scene_cache import scene_of
from simdrive.types import Bytes, CameraSpec, EpisodeLog

CAMERA = CameraSpec()  # the front camera of the default rig
VIDEO = "observation.images.front"
FRAMES_PER_FILE = 50_000  # well below the format's 100 MB of rows and 200 MB of video
FILES_PER_CHUNK = 1000
_FACTS = ("key", "scenario", "seed", "case_key", "agent", "latency", "camera", "corruption", "end")
_BATCH = 16  # frames rendered together
_SAMPLED = 10  # every so manyth frame counts for the statistics of pictures


@dataclass(frozen=True)
class Dataset:
    """What was written."""

    path: Path
    episodes: int
    frames: int
    files: int


@dataclass(frozen=True)
class _File:
    """One file of rows, with its video beside it where there is one."""

    root: Path
    number: int
    keys: tuple[str, ...]

    def path(self, folder: str, suffix: str) -> Path:
        chunk, file = divmod(self.number, FILES_PER_CHUNK)
        path = self.root / folder / f"chunk-{chunk:03d}" / f"file-{file:03d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def named(self, folder: str) -> dict[str, int]:
        chunk, file = divmod(self.number, FILES_PER_CHUNK)
        return {f"{folder}/chunk_index": chunk, f"{folder}/file_index": file}


@dataclass(frozen=True)
class _Episode:
    """One line of the table of episodes, with the statistics of its features."""

    facts: dict[str, Any]
    stats: dict[str, Stats]


def write_lerobot(
    store: RunStore, keys: Sequence[str], out: Path, *, video: bool, frames_per_file: int = FRAMES_PER_FILE
) -> Dataset:
    """Write episodes of a run as a dataset; the folder appears when it is complete.

    Args:
        store: the run.
        keys: of the episodes, in this order.
        out: a folder that does not exist yet, or an empty one.
        video: render the front camera (``CAMERA``) at 10 Hz as the feature ``VIDEO``.
        frames_per_file: a file takes whole episodes until it has so many rows.

    Raises:
        ParameterError: if ``out`` holds something, or no episode has a row.
        StorageError: if it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ParameterError(f"{out} is there already; give -o a folder that does not exist or is empty")
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        written = _write(store, keys, temporary, video, frames_per_file)
        if out.exists():
            out.rmdir()
        os.replace(temporary, out)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StorageError(f"{out} cannot be written ({reason}); make room or name another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Dataset(out, *written)


def _write(store: RunStore, keys: Sequence[str], root: Path, video: bool, per_file: int) -> tuple[int, int, int]:
    lengths = _lengths(store)
    keys = [key for key in keys if lengths.get(key, 0)]
    files = _files(root, keys, lengths, per_file)
    if not files:
        raise ParameterError("none of the chosen episodes has a row, so there is nothing to export")
    scenarios = store.plan.set_index("key")["scenario"]
    tasks = {task: k for k, task in enumerate(dict.fromkeys(task_of(scenarios[key]) for key in keys))}
    episodes: list[_Episode] = []
    everything: dict[str, list[Any]] = {}
    for file in files:
        here = _rows_file(store, file, tasks, episodes, everything)
        episodes += _filmed(store, file, here) if video else here
    frames = sum(int(episode.facts["length"]) for episode in episodes)
    shape = (CAMERA.height, CAMERA.width, 3) if video else None
    write_meta(
        root, [episode.facts for episode in episodes], [episode.stats for episode in episodes],
        {name: np.concatenate(parts) for name, parts in everything.items()}, tasks, {VIDEO: shape} if shape else {},
    )  # fmt: skip
    return len(episodes), frames, len(files)


def task_of(scenario: str) -> str:
    """Return the words that say what was to be done; the format wants one task per row."""
    return f"follow the route and keep clear of everybody: {scenario.replace('_', ' ')}"


def _lengths(store: RunStore) -> dict[str, int]:
    rows = store.columns("steps", ["row"])["row"].to_numpy(np.int64)
    counts = np.bincount(rows, minlength=len(store.plan)).tolist()
    return dict(zip(store.plan["key"].astype(str), counts, strict=True))


def _files(root: Path, keys: Sequence[str], lengths: dict[str, int], per_file: int) -> list[_File]:
    groups: list[list[str]] = []
    rows = per_file
    for key in keys:
        if rows >= per_file:
            groups.append([])
            rows = 0
        groups[-1].append(key)
        rows += lengths[key]
    return [_File(root, number, tuple(group)) for number, group in enumerate(groups)]


# --- rows -----------------------------------------------------------------------------------------------------------


def _rows_file(
    store: RunStore, file: _File, tasks: dict[str, int], before: Sequence[_Episode], everything: dict[str, list[Any]]
) -> list[_Episode]:
    """Write the rows of one file, one row group per episode; also adds them to ``everything``."""
    facts = {str(row["key"]): row for row in store.episodes().to_dict("records")}
    index = int(before[-1].facts["dataset_to_index"]) if before else 0
    written = []
    with pq.ParquetWriter(file.path("data", ".parquet"), _schema(), compression="snappy") as writer:
        for number, key in enumerate(file.keys, start=len(before)):
            log = store.load_log(key)
            task = task_of(log.case.scenario)
            columns = _columns(log, number, index, tasks[task])
            writer.write_table(_table(columns))
            for name, values in columns.items():
                everything.setdefault(name, []).append(values)
            length = len(columns["index"])
            line: dict[str, Any] = {
                "episode_index": number, "tasks": [task], "length": length, **file.named("data"),
                "dataset_from_index": index, "dataset_to_index": index + length,
                **{name: _plain(facts[key][name]) for name in _FACTS},
                "failure": float(facts[key].get("failure", math.nan)),
            }  # fmt: skip
            written.append(_Episode(line, {name: row_stats(values) for name, values in columns.items()}))
            index += length
    return written


def _columns(log: EpisodeLog, episode: int, first: int, task: int) -> Rows:
    rows = rollout_rows(log)
    count = len(rows["action"])
    frame = np.arange(count, dtype=np.int64)
    times = (frame / FPS).astype(np.float32)
    counters: list[Any] = [times, frame, np.full(count, episode), first + frame, np.full(count, task)]
    return rows | {name: values.astype(kind) for (name, kind), values in zip(COUNTERS.items(), counters, strict=True)}


def _schema() -> pa.Schema:
    fields = []
    for name, feature in FEATURES.items():
        kind = pa.bool_() if feature.dtype == "bool" else pa.float32()
        fields.append((name, pa.list_(kind, len(feature.names)) if len(feature.names) > 1 else kind))
    return pa.schema([*fields, *((name, pa.from_numpy_dtype(np.dtype(kind))) for name, kind in COUNTERS.items())])


def _table(columns: Rows) -> pa.Table:
    arrays = []
    for field in _schema():
        values = columns[field.name]
        flat = pa.array(np.ascontiguousarray(values).ravel())
        arrays.append(pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if values.ndim == 2 else flat)
    return pa.Table.from_arrays(arrays, schema=_schema())


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


# --- pictures -------------------------------------------------------------------------------------------------------


def _filmed(store: RunStore, file: _File, episodes: Sequence[_Episode]) -> list[_Episode]:
    """Write the video of one file; return its episodes with their place in it."""
    found: list[Stats] = []
    starts = np.cumsum([0, *(int(episode.facts["length"]) for episode in episodes)]).tolist()
    write_video(file.path(f"videos/{VIDEO}", ".mp4"), _frames(store, file.keys, found), FPS, starts[:-1])
    return [
        _Episode(
            episode.facts
            | file.named(f"videos/{VIDEO}")
            | {f"videos/{VIDEO}/from_timestamp": begin / FPS, f"videos/{VIDEO}/to_timestamp": end / FPS},
            episode.stats | {VIDEO: stats},
        )
        for episode, stats, begin, end in zip(episodes, found, starts[:-1], starts[1:], strict=True)
    ]


def _frames(store: RunStore, keys: Sequence[str], found: list[Stats]) -> Iterator[Bytes]:
    """Yield what the front camera saw, without anything drawn over it; statistics of each episode go to ``found``."""
    corruptions = store.plan.set_index("key")["corruption"]
    for key in keys:
        log = store.load_log(key)
        damage = corruption_of(store.config, str(corruptions[key]))
        scene, steps = scene_of(build_case(log.case)), np.arange(len(log.t_us), dtype=np.int64)
        rows = [int(row) for row in regular_rows(log)]
        sampled: list[Bytes] = []
        for begin in range(0, len(rows), _BATCH):
            part = rows[begin : begin + _BATCH]
            rgb = render([scene], state_from_log(log, scene, part), [CAMERA]).rgb
            pictures = as_seen(rgb, log, part, CAMERA, damage, steps)[:, 0]
            sampled += [picture for row, picture in zip(part, pictures, strict=True) if row % _SAMPLED == 0]
            yield from pictures
        found.append(image_stats(np.stack(sampled)))
