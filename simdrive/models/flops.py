"""FLOPs of a real module, counted while it runs.

``torch.utils.flop_counter`` has no formulas for two operators that models on a CPU spend their time in, the fused
attention and the integer matrix product, and leaves them out without a word. They are added here, and operators
that multiply but are not counted are refused instead of missed. A multiply-add is 2 FLOPs; attention counts its full
square whether or not a mask hides half of it; element-wise work counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from simdrive.errors import UnsupportedError

Shape = tuple[int, ...]
_aten = torch.ops.aten
_PRODUCTS = ("mm", "matmul", "attention", "conv", "linear", "einsum", "bilinear", "dot", "gru", "lstm")


def _attention_flops(query: Shape, key: Shape, value: Shape, *rest: Any, out_shape: Any = None, **more: Any) -> int:
    """``[batch, heads, length, size]``: one product for the scores, one with the values."""
    batch, heads, length, size = query
    return 2 * batch * heads * length * key[2] * (size + value[3])


def _product_flops(left: Shape, right: Shape, *rest: Any, out_shape: Any = None, **more: Any) -> int:
    return 2 * left[0] * left[1] * right[1]


MISSING: dict[Any, Callable[..., int]] = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    _aten._int_mm: _product_flops,
}


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the operators that run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.packets: set[Any] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.packets.add(func._overloadpacket)
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class FlopCount:
    """FLOPs of one run, in all and per operator (``aten.mm``, ...)."""

    total: int
    by_operator: Mapping[str, int]


def count_flops(run: Callable[[], object]) -> FlopCount:
    """Count the FLOPs of what ``run`` does, e.g. ``lambda: model(**inputs, logits_to_keep=1)``, without gradients.

    Raises:
        UnsupportedError: if an operator multiplies matrices and nothing says how many FLOPs that takes.
    """
    counter, seen = FlopCounterMode(display=False, custom_mapping=MISSING), _Seen()
    with torch.no_grad(), counter, seen:
        run()
    unknown = sorted(
        str(packet)
        for packet in seen.packets
        if packet not in counter.flop_registry and any(word in _name(packet) for word in _PRODUCTS)
    )
    if unknown:
        known = ", ".join(sorted(map(str, counter.flop_registry)))
        raise UnsupportedError(f"no FLOP formula for {', '.join(unknown)}; add it to MISSING. Known: {known}")
    counts = counter.get_flop_counts().get("Global", {})
    return FlopCount(counter.get_total_flops(), {str(packet): int(count) for packet, count in counts.items()})


def _name(packet: Any) -> str:
    return str(packet).rpartition(".")[2]
