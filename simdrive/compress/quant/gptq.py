"""Rounding that lets later columns make up for the errors of earlier ones.

GPTQ (Frantar et al. 2022, arXiv:2210.17323): ``H = 2 X X^T``; column by column ``e = (w_q - Q(w_q)) / [H^-1]_qq`` and
``w -= e [H^-1]_(q,:)`` on the columns not rounded yet, with the Cholesky factor of ``H^-1``. Tokens may be weighted:
``H = 2 X diag(g) X^T`` (VLMQ, arXiv:2508.03351).
"""

from __future__ import annotations

import torch

from simdrive.compress.quant.ranges import Range, weight_scale
from simdrive.models.int_codes import decode, encode
from simdrive.models.quant_spec import QuantSpec

_BLOCK = 64


@torch.no_grad()
def gptq(
    weight: torch.Tensor, moment: torch.Tensor, spec: QuantSpec, how: Range, keep: torch.Tensor | None = None,
    damp: float = 0.01,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:  # fmt: skip
    """Return codes ``[out, in]``, scale and zero ``[out, groups]``.

    Args:
        weight: ``[out, in]``.
        moment: ``[in, in]`` mean of ``x x^T``; columns that were never fed are left to rounding.
        spec: bits and groups; the scales of a group are those of its columns when it is reached.
        how: range of the weights.
        keep: int64 columns that are not rounded.
        damp: share of the mean of the diagonal that is added to it.
    """
    left, inputs = weight.double().clone(), weight.shape[1]
    factor = _factor(moment.double(), damp)
    group = spec.group or inputs
    kept = set() if keep is None else set(keep.tolist())
    codes = torch.zeros(weight.shape, dtype=torch.int8)
    scales: list[torch.Tensor] = []
    zeros: list[torch.Tensor] = []
    one = QuantSpec(spec.bits, 0, spec.zero)
    importance = moment.diagonal().float()
    for start in range(0, inputs, _BLOCK if group % _BLOCK == 0 else group):
        end = min(start + (_BLOCK if group % _BLOCK == 0 else group), inputs)
        errors = torch.zeros(len(left), end - start, dtype=torch.float64)
        for column in range(start, end):
            if column % group == 0:
                part = left[:, column : column + group].float()
                scale, zero = weight_scale(part, one, how, importance[column : column + group])
                scales.append(scale)
                zeros += [] if zero is None else [zero]
            value = left[:, column : column + 1]
            offset = zeros[-1] if zeros else None
            code = encode(value.float(), scales[-1], offset, spec.bits)
            found = value if column in kept else decode(code, scales[-1], offset).double()
            codes[:, column] = code[:, 0]
            error = (value - found)[:, 0] / factor[column, column]
            left[:, column:end] -= error[:, None] * factor[column, column:end]
            errors[:, column - start] = error
        left[:, end:] -= errors @ factor[start:end, end:]
    return codes, torch.cat(scales, 1), torch.cat(zeros, 1) if zeros else None


def _factor(moment: torch.Tensor, damp: float) -> torch.Tensor:
    """Return the upper Cholesky factor of the inverse of the damped moment."""
    moment = moment.clone()
    diagonal = moment.diagonal()
    diagonal[diagonal == 0.0] = 1.0
    while True:
        tried = moment + torch.eye(len(moment), dtype=moment.dtype) * damp * diagonal.mean()
        lower, failed = torch.linalg.cholesky_ex(tried)
        if not failed:
            found: torch.Tensor = torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True)
            return found
        damp *= 10.0
