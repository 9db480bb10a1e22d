"""A teacher whose pictures make other tokens: asked in its own, compared in the student's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_compress_samples import PICTURED, written
from test_compress_trainer import TINY, TOKENIZER

from simdrive.compress.distill.objective import Distillation
from simdrive.compress.distill.settings import DistillSettings
from simdrive.compress.distill.sight import Sight, carried_maps, carried_states, slot_shares
from simdrive.compress.settings import TrainSettings
from simdrive.compress.trainer import Trainer
from simdrive.errors import ParameterError
from simdrive.models.build import build_model
from simdrive.models.chat import Chat, training_batch
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.types import CameraSpec

FINE = VlmShape(**{**vars(TINY), "merge": 1, "text_layers": 3})
CAMERAS = (CameraSpec("left", 64, 16), CameraSpec("right", 64, 16))
TURN = ("at 5 of 15 side 0m follow ; drive ?", "speed 0 0 0 side 0m 0m")


def seen_by(shape: VlmShape, cameras: tuple[CameraSpec, ...] = PICTURED.cameras, motion_gain: float = 0.0) -> Processor:
    return Processor.of(shape, cameras, PICTURED.frame_offsets_us, motion_gain)


def sight(own: Processor, theirs: Processor) -> Sight:
    return Sight.of(own, Chat(TOKENIZER, theirs.slots), theirs)


@pytest.mark.parametrize("tile_px", [16, 32])  # 32 = a camera of 64 x 16 pixels is folded into one tile
def test_shares_are_of_the_same_place(tile_px: int) -> None:
    own, theirs = seen_by(TINY, CAMERAS), seen_by(replace(FINE, tile_px=tile_px), CAMERAS)
    assert (own.slots, theirs.slots) == ((8,), (32,))
    shares = slot_shares(own, theirs)
    assert shares.sum(axis=0).tolist() == [1.0] * 32  # nothing is lost
    assert (shares.sum(axis=1) == 4.0).all()
    values = np.random.default_rng(0).random((1, 32)).astype(np.float32)
    fine, coarse = theirs.spread(values)[0], own.spread(values @ shares.T)[0]
    np.testing.assert_allclose(coarse, fine.reshape(2, 1, 2, 4, 2).sum(axis=(2, 4)), rtol=1e-6)
    back = slot_shares(theirs, own)  # a coarse teacher: its attention is spread evenly
    np.testing.assert_array_equal(back, shares.T / 4.0)


def test_cells_that_do_not_nest_are_shared_by_area() -> None:
    square = (CameraSpec("front", 48, 48),)
    own, theirs = (seen_by(replace(TINY, tile_px=48, patch_px=patch, merge=1), square) for patch in (16, 24))
    first = slot_shares(own, theirs)[:, 0].reshape(3, 3)  # of the upper left of 2 x 2 on 3 x 3
    np.testing.assert_allclose(first, np.array([[4, 2, 0], [2, 1, 0], [0, 0, 0]]) / 9.0, atol=1e-6)


def places() -> torch.Tensor:
    own, theirs = seen_by(TINY), seen_by(FINE)
    texts = [training_batch(Chat(TOKENIZER, each.slots), [[TURN], [TURN, TURN]]) for each in (own, theirs)]
    image = TOKENIZER.convert_tokens_to_ids("<IMG_CONTEXT>")
    return sight(own, theirs).places(texts[0], texts[1], image, image)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), sharp=st.floats(0.1, 20.0))
def test_rows_still_sum_to_one_and_no_attention_is_lost(seed: int, sharp: float) -> None:
    where = places()
    rng = torch.Generator().manual_seed(seed)
    there = where.sum(dim=1) > 0  # [N, T] what is not padding
    scores = sharp * torch.randn(2, 3, where.shape[2], where.shape[2], generator=rng)
    maps = scores.masked_fill(~there[:, None, None, :], -1e9).softmax(-1)
    found = carried_maps(maps, where)
    own = where.sum(dim=2) > 0
    assert found.shape == (2, 1, where.shape[1], where.shape[1])
    torch.testing.assert_close(found.sum(-1)[:, 0][own], torch.ones(int(own.sum())), rtol=1e-5, atol=1e-5)
    assert not found[:, 0][~own].any()
    states = torch.randn(2, where.shape[2], 5, generator=rng)
    words = (where == 1.0).sum(dim=2) == 1  # one of theirs, whole
    carried = carried_states(states, where)
    first = torch.nonzero(words[0])[0, 0]
    torch.testing.assert_close(carried[0, first], states[0, where[0, first].argmax()])


def distilled(folder: Path, teacher_shape: VlmShape, sighted: bool, **fields: Any) -> Trainer:
    own, theirs = seen_by(TINY), seen_by(teacher_shape)
    teachers = {"": build_model(teacher_shape, TOKENIZER, seed=5)}
    sights = {"": sight(own, theirs)} if sighted else {}
    return Trainer(
        build_model(TINY, TOKENIZER, seed=3), TOKENIZER, own, written(folder, 24),
        TrainSettings(steps=2, batch=4, warmup=1, decay=1, log_every=1), folder / "out",
        objective=lambda base, learner: Distillation(base, learner, teachers, DistillSettings(**fields), sights=sights),
    )  # fmt: skip


def gradients(trainer: Trainer) -> torch.Tensor:
    objective: Any = trainer.objective
    trainer.learner.zero_grad()
    objective(trainer.learner, trainer._batches(0), 0, 1.0)
    return torch.cat([p.grad.flatten() for p in trainer.learner.parameters() if p.grad is not None])


@pytest.mark.parametrize("signal", ["attention", "whole_attention", "hidden"])
def test_with_equal_tokens_it_is_what_it_was(tmp_path: Path, signal: str) -> None:
    same = VlmShape(**{**vars(TINY), "text_layers": 3})
    torch.manual_seed(0)  # widening maps of hidden states are drawn
    plain = gradients(distilled(tmp_path, same, sighted=False, signal=signal))
    torch.manual_seed(0)
    carried = gradients(distilled(tmp_path, same, sighted=True, signal=signal))
    torch.testing.assert_close(carried, plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("signal", ["attention", "attention_cosine", "hidden_cosine"])
def test_a_teacher_with_four_times_the_tokens_teaches(tmp_path: Path, signal: str) -> None:
    trainer = distilled(
        tmp_path, FINE, sighted=True, signal=signal, terms=("perception", "reasoning", "planning", "kl")
    )
    before = [p.detach().clone() for p in trainer.learner.parameters()]
    trainer.run()
    objective: Any = trainer.objective
    assert all(value > 0.0 for value in objective.norms.values())
    assert all(not torch.equal(a, b) for a, b in zip(before, trainer.learner.parameters(), strict=True))


def test_what_cannot_be_carried_over_is_refused() -> None:
    with pytest.raises(ParameterError, match="different cameras"):
        sight(seen_by(TINY), seen_by(TINY, CAMERAS))
    with pytest.raises(ParameterError, match="different family"):
        sight(seen_by(TINY), seen_by(replace(TINY, family="qwen2_5_vl")))
    assert sight(seen_by(TINY), seen_by(TINY, motion_gain=3.0)).shares.shape == (2, 2)
