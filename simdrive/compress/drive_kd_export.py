"""Writes driving samples as Drive-KD items: PNG pictures, one JSON list per split, questions and exact answers in words.

A row becomes four items over the same pictures: perception, reasoning, planning, and the driving answer itself, which is
a planning item, too. Pictures are lossless, one per camera and frame, in folders named after their camera, so that a
reader finds the camera by name. No object tags are written: samples say where things are along the road, not in a picture.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from simdrive.agents.language.questions import PHRASINGS, TOPICS, Style
from simdrive.compress.drive_kd import MARK
from simdrive.compress.lessons import Lesson, turns_of
from simdrive.compress.samples import Pictured, Samples, read_samples
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.streams import stream
from simdrive.types import Long

FRAMES = ("newest", "all")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ExportRequest:
    """What is exported of some data folders."""

    frames: Literal["newest", "all"] = "newest"  # pictures per camera
    rows: int = 500  # at most, of each split
    style: Style = "plan"  # of the driving answer

    def __post_init__(self) -> None:
        if self.frames not in FRAMES:
            raise UnknownNameError("frames", str(self.frames), FRAMES)
        if self.style not in ("plan", "reason_plan", "full"):
            raise UnknownNameError("style", str(self.style), ("plan", "reason_plan", "full"))
        if self.rows < 1:
            raise ParameterError(f"rows must be a whole number of at least 1, got {self.rows!r}")


def export_items(folders: Sequence[Path], out: Path, request: ExportRequest) -> dict[str, int]:
    """Write ``out/<split>.json`` and ``out/images/``; return the number of items of each split that has any.

    Which rows are taken depends on nothing but their number: the first ``rows`` of one fixed shuffle, in file order.

    Raises:
        SimdriveError: if a data folder cannot be read, or ``out`` holds an export already.
    """
    there = [name for name in SPLITS if (out / f"{name}.json").exists()]
    if there:
        raise ParameterError(f"{out} already holds {there[0]}.json; give another out, or delete that folder")
    samples = read_samples(folders)
    counts = {}
    for split in SPLITS:
        rows = np.flatnonzero(samples.split == split)
        chosen = rows[chosen_rows(len(rows), request.rows, split)]
        if len(chosen):
            items = [item for row in chosen.tolist() for item in _items(samples, row, out, split, request)]
            _write(out / f"{split}.json", items)
            counts[split] = len(items)
    return counts


def chosen_rows(count: int, most: int, split: str) -> Long:
    """Return ``most`` of ``count`` rows at random but always the same, ascending; all where there are not more."""
    order = stream(f"drive_kd.{split}", "export.rows").permutation(count)
    return np.sort(order[:most])


def shown_frames(pictured: Pictured, frames: str) -> list[tuple[str, int, int, int]]:
    """Return (name, camera, time, offset in us) of each picture of a row: camera after camera, the newest frame first."""
    times = sorted(range(len(pictured.frame_offsets_us)), key=lambda k: -pictured.frame_offsets_us[k])
    kept = times[:1] if frames == "newest" else times
    names = ["CAM_" + re.sub(r"[^A-Z0-9]+", "_", camera.name.upper()).strip("_") for camera in pictured.cameras]
    if len(set(names)) != len(names):
        raise ParameterError(f"camera names must differ in letters and digits to be exported, got {', '.join(names)}")
    return [(name, camera, time, pictured.frame_offsets_us[time]) for camera, name in enumerate(names) for time in kept]


def _items(samples: Samples, row: int, out: Path, split: str, request: ExportRequest) -> list[dict[str, Any]]:
    frames = samples.frames([row])[0]
    images = []
    for name, camera, time, offset_us in shown_frames(samples.pictured, request.frames):
        path = Path("images", split, name, f"{row:07d}_{-offset_us // 1000}ms.png")
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frames[camera, time]).save(out / path)
        images.append(path.as_posix())
    asked = [(topic, Lesson(topic=topic)) for topic in TOPICS] + [("planning", Lesson(request.style))]
    items = []
    for topic, lesson in asked:
        question, answer = turns_of(samples, row, lesson, row % PHRASINGS)[0]
        messages = [
            {"role": "user", "content": MARK * len(images) + question},
            {"role": "assistant", "content": answer},
        ]
        items.append({"messages": messages, "images": images, "question_type": topic})
    return items


def _write(path: Path, items: list[dict[str, Any]]) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(items, indent=1, ensure_ascii=False), encoding="utf-8")
    part.replace(path)
