"""What rounding must not touch: input columns that stick out, and how sharply each head attends.

Columns: LLM.int8() (Dettmers et al. 2022, arXiv:2208.07339) keeps those whose inputs are largest in floating point. Heads: the
spread of a head's attention logits is matched to what it was, ``alpha_h = std(logits) / std(quantized logits)``, folded into the
scales of its queries (QuantVLA, arXiv:2602.20309).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from simdrive.compress.quant.calibrate import CalibrationBatch, InputStats
from simdrive.models.quantized import QuantizedLinear


def high_columns(stats: InputStats, count: int) -> torch.Tensor:
    """Return the ``count`` columns with the largest inputs, ascending, int64."""
    return stats.largest.topk(count).indices.sort().values


@torch.no_grad()
def match_temperature(quantized: Any, exact: Any, batches: Sequence[CalibrationBatch]) -> dict[str, list[float]]:
    """Scale the queries of each language head of ``quantized`` so that its logits spread as those of ``exact``, in place.

    Returns the factors by layer. Layers whose queries are in floating point are left alone.
    """
    wanted, given = _spreads(exact, batches), _spreads(quantized, batches)
    found: dict[str, list[float]] = {}
    for number, layer in enumerate(quantized.model.language_model.layers):
        query = layer.self_attn.q_proj
        if not isinstance(query, QuantizedLinear):
            continue
        factors = (wanted[number] / given[number].clamp_min(1e-12)).clamp(0.5, 2.0)
        rows = factors.repeat_interleave(int(layer.self_attn.head_dim)).to(query.scale)
        query.scale.mul_(rows[:, None])
        for part in (query.zero, query.high_weight):
            if part is not None:
                part.mul_(rows[:, None])
        if query.bias is not None:
            query.bias.mul_(rows)
        query.scale.copy_(query.scale.bfloat16())
        query._kernel = None
        found[f"model.language_model.layers.{number}"] = [round(float(factor), 4) for factor in factors]
    return found


def _spreads(model: Any, batches: Sequence[CalibrationBatch]) -> dict[int, torch.Tensor]:
    """Return per layer the standard deviation ``[heads]`` of attention logits over real tokens, up to a common factor.

    Rotations of queries and keys by position keep norms, not single logits; the logits are taken before them, which both
    models share.
    """
    total: dict[int, torch.Tensor] = {}
    for batch in batches:
        with _projected(model) as seen:
            model.model(**batch.inputs)
        for number, (query, key) in seen.items():
            layer = model.model.language_model.layers[number].self_attn
            width, groups = int(layer.head_dim), int(layer.num_key_value_groups)
            q = query[batch.counts].float()[:512].reshape(-1, query.shape[-1] // width, width)
            k = key[batch.counts].float()[:512].reshape(-1, key.shape[-1] // width, width).repeat_interleave(groups, 1)
            logits = torch.einsum("qhd,khd->hqk", q, k)
            total[number] = total.get(number, 0.0) + logits.std(-1).mean(-1)
    return total


@contextmanager
def _projected(model: Any) -> Iterator[dict[int, tuple[torch.Tensor, torch.Tensor]]]:
    """Collect queries and keys of each language layer during a forward pass."""
    seen: dict[int, dict[str, torch.Tensor]] = {}
    found: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(number: int, what: str) -> Any:
        def hook(module: Any, given: Any, out: torch.Tensor) -> None:
            seen.setdefault(number, {})[what] = out.detach()
            if len(seen[number]) == 2:
                found[number] = (seen[number]["q"], seen[number]["k"])

        return hook

    handles = []
    for number, layer in enumerate(model.model.language_model.layers):
        handles.append(layer.self_attn.q_proj.register_forward_hook(keep(number, "q")))
        handles.append(layer.self_attn.k_proj.register_forward_hook(keep(number, "k")))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
