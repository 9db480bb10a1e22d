"""Cards by any of their published names."""

from __future__ import annotations

import difflib
import functools
import re
from typing import Any

from simdrive.build import build, config_names, load_config
from simdrive.errors import ParameterError, UnknownNameError


def plain(name: str) -> str:
    """Return a name without case, spaces and punctuation: ``"Qwen 3 32B"`` and ``"Qwen3-32B"`` are the same."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@functools.cache
def known_names(group: str) -> dict[str, str]:
    """Return every plain name and alias of a config group with the entry it stands for.

    Raises:
        ParameterError: if two entries claim the same name.
    """
    found: dict[str, str] = {}
    for entry in config_names(group):
        for name in (entry, *map(str, load_config(group, entry).get("aliases") or ())):
            if found.setdefault(plain(name), entry) != entry:
                raise ParameterError(f"{group} {entry!r} and {found[plain(name)]!r} both claim the name {name!r}")
    return found


def find_entry(group: str, name: str) -> str:
    """Return the config entry that a name or alias stands for.

    Raises:
        UnknownNameError: with the nearest entry, if there is none.
    """
    names, key = known_names(group), plain(name)
    if key in names:
        return names[key]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    error = UnknownNameError(group, name, config_names(group))
    if near and error.nearest is None:
        error.nearest = names[near[0]]
        error.args = (f"{error.args[0]} The nearest published name is that of {error.nearest!r}.",)
    raise error


def load_card(group: str, name: str, **overrides: Any) -> Any:
    """Build the card behind a name, an alias, or the path of a yaml file.

    Raises:
        UnknownNameError: if there is no such card.
    """
    path = name.endswith((".yaml", ".yml"))
    return build(group, name if path else find_entry(group, name), **overrides)
