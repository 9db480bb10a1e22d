"""What a teacher is shown whose picture tokens were not joined: the same samples, its own number of slots."""

from __future__ import annotations

from dataclasses import replace

import torch

from simdrive.compress.batches import Batch
from simdrive.models.chat import TrainingBatch
from simdrive.models.pixels import Pictures


def unmerged(batch: Batch, image_id: int, merge: int, factor: int) -> Batch:
    """Return a batch as it was before tokens of ``merge`` x ``merge`` patches were joined ``factor`` x ``factor``.

    Every image slot becomes ``factor^2`` slots; patches on a grid are put into the order of the smaller tokens. Tiles stay
    as they are.
    """
    if factor == 1:
        return batch
    times = torch.where(batch.text.ids == image_id, factor**2, 1)

    def wide(values: torch.Tensor) -> torch.Tensor:
        return torch.stack([row.repeat_interleave(count) for row, count in zip(values, times, strict=True)])

    text = TrainingBatch(wide(batch.text.ids), wide(batch.text.mask), wide(batch.text.labels))
    return replace(batch, text=text, seen=_reordered(batch.seen, merge, factor))


def _reordered(seen: Pictures, merge: int, factor: int) -> Pictures:
    if seen.grid is None:
        return seen
    rows, columns = int(seen.grid[0, 1]), int(seen.grid[0, 2])
    places = torch.arange(rows * columns).view(rows, columns)
    now, before = _order(places, merge * factor), _order(places, merge)
    where = now.argsort()[before].to(seen.values.device)
    values = seen.values.view(len(seen.grid), rows * columns, -1)[:, where]
    return Pictures(values.flatten(0, 1), seen.grid)


def _order(places: torch.Tensor, merge: int) -> torch.Tensor:
    """Return the patches of a picture in the order in which tokens of ``merge`` x ``merge`` take them."""
    rows, columns = places.shape
    return places.view(rows // merge, merge, columns // merge, merge).permute(0, 2, 1, 3).flatten()
