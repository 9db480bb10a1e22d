"""Times per token count, computed once: what makes a request cheap to price.

Tables are filled in aligned pieces, so that a value never depends on which requests were asked for together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simdrive.types import Float, Long

PIECE = 256
MOST = 1 << 17  # longer is computed on the spot


class PriceTable:
    """Seconds of a stage at whole numbers 0, 1, 2, ... of something that it depends on."""

    def __init__(self, seconds_of: Callable[[Float], Float]) -> None:
        self._seconds_of = seconds_of
        self._seconds = np.zeros(0)
        self._filled = np.zeros(0, dtype=bool)

    def at(self, counts: Long) -> Float:
        """Return the seconds at counts ``[N]``, all at least 0."""
        most = int(counts.max()) if len(counts) else 0
        if most >= MOST:
            return np.array([self.one(int(count)) for count in counts])
        pieces = counts // PIECE
        if most >= len(self._seconds) or not self._filled[pieces].all():
            for piece in np.unique(pieces).tolist():
                self._fill(piece)
        return np.asarray(self._seconds[counts], float)

    def one(self, count: int) -> float:
        """Return the seconds at one count: the same value as ``at`` gives."""
        if count >= MOST:
            return float(self._seconds_of(np.array([float(count)]))[0])
        if count >= len(self._seconds) or not self._filled[count // PIECE]:
            self._fill(count // PIECE)
        return float(self._seconds[count])

    def _fill(self, piece: int) -> None:
        if piece >= len(self._filled):
            more = piece + 1 - len(self._filled)
            self._filled = np.append(self._filled, np.zeros(more, dtype=bool))
            self._seconds = np.append(self._seconds, np.full(more * PIECE, np.nan))
        if not self._filled[piece]:
            first = piece * PIECE
            self._seconds[first : first + PIECE] = self._seconds_of(np.arange(first, first + PIECE, dtype=float))
            self._filled[piece] = True
