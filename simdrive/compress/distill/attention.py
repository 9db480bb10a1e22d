"""Attention maps side by side: averaged over heads and neither scaled nor normalised anew, as in Drive-KD
(arXiv 2601.21288, public code)."""

from __future__ import annotations

import torch


def layer_groups(student: int, teacher: int) -> list[range]:
    """Return for each of ``student`` layers the teacher's layers it learns from: a sliding window of stride one."""
    size = max(1, teacher - student + 1)
    return [range(start, start + size) for start in (min(k, teacher - size) for k in range(student))]


def text_to_vision(is_image: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return ``[N, S, S]`` which (row, column) pairs are a text token that could look at a picture token.

    Args:
        is_image: ``[N, S]`` which tokens are picture tokens.
        counts: ``[N, S]`` which tokens are there at all, padding is not.
    """
    return (counts & ~is_image)[:, :, None] & (counts & is_image)[:, None, :]


def masked_difference(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference of head-mean maps ``[N, S, S]`` where the mask holds; causal zeros count."""
    gap = (student - teacher.detach()).square() * mask
    return gap.sum() / mask.sum().clamp(min=1)


def masked_cosine(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return one minus the cosine of maps ``[N, S, S]`` where the mask holds, each sample one vector; mean over samples."""
    own, theirs = (student * mask).flatten(1), (teacher.detach() * mask).flatten(1)
    return (1.0 - torch.nn.functional.cosine_similarity(own, theirs, dim=1)).mean()


def head_mean(maps: torch.Tensor) -> torch.Tensor:
    """Return ``[N, S, S]`` of ``[N, heads, S, S]``: heads may differ in number."""
    return maps.float().mean(dim=1)
