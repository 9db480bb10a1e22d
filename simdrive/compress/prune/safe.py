"""Task-aware safe pruning: a unit stays if any capability needs it, and goes sooner if the capabilities pull it apart.

After the public description of Wang et al. 2025 (arXiv 2511.05557: Taylor importance per task, and a penalty for conflicts
of the tasks' gradients); its formulas are not published, those here are simdrive's own:

    I~[t, c] = I[t, c] / || I[t, :] ||_2 within a layer      keep[c] = max over t of I~[t, c]
    C[c]     = mean over pairs s < t of max(0, -cos(g[s, c], g[t, c]))
    S[c]     = keep[c] - conflict * C[c]

with I the Taylor importance of unit c for capability t and g the gradient of t's loss over the weights of c.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch

from simdrive.compress.prune.importance import Felt, gradient_products
from simdrive.compress.prune.scores import PartScores, Scores, combined

_SMALL = 1e-20


def safe(model: Any, felt: Mapping[str, Felt], conflict: float) -> Scores:
    """Return the scores of units that several capabilities feel; ``conflict`` weighs their disagreement."""
    needed = combined([normalised(one.scores) for one in felt.values()], lambda parts: torch.stack(parts).amax(0))
    apart = conflicts(model, felt)
    return combined([needed, apart], lambda parts: parts[0] - conflict * parts[1])


def normalised(scores: Scores) -> Scores:
    """Return scores of length one within each layer; those of layers over all layers of a part."""

    def unit(values: torch.Tensor) -> torch.Tensor:
        length: torch.Tensor = values.norm(dim=-1, keepdim=True)
        return values / length.clamp(min=_SMALL)

    return {part: PartScores(unit(one.layers), unit(one.heads), unit(one.ffn)) for part, one in scores.items()}


def conflicts(model: Any, felt: Mapping[str, Felt]) -> Scores:
    """Return how far the capabilities pull the weights of each unit apart, from 0 to 1; 0 for a single capability."""
    gradients = [one.gradients for one in felt.values()]
    lengths = [combined([gradient_products(model, g, g)], lambda parts: parts[0].sqrt()) for g in gradients]
    against = [
        combined(
            [gradient_products(model, gradients[s], gradients[t]), lengths[s], lengths[t]],
            lambda parts: (-parts[0] / (parts[1] * parts[2]).clamp(min=_SMALL)).clamp(min=0.0),
        )
        for s, t in itertools.combinations(range(len(gradients)), 2)
    ]
    if not against:
        return combined([lengths[0]], lambda parts: torch.zeros_like(parts[0]))
    return combined(against, lambda parts: torch.stack(parts).mean(0))
