"""Training with rounding in it: the weights learn to live on the grid, and the grid learns where to stand.

Rounding passes gradients as if it were not there (straight-through: Bengio et al. 2013, arXiv:1308.3432); scales are learned as
in LSQ (Esser et al. 2019, arXiv:1902.08153), zeros as in LSQ+ (Bhalgat et al. 2020, arXiv:2004.09576). A model whose maps are
``FakeQuantLinear`` is trained by ``simdrive.compress.trainer.Trainer`` like any other.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from simdrive.compress.batches import Batch
from simdrive.compress.learner import Learner
from simdrive.compress.supervision import Supervision
from simdrive.models.hadamard import turned
from simdrive.models.int_codes import LEAST, grouped, top_code
from simdrive.models.quant_spec import QuantSpec
from simdrive.models.quantized import QuantizedLinear, quantized
from simdrive.models.quantized_folder import place_quantized


def straight(rounded: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """Return ``rounded`` with the gradient of ``exact``."""
    return exact + (rounded - exact).detach()


class FakeQuantLinear(nn.Module):
    """A linear map that computes in floating point what its ``QuantizedLinear`` computes in integers."""

    columns: torch.Tensor
    start: torch.Tensor
    start_zero: torch.Tensor | None
    start_input: torch.Tensor | None

    def __init__(self, linear: nn.Linear, spec: QuantSpec, start: QuantizedLinear) -> None:
        """Take the weight of a map (input columns turned as the spec says) and the scales of its quantized form."""
        super().__init__()
        self.spec, self.in_features, self.out_features = spec, linear.in_features, linear.out_features
        self.weight = nn.Parameter(linear.weight.detach().clone())
        bias: torch.Tensor | None = linear.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        # What is learned is how far a scale moves, as a logarithm, and a zero, in scales: one step of Adam is then as large for
        # all of them, which takes the place of LSQ's gradient scale. One-dimensional, so that weight decay leaves them alone.
        fixed = start.input_scale
        self.register_buffer("start", start.scale.detach().clone(), persistent=False)
        self.register_buffer(
            "start_zero", None if start.zero is None else start.zero.detach().clone(), persistent=False
        )
        self.register_buffer("start_input", None if fixed is None else fixed.detach().clone(), persistent=False)
        self.scale = nn.Parameter(torch.zeros(start.scale.numel()))
        self.zero = None if start.zero is None else nn.Parameter(torch.zeros(start.zero.numel()))
        self.input_scale = None if fixed is None else nn.Parameter(torch.zeros(1))
        high = torch.zeros(0, dtype=torch.int64) if start.high is None else start.high
        self.register_buffer("columns", high.clone(), persistent=False)

    def grid(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return scale and zero ``[out, groups]`` as they will be stored: in bfloat16."""
        scale = self.start * self.scale.exp().view_as(self.start)
        zero: torch.Tensor | None = None
        if self.zero is not None and self.start_zero is not None:
            zero = self.start_zero + self.start * self.zero.view_as(self.start)
            zero = straight(zero.bfloat16().float(), zero)
        return straight(scale.bfloat16().float(), scale), zero

    def input_step(self) -> torch.Tensor | None:
        """Return the scale [] of static activations; None if they have none."""
        if self.input_scale is None or self.start_input is None:
            return None
        return self.start_input * self.input_scale.exp().squeeze()

    def rounded_weight(self) -> torch.Tensor:
        """Return the weight ``[out, in]`` on its grid, differentiable in weight, scale and zero."""
        scale, zero = self.grid()
        parts = grouped(self.weight, self.spec.group)
        shifted = parts if zero is None else parts - zero[..., None]
        top = top_code(self.spec.bits)
        low, high = (-top, top) if zero is None else (-8, 7)
        codes = (shifted / scale[..., None]).clamp(low, high)
        found = straight(codes.round(), codes) * scale[..., None]
        if zero is not None:
            found = found + zero[..., None]
        whole = found.flatten(1)
        return whole.index_copy(1, self.columns, self.weight[:, self.columns]) if len(self.columns) else whole

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[..., out]``."""
        spec, kept = self.spec, None
        if spec.rotate:
            x = turned(x, spec.rotate)
        if spec.activation != "none":
            if len(self.columns):
                kept = x[..., self.columns]
                x = x.index_fill(-1, self.columns, 0.0)
            x = self._rounded_input(x)
            x = x if kept is None else x.index_copy(-1, self.columns, kept)
        return F.linear(x, self.rounded_weight().to(x.dtype), self.bias)

    def _rounded_input(self, x: torch.Tensor) -> torch.Tensor:
        top = top_code(self.spec.activation_bits)
        step = self.input_step()
        if step is None:
            step = (x.detach().abs().amax(-1, keepdim=True) / top).clamp_min(LEAST)
            return straight((x / step).round() * step, x)
        codes = (x / step).clamp(-top, top)
        return straight(codes.round(), codes) * step

    @torch.no_grad()
    def quantized(self) -> QuantizedLinear:
        """Return the map with integer weights: the same function, up to what kernels round."""
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        plain.weight.copy_(self.weight)
        if self.bias is not None:
            plain.bias.copy_(self.bias)
        scale, zero = self.grid()
        step = self.input_step()
        fixed = None if step is None else float(step)
        high = self.columns.cpu() if len(self.columns) else None
        return quantized(
            plain, self.spec, scale.cpu(), None if zero is None else zero.cpu(), input_scale=fixed, high=high
        )


@torch.no_grad()
def make_trainable(model: nn.Module, exact: nn.Module, compensated: bool = False) -> None:
    """Make the quantized maps of ``model`` trainable, in place: on their grids, with the weights they were rounded from.

    Args:
        model: quantized.
        exact: the same model before rounding, after everything that changes weights but not the function.
        compensated: what was rounded is not what stands in ``exact`` (GPTQ moves weights to make up for rounding others,
            temperatures scale queries): training begins at the rounded values themselves.
    """
    for name, part in list(model.named_modules()):
        if isinstance(part, QuantizedLinear):
            source = exact.get_submodule(name)
            plain = nn.Linear(part.in_features, part.out_features, part.bias is not None)
            weight = source.weight.detach().float()  # type: ignore[operator]
            before = turned(weight, part.spec.rotate) if part.spec.rotate else weight
            plain.weight.copy_(part.weight.float() if compensated else before)
            if part.bias is not None:
                plain.bias.copy_(part.bias)
            place_quantized(model, name, FakeQuantLinear(plain, part.spec, part))


def make_integer(model: nn.Module) -> None:
    """Turn every trained map into one with integer weights, in place."""
    for name, part in list(model.named_modules()):
        if isinstance(part, FakeQuantLinear):
            place_quantized(model, name, part.quantized())


class Imitation:
    """The answers of the model before rounding, and beside them, if asked for, the right ones.

    Right answers alone let a model wander off from its parent while it gets used to rounding; its parent's answers hold it
    (LLM-QAT: Liu et al. 2023, arXiv:2305.17888).
    """

    def __init__(
        self,
        supervision: Supervision,
        exact: Any,
        weight: float = 1.0,
        supervised: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        """Learn from ``exact`` with ``weight`` and from the right answers with ``supervised``."""
        self._supervision, self._weight, self._supervised = supervision, weight, supervised
        self._temperature = temperature
        self._exact = Learner(exact.requires_grad_(False).eval())

    def __call__(self, forward: Any, batch: Batch, step: int, share: float) -> float:
        """Add the gradients of a batch."""
        loss, logits = self._supervision.loss_and_logits(forward, batch, step)
        assert logits is not None
        with torch.no_grad():
            theirs = self._exact(batch.text.ids, batch.text.labels, batch.seen.values, batch.seen.grid).logits
        assert theirs is not None
        heat = self._temperature
        own, wanted = (logits / heat).log_softmax(-1), (theirs / heat).log_softmax(-1)
        near = F.kl_div(own, wanted, reduction="batchmean", log_target=True)
        total = (self._supervised * loss + self._weight * heat**2 * near) * share
        total.backward()  # type: ignore[no-untyped-call]
        return float(total.detach())

    def state(self) -> dict[str, Any]:
        """Return nothing: all that is learned are weights."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Do nothing."""
