"""What drivers with a memory remember per slot, as arrays a kernel can write."""

from __future__ import annotations

import numpy as np

from simdrive.types import Float, Long


class SlotMemory:
    """Rows of float64 numbers per slot and per (slot, actor); NaN = nothing remembered."""

    def __init__(self, scalars: int, per_actor: int) -> None:
        self._row: dict[int, int] = {}
        self.scalars: Float = np.full((8, scalars), np.nan)
        self.actors: Float = np.full((8, per_actor, 8), np.nan)  # [row, field, actor]

    def forget(self, slots: Long) -> None:
        """Drop what is known about ``slots``."""
        for slot in slots.tolist():
            row = self._row.get(slot)
            if row is not None:
                self.scalars[row] = np.nan
                self.actors[row] = np.nan

    def rows(self, slots: Long, actor_count: int) -> Long:
        """Return the row of each slot ``[N]``, making room for new slots and for ``actor_count`` actors."""
        for slot in slots.tolist():
            if slot not in self._row:
                self._row[slot] = len(self._row)
        self._grow(len(self._row), actor_count)
        return np.array([self._row[slot] for slot in slots.tolist()], dtype=np.int64)

    def _grow(self, count: int, actor_count: int) -> None:
        have, fields, wide = self.actors.shape
        if count > have:
            more = max(count, 2 * have) - have
            self.scalars = np.concatenate([self.scalars, np.full((more, self.scalars.shape[1]), np.nan)])
            self.actors = np.concatenate([self.actors, np.full((more, fields, wide), np.nan)])
        if actor_count > wide:
            padding = np.full((len(self.actors), fields, actor_count - wide), np.nan)
            self.actors = np.concatenate([self.actors, padding], axis=2)
