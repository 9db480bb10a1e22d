"""What pruning is worth on a chip: the shares that are left, done to the card of the model that is stood for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from simdrive.compress.prune.settings import Sizes
from simdrive.errors import ParameterError
from simdrive.latency.architecture import ArchitectureCard
from simdrive.latency.charging import charged_pricer
from simdrive.latency.names import load_card
from simdrive.latency.pricing import HostTimes, Pricer, price_cards
from simdrive.types import STAGES, Charge

_MODEL = ("vision", "prefill", "decode")


@dataclass(frozen=True)
class PriceSettings:
    """Which request is priced, as which model, on which chips."""

    chips: tuple[str, ...] = ("agx_orin_64gb", "orin_nx_16gb", "jetson_thor_t5000")
    runtime: str = "trt_edge_llm"
    architecture: str = "internvl3_1b"
    precision: str = "w16a16"
    text_tokens: int = 64
    image_tokens: int = 516  # two cameras of one tile of InternVL3 each, marks included
    images: int = 2
    output_tokens: int = 20


def shares_left(before: Sizes, after: Sizes, merge: int = 1) -> dict[str, float]:
    """Return the fields of a charge that say what pruning left; those that stayed whole are left out."""
    old, new = asdict(before), asdict(after)
    names = {
        "keep_layers": "text_layers", "keep_heads": "text_heads", "keep_feedforward": "text_ffn",
        "keep_vision_layers": "vision_layers", "keep_vision_heads": "vision_heads",
        "keep_vision_feedforward": "vision_ffn",
    }  # fmt: skip
    shares = {field: new[size] / old[size] for field, size in names.items()}
    shares["keep_image_tokens"] = 1.0 / merge**2
    return {field: share for field, share in shares.items() if share != 1.0}


def prices(shares: Mapping[str, float], asked: PriceSettings) -> dict[str, Any]:
    """Return the median milliseconds of vision, prefill and decode, whole and pruned, by chip.

    Raises:
        UnknownNameError: if a chip, a runtime, an architecture or a precision does not exist.
    """
    whole = Charge(asked.architecture, asked.precision)
    left = replace(whole, **dict(shares))  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for chip in asked.chips:
        row = {name: _stages(charged_pricer(chip, asked.runtime, charge), asked)
               for name, charge in (("whole", whole), ("pruned", left))}  # fmt: skip
        found[chip] = row
    return {"charged_as": f"{asked.architecture} {asked.precision}", "chips": found}


def own_price(card: ArchitectureCard, chip: str, asked: PriceSettings) -> dict[str, float]:
    """Return the same for a model's own card.

    Raises:
        ParameterError: if the model takes no pictures.
    """
    if card.vision is None:
        raise ParameterError(f"{card.name} takes no pictures")
    cards = load_card("chip", chip), load_card("runtime", asked.runtime)
    return _stages(price_cards(*cards, card, asked.precision), asked)


def _stages(pricer: Pricer, asked: PriceSettings) -> dict[str, float]:
    counts = (asked.text_tokens, asked.image_tokens, asked.output_tokens, asked.images, 0)
    text, image, output, images, pixels = (np.array([count], dtype=np.int64) for count in counts)
    stages = pricer.median_seconds(text, image, output, images, pixels, HostTimes())[0]
    found = {name: round(float(stages[STAGES.index(name)]) * 1e3, 4) for name in _MODEL}
    return {**found, "total": round(sum(found.values()), 4)}
