"""Hadamard rotations: every value is spread over all others of its block, so that no single one sticks out.

QuaRot: Ashkboos et al. 2024 (arXiv:2404.00456). Blocks are powers of two; a width that is none is cut into equal blocks.
"""

from __future__ import annotations

import functools

import torch


def block_of(width: int, most: int = 512) -> int:
    """Return the widest power of two that divides ``width``, at most ``most``."""
    return min(width & -width, most)


@functools.cache
def hadamard(size: int) -> torch.Tensor:
    """Return the orthogonal, symmetric Sylvester matrix ``[size, size]`` in fp32; size a power of two."""
    found = torch.ones(1, 1)
    while len(found) < size:
        found = torch.cat([torch.cat([found, found], 1), torch.cat([found, -found], 1)])
    scaled: torch.Tensor = found * size**-0.5
    return scaled


def turned(x: torch.Tensor, block: int) -> torch.Tensor:
    """Return ``x`` [..., width] with each block of ``block`` values turned; turning twice gives ``x`` back."""
    found: torch.Tensor = x.reshape(*x.shape[:-1], -1, block) @ hadamard(block).to(x.device, x.dtype)
    return found.flatten(-2)
