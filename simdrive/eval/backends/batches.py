"""Requests of several workers as one batch, and its answers in parts again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from simdrive.types import ObservationBatch, PlanBatch, TokenUsage

_ARRAYS = tuple(field.name for field in dataclasses.fields(ObservationBatch) if field.name != "world")


def fit(first: ObservationBatch, second: ObservationBatch) -> bool:
    """Return whether two batches can be one: nothing of the world is shown, and rows have the same shapes."""
    return first.world is None and second.world is None and _shapes(first) == _shapes(second)


def _shapes(batch: ObservationBatch) -> list[tuple[int, ...] | None]:
    arrays = [getattr(batch, name) for name in _ARRAYS]
    return [None if array is None else array.shape[1:] for array in arrays]


def joined(batches: Sequence[ObservationBatch]) -> ObservationBatch:
    """Return batches that fit as one, in their order."""
    first = batches[0]
    names = [name for name in _ARRAYS if getattr(first, name) is not None]
    arrays: dict[str, Any] = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names}
    return dataclasses.replace(first, **arrays)


def parts(answer: PlanBatch, rows: Sequence[int]) -> Iterator[PlanBatch]:
    """Yield the answers to batches of so many ``rows`` that were asked as one.

    Raises:
        ValueError: if there is not one answer for each row.
    """
    usage = answer.usage
    columns: list[Any] = [answer.plan, usage.prompt, usage.image, usage.output, answer.text, answer.error]
    if any(column is not None and len(column) != sum(rows) for column in columns):
        raise ValueError(f"an answer to {sum(rows)} requests must have as many rows")
    first = 0
    for count in rows:
        part = slice(first, first + count)
        cost = TokenUsage(usage.prompt[part], usage.image[part], usage.output[part])
        text = None if answer.text is None else answer.text[part]
        yield PlanBatch(answer.plan[part], cost, text, None if answer.error is None else answer.error[part])
        first += count
