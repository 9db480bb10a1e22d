"""The words ``corruption=NAME`` and ``corruption.FIELD=VALUE`` of a command line, taken out before the rest is composed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simdrive.errors import ParameterError

KEY = "corruption"


def take_corruption(words: Sequence[str]) -> tuple[list[str], Any, dict[str, Any]]:
    """Return the other words, the names that are chosen (``none`` by default) and the fields that are set.

    Raises:
        ParameterError: if a value cannot be read.
    """
    import yaml

    names: Any = "none"
    fields: dict[str, Any] = {}
    rest = []
    for word in words:
        key, sign, text = word.partition("=")
        if not sign or key.split(".")[0] != KEY:
            rest.append(word)
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ParameterError(f"cannot read {word!r}; write corruption=fog or 'corruption=[none,fog]'") from error
        if key == KEY:
            names = value
        else:
            fields[key.removeprefix(f"{KEY}.")] = value
    return rest, names, fields
