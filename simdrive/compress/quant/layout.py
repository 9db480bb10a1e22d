"""Which linear maps a vision-language model has, what they belong to, and which of them share an input that can be rescaled."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from simdrive.errors import UnknownNameError

GROUPS = ("attention", "feedforward", "vision", "projector", "head")
TEXT = "model.language_model.layers."


@dataclass(frozen=True)
class Fold:
    """A place where channels can be divided before and multiplied after without changing the function.

    Args:
        source: norm, or linear map whose output rows are the channels.
        sinks: linear maps that read them.
        repeat: the sink reads each channel block this many times (query heads that share the values of one key head).
        head: channels of one such block; 0 = no blocks.
    """

    source: str
    sinks: tuple[str, ...]
    repeat: int = 1
    head: int = 0


def linears(model: nn.Module) -> dict[str, nn.Linear]:
    """Return the plain linear maps of a model by name."""
    return {name: part for name, part in model.named_modules() if type(part) is nn.Linear}


def group_of(name: str) -> str:
    """Return what a linear map belongs to, one of ``GROUPS``: those whose bits a chip is charged for."""
    if name == "lm_head":
        return "head"
    if name.startswith(TEXT):
        return "attention" if ".self_attn." in name else "feedforward"
    return "projector" if "projector" in name or ".merger." in name else "vision"


def bits_by_layer(
    model: nn.Module, groups: Mapping[str, int], layers: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return the bits of every linear map: those of its group, or of the last pattern in ``layers`` that fits its name.

    Raises:
        UnknownNameError: if a group does not exist, or a pattern fits no layer.
    """
    for group in groups:
        if group not in GROUPS:
            raise UnknownNameError("group of layers", group, GROUPS)
    names = list(linears(model))
    found = {name: int(groups.get(group_of(name), 16)) for name in names}
    for pattern, bits in (layers or {}).items():
        hits = fnmatch.filter(names, pattern)
        if not hits:
            raise UnknownNameError("layer", pattern, names)
        found |= dict.fromkeys(hits, int(bits))
    return found


def folds(model: nn.Module) -> list[Fold]:
    """Return all places of a model where channels can be rescaled exactly."""
    named = dict(model.named_modules())
    found: list[Fold] = []
    for name, part in named.items():
        for source, sinks in _PAIRS:
            names = tuple(f"{name}.{sink}" for sink in sinks)
            if f"{name}.{source}" in named and all(sink in named for sink in names):
                found.append(Fold(f"{name}.{source}", names))
        if name.startswith(TEXT) and name.endswith(".self_attn"):
            repeat, head = int(part.num_key_value_groups), int(part.head_dim)
            found.append(Fold(f"{name}.v_proj", (f"{name}.o_proj",), repeat, head))
    return found


_PAIRS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    ("mlp.up_proj", ("mlp.down_proj",)),  # its input is act(gate) * up
    ("layernorm_before", ("attention.q_proj", "attention.k_proj", "attention.v_proj")),
    ("layernorm_after", ("mlp.fc1",)),
    ("norm1", ("attn.qkv",)),
    ("norm2", ("mlp.gate_proj", "mlp.up_proj")),
    ("layer_norm", ("linear_1",)),
)


@torch.no_grad()
def rescale(model: nn.Module, fold: Fold, scale: torch.Tensor) -> None:
    """Divide the channels of a fold's source by ``scale`` [channels] and multiply its sinks' columns, in place.

    With ``repeat``, ``scale`` is of the source; its blocks are repeated for the sinks.
    """
    source = model.get_submodule(fold.source)
    for name in ("weight", "bias"):
        part = getattr(source, name, None)
        if part is not None:
            part.div_(scale[:, None] if part.ndim == 2 else scale)
    wide = scale
    if fold.repeat > 1:
        wide = scale.view(-1, fold.head).repeat_interleave(fold.repeat, 0).flatten()
    for sink in fold.sinks:
        model.get_submodule(sink).weight.mul_(wide)  # type: ignore[operator]


def narrowed(fold: Fold, values: torch.Tensor, how: str = "max") -> torch.Tensor:
    """Return values per sink column as values per source channel: query heads of one key head together."""
    if fold.repeat == 1:
        return values
    parts = values.view(-1, fold.repeat, fold.head)
    return (parts.amax(1) if how == "max" else parts.mean(1)).flatten()
