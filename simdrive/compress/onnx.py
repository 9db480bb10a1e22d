"""Exporting a driving model for the driving language, and whether its graphs still say what it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simdrive.agents.language.questions import ASKED, DRIVING, TOPICS
from simdrive.compress.collect import part_of
from simdrive.compress.lessons import lesson_named, turns_of
from simdrive.compress.samples import read_samples
from simdrive.compress.validate import balanced_rows
from simdrive.errors import ParameterError
from simdrive.models.local import LocalModel, open_model
from simdrive.models.onnx_folder import Shapes, export_model, need, open_graphs
from simdrive.types import Command

_STATES = tuple(f"at 22.5 of 33 side -0.25m {command.name.lower()}" for command in Command)  # as long as states become
LESSONS = ("plan", *TOPICS)


def questions() -> list[str]:
    """Return a question of every wording behind a long state: prompts of the graphs have room for each."""
    wordings = [wording for group in (*DRIVING.values(), *ASKED.values()) for wording in group]
    return [f"{state} ; {wording} ?" for state in _STATES for wording in wordings]


def export_folder(model: str, out: Path, answer: int, int8: bool) -> Shapes:
    """Write the graphs of a model (folder or zoo name).

    Raises:
        SimdriveError: if the extra ``onnx`` is missing, or the model is not one that can be exported.
    """
    need("onnx")
    return export_model(open_model(model, device="cpu"), out, questions(), answer, int8)


def agreement(
    model: str, out: Path, data: Sequence[Path], split: str, rows: int, int8: bool
) -> dict[str, dict[str, float]]:
    """Return by kind of graphs and lesson the share of samples on which the greedy answer is the model's, word for word.

    Raises:
        SimdriveError: if the samples cannot be read or show other pictures than the model wants.
    """
    loaded, samples = open_model(model, device="cpu"), read_samples(list(data), split)
    plain = LocalModel(loaded)
    chosen = balanced_rows(samples, rows) if len(samples) else []
    if not chosen:
        raise ParameterError(
            f"the data hold too few samples of the {split} split to compare answers on; take another split="
        )
    part = part_of(samples.pictured, plain.wants)
    assert part is not None
    frames = samples.frames(chosen)[:, part[0]][:, :, part[1]]
    kinds = {"fp32": False, **({"int8": True} if int8 else {})}
    graphs = {name: open_graphs(out, loaded, small) for name, small in kinds.items()}
    found: dict[str, dict[str, float]] = {name: {} for name in kinds}
    for lesson in LESSONS:
        asked = [turns_of(samples, row, lesson_named(lesson), 0)[0][0] for row in chosen]
        first = next(iter(graphs.values()))
        limits = np.full(len(chosen), first.shapes.answer, np.int64)
        own = plain.answer(asked, frames, limits).texts
        for name, generator in graphs.items():
            said = LocalModel(loaded, generator=generator).answer(asked, frames, limits).texts
            found[name][lesson] = sum(a == b for a, b in zip(own, said, strict=True)) / len(chosen)
    return found
