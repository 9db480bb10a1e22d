"""From the plain mappings of a yaml to frozen records, with errors that name the place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from simdrive.errors import ParameterError, UnknownNameError

Record = TypeVar("Record")


def record(kind: type[Record], given: Mapping[str, Any], where: str) -> Record:
    """Build a dataclass from a mapping of its fields.

    Raises:
        UnknownNameError: if a field does not exist.
        ParameterError: if ``given`` is no mapping, or a field without default is missing.
    """
    if not isinstance(given, Mapping):
        raise ParameterError(f"{where} must be a mapping of fields, got {given!r}")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in given:
        if key not in known:
            raise UnknownNameError(f"field of {where}", str(key), known)
    missing = [
        name
        for name, field in known.items()
        if name not in given and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ParameterError(f"{where} lacks {', '.join(missing)}; its fields are {', '.join(known)}")
    return kind(**given)


def pick_one(kinds: Mapping[str, type[Any]], given: Mapping[str, Any], where: str, closed: bool = False) -> Any:
    """Build the one record whose key is among ``kinds``; None if there is none and ``closed`` is off.

    Raises:
        UnknownNameError: if ``closed`` and another key is there.
        ParameterError: if there are several, or none where one is needed.
    """
    found = [key for key in kinds if given.get(key) is not None]
    if closed:
        for key in given:
            if key not in kinds:
                raise UnknownNameError(f"kind of {where}", str(key), kinds)
    if len(found) > 1 or (closed and not found):
        raise ParameterError(f"{where} needs exactly one of {', '.join(kinds)}, got {found or 'none'}")
    return record(kinds[found[0]], given[found[0]], f"{where}.{found[0]}") if found else None
