"""Distillation as an objective: its gradients, its weights, and a student that comes nearer to its teacher."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_compress_samples import PICTURED, written
from test_compress_trainer import TINY, TOKENIZER

from simdrive.compress.distill.objective import Distillation, DistillSettings, question_type, softened_kl
from simdrive.compress.lessons import lesson_named
from simdrive.compress.settings import TrainSettings
from simdrive.compress.supervision import Supervision
from simdrive.compress.trainer import Trainer
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.build import build_model
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape

DEEP = VlmShape(**{**vars(TINY), "text_layers": 4, "text_width": 48, "text_heads": 6})


def trained(folder: Path, steps: int = 3, teacher: Any = None, **fields: Any) -> tuple[Trainer, Distillation]:
    settings = TrainSettings(steps=steps, batch=4, warmup=1, decay=1, log_every=1, save_every=100, learning_rate=3e-3)
    student = build_model(TINY, TOKENIZER, seed=3)
    samples, processor = written(folder, 24), Processor.of(TINY, PICTURED.cameras, PICTURED.frame_offsets_us)
    plain = Trainer(student, TOKENIZER, processor, samples, settings, folder / "out")
    supervision = Supervision(plain.chat, student, samples, settings, plain.device)
    teacher = teacher or build_model(DEEP, TOKENIZER, seed=5)
    objective = Distillation(supervision, student, {"": teacher}, DistillSettings(**fields))
    return Trainer(student, TOKENIZER, processor, samples, settings, folder / "out", objective=objective), objective


@pytest.mark.parametrize("method", ["agp", "plain_sum", "pcgrad"])
def test_a_step_moves_the_student_and_leaves_the_teacher(tmp_path: Path, method: str) -> None:
    teacher = build_model(DEEP, TOKENIZER, seed=5)
    before = [p.detach().clone() for p in teacher.parameters()]
    trainer, objective = trained(tmp_path, teacher=teacher, method=method)
    own = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.run()
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(own, trainer.model.parameters(), strict=True))
    assert all(value > 0.0 for value in objective.norms.values())
    assert trainer.model.config._attn_implementation == "sdpa"


def test_the_sum_of_gradients_is_that_of_the_summed_loss(tmp_path: Path) -> None:
    trainer, objective = trained(tmp_path, method="plain_sum", terms=("kl",), mixing=False, reweight=False)
    batch = trainer._batches(0)
    objective(trainer.learner, batch, 0, 1.0)
    found = {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}
    trainer.model.zero_grad()
    loss, logits = objective._supervision.loss_and_logits(trainer.learner, batch, 0)
    assert logits is not None
    (loss + softened_kl(logits, objective._asked(objective._teacher["kl"], batch)[1], 2.0)).backward()
    for name, p in trainer.model.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(found[name], p.grad, rtol=1e-3, atol=1e-5)


def test_a_student_comes_nearer_to_what_its_teacher_says(tmp_path: Path) -> None:
    trainer, objective = trained(tmp_path, 40, terms=("kl",), weights={"supervised": 0.0, "kl": 1.0}, reweight=False)
    batch = trainer._batches(0)

    def gap() -> float:
        with torch.no_grad():
            own = trainer.learner(batch.text.ids, batch.text.labels, batch.seen.values, batch.seen.grid).logits
        return float(softened_kl(own, objective._asked(objective._teacher["kl"], batch)[1], 2.0))

    before = gap()
    trainer.run()
    assert gap() < 0.7 * before


def test_divergence_is_nothing_where_both_agree() -> None:
    logits = torch.randn(3, 7)
    assert float(softened_kl(logits, logits + 4.0, 2.0)) == pytest.approx(0.0, abs=1e-6)
    assert float(softened_kl(torch.zeros(1, 2), torch.tensor([[2 * np.log(3.0), 0.0]]), 2.0)) == pytest.approx(
        4 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5)), rel=1e-5
    )


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    assert question_type(lesson_named("plan+perception")) == "planning"
    assert question_type(lesson_named("reasoning")) == "reasoning"
    with pytest.raises(UnknownNameError, match="seeing"):
        DistillSettings(terms=("seeing",))
    with pytest.raises(UnknownNameError, match="dance"):
        DistillSettings(method="dance")
    with pytest.raises(ParameterError, match="at least one term"):
        DistillSettings(terms=())
    student = build_model(TINY, TOKENIZER)
    with pytest.raises(ParameterError, match="no teacher for reasoning"):
        Distillation(None, student, {"perception": student, "planning": student}, DistillSettings())  # type: ignore[arg-type]
