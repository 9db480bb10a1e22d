"""What compression is worth on a chip: what it left, done to the card of the model that is stood for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrive.agents.charging import charge_of
from simdrive.errors import ParameterError, SimdriveError
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
    image_tokens: int = 1032  # four cameras of one tile of InternVL3 each, marks included
    images: int = 4
    output_tokens: int = 20


def prices(left: Mapping[str, Any], asked: PriceSettings) -> dict[str, Any]:
    """Return the median milliseconds of vision, prefill and decode by chip: of the whole model, and of what is ``left`` of it.

    Args:
        left: fields of a charge, as a card holds them; a precision among them takes the place of the asked one.
        asked: what is priced, and where. Where what is left cannot run, the reason stands in its place.

    Raises:
        UnknownNameError: if a chip, a runtime, an architecture or a precision does not exist.
    """
    whole = Charge(asked.architecture, asked.precision)
    kept = {name: value for name, value in left.items() if name not in ("precision", "bits")}
    told = {name: left[name] for name in ("precision", "bits") if name in left} or {"precision": asked.precision}
    # Fewer image tokens count here: the request that is priced is the whole model's.
    charged = charge_of({"architecture": asked.architecture, **kept, **told})
    found: dict[str, Any] = {}
    for chip in asked.chips:
        row: dict[str, Any] = {"whole": _stages(charged_pricer(chip, asked.runtime, whole), asked)}
        try:
            row["left"] = _stages(charged_pricer(chip, asked.runtime, charged), asked)
        except (
            SimdriveError
        ) as error:  # no such kernels there, or it does not fit: a result, and no reason to lose a model
            row["refused"] = str(error)
        found[chip] = row
    return {"charged_as": f"{asked.architecture} {charged.precision}", "chips": found}


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
