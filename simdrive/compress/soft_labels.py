"""Softened labels: a number that is nearly right is nearly as good, and the loss should know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from simdrive.agents.language.codec import said, said_side
from simdrive.agents.language.targets import CHANGES_MPS, SIDES_M

SPREAD = (0.14, 0.04)  # share that each neighbour at distance one and two gets
WIDE = 1 + 2 * len(SPREAD)


class SoftLabels:
    """For every token the tokens that count as right, with their shares."""

    def __init__(
        self, encode: Callable[[str], Sequence[int]], vocabulary: int, spread: Sequence[float] = SPREAD
    ) -> None:
        """Build the table; ``encode`` turns a word with its space into ids, of which number words have one."""
        self.ids = torch.arange(vocabulary)[:, None].repeat(1, 1 + 2 * len(spread))
        self.shares = torch.zeros(self.ids.shape)
        self.shares[:, 0] = 1.0
        for words in ([f" {said(v)}" for v in CHANGES_MPS.tolist()], [f" {said_side(v)}" for v in SIDES_M.tolist()]):
            tokens = [list(encode(word)) for word in words]
            if any(len(token) != 1 for token in tokens):
                continue  # a tokenizer that cuts numbers has no neighbours among tokens
            self._soften([token[0] for token in tokens], spread)

    def _soften(self, tokens: Sequence[int], spread: Sequence[float]) -> None:
        for place, token in enumerate(tokens):
            column = 1
            for distance, share in enumerate(spread, start=1):
                for other in (place - distance, place + distance):
                    if 0 <= other < len(tokens):
                        self.ids[token, column] = tokens[other]
                        self.shares[token, column] = share
                        self.shares[token, 0] -= share
                    column += 1

    def to(self, device: torch.device | str) -> SoftLabels:
        """Move the table."""
        self.ids, self.shares = self.ids.to(device), self.shares.to(device)
        return self

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy ``[K]`` of logits ``[K, V]`` against softened labels ``[K]``."""
        log_p = logits.float().log_softmax(-1)
        return -(log_p.gather(1, self.ids[labels]) * self.shares[labels]).sum(-1)
