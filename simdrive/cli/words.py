"""``key=value`` words of commands that need no configuration groups."""

from __future__ import annotations

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
