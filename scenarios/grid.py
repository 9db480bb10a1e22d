"""Grids of a suite: every combination of listed values, in the order in which they are written down."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from simdrive.errors import ParameterError


def grid_size(where: str, grid: Any) -> int:
    """Return how many combinations a grid has.

    Raises:
        ParameterError: if it is no mapping of names to non-empty lists, or joined names do not fit their values.
    """
    if not isinstance(grid, Mapping) or not grid:
        raise ParameterError(f"{where}: grid must map parameter names to lists of values, got {grid!r}")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ParameterError(f"{where}: grid.{key} must be a list with at least one value, got {values!r}")
        names = _names(key)
        if len(names) > 1:
            for value in values:
                if not isinstance(value, list) or len(value) != len(names):
                    raise ParameterError(f"{where}: grid '{key}' needs lists of {len(names)} values, got {value!r}")
    names = [name for key in grid for name in _names(key)]
    if len(set(names)) != len(names):
        raise ParameterError(f"{where}: grid names a parameter twice: {', '.join(names)}")
    return math.prod(len(values) for values in grid.values())


def grid_rows(grid: Mapping[str, Sequence[Any]], most: int | None = None) -> list[dict[str, Any]]:
    """Return the combinations as parameter values, the last key varying fastest; at most ``most``, evenly spread."""
    parts = [
        [dict(zip(_names(key), value if len(_names(key)) > 1 else [value], strict=True)) for value in values]
        for key, values in grid.items()
    ]
    total = math.prod(len(part) for part in parts)
    count = total if most is None else min(most, total)
    wanted = {i * total // count for i in range(count)}
    chosen = (row for i, row in enumerate(itertools.product(*parts)) if i in wanted)
    return [{name: value for piece in row for name, value in piece.items()} for row in chosen]


def _names(key: str) -> list[str]:
    return [name.strip() for name in str(key).split(",")]
