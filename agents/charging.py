"""The charge of an agent from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from simdrive.errors import UnknownNameError
from simdrive.types import Charge


def charge_of(given: Mapping[str, Any] | None) -> Charge:
    """Return what a model's requests are priced as; nothing given = no model.

    Args:
        given: fields of ``Charge``; ``bits`` may be a mapping of layer groups to bits.

    Raises:
        UnknownNameError: if a field does not exist.
    """
    told = dict(given or {})
    allowed = [field.name for field in fields(Charge)]
    for name in told:
        if name not in allowed:
            raise UnknownNameError("field of charge", name, allowed)
    if "bits" in told:
        pairs = told["bits"].items() if isinstance(told["bits"], Mapping) else told["bits"]
        told["bits"] = tuple(sorted((str(group), float(bits)) for group, bits in pairs))
    return Charge(**told)
