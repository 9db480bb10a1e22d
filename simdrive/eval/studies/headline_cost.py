"""What a request of a variant costs on a chip, and how large the model is that really drives."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import numpy as np

from simdrive.eval.studies.deploy import Measured
from simdrive.eval.studies.headline_plan import Chip, Plan, Variant
from simdrive.eval.work import build_agent
from simdrive.latency.charging import charged_pricer
from simdrive.latency.peak_memory import GIB
from simdrive.latency.pricing import HostTimes
from simdrive.models.where import find_model, weight_files
from simdrive.types import Charge


@dataclass(frozen=True)
class Cost:
    """What a request of a variant costs on a chip; NaN where it is not known, ``refused`` says why it cannot run."""

    variant: str
    chip: str
    charged: str
    took: Measured | None
    energy_j: float
    peak_gib: float
    refused: str = ""
    parameters: int | None = None  # of the model that drives; None for a driver that is none
    weight_bytes: int | None = None


def charge_of(variant: Variant) -> Charge:
    """Return what the requests of a variant are priced as."""
    own = build_agent(variant.agent).charge
    if not variant.architecture:
        return own
    # As in driving: what pruning left is the agent's own, bits are the precision's.
    return replace(own, architecture=variant.architecture, precision=variant.precision, bits=())


def cost_on(plan: Plan, variant: Variant, chip: Chip, took: Measured | None, refused: str) -> Cost:
    """Return what a variant costs on a chip, from the requests of its run there (None = it has not driven there)."""
    charge = charge_of(variant)
    charged = f"{charge.architecture} {charge.precision}"
    size = size_of(variant)
    if refused or took is None or not took.requests:
        return Cost(variant.name, chip.name, charged, took, math.nan, math.nan, refused, *size)
    tokens = plan.tokens
    prompt, image, output = (
        int(given if (given := tokens.get(f"{kind}_tokens")) is not None else getattr(took, f"{kind}_tokens"))
        for kind in ("prompt", "image", "output")
    )
    pricer = charged_pricer(chip.name, plan.runtime, charge, chip.power_mode)
    text, seen, said = (np.array([count], np.int64) for count in (prompt, image, output))
    none = np.zeros(1, np.int64)
    energy = pricer.price(text, seen, said, none, none, HostTimes()).energy_j()
    peak = pricer.peak_memory(prompt + image, output, image).total / GIB
    joules = math.nan if energy is None else float(energy[0])
    return Cost(variant.name, chip.name, charged, took, joules, peak, "", *size)


def size_of(variant: Variant) -> tuple[int | None, int | None]:
    """Return parameters and bytes of the weights that drive a variant; None where no local model does."""
    config = json.loads(variant.agent.config)
    if "model" not in config or "url" in config:
        return None, None
    folder = find_model(str(config["model"]))
    count = build_agent(variant.agent).card.parameters.get("parameters")
    return None if count is None else int(count), sum(path.stat().st_size for path in weight_files(folder))
