"""From scores to a smaller model: which units stay, and the cut itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from simdrive.compress.prune.scores import PartScores, Scores
from simdrive.compress.prune.settings import Sizes
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.anatomy import PARTS, layers_of
from simdrive.models.surgery import keep_heads, keep_inner, keep_layers, settle


@dataclass(frozen=True)
class Choice:
    """What stays of one layer."""

    queries: tuple[int, ...]
    groups: tuple[int, ...]
    inner: tuple[int, ...]


def sizes_of(model: Any) -> Sizes:
    """Return the sizes of a model whose layers are alike."""
    text, vision = (layers_of(model, part) for part in PARTS)
    return Sizes(
        len(text), text[0].heads, text[0].kv_heads, text[0].ffn, len(vision), vision[0].heads, vision[0].ffn
    )  # fmt: skip


def layers_left(
    part: str, scores: torch.Tensor, count: int, drop: Sequence[str] = (), protect: Sequence[str] = ()
) -> list[int]:
    """Return the layers of a part that stay, in order: ``count`` of them, fewer where more are dropped by name.

    Args:
        part: of the model.
        scores: ``[L]`` of its layers.
        count: layers to keep.
        drop, protect: names such as ``text.3``; those of other parts are passed over.

    Raises:
        ParameterError: if names leave nothing, or more layers are protected than can stay.
    """
    own = [f"{part}.{number}" for number in range(len(scores))]
    gone = {own.index(name) for name in drop if name in own}
    held = {own.index(name) for name in protect if name in own}
    if len(gone) == len(own):
        raise ParameterError(f"drop names every {part} layer: nothing would be left")
    if len(held) > count:
        raise ParameterError(f"{len(held)} {part} layers are protected, but only {count} shall be kept")
    order = sorted((k for k in range(len(own)) if k not in gone), key=lambda k: (k not in held, -float(scores[k]), k))
    return sorted(order[:count])


def check_names(model: Any, names: Sequence[str]) -> None:
    """Refuse names of layers that do not exist.

    Raises:
        UnknownNameError: with the nearest name.
    """
    known = [layer.name for part in PARTS for layer in layers_of(model, part)]
    for name in names:
        if name not in known:
            raise UnknownNameError("layer", str(name), known)


def heads_left(
    scores: torch.Tensor, groups: int, keep_groups: int, keep_heads_in_all: int
) -> tuple[list[int], list[int]]:
    """Return query heads ``[..]`` and groups that stay: equally many best heads in each of the best groups.

    Args:
        scores: ``[H]`` of query heads.
        groups: key/value heads there are now.
        keep_groups, keep_heads_in_all: how many stay, the latter over all groups.
    """
    slots, size = keep_heads_in_all // keep_groups, len(scores) // groups
    best = scores.reshape(groups, size).sort(dim=1, descending=True, stable=True)
    worth = best.values[:, :slots].sum(1)
    kept = sorted(worth.sort(descending=True, stable=True).indices[:keep_groups].tolist())
    queries = [group * size + slot for group in kept for slot in sorted(best.indices[group, :slots].tolist())]
    return queries, kept


def chosen(scores: PartScores, number: int, groups: int, sizes: tuple[int, int, int]) -> Choice:
    """Return what stays of layer ``number``; ``sizes`` are heads, key/value heads and inner channels to keep."""
    heads, kv_heads, ffn = sizes
    queries, kept = heads_left(scores.heads[number], groups, kv_heads, heads)
    inner = sorted(scores.ffn[number].sort(descending=True, stable=True).indices[:ffn].tolist())
    return Choice(tuple(queries), tuple(kept), tuple(inner))


def cut_to(
    model: Any, scores: Scores, sizes: Sizes, drop: Sequence[str] = (), protect: Sequence[str] = ()
) -> dict[str, list[int]]:
    """Cut a model to sizes, in place, by its scores; return the numbers of the layers that stayed, by part.

    Raises:
        ParameterError, UnknownNameError: if nothing would be left, or a named layer does not exist.
    """
    check_names(model, (*drop, *protect))
    left: dict[str, list[int]] = {}
    for part in PARTS:
        layers, own = layers_of(model, part), scores[part]
        wanted = getattr(sizes, f"{part}_heads"), getattr(sizes, f"{part}_ffn")
        groups = sizes.text_kv_heads if part == PARTS[0] else wanted[0]
        left[part] = layers_left(part, own.layers, getattr(sizes, f"{part}_layers"), drop, protect)
        for number in left[part]:
            layer = layers[number]
            choice = chosen(own, number, layer.kv_heads, (wanted[0], groups, wanted[1]))
            if len(choice.queries) < layer.heads:
                keep_heads(layer, choice.queries, choice.groups)
            if len(choice.inner) < layer.ffn:
                keep_inner(layer, choice.inner)
        keep_layers(model, part, left[part])
    settle(model)
    return left
