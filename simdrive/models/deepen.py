"""Growing a model while it learns: new language layers that change nothing yet.

A shallow model learns to see at a fraction of the price of a deep one. Each new layer is a copy of the one below it whose
two output maps are zero, so the deeper model says what the shallow one said (block expansion: Wu et al. 2024, "LLaMA Pro",
arXiv:2401.02415).
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from simdrive.errors import ParameterError


def deepen(model: Any, layers: int) -> None:
    """Bring the language model of ``model`` to ``layers`` layers, in place.

    Raises:
        ParameterError: if it has more than that already.
    """
    text, config = model.model.language_model, model.config.text_config
    old = list(text.layers)
    if layers < len(old):
        raise ParameterError(f"the model has {len(old)} language layers, more than the {layers} asked for")
    grown: list[torch.nn.Module] = []
    for place, layer in enumerate(old):
        wanted = layers * (place + 1) // len(old) - layers * place // len(old)  # this layer and its copies
        grown += [layer, *(_silent(layer) for _ in range(wanted - 1))]
    for number, layer in enumerate(grown):
        layer.self_attn.layer_idx = number  # type: ignore[union-attr]
    text.layers = torch.nn.ModuleList(grown)
    if len(grown) > len(old):
        config.num_hidden_layers = len(grown)
        if getattr(config, "layer_types", None):
            config.layer_types = [config.layer_types[0]] * len(grown)


def _silent(layer: torch.nn.Module) -> torch.nn.Module:
    found: Any = copy.deepcopy(layer)
    torch.nn.init.zeros_(found.self_attn.o_proj.weight)
    torch.nn.init.zeros_(found.mlp.down_proj.weight)
    grown: torch.nn.Module = found
    return grown
