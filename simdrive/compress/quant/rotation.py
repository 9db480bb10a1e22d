"""Turning the residual stream of the language model so that no channel sticks out, without changing what it says.

QuaRot (Ashkboos et al. 2024, arXiv:2404.00456): RMS norms without gains commute with rotations, so gains go into the next
maps first, then ``x -> x Q`` with a randomised Hadamard matrix is folded into every map that reads or writes the stream. The
values of each head are turned in ``v_proj`` and back in ``o_proj``. The input of ``down_proj`` can only be turned while the
model runs (``QuantSpec.rotate``). The embedding is turned without the last gain and the head with it, so they are no longer
one matrix.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from simdrive.compress.quant.layout import TEXT
from simdrive.models.hadamard import block_of, turned


@torch.no_grad()
def rotate(model: Any, seed: int = 0) -> None:
    """Turn a model in place; its logits stay the same up to rounding."""
    text = model.model.language_model
    width = text.embed_tokens.weight.shape[1]
    rng = torch.Generator().manual_seed(seed)
    signs = (torch.randint(0, 2, (width,), generator=rng) * 2 - 1).to(text.embed_tokens.weight)
    _untie(model)
    for layer in text.layers:
        attention, mlp = layer.self_attn, layer.mlp
        _gain_into(layer.input_layernorm, attention.q_proj, attention.k_proj, attention.v_proj)
        _gain_into(layer.post_attention_layernorm, mlp.gate_proj, mlp.up_proj)
        for reader in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
            _turn_inputs(reader, signs)
        for writer in (attention.o_proj, mlp.down_proj):
            _turn_outputs(writer, signs)
        _turn_heads(attention)
    _gain_into(text.norm, model.lm_head)
    _turn_inputs(model.lm_head, signs)
    text.embed_tokens.weight.copy_(turned(text.embed_tokens.weight * signs, block_of(width)))
    _turn_outputs(last_of_projector(model), signs)


def online_block(name: str, inputs: int) -> int:
    """Return the block in which the input of a map is turned while the model runs; 0 = it is turned already."""
    return block_of(inputs, 64) if name.startswith(TEXT) and name.endswith("down_proj") else 0


def last_of_projector(model: Any) -> nn.Linear:
    """Return the map that writes picture tokens into the stream."""
    inner = model.model
    found: nn.Linear = (
        inner.multi_modal_projector.linear_2 if hasattr(inner, "multi_modal_projector") else inner.visual.merger.mlp[2]
    )
    return found


def _untie(model: Any) -> None:
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    model.config.tie_word_embeddings = model.config.get_text_config().tie_word_embeddings = False
    if hasattr(model, "all_tied_weights_keys"):
        model.all_tied_weights_keys = {}


def _gain_into(norm: Any, *readers: nn.Linear) -> None:
    for reader in readers:
        reader.weight.mul_(norm.weight)
    norm.weight.fill_(1.0)


def _turn_inputs(linear: nn.Linear, signs: torch.Tensor) -> None:
    linear.weight.copy_(turned(linear.weight * signs, block_of(len(signs))))


def _turn_outputs(linear: nn.Linear, signs: torch.Tensor) -> None:
    block = block_of(len(signs))
    linear.weight.copy_(turned((linear.weight * signs[:, None]).T, block).T)
    if linear.bias is not None:
        linear.bias.copy_(turned(linear.bias * signs, block))


def _turn_heads(attention: Any) -> None:
    """Turn the values of every head; attention mixes tokens, not the values within a head."""
    value, out, width = attention.v_proj, attention.o_proj, int(attention.head_dim)
    block = block_of(width)
    value.weight.copy_(turned(value.weight.T, block).T)
    if value.bias is not None:
        value.bias.copy_(turned(value.bias, block))
    out.weight.copy_(turned(out.weight, block))
