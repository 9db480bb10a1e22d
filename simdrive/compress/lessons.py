"""What a batch of samples is asked: driving in one of its styles, a topic of the triad, or one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simdrive.agents.language.questions import ASKED, DRIVING, PHRASINGS, TOPICS
from simdrive.compress.samples import Samples
from simdrive.errors import UnknownNameError

if TYPE_CHECKING:  # torch comes with it, and data can be exported without
    from simdrive.models.chat import Turn


@dataclass(frozen=True)
class Lesson:
    """What a batch asks: a driving style, one topic of the triad, or both one after the other."""

    style: str = ""
    topic: str = ""


LESSONS = tuple(
    [Lesson(style) for style in DRIVING]
    + [Lesson(topic=topic) for topic in TOPICS]
    + [Lesson("plan", topic) for topic in TOPICS]
)


def lesson_named(name: str) -> Lesson:
    """Return the lesson behind ``plan``, ``perception``, ``plan+reasoning`` and the like.

    Raises:
        UnknownNameError: if there is none.
    """
    for lesson in LESSONS:
        if name == "+".join(part for part in (lesson.style, lesson.topic) if part):
            return lesson
    raise UnknownNameError("lesson", name, (*DRIVING, *TOPICS, *(f"plan+{topic}" for topic in TOPICS)))


def turns_of(samples: Samples, row: int, lesson: Lesson, phrasing: int) -> list[Turn]:
    """Return questions and exact answers of one sample."""
    text, turns = samples.texts, []
    state = text["state"][row]
    if lesson.style:
        parts = {
            "plan": ("drive",),
            "reason_plan": ("reasoning", "drive"),
            "full": ("perception", "reasoning", "planning", "drive"),
        }[lesson.style]
        answer = " ; ".join(text[part][row] for part in parts)
        turns.append((f"{state} ; {DRIVING[lesson.style][phrasing % PHRASINGS]} ?", answer))
    if lesson.topic:
        turns.append((f"{state} ; {ASKED[lesson.topic][phrasing % PHRASINGS]} ?", text[lesson.topic][row]))
    return turns
