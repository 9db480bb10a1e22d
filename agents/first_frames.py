"""What a ``stale`` control sees: the frames of its first observation, for ever."""

from __future__ import annotations

import numpy as np

from simdrive.types import Bytes, Long


class FirstFrames:
    """Keeps the first frames of every slot."""

    def __init__(self) -> None:
        self._kept: dict[int, Bytes] = {}

    def forget(self, slots: Long) -> None:
        """Begin anew in ``slots`` [N]."""
        for slot in slots.tolist():
            self._kept.pop(slot, None)

    def instead_of(self, frames: Bytes, slots: Long) -> Bytes:
        """Return the first frames of ``slots`` [N] in place of ``frames`` [N, ...], which count where none were seen yet."""
        for row, slot in enumerate(slots.tolist()):
            if slot not in self._kept:
                self._kept[slot] = frames[row].copy()
        return np.stack([self._kept[slot] for slot in slots.tolist()]) if len(slots) else frames
