"""Patches of Qwen2.5-VL by a matrix: the same numbers, gradients, names and files as the convolution of transformers."""

from pathlib import Path

import pytest
import torch
from model_kit import save_tiny, tiny_model
from torch import nn
from transformers import Qwen2_5_VLForConditionalGeneration

from simdrive.models.folder import load_model
from simdrive.models.patches import PatchMatrix, map_patches


def test_it_is_the_convolution() -> None:
    convolution = nn.Conv3d(3, 5, (2, 4, 4), (2, 4, 4), bias=False)
    matrix, patches = PatchMatrix(convolution), torch.randn(7, 3, 2, 4, 4)
    slow, fast = convolution(patches).view(-1, 5), matrix(patches)
    torch.testing.assert_close(fast, slow)
    (slow_gradient,) = torch.autograd.grad(slow.square().sum(), convolution.weight)
    (fast_gradient,) = torch.autograd.grad(fast.square().sum(), matrix.weight)
    torch.testing.assert_close(fast_gradient, slow_gradient)


def test_drawn_and_loaded_models_have_it_and_transformers_reads_their_files(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "tiny", "qwen2_5_vl")
    ours = load_model(folder).model
    theirs = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder)
    for model in (ours, tiny_model("qwen2_5_vl")):
        assert isinstance(model.model.visual.patch_embed.proj, PatchMatrix)
    assert isinstance(theirs.model.visual.patch_embed.proj, nn.Conv3d)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    patches = torch.randn(32, 3 * 2 * 8 * 8)
    torch.testing.assert_close(
        ours.model.visual.patch_embed(patches), theirs.model.visual.patch_embed(patches), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_asking_twice_changes_nothing(family: str) -> None:
    model = tiny_model(family)
    before = dict(model.named_modules())
    map_patches(model)
    assert dict(model.named_modules()) == before
