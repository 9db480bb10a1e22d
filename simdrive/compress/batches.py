"""From a step's number to tensors: which samples, what they are asked, and what a model is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from simdrive.compress.draws import Draws, augmented
from simdrive.compress.lessons import Lesson, turns_of
from simdrive.compress.remembered import Remembered
from simdrive.compress.samples import Samples
from simdrive.compress.settings import TrainSettings
from simdrive.models.chat import Chat, TrainingBatch, Turn, training_batch
from simdrive.models.pixels import Pictures
from simdrive.models.processor import Processor, grey
from simdrive.types import Bytes, Long


@dataclass(frozen=True)
class Batch:
    """What one pass works on."""

    lesson: Lesson
    rows: Long  # [N] of the samples
    text: TrainingBatch  # padded on the right: causal attention needs no mask
    seen: Pictures
    turns: Sequence[Sequence[Turn]]  # [N] what ``text`` is made of
    frames: Bytes | None  # [N, camera, time, H, W, 3] what ``seen`` is made of; None where it is remembered


class Batches:
    """Makes batches of samples; the same number makes the same batch."""

    def __init__(
        self, samples: Samples, chat: Chat, processor: Processor, settings: TrainSettings, device: torch.device,
        rank: int = 0, memory: Remembered | None = None,
    ) -> None:  # fmt: skip
        """Prepare; with a ``memory`` a model is shown what its frozen tower said of a sample instead of the sample."""
        self.samples, self._chat, self._processor, self._settings = samples, chat, processor, settings
        self._device, self._rank, self._memory = device, rank, memory
        self._draws = Draws(samples, settings.lessons, settings.seed, settings.critical)

    def __call__(self, number: int) -> Batch:
        """Return the batch of a number."""
        lesson, rows, phrasings, rng = self._draws.draw(number, self._settings.batch, self._rank)
        frames, seen = self._shown(rows, rng)
        asked = zip(rows.tolist(), phrasings.tolist(), strict=True)
        turns = [turns_of(self.samples, row, lesson, phrase) for row, phrase in asked]
        return Batch(lesson, rows, training_batch(self._chat, turns).to(self._device), seen, turns, frames)

    def _shown(self, rows: Long, rng: np.random.Generator) -> tuple[Bytes | None, Pictures]:
        if self._memory is not None:
            return None, self._memory.pictures(rows.tolist(), self._device)
        frames = self.samples.frames(rows.tolist())
        if self._settings.blind:
            frames = grey(frames)
        elif self._settings.augment:
            frames = augmented(frames, rng)
        return frames, self._processor.pictures(frames, self._device)
