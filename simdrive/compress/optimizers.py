"""What turns gradients into steps: AdamW, and for the matrices of chosen parts momentum made orthogonal (Muon)."""

from __future__ import annotations

import math
from typing import Any

import torch

from simdrive.compress.parts import matrices_of
from simdrive.compress.settings import TrainSettings

_BETAS = (0.9, 0.98)
_MOMENTUM = 0.95
# A quintic that drives singular values towards one within five rounds (Jordan et al. 2024, "Muon").
_A, _B, _C, _ROUNDS = 3.4445, -4.7750, 2.0315, 5
_RMS = 0.2  # of an update's entries, about what AdamW's have (Liu et al. 2025, "Muon is scalable for LLM training")


class Muon(torch.optim.Optimizer):
    """Steps of matrices whose singular values are all about one: a rare direction moves as far as a frequent one.

    torch.optim.Muon does the same, but always in bfloat16, which processors without such units do four times slower.
    """

    def __init__(self, matrices: list[torch.Tensor], weight_decay: float, dtype: torch.dtype = torch.float32) -> None:
        """Take the matrices to move; ``dtype`` is of the products alone, momentum and weights keep theirs."""
        super().__init__(matrices, {"lr": 0.0, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                kept = self.state[matrix]
                if "momentum" not in kept:
                    kept["momentum"] = torch.zeros_like(matrix)
                kept["momentum"].lerp_(matrix.grad, 1.0 - _MOMENTUM)
                update = orthogonal(matrix.grad.lerp(kept["momentum"], _MOMENTUM), self._dtype)
                matrix.mul_(1.0 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * _RMS * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return ``matrix`` with its singular values moved near one (0.7 to 1.2); zero stays zero.

    The rounds correct themselves, so that products in bfloat16 are good enough where they are faster.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    found = matrix if wide else matrix.T
    found = (found / found.norm().clamp(min=1e-7)).to(dtype)
    for _ in range(_ROUNDS):
        square = found @ found.T
        found = torch.addmm(found, torch.addmm(square, square, square, beta=_B, alpha=_C), found, beta=_A)
    return (found if wide else found.T).to(matrix.dtype)


def optimizers(learner: torch.nn.Module, model: Any, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Return the optimizers that together move every trained weight once; each group says its ``gain`` of the rate.

    Raises:
        UnknownNameError: if a part in ``settings.muon`` does not exist.
    """
    matrices = matrices_of(model, settings.muon)
    apart = {id(matrix) for matrix in matrices}
    trained = [p for p in learner.parameters() if p.requires_grad and id(p) not in apart]
    decay, rest = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, betas=_BETAS, fused=True)]
    if matrices:
        dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
        found.append(Muon(matrices, settings.weight_decay, dtype))
    for optimizer, gain in zip(found, (1.0, settings.muon_gain), strict=False):
        for group in optimizer.param_groups:
            group["gain"] = gain
    return found
