"""Bits chosen against a chip: what each part of a model loses by fewer bits, against the time it takes there.

A part is a language layer's attention or feed-forward maps, the vision tower, the projector or the head. Its loss is the
divergence of the answers when it alone is quantized; its time is priced with the operators and fitted parameters that requests
are charged with. The choice is exact: a multiple-choice knapsack, solved by merging Pareto fronts (Nemhauser and Ullmann 1969).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simdrive.compress.quant.agreement import divergence, exact_logits
from simdrive.compress.quant.calibrate import CalibrationBatch
from simdrive.compress.quant.layout import TEXT, group_of, linears
from simdrive.compress.quant.rounding import Rounding, quantize
from simdrive.errors import ParameterError

CHOICES = (16, 8, 4)


@dataclass(frozen=True)
class Option:
    """One part at one width."""

    bits: int
    loss: float  # divergence, nats per answer token
    cost: float  # seconds or bytes


@dataclass(frozen=True)
class Choice:
    """Bits of every part."""

    bits: dict[str, int]
    loss: float  # sum over the parts
    cost: float


def parts_of(model: Any) -> dict[str, list[str]]:
    """Return the linear maps of each part, by the part's name (``layers.3.attention``, ``vision``, ...)."""
    found: dict[str, list[str]] = {}
    for name in linears(model):
        group = group_of(name)
        part = f"layers.{name[len(TEXT) :].partition('.')[0]}.{group}" if name.startswith(TEXT) else group
        found.setdefault(part, []).append(name)
    return found


def sensitivity(
    model: Any,
    batches: Sequence[CalibrationBatch],
    how: Mapping[int, Rounding],
    parts: Mapping[str, list[str]] | None = None,
) -> dict[str, dict[int, float]]:
    """Return the divergence of the answers when one part alone has so many bits; ``how`` says how each width is made."""
    chosen = parts_of(model) if parts is None else parts
    wanted = exact_logits(model, batches)
    found: dict[str, dict[int, float]] = {}
    for part, names in chosen.items():
        found[part] = {16: 0.0}
        for bits, rounding in how.items():
            tried = copy.deepcopy(model)
            wide = {name: bits if name in names else 16 for name in linears(model)}
            quantize(tried, wide, batches, rounding)
            found[part][bits] = max(divergence(exact_logits(tried, batches), wanted), 0.0)
    return found


def choose(options: Mapping[str, Sequence[Option]], budget: float, unit: str = "s", fixed: float = 0.0) -> Choice:
    """Return the bits with the least loss whose cost, ``fixed`` included, is within ``budget``.

    Raises:
        ParameterError: if even the cheapest choice is dearer; the message says what the best possible is.
    """
    cheapest = {part: min(row, key=lambda one: (one.cost, one.loss)) for part, row in options.items()}
    least = fixed + sum(one.cost for one in cheapest.values())
    if least > budget:
        widths = ", ".join(f"{part} {one.bits}" for part, one in cheapest.items())
        raise ParameterError(
            f"a budget of {budget:.6g} {unit} cannot be met: the best possible is {least:.6g} {unit}, with {widths}; "
            "raise the budget, prune the model, or choose a faster chip"
        )
    front: list[tuple[float, float, tuple[int, ...]]] = [(fixed, 0.0, ())]
    for row in options.values():
        merged = sorted(
            (cost + one.cost, loss + one.loss, (*bits, one.bits)) for cost, loss, bits in front for one in row
        )
        front, best = [], float("inf")
        for point in merged:
            if point[1] < best and point[0] <= budget * (1.0 + 1e-12):
                front.append(point)
                best = point[1]
        front = _thinned(front)
    cost, loss, chosen = front[-1]
    return Choice(dict(zip(options, chosen, strict=True)), loss, cost)


def _thinned(front: list[tuple[float, float, tuple[int, ...]]], most: int = 20_000) -> list[Any]:
    """Keep a front small: of many points, those evenly spread, with both ends."""
    if len(front) <= most:
        return front
    step = (len(front) - 1) / (most - 1)
    return [front[round(number * step)] for number in range(most)]
