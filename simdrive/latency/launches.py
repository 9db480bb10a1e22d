"""How many kernels a language model starts per token: the unit that overhead per layer is counted in.

A fused decoder layer runs nine: norm, input projection, rotation and cache update, attention, output projection;
norm, gate and up projection, activation, down projection. A mixture of experts scores, picks, sorts and merges
besides; a recurrent mixer has its convolution, recurrence and gated norm where attention has two.
"""

from __future__ import annotations

from simdrive.latency.architecture import LanguageModel
from simdrive.latency.layers import Attention, Block, Experts

DENSE_KERNELS = 9
_ATTENTION, _RECURRENT = 4, 5
_FEEDFORWARD, _EXPERTS, _SHARED = 3, 7, 3


def block_kernels(block: Block) -> int:
    """Return the kernels of one layer of a block."""
    count = block.norms
    if block.mixer is not None:
        count += _ATTENTION if isinstance(block.mixer, Attention) else _RECURRENT
    if isinstance(block.feedforward, Experts):
        count += _EXPERTS + (_SHARED if block.feedforward.shared_width else 0)
    elif block.feedforward is not None:
        count += _FEEDFORWARD
    return count


def launches(language: LanguageModel) -> float:
    """Return the kernels of all layers in units of a dense layer: equal to ``layers`` for a plain transformer."""
    return sum(block.count * block_kernels(block) for block in language.blocks) / DENSE_KERNELS
