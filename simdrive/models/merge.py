"""Fewer picture tokens: more patches become one token, and the projector is widened so that it begins with their mean.

Both released families join ``merge`` x ``merge`` patches into one token before the language model; this number is all that
their classes allow to change. The wider projector of Qwen2.5-VL gives exactly the mean of the tokens that are joined. That
of InternVL normalises over the whole of its input: it gives their mean, up to the activation between its two maps, where the
joined tokens have equal statistics, and has to be trained otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from simdrive.errors import ParameterError
from simdrive.models.anatomy import VISION, is_internvl, tower
from simdrive.models.processor import Processor
from simdrive.models.surgery import configs_of


def merge_tokens(model: Any, processor: Processor, factor: int) -> Processor:
    """Join ``factor`` x ``factor`` picture tokens into one, in place; return the processor that goes with the model.

    Raises:
        ParameterError: if the factor is below 1 or a tile does not divide into so large tokens.
    """
    if factor < 1:
        raise ParameterError(f"picture tokens can be joined 1 x 1, 2 x 2, ..., got {factor}")
    if factor == 1:
        return processor
    step = processor.patch_px * processor.merge * factor
    if processor.tile_px % step:
        raise ParameterError(
            f"a tile of {processor.tile_px} pixels does not divide into tokens of {step}: it is "
            f"{processor.tile_px // (processor.patch_px * processor.merge)} tokens wide now, joined by {factor}"
        )
    made = replace(processor, merge=processor.merge * factor)
    if is_internvl(model):
        _internvl(model, processor.merge, factor)
    else:
        _qwen(model, processor.merge, factor)
    return made


def members(merge: int, factor: int, width: int) -> torch.Tensor:
    """Return where the values of each joined token stand in the new one: ``[factor^2, merge^2 * width]``.

    Patches of a token follow each other row by row in both families.
    """
    side = merge * factor
    place = torch.arange(side * side * width).view(factor, merge, factor, merge, width)
    return place.permute(0, 2, 1, 3, 4).reshape(factor * factor, merge * merge * width)


def _internvl(model: Any, merge: int, factor: int) -> None:
    inner = model.model.multi_modal_projector
    old: nn.Linear = inner.linear_1
    where = members(merge, factor, old.in_features // merge**2).to(old.weight.device)
    count = len(where)
    norm = nn.LayerNorm(count * old.in_features, eps=inner.layer_norm.eps).to(old.weight)
    wide = nn.Linear(count * old.in_features, old.out_features).to(old.weight)
    with torch.no_grad():
        for places in where:
            norm.weight[places], norm.bias[places] = inner.layer_norm.weight, inner.layer_norm.bias
            wide.weight[:, places] = old.weight / count
        wide.bias.copy_(old.bias)
    inner.layer_norm, inner.linear_1 = norm, wide
    for config in {id(c): c for c in (model.config, model.model.config)}.values():
        config.downsample_ratio = 1.0 / (merge * factor)
        config.image_seq_length = config.image_seq_length // count


def _qwen(model: Any, merge: int, factor: int) -> None:
    eye = tower(model)
    merger = eye.merger
    first, last = merger.mlp[0], merger.mlp[2]
    where = members(merge, factor, first.in_features // merge**2).to(first.weight.device)
    count, size = len(where), first.out_features
    wide = nn.Linear(count * first.in_features, count * size).to(first.weight)
    out = nn.Linear(count * size, last.out_features).to(last.weight)
    with torch.no_grad():
        wide.weight.zero_()
        for number, places in enumerate(where):
            rows = slice(number * size, (number + 1) * size)
            wide.weight[rows, places] = first.weight
            wide.bias[rows] = first.bias
            out.weight[:, rows] = last.weight / count
        out.bias.copy_(last.bias)
    merger.mlp[0], merger.mlp[2] = wide, out
    merger.hidden_size = count * merger.hidden_size
    eye.spatial_merge_size, eye.spatial_merge_unit = merge * factor, (merge * factor) ** 2
    for config in configs_of(model, VISION):
        config.spatial_merge_size = merge * factor
