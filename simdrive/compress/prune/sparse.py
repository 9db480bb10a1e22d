"""Unstructured pruning: the smallest weights become zero, and stay zero while the model learns again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from simdrive.compress.prune.settings import SCOPES
from simdrive.errors import UnknownNameError
from simdrive.models.anatomy import PARTS, layers_of

Masks = Mapping[torch.Tensor, torch.Tensor]  # True = zero


def matrices(model: Any) -> list[torch.Tensor]:
    """Return the weights of all linear maps inside layers, of both halves; embeddings and projector are left alone."""
    return [linear.weight for part in PARTS for layer in layers_of(model, part) for linear in layer.linears]


def sparsify(model: Any, share: float, scope: str = "matrix") -> Masks:
    """Set the share of weights of least magnitude to zero, in place; return where zeros are.

    Of each matrix exactly ``floor(share * weights)`` go, or of the whole model so many; of equal ones those in front.

    Raises:
        UnknownNameError: if the scope is neither ``matrix`` nor ``model``.
    """
    if scope not in SCOPES:
        raise UnknownNameError("scope of sparsity", scope, SCOPES)
    weights = matrices(model)
    groups = [[weight] for weight in weights] if scope == "matrix" else [weights]
    with torch.no_grad():
        for group in groups:
            flat = torch.cat([weight.detach().abs().flatten() for weight in group])
            gone = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
            gone[flat.sort(stable=True).indices[: int(share * len(flat))]] = True
            parts = torch.split(gone, [weight.numel() for weight in group])
            for weight, part in zip(group, parts, strict=True):
                weight.masked_fill_(part.view_as(weight), 0.0)
    return zeros(model)


def zeros(model: Any) -> Masks:
    """Return where the matrices of a model are zero; matrices without any are left out."""
    found = {weight: weight.detach() == 0 for weight in matrices(model)}
    return {weight: mask for weight, mask in found.items() if bool(mask.any())}


def sparsity_of(model: Any) -> float:
    """Return the share of the layers' matrices that is zero."""
    weights = matrices(model)
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def hold(masks: Masks) -> None:
    """Take away the gradients of masked weights: a zero without gradient stays zero under AdamW, decay included."""
    for weight, mask in masks.items():
        if weight.grad is not None:
            weight.grad.masked_fill_(mask, 0.0)
