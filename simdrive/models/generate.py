"""Greedy answers to a batch of prompts: one prefill, then one short step per token that is a real choice.

Tokens that the answer grammar forces are not decoded: those in front of the answer go into the prefill, those in
between are fed together with the chosen token before them, and a forced end needs no step at all. All three are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from simdrive.errors import ParameterError
from simdrive.models.chat import Prompts
from simdrive.models.constrain import Automaton
from simdrive.models.lean import LeanDecoder
from simdrive.models.pixels import Pictures
from simdrive.models.positions import prompt_positions


@dataclass(frozen=True)
class Generated:
    """Answers of N requests."""

    tokens: torch.Tensor  # [N, M] int64 on the CPU, padded behind the end
    lengths: torch.Tensor  # [N] int64, the end mark included


class Generator:
    """Generates with one model; joined copies of its weights are made once."""

    def __init__(self, model: PreTrainedModel, end_id: int, pad_id: int) -> None:
        """Prepare a model that no longer changes; its own device and type are used."""
        self._model, self._decoder = model, LeanDecoder(model)
        self._end_id, self._pad_id = end_id, pad_id
        self._image_id = int(getattr(model.config, "image_token_id"))  # noqa: B009

    @torch.inference_mode()
    def __call__(
        self,
        prompts: Prompts,
        pictures: Pictures | None,
        limits: int | torch.Tensor,
        grammar: Automaton | None = None,
    ) -> Generated:
        """Answer prompts; ``limits`` is the most tokens of an answer, one number or ``[N]``, end mark included.

        Raises:
            ParameterError: if a limit is below 1, or pictures and slots do not match.
        """
        count = len(prompts)
        limit = torch.as_tensor(limits, dtype=torch.int64).expand(count)
        if count == 0:
            return Generated(torch.zeros((0, 0), dtype=torch.int64), limit)
        if int(limit.min()) < 1:
            raise ParameterError(f"an answer needs room for at least 1 token, got {int(limit.min())}")
        return _Run(self, prompts, pictures, limit, grammar).answers()

    def embedded(self, ids: torch.Tensor, pictures: Pictures | None) -> torch.Tensor:
        """Return embedded prompts ``[N, L, D]`` with picture features in their slots."""
        x: torch.Tensor = self._decoder.embed(ids)
        slots = ids == self._image_id
        if pictures is None:
            features = x.new_zeros((0, x.shape[-1]))
        else:
            features = image_features(self._model, pictures)
        if int(slots.sum()) != len(features):
            raise ParameterError(
                f"prompts have {int(slots.sum())} image slots, but the pictures become {len(features)} tokens; "
                "the prompt must be built by the processor that cuts the pictures"
            )
        return x if pictures is None else x.masked_scatter(slots[..., None], features.to(x.dtype))

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self._model.device


def image_features(model: PreTrainedModel, pictures: Pictures) -> torch.Tensor:
    """Return the picture tokens ``[all slots of the batch, D]`` in prompt order."""
    inner: Any = model.model
    if pictures.grid is None:
        found = inner.get_image_features(pixel_values=pictures.values, return_dict=True).pooler_output
        features: torch.Tensor = found.flatten(0, 1)
    else:
        parts = inner.get_image_features(pictures.values, image_grid_thw=pictures.grid, return_dict=True).pooler_output
        features = torch.cat(list(parts))
    return features


class _Run:
    """One batch on its way through the model."""

    def __init__(
        self,
        owner: Generator,
        prompts: Prompts,
        pictures: Pictures | None,
        limit: torch.Tensor,
        grammar: Automaton | None,
    ) -> None:
        self._owner, self._decoder, self._grammar = owner, owner._decoder, grammar
        device, count = owner.device, len(prompts)
        opening = grammar.opening if grammar is not None else ()
        opening = opening[: int(limit.min()) - 1]
        head = torch.tensor(opening, dtype=torch.int64).expand(count, -1)
        ids = torch.cat([prompts.ids, head], dim=1).to(device)
        mask = torch.cat([prompts.mask, torch.ones_like(head)], dim=1).to(device)
        self._most, self._limit = int(limit.max()), limit.to(device)
        self._width = ids.shape[1]
        self._padded = not bool(mask.all())
        room = self._width + self._most - len(opening)
        self._valid = torch.ones((count, room), dtype=torch.bool, device=device)
        self._valid[:, : self._width] = mask.bool()
        self._x = owner.embedded(ids, pictures)
        positions = prompt_positions(owner._model, ids, mask, pictures)
        later = positions[..., -1:] + 1 + torch.arange(room - self._width, device=device)
        self._cos, self._sin = self._decoder.angles(self._x, torch.cat([positions, later], dim=-1))
        self._cache = self._decoder.cache(self._x, count, room)
        self._tokens = torch.full((count, self._most), owner._pad_id, dtype=torch.int64, device=device)
        self._tokens[:, : len(opening)] = head.to(device)
        self._said = len(opening)
        if grammar is not None:
            self._state = grammar.beginning(count)
        for token in opening:
            assert grammar is not None
            self._state = self._after(token)
        self._done = torch.zeros(count, dtype=torch.bool, device=device)
        self._length = torch.zeros(count, dtype=torch.int64, device=device)

    def answers(self) -> Generated:
        """Run to the end of the last answer."""
        at, fed = 0, self._x
        while True:
            logits = self._forward(fed, at)
            at += fed.shape[1]
            before = self._said
            self._say(logits)
            while not self._finished() and self._all_forced():
                self._say(None)
            if self._finished():
                break
            fed = self._decoder.embed(self._tokens[:, before : self._said])
        return Generated(self._tokens.cpu(), self._length.cpu())

    def _forward(self, x: torch.Tensor, at: int) -> torch.Tensor:
        end = at + x.shape[1]
        angles = self._cos[:, at:end], self._sin[:, at:end]
        return self._decoder(x, angles, self._cache, at, self._mask(at, end))

    def _mask(self, at: int, end: int) -> torch.Tensor | None:
        """Return what the tokens from ``at`` to ``end`` may look at; a padded place looks at itself."""
        if not self._padded and (at == 0 or end == at + 1):
            return None
        places = torch.arange(end, device=self._valid.device)
        mine = places[at:, None]
        seen = (places <= mine) & (self._valid[:, None, :end] | (places == mine))
        return seen[:, None]

    def _say(self, logits: torch.Tensor | None) -> None:
        """Add one token to every row that is not done: the best one, or the one that is forced."""
        if self._grammar is None:
            assert logits is not None
            token = logits.argmax(dim=-1)
        elif logits is None:
            token = self._grammar.forced[self._state]
            self._state = self._grammar.following[self._state, 0]
        else:
            token, self._state = self._grammar.choose(logits, self._state)
        token = token.masked_fill(self._done, self._owner._pad_id)
        self._tokens[:, self._said] = token
        self._said += 1
        ended = ~self._done & ((token == self._owner._end_id) | (self._limit <= self._said))
        self._length = torch.where(ended, self._said, self._length)
        self._done |= ended

    def _finished(self) -> bool:
        return self._said >= self._most or bool(self._done.all())

    def _all_forced(self) -> bool:
        return self._grammar is not None and bool(((self._grammar.forced[self._state] >= 0) | self._done).all())

    def _after(self, token: int) -> torch.Tensor:
        assert self._grammar is not None
        follow = self._grammar.following[self._state]
        return follow.gather(1, (self._grammar.allowed[self._state] == token).int().argmax(1, keepdim=True))[:, 0]
