"""Moving what sticks out of activations into weights, exactly, before anything is rounded.

SmoothQuant (Xiao et al. 2022, arXiv:2211.10438): ``s_j = max |X_j|^a / max |W_j|^(1 - a)``. AWQ (Lin et al. 2023,
arXiv:2306.00978): ``s_j = mean |X_j|^a`` with the ``a`` whose quantized output is nearest to the true one. Maps that share
an input share ``s``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from simdrive.compress.quant.calibrate import InputStats
from simdrive.compress.quant.layout import Fold, folds, narrowed, rescale
from simdrive.compress.quant.ranges import Range, weight_scale
from simdrive.models.int_codes import decode, encode, token_codes
from simdrive.models.quant_spec import QuantSpec

_LEAST = 1e-5
_STEPS = 20


def smooth(
    model: nn.Module, stats: Mapping[str, InputStats], specs: Mapping[str, QuantSpec], alpha: float = 0.5
) -> int:
    """Apply SmoothQuant to every fold whose sinks are all quantized, in place; return how many."""
    chosen = _chosen(model, specs)
    for fold in chosen:
        weight = _widest(model, fold)
        largest = narrowed(fold, stats[fold.sinks[0]].largest)
        scale = largest.clamp_min(_LEAST) ** alpha / narrowed(fold, weight).clamp_min(_LEAST) ** (1.0 - alpha)
        rescale(model, fold, scale.clamp_min(_LEAST))
    return len(chosen)


@torch.no_grad()
def awq(model: nn.Module, stats: Mapping[str, InputStats], specs: Mapping[str, QuantSpec]) -> int:
    """Apply AWQ to every fold whose sinks are all quantized, in place; return how many scales were not one."""
    changed = 0
    for fold in _chosen(model, specs):
        seen = stats[fold.sinks[0]]
        mean = narrowed(fold, seen.mean, "mean").clamp_min(_LEAST)
        best, least = torch.ones_like(mean), float("inf")
        for step in range(_STEPS + 1):
            scale = mean ** (step / _STEPS)
            scale = (scale / (scale.max() * scale.min()).sqrt()).clamp_min(_LEAST)
            error = sum(_error(model, sink, _wide(fold, scale), seen, specs[sink]) for sink in fold.sinks)
            if error < least:
                best, least = scale, error
        changed += int(bool((best != 1.0).any()))
        rescale(model, fold, best)
    return changed


def _chosen(model: nn.Module, specs: Mapping[str, QuantSpec]) -> list[Fold]:
    return [fold for fold in folds(model) if all(sink in specs for sink in fold.sinks)]


def _widest(model: nn.Module, fold: Fold) -> torch.Tensor:
    """Return the largest weight of each column over all sinks."""
    weights = [model.get_submodule(sink).weight.detach().abs().amax(0) for sink in fold.sinks]  # type: ignore[operator]
    return torch.stack(weights).amax(0)


def _wide(fold: Fold, scale: torch.Tensor) -> torch.Tensor:
    return scale if fold.repeat == 1 else scale.view(-1, fold.head).repeat_interleave(fold.repeat, 0).flatten()


def _error(model: nn.Module, name: str, scale: torch.Tensor, seen: InputStats, spec: QuantSpec) -> float:
    """Return the weighted squared error of a map's output if its input is divided by ``scale``."""
    weight: torch.Tensor = model.get_submodule(name).weight.detach().float()  # type: ignore[operator]
    turned = weight * scale
    factor, zero = weight_scale(turned, spec, Range())
    rounded = decode(encode(turned, factor, zero, spec.bits), factor, zero)
    rows = seen.rows / scale
    if spec.activation != "none":
        codes, step = token_codes(rows, spec.activation_bits, None)
        rows = codes * step
    error = rows @ rounded.T - seen.rows @ weight.T
    return float((error.square().sum(1) * seen.weights).sum())
