"""Does a model fit on a chip? Peak memory of one request, and a refusal that shows the sum.

peak = weights + KV cache + recurrent states + largest working set of any operator + overhead
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError
from simdrive.latency.architecture import ArchitectureCard
from simdrive.latency.bits import Bits
from simdrive.latency.language_cost import Tokens, block_operators
from simdrive.latency.operators import Operator
from simdrive.latency.tiling import PictureLoad
from simdrive.latency.vision_cost import vision_operators

GIB = float(2**30)


def stored_weight_bytes(card: ArchitectureCard, bits: Bits) -> float:
    """Return the bytes of all weights as they lie in memory; vectors (norms, biases) stay at 16 bits."""
    language, total = card.language, 0.0
    for block in language.blocks:
        mixer = block.mixer.matrix_parameters(language.width) if block.mixer else 0
        feedforward = block.feedforward.matrix_parameters(language.width) if block.feedforward else 0
        vectors = block.parameters(language.width) - mixer - feedforward
        total += block.count * (mixer * bits.attention + feedforward * bits.feedforward + vectors * 16.0)
    total += language.width * 16.0 + language.head_parameters * bits.head
    if not language.tied:
        total += language.head_parameters * bits.embedding
    if card.vision and card.projector:
        total += card.vision.parameters() * bits.vision + card.projector.parameters() * bits.projector
    return total / 8.0


def kv_cache_bytes(card: ArchitectureCard, context_tokens: float, bits: Bits) -> float:
    """Return the bytes of keys and values of ``context_tokens`` tokens: ``2 L n_kv d_h ctx b / 8``.

    A layer with a window keeps no more than the window.
    """
    values = 0.0
    for block in card.language.blocks:
        if block.mixer is not None:
            window = getattr(block.mixer, "window", 0)
            kept = min(context_tokens, window) if window else context_tokens
            values += block.count * block.mixer.cache_values_per_token() * kept
    return values * bits.kv / 8.0


def state_bytes(card: ArchitectureCard, bits: Bits) -> float:
    """Return the bytes of recurrent states, whatever the context."""
    return card.language.state_values() * bits.state / 8.0


def working_set_bytes(operators: Iterable[Operator], bits: Bits, fused: bool = True) -> float:
    """Return the largest inputs and outputs that any one operator holds at once."""
    sizes = (
        float(np.max(np.asarray(operator.inputs, float) + np.asarray(operator.outputs, float)))
        for operator in operators
        if not (fused and operator.fusible)
    )
    return max(sizes, default=0.0) * bits.activation / 8.0


@dataclass(frozen=True)
class PeakMemory:
    """The parts of the peak, in bytes."""

    weights: float
    cache: float
    states: float
    working_set: float
    overhead: float

    @property
    def total(self) -> float:
        """All parts together."""
        return self.weights + self.cache + self.states + self.working_set + self.overhead

    def describe(self) -> str:
        """Return the sum with its parts, for messages."""
        parts = (("weights", self.weights), ("KV cache", self.cache), ("states", self.states),
                 ("working set", self.working_set), ("overhead", self.overhead))  # fmt: skip
        return f"{self.total / GIB:.1f} GiB ({', '.join(f'{name} {size / GIB:.1f}' for name, size in parts if size)})"


def peak_memory(
    card: ArchitectureCard,
    bits: Bits,
    prompt_tokens: int,
    output_tokens: int,
    load: PictureLoad | None = None,
    overhead_bytes: float = 0.0,
    fused: bool = True,
    prefill_chunk: int = 0,
) -> PeakMemory:
    """Return the peak memory of one request.

    Args:
        card: the model.
        bits: bits per group.
        prompt_tokens: tokens of the prompt, pictures included.
        output_tokens: tokens decoded.
        load: what the pictures become; None = none.
        overhead_bytes: what the runtime itself holds (context, workspace, allocator slack).
        fused: whether attention scores and activations between fused operators never exist.
        prefill_chunk: tokens prefilled at once; 0 = all.
    """
    if prompt_tokens < 0 or output_tokens < 0 or overhead_bytes < 0.0:
        given = f"{prompt_tokens}, {output_tokens} and {overhead_bytes}"
        raise ParameterError(f"prompt_tokens, output_tokens and overhead_bytes must be at least 0, got {given}")
    at_once = min(prompt_tokens, prefill_chunk) if prefill_chunk else prompt_tokens
    tokens = Tokens(at_once, prompt_tokens - at_once)
    operators = [op for block in card.language.blocks for op in block_operators(block, card.language.width, tokens)]
    if load is not None:
        operators += vision_operators(card, load)
    return PeakMemory(
        weights=stored_weight_bytes(card, bits),
        cache=kv_cache_bytes(card, prompt_tokens + output_tokens, bits),
        states=state_bytes(card, bits),
        working_set=working_set_bytes(operators, bits, fused),
        overhead=overhead_bytes,
    )


def check_fit(needed: PeakMemory, memory_gib: float | None, model: str, chip: str, reserved_gib: float = 0.0) -> None:
    """Refuse a model that does not fit.

    Raises:
        ParameterError: with the sum, if it does not fit, or if the chip's memory is unknown.
    """
    if memory_gib is None:
        raise ParameterError(f"the memory of {chip} is not published: give memory_gib to check that {model} fits")
    free = memory_gib - reserved_gib
    if needed.total > free * GIB:
        reserve = f" less {reserved_gib:g} reserved" if reserved_gib else ""
        raise ParameterError(
            f"{model} needs {needed.describe()} and does not fit on {chip} with {memory_gib:g} GiB{reserve}: "
            "use fewer bits, a smaller model, a shorter context or a larger chip"
        )
