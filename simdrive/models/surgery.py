"""Cutting heads, inner widths and whole layers out of a model, so that it is physically smaller.

What is left computes exactly what the whole model computes with the removed parts' outputs at zero. The configuration
follows wherever the transformers class can say it; ``simdrive.models.headcount`` keeps the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from simdrive.errors import ParameterError, UnsupportedError
from simdrive.models.anatomy import TEXT, VISION, Layer, Rows, is_internvl, layers_of, stack, tower


def cut(linear: nn.Linear, rows: torch.Tensor | None = None, columns: torch.Tensor | None = None) -> None:
    """Keep some rows (outputs) and columns (inputs) of a linear map, in place."""
    weight = linear.weight.detach()
    if rows is not None:
        weight, linear.out_features = weight[rows], len(rows)
        if linear.bias is not None:
            linear.bias = nn.Parameter(linear.bias.detach()[rows].clone())
    if columns is not None:
        weight, linear.in_features = weight[:, columns], len(columns)
    linear.weight = nn.Parameter(weight.clone())


def keep_heads(layer: Layer, queries: Sequence[int], groups: Sequence[int]) -> None:
    """Keep the query heads ``queries`` and the key/value heads ``groups`` of a layer, in place.

    Raises:
        ParameterError: if nothing would be left, a head does not exist, or groups would not hold equally many queries.
        UnsupportedError: if queries are normalised across heads.
    """
    size = layer.heads // layer.kv_heads
    _check(queries, layer.heads, f"query heads of {layer.name}")
    _check(groups, layer.kv_heads, f"key/value heads of {layer.name}")
    counts = [sum(query // size == group for query in queries) for group in groups]
    if len(set(counts)) != 1 or sum(counts) != len(queries):
        raise ParameterError(
            f"every kept key/value head of {layer.name} needs equally many query heads, got {counts} for {list(groups)}"
        )
    if isinstance(getattr(layer.attention, "q_norm", None), nn.Module) and not isinstance(
        layer.attention.q_norm, nn.Identity
    ):
        raise UnsupportedError(f"{layer.name} normalises queries across its heads: removing one changes the others")
    kept = {id(layer.query): _span(queries, layer), id(layer.key): _span(groups, layer)}
    kept[id(layer.value)] = kept[id(layer.key)]
    by_linear: dict[nn.Linear, list[torch.Tensor]] = {}
    for rows in (layer.query, layer.key, layer.value):
        by_linear.setdefault(rows.linear, []).append(_at(rows, kept[id(rows)]))
    for linear, parts in by_linear.items():
        cut(linear, rows=torch.cat(parts))
    cut(layer.out, columns=kept[id(layer.query)])
    _tell(layer, len(queries), len(groups))


def _at(rows: Rows, places: torch.Tensor) -> torch.Tensor:
    return places + rows.start


def _span(heads: Sequence[int], layer: Layer) -> torch.Tensor:
    width, device = layer.head_width, layer.out.weight.device
    return torch.cat([torch.arange(head * width, (head + 1) * width, device=device) for head in heads])


def _tell(layer: Layer, heads: int, groups: int) -> None:
    """Tell an attention module how many heads it has."""
    at: Any = layer.attention
    if layer.part == TEXT:
        at.num_key_value_groups = heads // groups
        if hasattr(at, "num_key_value_heads"):
            at.num_key_value_heads = groups
    if hasattr(at, "num_heads"):
        at.num_heads = heads
    if hasattr(at, "embed_dim"):
        at.embed_dim = heads * layer.head_width


def keep_inner(layer: Layer, channels: Sequence[int]) -> None:
    """Keep some inner channels of the feed-forward network of a layer, in place.

    Raises:
        ParameterError: if nothing would be left or a channel does not exist.
    """
    _check(channels, layer.ffn, f"feed-forward channels of {layer.name}")
    chosen = torch.tensor(list(channels), device=layer.out.weight.device)
    for linear in layer.widening:
        cut(linear, rows=chosen)
    cut(layer.narrowing, columns=chosen)
    mlp: Any = layer.module.mlp
    if hasattr(mlp, "intermediate_size"):
        mlp.intermediate_size = len(chosen)


def keep_layers(model: Any, part: str, kept: Sequence[int]) -> None:
    """Keep some layers of a part, in place; the configuration follows.

    Raises:
        ParameterError: if nothing would be left or a layer does not exist.
        UnsupportedError: if the language model takes its pictures from another layer of the tower than the last.
    """
    owner, name = stack(model, part)
    old = list(getattr(owner, name))
    _check(kept, len(old), f"{part} layers")
    if len(kept) == len(old):
        return
    if part == VISION and is_internvl(model) and model.config.vision_feature_layer != -1:
        raise UnsupportedError(
            "vision layers can only go where pictures are taken from the last one (feature layer -1)"
        )
    setattr(owner, name, nn.ModuleList([old[number] for number in kept]))
    if part == TEXT:
        for number, layer in enumerate(getattr(owner, name)):
            layer.self_attn.layer_idx = number
    elif not is_internvl(model):
        full = [new for new, number in enumerate(kept) if number in owner.fullatt_block_indexes]
        owner.fullatt_block_indexes = full
    for config in configs_of(model, part):
        if getattr(config, "layer_types", None):
            config.layer_types = [config.layer_types[number] for number in kept]
        if hasattr(config, "fullatt_block_indexes"):
            config.fullatt_block_indexes = list(owner.fullatt_block_indexes)
        setattr(config, "num_hidden_layers" if hasattr(config, "num_hidden_layers") else "depth", len(kept))


def configs_of(model: Any, part: str) -> list[Any]:
    """Return the configurations that speak of a part: the model's and the part's own, where they are not the same."""
    inner = model.model.language_model if part == TEXT else tower(model)
    outer = model.config.text_config if part == TEXT else model.config.vision_config
    more = getattr(model.model.config, f"{part}_config")
    return list({id(config): config for config in (outer, more, inner.config)}.values())


def settle(model: Any) -> None:
    """Write what cutting left into the configuration, as far as the class of each part can say it.

    Widths of feed-forward networks always can; heads only where the configuration has a head width of its own.

    Raises:
        UnsupportedError: if the layers of a part differ in their heads or widths.
    """
    for part in (TEXT, VISION):
        layers = layers_of(model, part)
        if len({(layer.heads, layer.kv_heads, layer.ffn) for layer in layers}) != 1:
            raise UnsupportedError(f"{part} layers differ in heads or widths; cut all layers of a part alike")
        for config in configs_of(model, part):
            config.intermediate_size = layers[0].ffn
            if part == TEXT and is_internvl(model):
                config.head_dim = layers[0].head_width
                config.num_attention_heads, config.num_key_value_heads = layers[0].heads, layers[0].kv_heads


def _check(kept: Sequence[int], count: int, what: str) -> None:
    if not kept or len(set(kept)) != len(kept) or min(kept) < 0 or max(kept) >= count:
        raise ParameterError(f"{what} to keep must be some of 0 to {count - 1}, each once, got {list(kept)}")
