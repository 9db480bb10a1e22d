"""From an agent's charge to the cards that its requests are priced with.

A charge is a complete statement: architecture, precision, and what compression left of it as shares. Done to a
stand-in, the same shares are done to the card of the model that it stands for.
"""

from __future__ import annotations

import functools
from dataclasses import fields, replace
from typing import Any

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.architecture import ArchitectureCard
from simdrive.latency.bits import Bits
from simdrive.latency.language_cost import TokenPruning
from simdrive.latency.names import load_card
from simdrive.latency.pricing import Pricer, price_cards
from simdrive.latency.pruning import Keep, pruned
from simdrive.latency.runtime import RuntimeCard
from simdrive.types import Charge


def keep_of(charge: Charge) -> Keep:
    """Return the shares of a charge.

    Raises:
        ParameterError: if one is not above 0 and at most 1.
    """
    return Keep(
        layers=charge.keep_layers, heads=charge.keep_heads, feedforward=charge.keep_feedforward,
        width=charge.keep_width, vision_layers=charge.keep_vision_layers,
        vision_heads=charge.keep_vision_heads, vision_feedforward=charge.keep_vision_feedforward,
    )  # fmt: skip


def token_pruning(charge: Charge, card: ArchitectureCard) -> TokenPruning:
    """Return the image tokens that a charge drops inside the language model of a card.

    Raises:
        ParameterError: if a share is out of range.
    """
    if not 0.0 <= charge.prune_after <= 1.0:
        raise ParameterError(f"charge.prune_after must be from 0 to 1, got {charge.prune_after!r}")
    return TokenPruning(charge.keep_image_tokens, round(charge.prune_after * card.language.layers))


def with_bits(runtime: RuntimeCard, precision: str, bits: tuple[tuple[str, float], ...]) -> RuntimeCard:
    """Return a runtime whose format has other bits in some groups.

    Raises:
        UnknownNameError: if there is no such group, or the runtime lacks the precision.
        ParameterError: if bits are out of range.
    """
    form, groups = runtime.format(precision), [field.name for field in fields(Bits)]
    for name, _ in bits:
        if name not in groups:
            raise UnknownNameError("group of bits", name, groups)
    changed = replace(form, bits=replace(form.bits, **dict(bits)))
    return replace(runtime, formats={**runtime.formats, precision: changed})


@functools.lru_cache(maxsize=512)
def charged_pricer(chip: str, runtime: str, charge: Charge, power_mode: str | None = None) -> Pricer:
    """Return the pricer of a charge; built once per combination.

    Raises:
        UnknownNameError: with the nearest name, if a card, format, mode or group does not exist.
        ParameterError: if the charge is empty or a share is out of range.
    """
    if not (charge.architecture and charge.precision):
        raise ParameterError(f"a charge needs an architecture and a precision, got {describe(charge)}")
    card = pruned(load_card("architecture", charge.architecture), keep_of(charge))
    runtimes = with_bits(load_card("runtime", runtime), charge.precision, charge.bits)
    made = price_cards(load_card("chip", chip), runtimes, card, charge.precision, power_mode)
    return replace(made, pruning=token_pruning(charge, card))


def changes(charge: Charge) -> dict[str, Any]:
    """Return the fields of a charge that say something, as plain data: for keys and outputs."""
    given = {field.name: getattr(charge, field.name) for field in fields(charge)}
    plain = {name: value for name, value in given.items() if value != getattr(Charge(), name)}
    return {**plain, "bits": dict(charge.bits)} if charge.bits else plain


def describe(charge: Charge) -> str:
    """Return a charge in words: ``internvl3_1b w4a16 keep_layers=0.75``."""
    words = changes(charge)
    first = [str(words.pop(name)) for name in ("architecture", "precision") if name in words]
    bits = [f"bits.{group}={value:g}" for group, value in words.pop("bits", {}).items()]
    return " ".join([*first, *(f"{name}={value:g}" for name, value in words.items()), *bits]) or "no model"
