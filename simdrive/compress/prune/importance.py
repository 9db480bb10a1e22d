"""Importance measured on samples: by what flows, and by the first-order change of the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from simdrive.compress.batches import Batch
from simdrive.compress.prune.scores import PartScores, Scores, combined, unit_sums
from simdrive.compress.prune.watch import Seen, by_sample, watched
from simdrive.errors import ParameterError
from simdrive.models.anatomy import TEXT, Layer

Loss = Callable[[Batch], torch.Tensor]  # of a batch, by a forward pass of the model that is watched
Gradients = Mapping[torch.Tensor, torch.Tensor]  # by weight


def activation(model: Any, batches: Iterable[Batch], loss: Loss) -> Scores:
    """Return how strongly units speak: the length of their inputs times that of the weights that read them (Wanda: Sun et
    al. 2023, arXiv 2306.11695, summed over a unit); of layers 1 - cos of the stream before and after (ShortGPT: Men et al.
    2024, arXiv 2403.03853). Padding does not count.

    Raises:
        ParameterError: if there is no batch.
    """
    total: list[Scores] = []
    tokens: list[dict[str, int]] = []
    with torch.no_grad(), watched(model) as seen:
        for batch in batches:
            loss(batch)
            found, counted = {}, {}
            for part, pairs in seen.items():
                there = batch.text.mask.bool() if part == TEXT else None
                rows = [_flows(one, there) for _, one in pairs]
                found[part] = PartScores(
                    *(torch.stack(column) for column in zip(*(row[0] for row in rows), strict=True))
                )
                counted[part] = rows[0][1]
            total.append(found)
            tokens.append(counted)
    _some(total)
    mean = combined(total, lambda parts: torch.stack(parts).sum(0))
    return {
        part: _weighed([layer for layer, _ in seen[part]], mean[part], sum(count[part] for count in tokens))
        for part in seen
    }


def _flows(seen: Seen, there: torch.Tensor | None) -> tuple[tuple[torch.Tensor, ...], int]:
    """Return sums over tokens: 1 - cos of the stream, squares of head inputs and of channels; and the tokens."""
    streams = [part if there is None else part[there] for part in (seen.before, seen.after, seen.heads, seen.ffn)]
    before, after, heads, ffn = (part.reshape(-1, part.shape[-1]).float() for part in streams)
    change = (1.0 - torch.nn.functional.cosine_similarity(before, after, dim=-1)).sum()
    return (change, heads.square().sum(0), ffn.square().sum(0)), len(before)


def _weighed(layers: list[Layer], sums: PartScores, tokens: int) -> PartScores:
    heads, ffn = [], []
    for layer, head, inner in zip(layers, sums.heads, sums.ffn, strict=True):
        read = (head / tokens).sqrt() * layer.out.weight.detach().float().norm(dim=0)
        heads.append(read.reshape(layer.heads, -1).sum(1))
        ffn.append((inner / tokens).sqrt() * layer.narrowing.weight.detach().float().norm(dim=0))
    return PartScores(sums.layers / tokens, torch.stack(heads), torch.stack(ffn))


@dataclass(frozen=True)
class Felt:
    """What a loss feels: Taylor scores, and its gradient over all samples."""

    scores: Scores
    gradients: Gradients


def taylor(model: Any, batches: Iterable[Batch], loss: Loss) -> Felt:
    """Return the mean over samples of the absolute first-order change of the loss if a unit fell silent.

    ``| sum over tokens of a_c * dL/da_c |`` with ``a_c`` what a head or channel hands to its output map; for a layer what
    it adds to the stream.

    Raises:
        ParameterError: if there is no batch, or the loss is not finite.
    """
    total: list[Scores] = []
    trained = {p: p.requires_grad for p in model.parameters()}
    model.requires_grad_(True)
    model.zero_grad(set_to_none=True)
    with watched(model) as seen:
        for batch in batches:
            value = loss(batch)
            if not bool(value.isfinite()):
                raise ParameterError(
                    f"importance cannot be measured: the loss is {float(value)}; is the model damaged?"
                )
            value.backward()  # type: ignore[no-untyped-call]
            found = {}
            for part, pairs in seen.items():
                rows = [_changes(layer, one, len(batch.rows)) for layer, one in pairs]
                found[part] = PartScores(*(torch.stack(column) for column in zip(*rows, strict=True)))
            total.append(found)
    _some(total)
    gradients = {p: p.grad.detach() for p in model.parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    for parameter, before in trained.items():
        parameter.requires_grad_(before)
    return Felt(combined(total, lambda parts: torch.stack(parts).mean(0)), gradients)


def _changes(layer: Layer, seen: Seen, samples: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    def felt(value: torch.Tensor, gradient: torch.Tensor | None) -> torch.Tensor:
        if gradient is None:  # the loss does not hear this layer
            return value.new_zeros(samples, value.shape[-1])
        return by_sample(value.detach().float() * gradient.float(), samples).sum(1)

    heads = felt(seen.heads, seen.heads.grad).reshape(samples, layer.heads, -1).sum(-1)
    added = felt(seen.after - seen.before, seen.after.grad).sum(-1)
    return added.abs().mean(0), heads.abs().mean(0), felt(seen.ffn, seen.ffn.grad).abs().mean(0)


def _some(total: list[Scores]) -> None:
    if not total:
        raise ParameterError("importance needs at least one batch of samples; raise rows")


def gradient_products(model: Any, first: Gradients, second: Gradients) -> Scores:
    """Return the inner products of two gradients over the weights of each unit."""

    def product(weight: torch.Tensor) -> torch.Tensor:
        if weight not in first or weight not in second:
            return torch.zeros_like(weight, dtype=torch.float32)
        return first[weight].float() * second[weight].float()

    with torch.no_grad():
        return unit_sums(model, product)
