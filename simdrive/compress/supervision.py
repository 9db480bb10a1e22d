"""What a step learns from: the right answers, and what stands in the pictures."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch

from simdrive.compress.batches import Batch
from simdrive.compress.dense import dense_loss
from simdrive.compress.samples import Samples
from simdrive.compress.settings import TrainSettings
from simdrive.compress.soft_labels import SPREAD, SoftLabels
from simdrive.models.chat import IGNORED, Chat, TrainingBatch


class Objective(Protocol):
    """Turns a batch into gradients."""

    def __call__(self, forward: Any, batch: Batch, step: int, share: float) -> float:
        """Add ``share`` times the gradients of a batch to the weights'; return as much of its loss.

        ``forward`` is the learner (``simdrive.compress.learner``), wrapped where several processes train.
        """

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside the weights, as plain values."""

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a kept state."""


class Told(NamedTuple):
    """What a batch was told: losses by themselves, and what the model said at the learned places."""

    words: torch.Tensor | None  # None while the model only learns to see
    dense: torch.Tensor | None  # weighted; None without the dense task
    logits: torch.Tensor | None

    @property
    def total(self) -> torch.Tensor:
        """The loss of the batch."""
        parts = [part for part in (self.words, self.dense) if part is not None]
        return torch.stack(parts).sum()


class Supervision:
    """Cross-entropy on the answers, softened where a number is nearly right, and the dense task beside it."""

    def __init__(self, chat: Chat, model: Any, samples: Samples, settings: TrainSettings, device: torch.device) -> None:
        spread = SPREAD if settings.soft_labels else ()
        self._soft = SoftLabels(chat.encoded, model.config.text_config.vocab_size, spread).to(device)
        self._samples, self._settings = samples, settings
        # A driving answer may stand alone or behind others.
        self._speed = tuple({chat.encoded(word)[-1] for word in ("speed", " speed")})

    @property
    def precision(self) -> str:
        """What passes compute in: fp32, or bf16 = autocast."""
        return self._settings.precision

    def __call__(self, forward: Any, batch: Batch, step: int, share: float) -> float:
        """Add the gradients of a batch."""
        loss = self.loss_and_logits(forward, batch, step)[0] * share
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """Return nothing: all that is learned are weights."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Do nothing."""

    def _weights(self, text: TrainingBatch) -> torch.Tensor:
        """Return how much each learned place counts, ``[K]``: where a decision is made, more than where it is spelled out."""
        before = text.ids[:, :-1][text.labels[:, 1:] != IGNORED]
        decides = torch.isin(before, torch.tensor(self._speed, device=before.device))
        return 1.0 + (self._settings.decision - 1.0) * decides.float()

    def loss_and_logits(self, forward: Any, batch: Batch, step: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the loss of a batch, and the logits at its learned places if there were words."""
        told = self.told(forward, batch, step)
        return told.total, told.logits

    def told(self, forward: Any, batch: Batch, step: int) -> Told:
        """Return the losses of a batch, each by itself."""
        settings, text, seen = self._settings, batch.text, batch.seen
        with torch.autocast(text.ids.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            logits, told, dense = forward(text.ids, text.labels, seen.values, seen.grid, step >= settings.see_first)
        words = None if logits is None else (self._soft.loss(logits, told) * self._weights(text)).mean()
        seen_loss = None
        if dense is not None:
            seen_loss = settings.dense * dense_loss(dense.float(), self._samples.columns(batch.rows.tolist()))
        return Told(words, seen_loss, logits)
