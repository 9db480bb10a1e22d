"""Models with a few huge channels, as large language models have them, that still say exactly what they said.

The gain of a norm goes up and the columns of the maps behind it go down by the same factor. Small models trained for a short
time have no such channels; a method that claims to cope with them has to be shown some.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from simdrive.compress.quant.layout import TEXT, folds, rescale
from simdrive.errors import ParameterError

PLACES = {"attention": "input_layernorm", "feedforward": "post_attention_layernorm"}


def inject(
    model: nn.Module, rng: np.random.Generator, channels: int = 4, factor: float = 50.0,
    places: Sequence[str] = ("attention", "feedforward"),
) -> dict[str, list[int]]:  # fmt: skip
    """Make ``channels`` of every language norm ``factor`` times as large, in place; return which, by norm.

    Raises:
        ParameterError: if there are fewer channels than asked for.
    """
    found: dict[str, list[int]] = {}
    for fold in folds(model):
        if not fold.source.startswith(TEXT) or not fold.source.endswith(tuple(PLACES[place] for place in places)):
            continue
        norm: Any = model.get_submodule(fold.source)
        width = len(norm.weight)
        if not 0 < channels <= width:
            raise ParameterError(f"channels must be 1 to {width}, the width of {fold.source}; got {channels}")
        chosen = sorted(rng.choice(width, channels, replace=False).tolist())
        scale = torch.ones(width)
        scale[chosen] = 1.0 / factor
        rescale(model, fold, scale)
        found[fold.source] = chosen
    return found
