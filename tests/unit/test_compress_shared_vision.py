"""A student that begins with its teacher's eyes sees what the teacher sees, and towers that differ are refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from test_compress_trainer import TINY, TOKENIZER

from simdrive.compress.parts import modules_of
from simdrive.compress.shared_vision import share_vision
from simdrive.errors import ParameterError
from simdrive.models.build import build_model


def pictures(model: Any, family: str) -> torch.Tensor:
    """What stands behind the last layer of the tower, before the projector."""
    seen: list[torch.Tensor] = []
    layers = modules_of(model, "vision")[-1]
    last = list(layers.encoder.layer if family == "internvl" else layers)[-1]  # type: ignore[union-attr, arg-type]
    last.register_forward_hook(
        lambda module, given, found: seen.append(found[0] if isinstance(found, tuple) else found)
    )
    torch.manual_seed(5)
    if family == "internvl":
        model.model.get_image_features(torch.randn(2, 3 * TINY.frames, TINY.tile_px, TINY.tile_px))
    else:
        side = TINY.tile_px // TINY.patch_px
        grid = torch.tensor([[1, side, side]])
        model.model.get_image_features(torch.randn(side * side, 3 * TINY.frames * TINY.patch_px**2), grid)
    return seen[0].detach()


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_the_tower_is_the_others_and_the_rest_is_not(family: Any) -> None:
    shape = replace(TINY, family=family)
    trained = build_model(shape, TOKENIZER, seed=1)
    student = build_model(replace(shape, text_width=2 * shape.text_width), TOKENIZER, seed=2)
    before = pictures(student, family)
    share_vision(student, trained, "teacher")
    assert not torch.equal(before, pictures(student, family))
    torch.testing.assert_close(pictures(student, family), pictures(trained, family), rtol=0, atol=0)


def test_another_tower_or_family_is_refused() -> None:
    trained = build_model(TINY, TOKENIZER)
    with pytest.raises(ParameterError, match="tower of runs/x does not fit.*vision_layers"):
        share_vision(build_model(replace(TINY, vision_layers=TINY.vision_layers + 1), TOKENIZER), trained, "runs/x")
    with pytest.raises(ParameterError, match="heads is"):
        share_vision(build_model(replace(TINY, vision_heads=TINY.vision_heads * 2), TOKENIZER), trained, "runs/x")
    with pytest.raises(ParameterError, match="shape.family=internvl"):
        share_vision(build_model(replace(TINY, family="qwen2_5_vl"), TOKENIZER), trained, "runs/x")
