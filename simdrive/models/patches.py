"""A patch of pixels becomes a vector by one matrix, not by a convolution that happens to step by its own size.

Torch knows no short way for the three-dimensional convolution of Qwen2.5-VL on a CPU: with gradients it takes most of a training
step (8,192 patches of 3 x 3 x 16 x 16: 4.3 s, as a matrix 0.12 s). Weights and their names stay as they are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from simdrive.models.anatomy import is_internvl


class PatchMatrix(nn.Module):
    """The linear map that a convolution is whose inputs are as large as its kernel."""

    def __init__(self, convolution: nn.Conv3d) -> None:
        """Take over its weight ``[width, channels, frames, rows, columns]``; it has no bias."""
        super().__init__()
        self.weight = convolution.weight

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return ``[N, width]`` of patches ``[N, channels, frames, rows, columns]``."""
        return F.linear(patches.flatten(1), self.weight.flatten(1))


def map_patches(model: Any) -> None:
    """Let a model of the Qwen2.5-VL family embed its patches by a matrix; others stay as they are."""
    if is_internvl(model):
        return
    embed = model.model.visual.patch_embed
    if isinstance(embed.proj, nn.Conv3d):
        embed.proj = PatchMatrix(embed.proj)
