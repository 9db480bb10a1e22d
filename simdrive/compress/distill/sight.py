"""A teacher whose pictures make other tokens than the student's: asked in its own tokens, compared in the student's.

Drive-KD (arXiv 2601.21288) needs equal tokens. Ours asks the teacher the same turns about the same frames, cut as it
knows them, and carries what it attends to over by area: attention *to* a picture token goes to the student's tokens that
cover the same part of the picture, in proportion, so that none is lost; attention *of* the student's picture token is the
mean of the teacher's tokens under it, by area. Words stand for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from simdrive.compress.batches import Batch
from simdrive.errors import ParameterError
from simdrive.models.chat import Chat, TrainingBatch, training_batch
from simdrive.models.folder import LoadedModel
from simdrive.models.pixels import Pictures
from simdrive.models.processor import Processor
from simdrive.types import Float


@dataclass(frozen=True)
class Sight:
    """How a teacher is shown what a student sees.

    Attributes:
        chat, processor: the teacher's.
        shares: ``[own slots, teacher's slots]`` which part of a teacher's picture token each of the student's covers.
    """

    chat: Chat
    processor: Processor
    shares: torch.Tensor

    @classmethod
    def of(cls, own: Processor, chat: Chat, theirs: Any) -> Sight:
        """Return the sight of a teacher.

        Raises:
            ParameterError: if both do not see the same cameras and frames, or are of different families.
        """
        if not isinstance(theirs, Processor):
            raise ParameterError(
                "released models cut pictures in a way of their own; a teacher must be in simdrive's layout"
            )
        for what in ("cameras", "frame_offsets_us", "family"):
            if getattr(own, what) != getattr(theirs, what):
                raise ParameterError(
                    f"teacher and student have different {what}: {getattr(theirs, what)} and {getattr(own, what)}; "
                    "only tiles, patches, merging and motion_gain may differ"
                )
        return cls(chat, theirs, torch.from_numpy(slot_shares(own, theirs)).float())

    def batch(self, batch: Batch) -> tuple[TrainingBatch, Pictures]:
        """Return a student's batch in the teacher's tokens and pictures."""
        assert batch.frames is not None, "a teacher with other tokens is shown frames"
        device = batch.text.ids.device
        return training_batch(self.chat, batch.turns).to(device), self.processor.pictures(batch.frames, device)

    def places(self, own: TrainingBatch, theirs: TrainingBatch, own_image: int, their_image: int) -> torch.Tensor:
        """Return ``[N, S, T]`` which part of each of the teacher's T tokens each of the student's S stands for.

        Raises:
            ParameterError: if a conversation has not as many words for both.
        """
        found = torch.zeros(len(own.ids), own.ids.shape[1], theirs.ids.shape[1], device=own.ids.device)
        shares = self.shares.to(own.ids.device)
        for row in range(len(own.ids)):
            mine, seen = _split(own, row, own_image)
            other, shown = _split(theirs, row, their_image)
            if len(mine) != len(other):
                raise ParameterError(f"teacher and student say one thing in {len(other)} and {len(mine)} words")
            found[row, mine, other] = 1.0
            found[row, seen[:, None], shown[None, :]] = shares
        return found


def sight_of(own: Processor, teacher: LoadedModel) -> Sight | None:
    """Return how ``teacher`` is shown what a student with the processor ``own`` sees; None if as the student itself.

    Raises:
        ParameterError: if both do not see the same cameras and frames, or are of different families.
    """
    if teacher.processor == own:
        return None
    return Sight.of(own, Chat(teacher.tokenizer, teacher.processor.slots), teacher.processor)


def carried_maps(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return a teacher's maps ``[N, heads, T, T]`` as their head mean over the student's tokens, ``[N, 1, S, S]``."""
    return (_means(places) @ maps.float().mean(dim=1) @ places.transpose(1, 2))[:, None]


def carried_states(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return a teacher's hidden states ``[N, T, width]`` at the student's tokens, ``[N, S, width]``."""
    return _means(places) @ states.float()


def slot_shares(own: Processor, theirs: Processor) -> Float:
    """Return ``[own slots, their slots]``: which part of a picture token of the second each of the first covers."""
    mine, other = (_where(each) for each in (own, theirs))
    found = np.zeros((mine.size, other.size))
    down, across = (_overlap(mine.shape[axis], other.shape[axis]) for axis in (1, 2))
    cells = np.einsum("rs,cd->rcsd", down, across)
    for one, two in zip(mine, other, strict=True):  # cameras
        found[one.reshape(-1, 1), two.reshape(1, -1)] = cells.reshape(one.size, two.size)
    return found


def _where(processor: Processor) -> np.ndarray:
    """Return which slot stands where, ``[camera, rows, columns]``."""
    slots = np.arange(sum(processor.slots), dtype=np.float64)
    return np.asarray(processor.spread(slots[None])[0], np.int64)


def _overlap(own: int, theirs: int) -> Float:
    """Return ``[own, theirs]``: the part of each of their equal cells of a line that lies in each of the own ones."""
    low = np.maximum(np.arange(own)[:, None] / own, np.arange(theirs)[None, :] / theirs)
    high = np.minimum(np.arange(1, own + 1)[:, None] / own, np.arange(1, theirs + 1)[None, :] / theirs)
    return np.asarray(np.clip(high - low, 0.0, None) * theirs, np.float64)


def _means(places: torch.Tensor) -> torch.Tensor:
    return places / places.sum(dim=2, keepdim=True).clamp(min=1e-6)  # nothing stands behind padding


def _split(text: TrainingBatch, row: int, image: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where words and where picture tokens of a row stand, padding left out."""
    there, pictured = text.mask[row].bool(), text.ids[row] == image
    return torch.nonzero(there & ~pictured)[:, 0], torch.nonzero(there & pictured)[:, 0]
