"""Where prompt tokens stand for the rotary embedding, padding on the left not counted."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from simdrive.models.pixels import Pictures


def prompt_positions(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, pictures: Pictures | None
) -> torch.Tensor:
    """Return positions ``[N, L]``, or ``[3, N, L]`` (time, row, column) where picture tokens stand on a grid."""
    if pictures is None or pictures.grid is None:
        return (mask.cumsum(-1) - 1).clamp_min(0)
    shown = (ids == model.config.image_token_id).int()
    return _on_grid(model, ids, mask, shown, pictures.grid)


def _on_grid(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, shown: torch.Tensor, grid: torch.Tensor
) -> torch.Tensor:
    """Ask transformers for one row where all rows begin alike: pictures come first, only questions differ in length."""
    inner: Any = model.model
    count, width = ids.shape
    lengths = mask.sum(-1)
    longest = int(lengths.argmax())
    begun = torch.stack([row.roll(int(length) - width) for row, length in zip(shown, lengths, strict=True)])
    inside = torch.arange(width, device=ids.device) < lengths[:, None]
    grids = grid.view(count, -1, 3) if len(grid) % count == 0 else None
    alike = grids is not None and bool((grids == grids[:1]).all())
    if grids is None or not alike or bool(((begun != begun[longest]) & inside).any()):
        found: torch.Tensor = inner.get_rope_index(
            ids, mm_token_type_ids=shown, image_grid_thw=grid, attention_mask=mask
        )[0]
        return found
    part = slice(longest, longest + 1)
    row = inner.get_rope_index(
        ids[part], mm_token_type_ids=shown[part], image_grid_thw=grids[0], attention_mask=mask[part]
    )[0][:, 0]
    row = row.roll(int(lengths[longest]) - width, dims=-1)  # [3, L] without padding in front
    place = (mask.cumsum(-1) - 1).clamp_min(0)
    placed: torch.Tensor = row[:, place]
    return placed
