"""What each part of a model costs on a chip at each width, in the words of the latency model.

Times of the parts add up: each has the roofline time of its own operators, prefill once and decode once per further token, with
the overheads of its share of the layers. A call's overhead belongs to no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.architecture import ArchitectureCard
from simdrive.latency.language_cost import Tokens, body_operators, head_operator, mean_context
from simdrive.latency.launches import launches
from simdrive.latency.names import load_card
from simdrive.latency.operators import Operator
from simdrive.latency.pricing import Pricer, price_cards
from simdrive.latency.roofline import StageParameters, stage_seconds
from simdrive.latency.vision_cost import vision_operators


@dataclass(frozen=True)
class Request:
    """The request that is priced."""

    text_tokens: int = 40
    output_tokens: int = 12
    images: int = 2
    height: int = 448
    width: int = 448


@dataclass(frozen=True)
class Target:
    """A chip, what runs on it, and what a width is called there.

    Args:
        chip, runtime, architecture: names of cards; the architecture stands for the model whose parts are priced.
        formats: precision of the runtime per width of a weight.
        power_mode: of the chip.
    """

    chip: str
    runtime: str = "trt_edge_llm"
    architecture: str = "internvl3_1b"
    formats: Sequence[tuple[int, str]] = ((16, "w16a16"), (8, "w8a8"), (4, "w4a16"))
    power_mode: str | None = None


def part_seconds(
    target: Target, parts: Sequence[str], request: Request, card: ArchitectureCard | None = None
) -> dict[str, dict[int, float]]:
    """Return seconds per request of each part at each width.

    A language layer of the model at hand stands for its share of the layers of the architecture.

    Raises:
        UnknownNameError: if a card, a format or a part does not exist.
    """
    chosen = card or load_card("architecture", target.architecture)
    runtime, chip = load_card("runtime", target.runtime), load_card("chip", target.chip)
    layers = len({part.split(".")[1] for part in parts if part.startswith("layers.")})
    found: dict[str, dict[int, float]] = {part: {} for part in parts}
    for bits, precision in target.formats:
        pricer = price_cards(chip, runtime, chosen, precision, target.power_mode)
        for part in parts:
            found[part][bits] = _seconds(pricer, part, request, layers)
    return found


def _seconds(pricer: Pricer, part: str, request: Request, layers: int) -> float:
    card, group = pricer.architecture, part.rpartition(".")[2]
    load = card.pictures(request.images, request.height, request.width)
    prompt = request.text_tokens + load.tokens
    steps = max(request.output_tokens - 1, 0)
    context = mean_context(prompt, request.output_tokens)
    language = card.language
    if group in ("attention", "feedforward"):
        count = launches(language) / max(layers, 1) / 2.0
        before = _of(body_operators(language, Tokens(prompt), 1.0 / layers), group)
        later = _of(body_operators(language, Tokens(1, context), 1.0 / layers), group)
        return _stage(pricer, before, pricer.machine, pricer.parameters.prefill, count) + steps * _stage(
            pricer, later, pricer.decode_machine, pricer.parameters.decode, count
        )
    if group == "head":
        head = [head_operator(language)]
        return _stage(pricer, head, pricer.machine, pricer.parameters.prefill, 0.0) + steps * _stage(
            pricer, head, pricer.decode_machine, pricer.parameters.decode, 0.0
        )
    if group in ("vision", "projector"):
        seen = _of(vision_operators(card, load), group)
        count = float(card.vision.layers) if card.vision and group == "vision" else 0.0
        return _stage(pricer, seen, pricer.vision_machine, pricer.parameters.vision, count)
    raise UnknownNameError(
        "part of a model", part, ("layers.N.attention", "layers.N.feedforward", "vision", "projector", "head")
    )


def _of(operators: Sequence[Operator], group: str) -> list[Operator]:
    return [one for one in operators if one.group == group]


def _stage(
    pricer: Pricer, operators: Sequence[Operator], machine: Any, parameters: StageParameters, layers: float
) -> float:
    if not operators:
        return 0.0
    work = pricer.work(tuple(operators), layers)
    return float(np.asarray(stage_seconds(work, machine, replace(parameters, call_us=0.0))))


def part_bytes(
    weights: Mapping[str, int], bits: Sequence[int] = (16, 8, 4), group: int = 64
) -> dict[str, dict[int, float]]:
    """Return bytes of each part at each width, a bfloat16 scale and zero per ``group`` 4-bit weights included.

    Raises:
        ParameterError: if a part has no weights.
    """
    empty = [part for part, count in weights.items() if count < 1]
    if empty:
        raise ParameterError(f"parts without weights: {', '.join(empty)}")
    extra = {16: 0.0, 8: 0.0, 4: 32.0 / group}
    return {part: {wide: count * (wide + extra[wide]) / 8.0 for wide in bits} for part, count in weights.items()}
