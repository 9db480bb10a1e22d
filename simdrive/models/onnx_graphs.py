"""The three graphs of a driving model in ONNX: vision, prefill, and one decode step with its cache; all shapes fixed.

Chips run fixed shapes best. Prompts are padded on the left to one length; the cache has room for the prompt and the longest
answer, so that its shape never changes: a step writes at its place and looks at what is before it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from simdrive.errors import UnsupportedError
from simdrive.models.generate import image_features
from simdrive.models.pixels import Pictures

OPSET = 17
VISION, PREFILL, DECODE = "vision.onnx", "prefill.onnx", "decode.onnx"
_LOW = -1e30  # attention score of what may not be looked at


class VisionGraph(nn.Module):
    """Pixels as the processor makes them -> picture tokens ``[slots, D]``."""

    def __init__(self, model: Any, grid: torch.Tensor | None) -> None:
        super().__init__()
        self._model, self._grid = model, grid

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the picture tokens of one request."""
        return image_features(self._model, Pictures(pixels, self._grid))


class _Text(nn.Module):
    """The language model written out in plain operations."""

    def __init__(self, model: Any, room: int) -> None:
        super().__init__()
        text = model.model.language_model
        self.embed, self.layers, self.norm = text.embed_tokens, text.layers, text.norm
        self.rotary, self.head, self.room = text.rotary_emb, model.lm_head, room

    def _run(
        self, x: torch.Tensor, positions: torch.Tensor, bias: torch.Tensor, place: torch.Tensor | None,
        past: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        cos, sin = (part.unsqueeze(1) for part in self.rotary(x, positions))
        kept: list[torch.Tensor] = []
        for number, layer in enumerate(self.layers):
            before = past[2 * number : 2 * number + 2] if place is not None else None
            looked, keys, values = self._attend(
                layer.self_attn, layer.input_layernorm(x), cos, sin, bias, place, before
            )
            kept += [keys, values]
            x = x + looked
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return (self.head(self.norm(x[:, -1])), *kept)

    def _attend(
        self, at: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, bias: torch.Tensor,
        place: torch.Tensor | None, before: Sequence[torch.Tensor] | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
        width, steps = int(at.head_dim), x.shape[1]
        query, keys, values = (
            part(x).view(1, steps, -1, width).transpose(1, 2) for part in (at.q_proj, at.k_proj, at.v_proj)
        )
        query, keys = _turned(query, cos, sin), _turned(keys, cos, sin)
        if place is None or before is None:
            space = x.new_zeros(1, keys.shape[1], self.room - steps, width)
            whole = tuple(torch.cat([part, space], dim=2) for part in (keys, values))
            seen = keys, values
        else:
            here = (torch.arange(self.room) == place)[None, None, :, None]
            whole = tuple(torch.where(here, new, old) for new, old in zip((keys, values), before, strict=True))
            seen = whole[0], whole[1]
        groups = int(at.num_key_value_groups)
        wide = [part.repeat_interleave(groups, dim=1) if groups > 1 else part for part in seen]
        score = query @ wide[0].transpose(2, 3) * float(at.scaling) + bias
        found = (score.softmax(dim=-1) @ wide[1]).transpose(1, 2).reshape(1, steps, -1)
        return at.o_proj(found), whole[0], whole[1]


class PrefillGraph(_Text):
    """Prompt and picture tokens -> logits of the first answer token, and the cache ``key_0, value_0, key_1, ...``."""

    def __init__(self, model: Any, room: int) -> None:
        super().__init__(model, room)
        self._image = int(model.config.image_token_id)

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, features: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Take ``ids`` and ``mask`` [1, P], ``positions`` [1, P] or [3, 1, P], ``features`` [slots, D]."""
        shown = ids == self._image
        slot = (shown.long().cumsum(dim=1) - 1).clamp(min=0)
        x = torch.where(shown[..., None], features[slot[0]][None], self.embed(ids))
        place = torch.arange(ids.shape[1])
        past = place[None, :] <= place[:, None]
        allowed = (past & (mask[:, None, :] > 0)) | (place[None, :] == place[:, None])
        return self._run(x, positions, _bias(allowed[:, None]), None, ())


class DecodeGraph(_Text):
    """One token and the cache -> logits of the next token, and the cache with the token in it."""

    def __init__(self, model: Any, room: int, prompt: int) -> None:
        super().__init__(model, room)
        self._prompt = prompt

    def forward(
        self, token: torch.Tensor, mask: torch.Tensor, place: torch.Tensor, positions: torch.Tensor,
        *past: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        """Take ``token`` [1, 1], the prompt's ``mask`` [1, P], ``place`` [1] in the cache, ``positions``, the cache."""
        later = torch.arange(self.room) >= self._prompt
        there = torch.cat([mask > 0, torch.ones(1, self.room - self._prompt, dtype=torch.bool)], dim=1)
        allowed = (there | later[None]) & (torch.arange(self.room)[None] <= place)
        return self._run(self.embed(token), positions, _bias(allowed[:, None, None]), place, past)


def write_graphs(folder: Path, model: Any, pictures: Pictures, prompt: int, answer: int) -> None:
    """Write the three graphs for pictures of one request, prompts of ``prompt`` tokens, answers of ``answer``.

    Raises:
        UnsupportedError: if a language layer looks at a window only.
    """
    text = model.model.language_model
    if any(getattr(layer.self_attn, "sliding_window", None) for layer in text.layers):
        raise UnsupportedError("sliding-window attention cannot be exported; the graphs look at the whole past")
    room, depth = prompt + answer, len(text.layers)
    cached = [f"{kind}_{layer}" for layer in range(depth) for kind in ("key", "value")]
    grid_rank = 3 if pictures.grid is not None else 1
    positions = torch.zeros((3, 1, prompt) if grid_rank == 3 else (1, prompt), dtype=torch.int64)
    with torch.no_grad():
        vision = VisionGraph(model, pictures.grid).eval()
        features = vision(pictures.values)
        _export(vision, (pictures.values,), folder / VISION, ["pixels"], ["features"])
        ids = torch.full((1, prompt), int(model.config.image_token_id), dtype=torch.int64)
        ids[:, len(features) :] = 0
        mask = torch.ones_like(ids)
        prefill = PrefillGraph(model, room).eval()
        given = (ids, mask, positions, features)
        cache = prefill(*given)[1:]
        _export(prefill, given, folder / PREFILL, ["ids", "mask", "positions", "features"], ["logits", *cached])
        step = (ids[:, :1], mask, torch.tensor([prompt]), positions[..., :1], *cache)
        names = ["token", "mask", "place", "positions", *(f"past_{name}" for name in cached)]
        _export(DecodeGraph(model, room, prompt).eval(), step, folder / DECODE, names, ["logits", *cached])


def _export(
    graph: nn.Module, given: tuple[torch.Tensor, ...], path: Path, inputs: list[str], outputs: list[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every shape that becomes a constant, which is what is wanted
        torch.onnx.export(
            graph, given, str(path), input_names=inputs, output_names=outputs, opset_version=OPSET, dynamo=False
        )


def _turned(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = heads.shape[-1] // 2
    return heads * cos + torch.cat([-heads[..., half:], heads[..., :half]], dim=-1) * sin


def _bias(allowed: torch.Tensor) -> torch.Tensor:
    return torch.where(allowed, 0.0, _LOW)
