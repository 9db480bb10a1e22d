"""One operator of a model and what it moves: the common currency of all cost functions.

Counts are per request and may be arrays over requests, so a whole batch is priced in one pass of numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError
from simdrive.latency.bits import Bits
from simdrive.types import Float

Amount = Float | float | int


@dataclass(frozen=True)
class Operator:
    """``count`` equal operators, each with the figures below.

    FLOPs are those of matrix products, convolutions and recurrences (a multiply-add is 2), as torch's counter has
    them; element-wise work is priced by its traffic alone.

    Args:
        group: weight group, see ``bits``.
        weights: weight values read.
        inputs: activation values read.
        outputs: activation values written.
        cache: key and value numbers read from and written to the cache.
        state: numbers of recurrent states read and written.
        fusible: a fusing compiler folds it into its neighbours, so its activations never reach memory.
    """

    name: str
    group: str
    count: float
    flops: Amount = 0.0
    weights: Amount = 0.0
    inputs: Amount = 0.0
    outputs: Amount = 0.0
    cache: Amount = 0.0
    state: Amount = 0.0
    fusible: bool = False


@dataclass(frozen=True)
class Memory:
    """How operators meet memory.

    Args:
        fused: element-wise operators are folded into matrix products, attention keeps its scores on chip.
        cache_bytes: on-chip memory that data can stay in; None = unknown, and then nothing is assumed to stay
            between operators while each operator reads its own data once.
    """

    fused: bool = True
    cache_bytes: float | None = None

    def __post_init__(self) -> None:
        if self.cache_bytes is not None and not 0.0 < self.cache_bytes < float("inf"):
            raise ParameterError(f"cache_bytes must be above 0, or None where unknown, got {self.cache_bytes}")


def total_flops(operators: Iterable[Operator]) -> Float:
    """Return the FLOPs of all operators."""
    return np.asarray(sum(operator.count * np.asarray(operator.flops, float) for operator in operators), float)


def weight_bytes(operators: Iterable[Operator], bits: Bits) -> Float:
    """Return the bytes of weights read by all operators."""
    terms = (op.count * np.asarray(op.weights, float) * bits.weight(op.group) / 8.0 for op in operators)
    return np.asarray(sum(terms), float)


def operator_bytes(operator: Operator, bits: Bits, memory: Memory) -> Float:
    """Return the bytes that one kind of operator moves to and from memory, all ``count`` together.

    Weights, cache and states always come from memory. Activations stay on chip where they fit. A matrix product
    of N FLOPs that does not fit on chip moves at least ``N b / sqrt(S / b)`` bytes, S bytes of cache and b bytes
    per value (Hong and Kung 1981, with the constant of Smith et al. 2019, arXiv 1702.02017).
    """
    value_bytes = bits.activation / 8.0
    activations = (np.asarray(operator.inputs, float) + np.asarray(operator.outputs, float)) * value_bytes
    if memory.fused and operator.fusible:
        activations = np.zeros_like(activations)
    if memory.cache_bytes is not None:
        activations = np.where(activations <= memory.cache_bytes, 0.0, activations)
    weights = np.asarray(operator.weights, float) * bits.weight(operator.group) / 8.0
    moved = weights + activations
    if memory.cache_bytes is not None:
        reuse = np.sqrt(memory.cache_bytes / value_bytes)
        least = np.asarray(operator.flops, float) * value_bytes / reuse
        moved = np.where(activations > 0.0, np.maximum(moved, least), moved)
    stored = np.asarray(operator.cache, float) * bits.kv / 8.0 + np.asarray(operator.state, float) * bits.state / 8.0
    return np.asarray(operator.count * (moved + stored), float)


def total_bytes(operators: Iterable[Operator], bits: Bits, memory: Memory | None = None) -> Float:
    """Return the bytes that all operators move to and from memory."""
    chosen = memory or Memory()
    return np.asarray(sum(operator_bytes(operator, bits, chosen) for operator in operators), float)


def named(operators: Sequence[Operator], *names: str) -> tuple[Operator, ...]:
    """Return the operators whose name is one of ``names``, e.g. ``"head"``."""
    return tuple(operator for operator in operators if operator.name in names)
