"""``key=value`` words of commands that need no configuration groups."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from simdrive.errors import ParameterError, UnknownNameError


def parse_words(words: Sequence[str] | None, allowed: Iterable[str], what: str = "option") -> dict[str, Any]:
    """Return the values of ``key=value`` words, read as YAML.

    Raises:
        ParameterError: if a word is not of that form or its value cannot be read.
        UnknownNameError: if a key is not allowed; ``what`` says what it names.
    """
    import yaml

    names, options = tuple(allowed), {}
    for word in words or []:
        key, sign, text = word.partition("=")
        if not sign:
            raise ParameterError(f"{word!r} is not of the form key=value")
        if key not in names:
            raise UnknownNameError(what, key, names)
        try:
            options[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ParameterError(f"{key}: {text!r} cannot be read") from error
    return options


def listed(value: Any) -> list[Any]:
    """Return a list of what was given, one value or several.

    Raises:
        ParameterError: if the list is empty.
    """
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ParameterError("a list of options is empty")
    return values


def number(name: str, value: Any, above: float | None = None) -> float:
    """Return the number of option ``name``.

    Raises:
        ParameterError: if it was not given, is not a finite number, or not ``above`` a limit.
    """
    if value is None:
        raise ParameterError(f"{name}=... is needed; --help lists the options")
    plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not plain or (above is not None and not value > above):
        limit = "" if above is None else f" above {above:g}"
        raise ParameterError(f"{name} must be a number{limit}, got {value!r}")
    return float(value)


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return the whole number of option ``name``.

    Raises:
        ParameterError: if it was not given, or is no whole number from ``low`` to ``high``.
    """
    if value is None:
        raise ParameterError(f"{name}=... is needed; --help lists the options")
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        most = "" if high is None else f" and at most {high}"
        raise ParameterError(f"{name} must be a whole number of at least {low}{most}, got {value!r}")
    return value
