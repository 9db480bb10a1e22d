"""Two models answer the stored frames of a data folder: the driving answer and the triad, beside the exact answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from simdrive.agents.language.codec import targets_from
from simdrive.agents.language.questions import TOPICS
from simdrive.agents.language.upsample import TIMES_S
from simdrive.compress.labels import check_labeller, model_answers, shown_to
from simdrive.compress.samples import Pictured, pictured_of, shards, unpack
from simdrive.compress.shadow.differences import BRAKED_MPS, HORIZON_S
from simdrive.compress.shadow.picture import png
from simdrive.compress.shadow.ranking import most_different
from simdrive.compress.shadow.slices import NOBODY, distance_name, speed_name
from simdrive.errors import ParameterError
from simdrive.models.local import LocalModel, open_model
from simdrive.types import Float

MEASURES = ("speed_mps", "lateral_m", "brakes_later_s", *TOPICS)
SLICES = ("scenario", "distance", "kind", "speed")
_BATCH = 64
_COLUMNS = ("case_key", "scenario", "t_us", "split", "ego", "state", "visible", "frames", "drive", *TOPICS)


def stored_differences(
    teacher: str, student: str, folder: Path, split: str, rows: int, by: str = "speed_mps", top: int = 24
) -> pd.DataFrame:
    """Return one row per stored frame: slices, differences of the answers, and whether each answer is right.

    The newest pictures (``picture``, PNG) stand beside the ``top`` frames that differ most by ``by``, one per case.

    Args:
        teacher, student: model folders or zoo names.
        folder: made by ``simdrive data``.
        split: whose frames are asked about.
        rows: at most so many, evenly spread.

    Raises:
        SimdriveError: if the folder holds no samples or a damaged file.
        ParameterError: if there is no frame, or a model wants other pictures or another language.
    """
    pictured, kept = _read(folder, split, rows)
    names = {"teacher": teacher, "student": student}
    for model in names.values():
        check_labeller(model, pictured)
    said = {role: _said(model, pictured, kept) for role, model in names.items()}
    frame = pd.DataFrame([_moment(row) for row in kept])
    measured = answer_differences(said["teacher"], said["student"])
    for column, name in enumerate(MEASURES):
        frame[name] = measured[:, column]
    for role, found in said.items():
        for topic in ("drive", *TOPICS):
            frame[f"{role}_{topic}"] = found[topic]
            frame[f"{role}_{topic}_right"] = [text == row[topic] for text, row in zip(found[topic], kept, strict=True)]
        asked = by if by in TOPICS else "drive"  # what the page shows of their answers
        frame[f"{role}_text"] = found[asked]
    shown = most_different(frame, by).index[:top]
    newest = {place: unpack(kept[place]["frames"], pictured.shape)[:, 0] for place in shown.tolist()}
    frame["picture"] = [png(newest[place]) if place in newest else None for place in range(len(frame))]
    return frame


def answer_differences(teacher: dict[str, list[str]], student: dict[str, list[str]]) -> Float:
    """Return ``[N, len(MEASURES)]`` between answers by question; topics count 1 where they differ.

    What cannot be read as a driving answer is NaN in the driving measures.
    """
    (one, good), (other, fine) = targets_from(teacher["drive"]), targets_from(student["drive"])
    brakes = _first_brake_s(other.change_mps) - _first_brake_s(one.change_mps)
    driving = [
        np.abs(other.change_mps - one.change_mps).mean(axis=1),
        np.abs(other.side_m - one.side_m).mean(axis=1),
        brakes,
    ]
    topics = [np.array([a != b for a, b in zip(teacher[t], student[t], strict=True)], np.float64) for t in TOPICS]
    usable = good & fine
    return np.stack([*(np.where(usable, values, np.nan) for values in driving), *topics], axis=1)


def _first_brake_s(change_mps: Float) -> Float:
    """Return the first of the told times at which a car has lost 1 m/s; the horizon where it never does."""
    slow = change_mps <= -BRAKED_MPS
    times: Float = np.array(TIMES_S, np.float64)[slow.argmax(axis=1)]
    return np.where(slow.any(axis=1), times, HORIZON_S)


def _read(folder: Path, split: str, rows: int) -> tuple[Pictured, list[dict[str, Any]]]:
    pictured, found = None, []
    for path in shards([folder]):
        here = pictured_of(path)
        pictured = pictured or here
        if here != pictured:
            raise ParameterError(
                f"{path} shows other pictures than the files before it; compare one set of cameras at a time"
            )
        table = pq.read_table(path, columns=list(_COLUMNS))
        found += [row for row in table.to_pylist() if row["split"] == split]
    if not found or pictured is None:
        raise ParameterError(f"{folder} holds no {split} frames; make more cases with 'simdrive data'")
    chosen = np.unique(np.linspace(0, len(found) - 1, min(rows, len(found))).round().astype(int))
    return pictured, [found[place] for place in chosen.tolist()]


def _said(model: str, pictured: Pictured, rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    local = LocalModel(open_model(model))
    found: dict[str, list[str]] = {name: [] for name in ("drive", *TOPICS)}
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        given = model_answers(local, [row["state"] for row in part], shown_to(pictured, local, part))
        for name in found:
            found[name] += given[name]
    return found


def _moment(row: dict[str, Any]) -> dict[str, Any]:
    ahead = [actor for actor in json.loads(row["visible"]) if actor["ahead_m"] > 0.0 and abs(actor["offset_m"]) < 6.0]
    nearest = min(ahead, key=lambda actor: actor["ahead_m"], default=None)
    speed_mps = float(row["ego"][3])
    return {
        "case_key": row["case_key"], "scenario": row["scenario"], "t_us": row["t_us"], "ego_speed_mps": speed_mps,
        "kind": NOBODY if nearest is None else nearest["kind"], "speed": speed_name(speed_mps),
        "distance": distance_name(float("inf") if nearest is None else float(nearest["ahead_m"])),
    }  # fmt: skip
