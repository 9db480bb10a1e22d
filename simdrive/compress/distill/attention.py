"""What a student's attention shall be like: the teacher's, at the layers that carry each capability.

As in Drive-KD (arXiv 2601.21288, public code): maps are averaged over heads and neither scaled nor normalised anew. For
perception the first layer's attention of text to pictures, for planning that of the penultimate layer, for reasoning the
whole maps of all layers but the last, matched in groups where the teacher is deeper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from simdrive.errors import ParameterError

Maps = Mapping[int, torch.Tensor]  # by layer: [N, heads, S, S]


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


def head_mean(maps: torch.Tensor) -> torch.Tensor:
    """Return ``[N, S, S]`` of ``[N, heads, S, S]``: heads may differ in number."""
    return maps.float().mean(dim=1)


def perception_loss(student: Maps, teacher: Maps, is_image: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the loss of the first layer's text-to-vision attention."""
    mask = text_to_vision(is_image, counts)
    return masked_difference(head_mean(_at(student, 0)), head_mean(_at(teacher, 0)), mask)


def planning_loss(student: Maps, teacher: Maps, is_image: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the loss of the penultimate layer's text-to-vision attention."""
    mask = text_to_vision(is_image, counts)
    return masked_difference(head_mean(_at(student, -2)), head_mean(_at(teacher, -2)), mask)


def reasoning_loss(student: Maps, teacher: Maps, is_image: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Return the loss of the whole maps from the first to the penultimate layer, against group means of the teacher."""
    own, theirs = sorted(student)[:-1] or sorted(student), sorted(teacher)[:-1] or sorted(teacher)
    pairs = (counts[:, :, None] & counts[:, None, :]).float()
    losses = []
    for layer, group in zip(own, layer_groups(len(own), len(theirs)), strict=True):
        wanted = torch.stack([head_mean(teacher[theirs[k]]) for k in group]).mean(dim=0)
        losses.append(masked_difference(head_mean(student[layer]), wanted, pairs))
    return torch.stack(losses).mean()


def _at(maps: Maps, place: int) -> torch.Tensor:
    layers = sorted(maps)
    return maps[layers[place if len(layers) > 1 else 0]]


def pool_tokens(maps: torch.Tensor, groups: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return maps ``[N, heads, S, S]`` over fewer tokens ``[N, heads, G, G]``: as a column a group is the sum of its
    tokens, as a row their mean, so that every row still sums to one.

    For a teacher that cuts its pictures finer than the student; Drive-KD itself needs equal tokens.

    Raises:
        ParameterError: if the groups do not hold every token once.
    """
    listed = [token for group in groups for token in group]
    if sorted(listed) != list(range(maps.shape[-1])):
        raise ParameterError(f"groups must hold each of the {maps.shape[-1]} tokens once, got {len(listed)} entries")
    member = torch.zeros(len(groups), maps.shape[-1], dtype=maps.dtype, device=maps.device)
    for number, group in enumerate(groups):
        member[number, list(group)] = 1.0
    rows = member / member.sum(dim=1, keepdim=True)
    return rows @ maps @ member.T
