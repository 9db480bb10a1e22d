"""The questions that importance is measured on: batches of one capability, or of everything that is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from simdrive.compress.batches import Batch, Batches
from simdrive.compress.learner import Learner
from simdrive.compress.prune.importance import Loss, activation, taylor
from simdrive.compress.prune.safe import safe
from simdrive.compress.prune.scores import Scores, magnitude
from simdrive.compress.prune.settings import PruneSettings
from simdrive.compress.samples import Samples
from simdrive.compress.settings import TrainSettings
from simdrive.compress.supervision import Supervision
from simdrive.models.chat import Chat
from simdrive.models.processor import Processor

LESSONS = {"perception": "perception", "reasoning": "reasoning", "planning": "planning", "driving": "plan"}


def scores_of(
    model: Any, tokenizer: Any, processor: Processor, samples: Samples | None, settings: PruneSettings,
    device: torch.device,
) -> Scores:  # fmt: skip
    """Return the scores of every unit by the criterion of the settings; samples are needed for all but magnitude."""
    if settings.importance == "magnitude":
        return magnitude(model)
    assert samples is not None
    model.eval()
    chat = Chat(tokenizer, processor.slots)

    def asked(lessons: dict[str, float] | None) -> tuple[Iterator[Batch], Loss]:
        train = _settings(settings, lessons)
        made = Batches(samples, chat, processor, train, device)
        supervision, learner = Supervision(chat, model, samples, train, device), Learner(model)
        batches = (made(number) for number in range(-(-settings.rows // train.batch)))
        return batches, lambda batch: supervision.loss_and_logits(learner, batch, 0)[0]

    if settings.importance == "safe":
        felt = {name: taylor(model, *asked({LESSONS[name]: 1.0})) for name in settings.capabilities}
        return safe(model, felt, settings.conflict)
    measured = asked(None)
    return taylor(model, *measured).scores if settings.importance == "taylor" else activation(model, *measured)


def _settings(settings: PruneSettings, lessons: dict[str, float] | None) -> TrainSettings:
    """Return how batches are drawn: as for training, but without changing the pictures."""
    chosen = {} if lessons is None else {"lessons": lessons}
    batch = min(settings.batch, settings.rows)
    return TrainSettings(batch=batch, seed=settings.seed, augment=False, **chosen)  # type: ignore[arg-type]
