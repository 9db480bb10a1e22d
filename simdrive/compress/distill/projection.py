"""How the gradients of supervision and of several capabilities become one step.

``agp`` is the asymmetric gradient projection of Drive-KD (arXiv 2601.21288, as in its public code): first every
capability's gradient gives way to the supervised one, which never changes; then the merged gradients give way to each
other in a random order. ``pcgrad`` is Yu et al. 2020 (arXiv 2001.06782).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from simdrive.compress.distill.names import METHODS
from simdrive.errors import UnknownNameError

Gradients = Mapping[str, torch.Tensor]  # by capability, flat
_SMALL = 1e-20


def away(gradient: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
    """Return a flat gradient without what points against the anchor; unchanged where they agree. Dot products in fp32."""
    dot = torch.dot(gradient.float(), anchor.float())
    share = torch.clamp(dot, max=0.0) / torch.clamp(anchor.float().square().sum(), min=_SMALL)
    return gradient - share.to(gradient.dtype) * anchor


def agp(supervised: torch.Tensor, capabilities: Gradients, rng: np.random.Generator) -> torch.Tensor:
    """Return the step of asymmetric, then symmetric projection; the supervised gradient counts once per capability."""
    return _symmetric(_asymmetric(supervised, capabilities), supervised, rng)


def agp_first(supervised: torch.Tensor, capabilities: Gradients, rng: np.random.Generator) -> torch.Tensor:
    """Return the step of the asymmetric stage alone."""
    return _total(_asymmetric(supervised, capabilities), supervised)


def agp_second(supervised: torch.Tensor, capabilities: Gradients, rng: np.random.Generator) -> torch.Tensor:
    """Return the step of the symmetric stage alone."""
    return _symmetric({name: supervised + found for name, found in capabilities.items()}, supervised, rng)


def plain_sum(supervised: torch.Tensor, capabilities: Gradients, rng: np.random.Generator) -> torch.Tensor:
    """Return the sum of all; the supervised gradient counts once."""
    return sum(capabilities.values(), start=supervised)


def equal_supervision(supervised: torch.Tensor, capabilities: Gradients, rng: np.random.Generator) -> torch.Tensor:
    """Return the sum of all with the supervised gradient as often as the projection counts it."""
    return sum(capabilities.values(), start=supervised * max(len(capabilities), 1))


def pcgrad(supervised: torch.Tensor, capabilities: Gradients, rng: np.random.Generator) -> torch.Tensor:
    """Return the step in which all gradients, the supervised one too, give way to each other."""
    return _symmetric({"": supervised, **capabilities}, supervised, rng)


def _asymmetric(supervised: torch.Tensor, capabilities: Gradients) -> dict[str, torch.Tensor]:
    return {name: supervised + away(found, supervised) for name, found in capabilities.items()}


def _symmetric(merged: Gradients, supervised: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return the sum of gradients that gave way to the others, in one random order for both loops."""
    order = [list(merged)[k] for k in rng.permutation(len(merged)).tolist()]
    out = dict(merged)
    for name in order:
        for other in order:
            if name != other:
                out[name] = away(out[name], merged[other])  # against the other as it was
    return _total(out, supervised)


def _total(merged: Gradients, supervised: torch.Tensor) -> torch.Tensor:
    """Return the sum; without any capability the supervised gradient."""
    if not merged:
        return supervised
    first, *rest = merged.values()
    return sum(rest, start=first)


_FOUND = {found.__name__: found for found in (agp, agp_first, agp_second, plain_sum, equal_supervision, pcgrad)}


def method_named(name: str) -> Callable[[torch.Tensor, Gradients, np.random.Generator], torch.Tensor]:
    """Return how gradients are joined.

    Raises:
        UnknownNameError: if there is no such way.
    """
    if name not in METHODS:
        raise UnknownNameError("way to join gradients", name, METHODS)
    return _FOUND[name]
