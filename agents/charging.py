"""The charge of an agent from its configuration, and from what its model's card says compression left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from simdrive.errors import UnknownNameError
from simdrive.types import Charge

_COUNTED = (
    "keep_image_tokens"  # a model whose pictures are fewer tokens reports fewer: taken again they would count twice
)
_OF_PRECISION = ("precision", "bits")  # one statement: whoever names the precision says the bits too


def charge_of(given: Mapping[str, Any] | None, compressed: Mapping[str, Any] | None = None) -> Charge:
    """Return what a model's requests are priced as; nothing given = no model.

    Args:
        given: fields of ``Charge``; ``bits`` may be a mapping of layer groups to bits.
        compressed: fields that hold where nothing is given: shares and bits from the card of a compressed model. A given
            precision takes the place of the card's precision and bits together. Fewer image tokens are not taken from
            there: they show in what the model reports; name them where ``latency`` counts the charged model's own.

    Raises:
        UnknownNameError: if a field does not exist.
    """
    own = {name: value for name, value in (compressed or {}).items() if name != _COUNTED}
    if "precision" in (given or {}):
        own = {name: value for name, value in own.items() if name not in _OF_PRECISION}
    told = {**own, **dict(given or {})}
    allowed = [field.name for field in fields(Charge)]
    for name in told:
        if name not in allowed:
            raise UnknownNameError("field of charge", name, allowed)
    if "bits" in told:
        pairs = told["bits"].items() if isinstance(told["bits"], Mapping) else told["bits"]
        told["bits"] = tuple(sorted((str(group), float(bits)) for group, bits in pairs))
    return Charge(**told)
