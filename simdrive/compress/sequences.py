"""From samples to token sequences: one picture group, one or two questions about it, and labels on the answers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from simdrive.agents.language.questions import ASKED, DRIVING, PHRASINGS, TOPICS
from simdrive.compress.samples import Samples
from simdrive.models.tokenizer import END, IMAGE, IMAGE_CLOSE, IMAGE_OPEN, PAD, START

IGNORED = -100  # label of a token that is not learned
Turn = tuple[str, str]  # question, answer


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
        ValueError: if there is none.
    """
    for lesson in LESSONS:
        if name == "+".join(part for part in (lesson.style, lesson.topic) if part):
            return lesson
    raise ValueError(f"no lesson {name!r}; a lesson is one of {tuple(DRIVING)}, {TOPICS} or plan+<topic>")


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


class Encoder:
    """Turns conversations into ids and labels; every distinct text is tokenised once."""

    def __init__(self, tokenizer: object, image_tokens: int) -> None:
        """Prepare for requests of ``image_tokens`` tokens; 0 = text only."""
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        image = f"{IMAGE_OPEN}{IMAGE * image_tokens}{IMAGE_CLOSE}\n" if image_tokens else ""
        self._first = self._ids(f"{START}user\n{image}")
        self._again = self._ids(f"{START}user\n")
        self._asked = self._ids(f"{END}\n{START}assistant\n")
        self._end, self._line = self._ids(END), self._ids("\n")
        self.pad = self._ids(PAD)[0]

    def _ids(self, text: str) -> list[int]:
        found = self._known.get(text)
        if found is None:
            found = self._tokenizer.encode(text, add_special_tokens=False)  # type: ignore[attr-defined]
            if len(self._known) < 200_000:
                self._known[text] = found
        return found

    def _words(self, text: str) -> list[int]:
        """Encode word by word: words repeat, texts seldom do; the space belongs to the word after it."""
        first, *rest = text.split(" ")
        ids = list(self._ids(first))
        for word in rest:
            ids += self._ids(f" {word}")
        return ids

    def prompt(self, question: str) -> list[int]:
        """Return the ids up to where the answer begins."""
        return [*self._first, *self._words(question), *self._asked]

    def conversation(self, turns: Sequence[Turn]) -> tuple[list[int], list[int]]:
        """Return ids and labels of a whole conversation about one picture group."""
        ids: list[int] = []
        labels: list[int] = []
        for number, (question, answer) in enumerate(turns):
            before = [*(self._first if number == 0 else self._again), *self._words(question), *self._asked]
            said = [*self._words(answer), *self._end]
            ids += before + said + self._line
            labels += [IGNORED] * len(before) + said + [IGNORED] * len(self._line)
        return ids[:-1], labels[:-1]

    def batch(self, conversations: Sequence[Sequence[Turn]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids and labels ``[N, T]``, padded on the right, where causal attention needs no mask."""
        rows = [self.conversation(turns) for turns in conversations]
        longest = max(len(ids) for ids, _ in rows)
        ids = np.full((len(rows), longest), self.pad, np.int64)
        labels = np.full((len(rows), longest), IGNORED, np.int64)
        for row, (one, told) in enumerate(rows):
            ids[row, : len(one)], labels[row, : len(told)] = one, told
        return torch.from_numpy(ids), torch.from_numpy(labels)
