"""What compression left of a model, as fields of a charge on its card: shares multiply along a chain of stages.

``simdrive.agents.vlm`` prices an agent by them where its configuration names nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simdrive.compress.quant.layout import GROUPS, group_of
from simdrive.models.folder import ModelCard
from simdrive.models.quantized import QuantizedLinear

_SCALE_BITS = 16.0  # of a scale, and of a zero, per group of weights
_KEEP = "keep_"


def charge_on(card: ModelCard) -> dict[str, Any]:
    """Return the fields of a charge that a model's card carries; none where nothing was compressed."""
    return dict(card.data.get("charge") or {})


def compounded(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields after another stage: shares of what was left before multiply, the rest is what was said last."""
    both = {name: before[name] * after[name] for name in before if name in after and name.startswith(_KEEP)}
    return {**before, **after, **both}


def regrown(before: Mapping[str, Any], layers: int) -> dict[str, Any]:
    """Return the fields of a model that training goes on with; one that grows new layers has no share of them left."""
    return {name: value for name, value in before.items() if not (layers and name == "keep_layers")}


def quantized_charge(before: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Return the fields of a quantized model: its precision, and the effective bits of each group of layers.

    The precision is named by the narrowest weights of the language layers, and by whether their products take 8-bit inputs;
    bits are means over weights, scales included (``simdrive.latency.bits``).
    """
    weights, bits = dict.fromkeys(GROUPS, 0.0), dict.fromkeys(GROUPS, 0.0)
    narrow, inputs = 16, 16
    for name, part in model.named_modules():
        size = getattr(part, "in_features", 0) * getattr(part, "out_features", 0)
        if not size:
            continue
        group, wide = group_of(name), 16.0
        if isinstance(part, QuantizedLinear):
            wide = _effective(part)
            if group in ("attention", "feedforward"):
                taken = 16 if part.spec.activation == "none" else 8
                # Inputs are those of the narrowest maps: a runtime has kernels for 4-bit weights with 16-bit inputs.
                inputs = (
                    taken if part.spec.bits < narrow else min(inputs, taken) if part.spec.bits == narrow else inputs
                )
                narrow = min(narrow, part.spec.bits)
        weights[group] += size
        bits[group] += wide * size
    found = {group: round(bits[group] / weights[group], 3) for group in GROUPS if weights[group]}
    if getattr(model, "kv_bits", 16) == 8:
        found["kv"] = 8.0
    return {**before, "precision": f"w{narrow}a{inputs if narrow < 16 else 16}", "bits": found}


def _effective(part: QuantizedLinear) -> float:
    spec = part.spec
    beside = _SCALE_BITS * (2 if spec.zero else 1) / (spec.group or part.in_features)
    high = (16.0 - spec.bits) * spec.high / part.in_features
    return spec.bits + beside + high
