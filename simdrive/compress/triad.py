"""How models answer the questions of the triad on frames they never saw, beside what needs no eyes at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simdrive.agents.language.questions import TOPICS
from simdrive.agents.language.scoring import DrivingScore, Score, driving_score, score
from simdrive.compress.lessons import lesson_named, turns_of
from simdrive.compress.samples import Samples
from simdrive.compress.validate import answer_scores
from simdrive.errors import ParameterError
from simdrive.models.local import LocalModel, open_model

SIGHTS = ("pictures", "grey", "text_only")
MAJORITY = "majority"


@dataclass(frozen=True)
class TriadRow:
    """The scores of one model under one kind of sight."""

    model: str
    sight: str  # one of SIGHTS; of the majority answer nothing
    topics: dict[str, Score]  # by question type
    driving: DrivingScore

    def row(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "model": self.model, "sight": self.sight, "driving": vars(self.driving),
            **{name: vars(found) for name, found in self.topics.items()},
        }  # fmt: skip


def triad(
    models: Sequence[str], samples: Samples, rows: Sequence[int], sights: Sequence[str] = SIGHTS
) -> list[TriadRow]:
    """Return the scores of models (folders or zoo names) on some samples, and those of always saying the commonest.

    Raises:
        UnknownNameError, ModelFolderError: if a model does not exist or is damaged.
    """
    found = [_scored(model, sight, samples, rows) for model in models for sight in sights]
    return [*found, majority(samples, rows)]


def _scored(model: str, sight: str, samples: Samples, rows: Sequence[int]) -> TriadRow:
    loaded = open_model(model)
    shown = (samples.pictured.cameras, samples.pictured.frame_offsets_us)
    if loaded.is_zoo and shown != (loaded.processor.cameras, loaded.processor.frame_offsets_us):
        raise ParameterError(
            f"{model} was trained on other pictures than these samples show; make data with its cameras"
        )
    local = LocalModel(loaded, text_only=sight == "text_only")
    given = answer_scores(local, samples, rows, blind=sight == "grey")
    driving = given.pop("plan")
    return TriadRow(
        loaded.card.name, sight, {name: Score(**values) for name, values in given.items()}, DrivingScore(**driving)
    )


def majority(samples: Samples, rows: Sequence[int]) -> TriadRow:
    """Return the scores of the commonest right answer of each question."""
    topics: dict[str, Score] = {}
    for name in TOPICS:
        right = _right(samples, rows, name)
        topics[name] = score([max(sorted(set(right)), key=right.count)] * len(right), right)
    right = _right(samples, rows, "plan")
    return TriadRow(MAJORITY, "", topics, driving_score([max(sorted(set(right)), key=right.count)] * len(right), right))


def _right(samples: Samples, rows: Sequence[int], lesson: str) -> list[str]:
    return [turns_of(samples, row, lesson_named(lesson), 0)[0][1] for row in rows]
