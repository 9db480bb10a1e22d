from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from model_kit import tiny_model, tiny_tokenizer

from simdrive.models.chat import Chat, prompts
from simdrive.models.tap import tapped


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_tapped_rows_equal_eager_attention_under_padding(family: str) -> None:
    model = copy.deepcopy(tiny_model(family))
    asked = prompts(Chat(tiny_tokenizer(), ()), ["what now", "what will happen at 12 now"])
    inputs: dict[str, Any] = {"input_ids": asked.ids, "attention_mask": asked.mask}
    before = model(**inputs).logits
    with tapped(model, [1], slice(-3, None)) as maps:
        logits = model(**inputs).logits
    assert list(maps) == [1]
    assert torch.equal(logits[asked.mask.bool()], before[asked.mask.bool()])
    assert model.config._attn_implementation == "sdpa"
    model.set_attn_implementation("eager")
    expected = model(**inputs, output_attentions=True).attentions[1][:, :, -3:]
    assert maps[1].shape == expected.shape
    assert torch.allclose(maps[1], expected, atol=2e-6)


def test_tapped_attention_carries_gradients() -> None:
    model = copy.deepcopy(tiny_model())
    asked = prompts(Chat(tiny_tokenizer(), ()), ["what now"])
    with tapped(model, [0]) as maps:
        model(input_ids=asked.ids, attention_mask=asked.mask)
    maps[0][..., 0].sum().backward()
    gradient = model.model.language_model.layers[0].self_attn.q_proj.weight.grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0.0
