"""What teachers show, kept: the same training without asking again, and never another's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_compress_samples import PICTURED, written
from test_compress_trainer import TINY, TOKENIZER
from test_distill_objective import DEEP

from simdrive.compress.distill.objective import Distillation
from simdrive.compress.distill.settings import DistillSettings
from simdrive.compress.settings import TrainSettings
from simdrive.compress.trainer import Trainer
from simdrive.models.build import build_model
from simdrive.models.processor import Processor


class Counted:
    """Counts the passes of a teacher."""

    def __init__(self, teacher: Any) -> None:
        self.passes = 0
        teacher.model.language_model.register_forward_hook(self._one_more)

    def _one_more(self, *_: Any) -> None:
        self.passes += 1


def distilled(folder: Path, teacher: Any, keep: Path | None, **fields: Any) -> torch.Tensor:
    settings = TrainSettings(steps=2, batch=4, warmup=1, decay=1, learning_rate=3e-3, augment=False)
    samples, processor = written(folder, 24), Processor.of(TINY, PICTURED.cameras, PICTURED.frame_offsets_us)
    trainer = Trainer(
        build_model(TINY, TOKENIZER, seed=3), TOKENIZER, processor, samples, settings, folder / str(len(list(folder.iterdir()))),
        objective=lambda base, learner: Distillation(
            base, learner, {"": teacher}, DistillSettings(**fields), keep=keep
        ),
    )  # fmt: skip
    trainer.run()
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


@pytest.mark.parametrize("signal", ["attention", "attention_cosine", "whole_attention", "hidden"])
def test_the_second_training_asks_nothing_and_learns_the_same(tmp_path: Path, signal: str) -> None:
    teacher = build_model(DEEP, TOKENIZER, seed=5)
    counted = Counted(teacher)
    terms = ("perception", "reasoning", "planning", "kl")
    asked = distilled(tmp_path, teacher, None, signal=signal, terms=terms)
    assert counted.passes == 2
    first = distilled(tmp_path, teacher, tmp_path / "kept", signal=signal, terms=terms)
    assert counted.passes == 4
    second = distilled(tmp_path, teacher, tmp_path / "kept", signal=signal, terms=terms)
    assert counted.passes == 4
    assert torch.equal(first, second)
    other = distilled(tmp_path, build_model(DEEP, TOKENIZER, seed=6), None, signal=signal, terms=terms)
    # Half precision turns the step of a weight whose gradient is next to nothing; all others are as good as equal.
    assert float((first - asked).abs().mean()) < 0.02 * float((other - asked).abs().mean())


def test_only_what_was_kept_is_not_asked(tmp_path: Path) -> None:
    teacher, keep = build_model(DEEP, TOKENIZER, seed=5), tmp_path / "kept"
    counted = Counted(teacher)
    distilled(tmp_path, teacher, keep, terms=("perception",))
    distilled(tmp_path, teacher, keep, terms=("perception", "kl"), method="plain_sum")
    assert counted.passes == 2
    distilled(tmp_path, teacher, keep, terms=("perception", "planning"))  # another layer
    assert counted.passes == 4
    distilled(tmp_path, teacher, keep, terms=("perception", "planning"), signal="hidden")  # not of attention
    assert counted.passes == 6
    other = build_model(DEEP, TOKENIZER, seed=6)
    again = Counted(other)
    distilled(tmp_path, other, keep, terms=("perception",))  # never what another teacher showed
    assert again.passes == 2


def test_a_damaged_file_is_asked_about_again(tmp_path: Path) -> None:
    teacher, keep = build_model(DEEP, TOKENIZER, seed=5), tmp_path / "kept"
    counted = Counted(teacher)
    before = distilled(tmp_path, teacher, keep, terms=("perception",))
    (damaged, _) = sorted(keep.rglob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert torch.equal(distilled(tmp_path, teacher, keep, terms=("perception",)), before)
    assert counted.passes == 3
    assert not list(keep.rglob("*.part"))
