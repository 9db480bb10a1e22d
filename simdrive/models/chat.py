"""Prompts and training text as token ids: the pictures of a request, a question, an answer, in chat form.

``<|im_start|>user\\n<img>{slots}</img>\\n{question}<|im_end|>\\n<|im_start|>assistant\\n{answer}<|im_end|>``; every piece of
text is tokenised once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedTokenizerBase

from simdrive.errors import ParameterError
from simdrive.models.tokenizer import END, IMAGE, IMAGE_CLOSE, IMAGE_OPEN, START

IGNORED = -100  # label of a token that no loss counts
Turn = tuple[str, str]  # question, answer
_MOST_KEPT = 65536  # texts whose ids are remembered; free answers would grow without end


@dataclass(frozen=True)
class Prompts:
    """Prompts of N requests, padded on the left."""

    ids: torch.Tensor  # [N, L] int64
    mask: torch.Tensor  # [N, L] int64, 0 = padding
    text_tokens: tuple[int, ...]  # per row, without the pictures
    image_tokens: int  # per row: slots and the marks around them

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class TrainingBatch:
    """Conversations of N samples, padded on the right."""

    ids: torch.Tensor  # [N, L] int64
    mask: torch.Tensor  # [N, L] int64, 0 = padding
    labels: torch.Tensor  # [N, L] int64, IGNORED outside answers; an answer's end mark counts

    def to(self, device: torch.device | str) -> TrainingBatch:
        """Return the batch on a device."""
        return TrainingBatch(*(part.to(device, non_blocking=True) for part in (self.ids, self.mask, self.labels)))


@dataclass(frozen=True)
class Chat:
    """How a model is talked to.

    Args:
        tokenizer: of the model.
        slots: image tokens of each picture group in front of the first question; empty = no pictures at all.
        marks: tokens that open a picture group, fill it, and close it.
        after_image: text between the pictures' end and the question.
        system: text of a system turn in front; empty = none.
        layout: text before and behind a question instead of the above, pictures with all their slots included; for
            models that come with a template of their own.
    """

    tokenizer: PreTrainedTokenizerBase
    slots: tuple[int, ...]
    marks: tuple[str, str, str] = (IMAGE_OPEN, IMAGE, IMAGE_CLOSE)
    after_image: str = "\n"
    system: str = ""
    layout: tuple[str, str] | None = None
    _kept: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        known = self.tokenizer.get_vocab()
        missing = [mark for mark in (START, END, *self.marks) if mark not in known]
        if missing:
            raise ParameterError(
                f"the tokenizer lacks {', '.join(missing)}; use the tokenizer that came with the model"
            )

    def encoded(self, text: str) -> tuple[int, ...]:
        """Return the ids of one piece of text, marks included; remembered."""
        ids = self._kept.get(text)
        if ids is None:
            ids = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
            if len(self._kept) < _MOST_KEPT:
                self._kept[text] = ids
        return ids

    def opening(self) -> tuple[int, ...]:
        """Return the ids in front of the first question: system turn, user mark, pictures."""
        if self.layout is not None:
            return self.encoded(self.layout[0])
        text = f"{START}system\n{self.system}{END}\n" if self.system else ""
        ids = self.encoded(f"{text}{START}user\n")
        if not self.slots:
            return ids
        first, fill, last = (self.encoded(mark) for mark in self.marks)
        for count in self.slots:
            ids += first + fill * count + last
        return ids + self.encoded(self.after_image)

    def asked(self, question: str) -> tuple[int, ...]:
        """Return the ids from the question to where the answer begins."""
        behind = f"{END}\n{START}assistant\n" if self.layout is None else self.layout[1]
        return self.encoded(question + behind)

    def prompt(self, question: str) -> tuple[int, ...]:
        """Return the ids of one prompt."""
        return self.opening() + self.asked(question)

    @property
    def image_tokens(self) -> int:
        """Tokens that the pictures of one request take: slots and the marks around them."""
        return sum(self.slots) + 2 * len(self.slots)

    @property
    def pad_id(self) -> int:
        """The padding token."""
        return int(self.tokenizer.pad_token_id)

    @property
    def end_id(self) -> int:
        """The token that ends an answer."""
        return self.encoded(END)[0]


def prompts(chat: Chat, questions: Sequence[str], width: int = 0) -> Prompts:
    """Return prompts padded on the left to the longest, or to ``width`` tokens where that is more."""
    opening = chat.opening()
    rows = [opening + chat.asked(question) for question in questions]
    ids, mask = _padded(rows, chat.pad_id, left=True, width=width)
    return Prompts(ids, mask, tuple(len(row) - chat.image_tokens for row in rows), chat.image_tokens)


def training_batch(chat: Chat, conversations: Sequence[Sequence[Turn]]) -> TrainingBatch:
    """Return conversations as model input and labels, one row each, padded on the right.

    A conversation is one or more (question, answer) after the same pictures. Labels are set on the answers and on the
    mark that ends each of them, as ``input`` positions: shift them by one where the loss does not.
    """
    rows, labels = [], []
    opening, again = chat.opening(), chat.encoded(f"\n{START}user\n")
    for turns in conversations:
        ids: tuple[int, ...] = ()
        wanted: tuple[int, ...] = ()
        for number, (question, answer) in enumerate(turns):
            given = (again if number else opening) + chat.asked(question)
            said = (*chat.encoded(answer), chat.end_id)
            ids += given + said
            wanted += (IGNORED,) * len(given) + said
        rows.append(ids)
        labels.append(wanted)
    ids_batch, mask = _padded(rows, chat.pad_id, left=False)
    return TrainingBatch(ids_batch, mask, _padded(labels, IGNORED, left=False)[0])


def _padded(rows: Sequence[tuple[int, ...]], pad: int, left: bool, width: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(width, *(len(row) for row in rows)) if rows else width
    ids = torch.full((len(rows), width), pad, dtype=torch.int64)
    mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[number, place] = torch.tensor(row, dtype=torch.int64)
        mask[number, place] = 1
    return ids, mask
