"""One pass over prompts and answers that keeps what every layer shows: states, attention to the pictures, certainty.

Attention is captured beside SDPA (``simdrive.models.tap``), head-mean as it is distilled. All is reduced batch by batch,
so that only vectors per sample are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from simdrive.compress.distill.attention import head_mean, text_to_vision
from simdrive.models.chat import IGNORED, TrainingBatch, Turn, training_batch
from simdrive.models.local import LocalModel
from simdrive.models.pixels import Pictures
from simdrive.models.tap import hidden_states, tapped
from simdrive.types import Bytes, Float

TEMPERATURES = (0.7, 1.0, 2.0)


@dataclass(frozen=True)
class Probed:
    """What N conversations show; L language layers, D values of a state, V picture tokens."""

    adjacent: Float  # [N, L + 1] cosine of what goes in and comes out, mean over tokens; the last is the final norm
    vision_text: Float  # [N, L + 1] cosine of mean picture and mean text token of what comes out
    looks: Float  # [N, L] share of the attention of text behind the pictures that goes to them
    state: Float  # [N, L + 1, D] of the token before the answer
    attention: Float  # [N, L, V] of that token to the pictures
    text_attention: Float  # [N, L, V] of all text of the prompt behind the pictures, mean
    certainty: tuple[Float, ...]  # N times [answer tokens, 2 + temperatures]: top1, top10, margins


@torch.inference_mode()
def probe(local: LocalModel, frames: Bytes, turns: Sequence[Turn], batch: int) -> Probed:
    """Return what a model shows of (question, answer) pairs about frames ``[N, camera, time, H, W, 3]``."""
    parts = [
        _batch(local, frames[start : start + batch], turns[start : start + batch])
        for start in range(0, len(turns), batch)
    ]
    names = ("adjacent", "vision_text", "looks", "state", "attention", "text_attention")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Probed(**joined, certainty=tuple(row for part in parts for row in part.certainty))


def _batch(local: LocalModel, frames: Bytes, turns: Sequence[Turn]) -> Probed:
    model: Any = local.loaded.model
    text = training_batch(local.chat, [[turn] for turn in turns]).to(model.device)
    pictures = local.processor.pictures(frames, model.device, model.dtype)
    layers = range(len(model.model.language_model.layers))
    with tapped(model, layers) as maps, hidden_states(model, layers) as states, _entering(model) as entered:
        final = model.model(**_inputs(model, text, pictures)).last_hidden_state
    stack = [entered[0], *(states[k] for k in layers), final]
    image = text.ids == model.config.image_token_id
    before = (text.labels != IGNORED).int().argmax(dim=1) - 1  # the token whose answer is the first of the answer
    adjacent, vision_text = _between(stack, image, text.mask.bool())
    looked = [_looked(head_mean(maps[k]), image, text.mask.bool(), before) for k in layers]
    rows = torch.arange(len(turns), device=model.device)
    state = torch.stack([found[rows, before].float() for found in stack[1:]], dim=1)
    looks, last, mean = (torch.stack([each[k] for each in looked], dim=1) for k in range(3))
    return Probed(
        _array(adjacent), _array(vision_text), _array(looks), _array(state), _array(last), _array(mean),
        tuple(_certainty(model, final[row], text.labels[row]) for row in range(len(turns))),
    )  # fmt: skip


def _inputs(model: Any, text: TrainingBatch, pictures: Pictures) -> dict[str, Any]:
    """Return what the model takes; padding is on the right, so that causal attention needs no mask."""
    given: dict[str, Any] = {"input_ids": text.ids, "pixel_values": pictures.values, "use_cache": False}
    if pictures.grid is not None:
        places = (text.ids == model.config.image_token_id).int()
        given |= {"image_grid_thw": pictures.grid, "mm_token_type_ids": places}
    return given


def _between(
    stack: Sequence[torch.Tensor], image: torch.Tensor, there: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines ``[N, L + 1]`` of states before and after each layer, and of picture and text tokens after it."""
    adjacent, between = [], []
    for before, after in zip(stack, stack[1:], strict=False):
        cosine = F.cosine_similarity(before.float(), after.float(), dim=-1)
        adjacent.append((cosine * there).sum(dim=1) / there.sum(dim=1))
        seen, read = (_mean(after.float(), mask) for mask in (image, there & ~image))
        between.append(F.cosine_similarity(seen, read, dim=-1))
    return torch.stack(adjacent, dim=1), torch.stack(between, dim=1)


def _mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weight = mask.float()[..., None]
    return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)


def _looked(
    maps: torch.Tensor, image: torch.Tensor, there: torch.Tensor, before: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return from maps ``[N, S, S]`` the share of attention on pictures, and attention to each picture token.

    The share ``[N]`` and the mean ``[N, V]`` are of the prompt's text behind the pictures, the rest ``[N, V]`` of the
    token before the answer. Every row of a batch has the same number of picture tokens.
    """
    count, length = image.shape
    place = torch.arange(length, device=image.device)
    behind = place > torch.where(image, place, -1).amax(dim=1, keepdim=True)
    asks = there & behind & (place <= before[:, None])
    seen = maps * text_to_vision(image, there)
    mean = (seen * asks[:, :, None]).sum(dim=1) / asks.sum(dim=1, keepdim=True).clamp(min=1)
    last = seen[torch.arange(count, device=image.device), before]
    return mean.sum(dim=1), last[image].view(count, -1), mean[image].view(count, -1)


def _certainty(model: Any, final: torch.Tensor, labels: torch.Tensor) -> Float:
    """Return ``[M, 2 + temperatures]`` for the M tokens of an answer, its end mark included."""
    told = labels[1:] != IGNORED
    logits = model.lm_head(final[:-1][told]).float()
    most = logits.softmax(-1).topk(min(10, logits.shape[-1]), dim=-1).values
    margins = []
    for temperature in TEMPERATURES:
        two = (logits / temperature).softmax(-1).topk(2, dim=-1).values
        margins.append(two[:, 0] - two[:, 1])
    return _array(torch.stack([most[:, 0], most.sum(dim=-1), *margins], dim=1))


@contextmanager
def _entering(model: Any) -> Iterator[dict[int, torch.Tensor]]:
    """Keep what goes into the first language layer, pictures included."""
    kept: dict[int, torch.Tensor] = {}

    def keep(module: Any, given: Any, named: Any) -> None:
        kept[0] = given[0] if given else named["hidden_states"]

    hook = model.model.language_model.layers[0].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield kept
    finally:
        hook.remove()


def _array(value: torch.Tensor) -> Float:
    found: Float = value.double().cpu().numpy()
    return found
