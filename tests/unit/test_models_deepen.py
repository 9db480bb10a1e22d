"""A model that grows says at first what it said before."""

from typing import Any

import pytest
import torch
from test_compress_trainer import TINY, TOKENIZER

from simdrive.errors import ParameterError
from simdrive.models.build import build_model
from simdrive.models.deepen import deepen
from simdrive.models.shape import VlmShape


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_a_deeper_model_says_the_same_and_can_learn(family: str) -> None:
    model = build_model(VlmShape(**{**vars(TINY), "family": family}), TOKENIZER, seed=1)
    ids = torch.randint(10, 300, (2, 9))
    before = model(input_ids=ids).logits
    deepen(model, 5)
    layers = model.model.language_model.layers
    assert [layer.self_attn.layer_idx for layer in layers] == list(range(5))
    assert model.config.text_config.num_hidden_layers == 5
    after = model(input_ids=ids).logits
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    after.square().mean().backward()
    silent = [layer for layer in layers if not layer.mlp.down_proj.weight.any()]
    assert len(silent) == 3
    assert all(layer.mlp.down_proj.weight.grad.abs().max() > 0 for layer in silent)
    generate: Any = model.generate
    cached = generate(input_ids=ids, max_new_tokens=3, do_sample=False)
    assert cached.shape == (2, 12)


def test_a_model_does_not_shrink() -> None:
    with pytest.raises(ParameterError, match="more than the 1"):
        deepen(build_model(TINY, TOKENIZER), 1)
