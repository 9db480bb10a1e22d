"""The language model of a VLM without its framework: weights joined, cache laid out once, last layer only where read.

Same arithmetic as ``Qwen2Model`` and ``Qwen2_5_VLTextModel`` of transformers: tokens are equal in fp32. Layers may
differ in their number of heads and in their width, as they do after pruning. Joined weights are copies: build anew
after a change of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel

from simdrive.errors import UnsupportedError
from simdrive.models.kv_cache import Cache, Kept, cache_kind
from simdrive.models.quantized import QuantizedLinear, joined


class Joint:
    """Several linear maps of one input as one; those that are no plain ``nn.Linear`` are called one by one.

    Quantized maps of one kind are joined too: their input is encoded once.
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        whole = (
            joined(same) if len(same := [p for p in parts if isinstance(p, QuantizedLinear)]) == len(parts) else None
        )
        self._parts = tuple(parts) if whole is None else (whole,)
        self._weight: torch.Tensor | None = None
        self._bias: torch.Tensor | None = None
        if all(type(part) is nn.Linear for part in parts):
            linears = [part for part in parts if isinstance(part, nn.Linear)]
            self._weight = torch.cat([part.weight.detach() for part in linears])
            biases: list[torch.Tensor | None] = [part.bias for part in linears]
            if any(bias is not None for bias in biases):
                self._bias = torch.cat([_bias(part) for part in linears])

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``[..., sum of widths]``."""
        if self._weight is not None:
            return F.linear(x, self._weight, self._bias)
        return torch.cat([part(x) for part in self._parts], dim=-1) if len(self._parts) > 1 else self._parts[0](x)


class _Layer:
    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        if getattr(attention, "sliding_window", None):
            raise UnsupportedError(
                "the lean loop knows no sliding-window attention; generate with transformers instead"
            )
        self.width: int = attention.head_dim
        self.groups: int = attention.num_key_value_groups
        self.heads: int = _rows(attention.q_proj) // self.width
        self.kv_heads = self.heads // self.groups
        self.scale: float = attention.scaling
        self._qkv = Joint([attention.q_proj, attention.k_proj, attention.v_proj])
        self._out, self._down, self._act = attention.o_proj, mlp.down_proj, mlp.act_fn
        self._gate_up = Joint([mlp.gate_proj, mlp.up_proj])
        self._norms = (_Norm(layer.input_layernorm), _Norm(layer.post_attention_layernorm))

    def __call__(
        self,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        keys: Kept,
        values: Kept,
        start: int,
        mask: torch.Tensor | None,
        last_only: bool,
    ) -> torch.Tensor:
        count, steps, _ = x.shape
        qkv = self._qkv(self._norms[0](x)).view(count, steps, -1, self.width)
        turned = qkv[:, :, : self.heads + self.kv_heads]
        turned = turned * cos + torch.cat((-turned[..., self.width // 2 :], turned[..., : self.width // 2]), -1) * sin
        end = start + steps
        keys.put(start, turned[:, :, self.heads :].transpose(1, 2))
        values.put(start, qkv[:, :, self.heads + self.kv_heads :].transpose(1, 2))
        query = turned[:, :, : self.heads]
        if last_only and steps > 1:
            x, query = x[:, -1:], query[:, -1:]
            mask = None if mask is None else mask[:, :, -1:]
            steps = 1
        x = x + self._out(self._attend(query, keys.upto(end), values.upto(end), mask, start == 0))
        gate, up = self._gate_up(self._norms[1](x)).chunk(2, dim=-1)
        fed: torch.Tensor = x + self._down(self._act(gate) * up)
        return fed

    def _attend(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, first: bool
    ) -> torch.Tensor:
        """Attend with queries ``[N, C, heads, width]``; the heads of a group share keys, so they become rows."""
        count, steps = query.shape[:2]
        if steps > 1 and (first or mask is not None):
            keys, values = (part.repeat_interleave(self.groups, dim=1) for part in (keys, values))
            found = F.scaled_dot_product_attention(
                query.transpose(1, 2), keys, values, mask, is_causal=mask is None, scale=self.scale
            )
            return found.transpose(1, 2).reshape(count, steps, -1)
        rows = query.reshape(count, self.kv_heads, self.groups, self.width)
        found = F.scaled_dot_product_attention(rows, keys, values, mask, scale=self.scale)
        return found.reshape(count, 1, -1)


class _Norm:
    def __init__(self, norm: Any) -> None:
        self._weight, self._epsilon = norm.weight.detach(), norm.variance_epsilon

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), self._weight, self._epsilon)


def _bias(linear: nn.Linear) -> torch.Tensor:
    bias: torch.Tensor | None = linear.bias
    return linear.weight.new_zeros(linear.out_features) if bias is None else bias.detach()


def _rows(linear: nn.Module) -> int:
    found = getattr(linear, "out_features", None)
    if found is None:
        raise UnsupportedError(f"a linear layer of type {type(linear).__name__} does not say its out_features")
    return int(found)


class LeanDecoder:
    """Runs the language model over embedded tokens with a static cache."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Join the weights of a VLM of the transformers.

        Raises:
            UnsupportedError: if a layer does what this loop cannot.
        """
        text: Any = model.model.language_model
        self._layers = [_Layer(layer) for layer in text.layers]
        self._norm, self._rotary, self._head = _Norm(text.norm), text.rotary_emb, model.lm_head
        self.embed = text.embed_tokens
        self._kept = cache_kind(model)

    def cache(self, like: torch.Tensor, count: int, length: int) -> Cache:
        """Return room for ``length`` tokens of ``count`` requests, of the type and on the device of ``like``."""
        both = [
            tuple(self._kept(like, (count, layer.kv_heads, length, layer.width)) for layer in self._layers)
            for _ in range(2)
        ]
        return Cache(*both)

    def angles(self, like: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosines and sines ``[N, L, 1, width]`` of positions ``[N, L]`` or ``[3, N, L]``."""
        cos, sin = self._rotary(like, positions)
        return cos.unsqueeze(2), sin.unsqueeze(2)

    def __call__(
        self,
        x: torch.Tensor,
        angles: tuple[torch.Tensor, torch.Tensor],
        cache: Cache,
        start: int,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return the logits ``[N, V]`` after the last of the tokens ``x`` [N, C, D] that stand at ``start``.

        ``mask`` [N, 1, C, start + C]: True = may be looked at. None with ``start`` 0: all of the past; None with one
        token: everything up to it.
        """
        cos, sin = angles
        final = len(self._layers) - 1
        for number, layer in enumerate(self._layers):
            kept = cache.keys[number], cache.values[number]
            x = layer(x, cos, sin, *kept, start, mask, last_only=number == final)
        logits: torch.Tensor = self._head(self._norm(x[:, -1]))
        return logits
