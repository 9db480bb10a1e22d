"""Attention on demand: a chosen few rows and layers are computed beside SDPA, which itself keeps nothing.

``output_attentions=True`` gives an empty tuple under SDPA, and eager attention costs far more than the rows that anybody
looks at. Equal to eager attention up to rounding; differentiable, so that it serves distillation too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from simdrive.models.pixels import Pictures

NAME = "simdrive_tap"
_KINDS = ("Qwen2Attention", "Qwen2_5_VLAttention")  # layers of a vision tower have numbers too


@dataclass
class _Tap:
    layers: frozenset[int]
    rows: slice
    maps: dict[int, torch.Tensor] = field(default_factory=dict)


_ACTIVE: list[_Tap] = []


def _forward(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **rest)
    if _ACTIVE and type(module).__name__ in _KINDS and module.layer_idx in _ACTIVE[-1].layers:
        _ACTIVE[-1].maps[module.layer_idx] = _rows(query, key, attention_mask, scaling, _ACTIVE[-1].rows)
    return out, None


def _rows(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, scaling: float | None, rows: slice
) -> torch.Tensor:
    """Return softmax attention ``[N, heads, R, K]`` of the chosen query rows."""
    count, heads, steps, width = query.shape
    past = key.shape[2]
    chosen = torch.arange(steps, device=query.device)[rows]
    score = query[:, :, chosen].reshape(count, key.shape[1], -1, width) @ key.transpose(2, 3)
    score = score.view(count, heads, len(chosen), past) * (width**-0.5 if scaling is None else scaling)
    low = torch.finfo(score.dtype).min  # minus infinity would make rows of padding NaN
    if mask is None:  # transformers leaves a purely causal mask away
        later = torch.arange(past, device=query.device) > (chosen + past - steps)[:, None]
        score = score.masked_fill(later, low)
    elif mask.dtype == torch.bool:
        score = score.masked_fill(~mask[:, :, chosen], low)
    else:
        score = score + mask[:, :, chosen]
    return score.softmax(dim=-1)


AttentionInterface.register(NAME, _forward)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def tapped(
    model: PreTrainedModel, layers: Iterable[int], rows: slice = slice(None)
) -> Iterator[dict[int, torch.Tensor]]:
    """Collect attention ``[N, heads, R, K]`` of language layers by number, of the query ``rows`` of each forward pass.

    A later pass inside the context replaces the maps of an earlier one.
    """
    before = model.config._attn_implementation
    tap = _Tap(frozenset(layers), rows)
    _ACTIVE.append(tap)
    model.set_attn_implementation(NAME)
    try:
        yield tap.maps
    finally:
        _ACTIVE.pop()
        model.set_attn_implementation(before)


@contextmanager
def hidden_states(model: PreTrainedModel, layers: Iterable[int]) -> Iterator[dict[int, torch.Tensor]]:
    """Collect what language layers give out, ``[N, S, width]`` by number, of each forward pass."""
    kept: dict[int, torch.Tensor] = {}
    blocks = model.model.language_model.layers

    def keeper(layer: int) -> Any:
        def keep(module: Any, given: Any, found: Any) -> None:
            kept[layer] = found if isinstance(found, torch.Tensor) else found[0]

        return keep

    hooks = [blocks[layer].register_forward_hook(keeper(layer)) for layer in layers]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def answer_attention(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    pictures: Pictures,
    answers: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    """Return how much each answer looks at each picture token: ``[N, slots]``, mean over layers, heads and tokens.

    One more pass over prompts ``ids`` [N, L] (padded on the left, ``mask``) with their ``answers`` [N, M] of which
    ``lengths`` [N] tokens count. A row that sums to 0.3 spends 30 % of its attention on the pictures.
    """
    count, most = answers.shape
    device = model.device
    said = torch.arange(most) < lengths[:, None]
    whole = torch.cat([ids, answers], dim=1).to(device)
    seen = torch.cat([mask, said.to(mask.dtype)], dim=1).to(device)
    slots = whole == model.config.image_token_id
    inputs: dict[str, Any] = {"input_ids": whole, "attention_mask": seen, "pixel_values": pictures.values}
    if pictures.grid is not None:
        inputs |= {"image_grid_thw": pictures.grid, "mm_token_type_ids": slots.int()}
    layers = range(len(model.model.language_model.layers))
    with tapped(model, layers, slice(-most, None)) as maps:
        model.model(**inputs, use_cache=False)
    mean = torch.stack([maps[layer].float().mean(dim=1) for layer in layers]).mean(dim=0)  # [N, M, K]
    weight = said.to(device, mean.dtype) / lengths.to(device)[:, None]
    looked = torch.einsum("nmk,nm->nk", mean, weight)
    return looked[slots].view(count, -1).cpu()
