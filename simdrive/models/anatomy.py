"""Where the layers, heads and inner widths of a vision-language model are: one view for both families and both halves.

The language model and the vision tower of InternVL and Qwen2.5-VL name the same things differently; some fuse queries, keys
and values into one matrix. What looks at layers, or cuts them, goes through here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from simdrive.errors import UnsupportedError

TEXT, VISION = "text", "vision"
PARTS = (TEXT, VISION)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a linear map that make queries, keys or values; fused maps hold all three."""

    linear: nn.Linear
    start: int
    count: int

    def of(self, values: torch.Tensor) -> torch.Tensor:
        """Return these rows of the weight, the bias, or anything of their shape."""
        return values[self.start : self.start + self.count]


@dataclass(frozen=True, eq=False)
class Layer:
    """One transformer layer."""

    part: str  # TEXT or VISION
    number: int
    module: nn.Module
    attention: nn.Module
    query: Rows
    key: Rows
    value: Rows
    out: nn.Linear  # from the heads back to the stream
    widening: tuple[nn.Linear, ...]  # gate and up, or the only one
    narrowing: nn.Linear
    head_width: int

    @property
    def name(self) -> str:
        """E.g. ``text.3``."""
        return f"{self.part}.{self.number}"

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.query.count // self.head_width

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values; as many as query heads where there are no groups."""
        return self.key.count // self.head_width

    @property
    def ffn(self) -> int:
        """Inner width of the feed-forward network."""
        return self.narrowing.in_features

    @property
    def linears(self) -> tuple[nn.Linear, ...]:
        """Every linear map of the layer, fused ones once."""
        found = dict.fromkeys((self.query.linear, self.key.linear, self.value.linear, self.out))
        return (*found, *self.widening, self.narrowing)


def is_internvl(model: Any) -> bool:
    """Tell the InternVL family from Qwen2.5-VL."""
    return hasattr(model.model, "vision_tower")


def tower(model: Any) -> Any:
    """Return the vision tower."""
    return model.model.vision_tower if is_internvl(model) else model.model.visual


def stack(model: Any, part: str) -> tuple[Any, str]:
    """Return the module that holds the layers of a part, and the name of its list."""
    if part == TEXT:
        return model.model.language_model, "layers"
    return (tower(model).encoder, "layer") if is_internvl(model) else (tower(model), "blocks")


def layers_of(model: Any, part: str) -> list[Layer]:
    """Return the layers of a part, first to last.

    Raises:
        UnsupportedError: if a layer is not made of plain linear maps, as after quantization.
    """
    owner, name = stack(model, part)
    view = _text if part == TEXT else _internvl_vision if is_internvl(model) else _qwen_vision
    return [view(number, module) for number, module in enumerate(getattr(owner, name))]


def head_counts(model: Any, part: str) -> tuple[int, int]:
    """Return query heads and key/value heads of the first layer of a part; its maps may be of any kind."""
    owner, name = stack(model, part)
    first = getattr(owner, name)[0]
    if part == TEXT:
        heads = first.self_attn.q_proj.out_features // first.self_attn.head_dim
        return heads, heads // first.self_attn.num_key_value_groups
    heads = (first.attention if is_internvl(model) else first.attn).num_heads
    return heads, heads


def _rows(linear: Any, where: str, start: int = 0, count: int | None = None) -> Rows:
    _linear(linear, where)
    return Rows(linear, start, linear.out_features if count is None else count)


def _linear(module: Any, where: str) -> nn.Linear:
    if type(module) is not nn.Linear:
        kind = type(module).__name__
        raise UnsupportedError(f"{where} holds a {kind} where a plain linear map is expected; prune before quantizing")
    found: nn.Linear = module
    return found


def _text(number: int, module: Any) -> Layer:
    at, mlp, where = module.self_attn, module.mlp, f"{TEXT}.{number}"
    query, key, value = (_rows(part, where) for part in (at.q_proj, at.k_proj, at.v_proj))
    wide = (_linear(mlp.gate_proj, where), _linear(mlp.up_proj, where))
    narrow, out = _linear(mlp.down_proj, where), _linear(at.o_proj, where)
    return Layer(TEXT, number, module, at, query, key, value, out, wide, narrow, int(at.head_dim))


def _internvl_vision(number: int, module: Any) -> Layer:
    at, mlp, where = module.attention, module.mlp, f"{VISION}.{number}"
    query, key, value = (_rows(part, where) for part in (at.q_proj, at.k_proj, at.v_proj))
    out, narrow = _linear(at.projection_layer, where), _linear(mlp.fc2, where)
    return Layer(VISION, number, module, at, query, key, value, out, (_linear(mlp.fc1, where),), narrow, at.head_dim)


def _qwen_vision(number: int, module: Any) -> Layer:
    at, mlp, where = module.attn, module.mlp, f"{VISION}.{number}"
    third = at.qkv.out_features // 3
    query, key, value = (_rows(at.qkv, where, place * third, third) for place in range(3))
    wide = (_linear(mlp.gate_proj, where), _linear(mlp.up_proj, where))
    out, narrow = _linear(at.proj, where), _linear(mlp.down_proj, where)
    return Layer(VISION, number, module, at, query, key, value, out, wide, narrow, at.head_dim)
