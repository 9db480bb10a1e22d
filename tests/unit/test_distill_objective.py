"""Distillation as an objective: its gradients, its weights, and a student that comes nearer to its teacher."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_compress_samples import PICTURED, written
from test_compress_trainer import TINY, TOKENIZER

from simdrive.compress.distill.names import METHODS
from simdrive.compress.distill.objective import Distillation, softened_kl
from simdrive.compress.distill.projection import method_named
from simdrive.compress.distill.settings import DistillSettings, asked_of
from simdrive.compress.distill.teachers import Teachers
from simdrive.compress.lessons import lesson_named
from simdrive.compress.settings import TrainSettings
from simdrive.compress.trainer import Trainer
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.models.build import build_model
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape

DEEP = VlmShape(**{**vars(TINY), "text_layers": 4, "text_width": 48, "text_heads": 6})


def trained(
    folder: Path, steps: int = 3, teacher: Any = None, out: str = "out", save_every: int = 100, **fields: Any
) -> Trainer:
    settings = TrainSettings(
        steps=steps, batch=4, warmup=1, decay=1, log_every=1, save_every=save_every, learning_rate=3e-3, dense=0.5
    )
    student = build_model(TINY, TOKENIZER, seed=3)
    samples, processor = written(folder, 24), Processor.of(TINY, PICTURED.cameras, PICTURED.frame_offsets_us)
    teachers = {"": teacher or build_model(DEEP, TOKENIZER, seed=5)}
    return Trainer(
        student, TOKENIZER, processor, samples, settings, folder / out,
        objective=lambda base, learner: Distillation(base, learner, teachers, DistillSettings(**fields)),
    )  # fmt: skip


def objective_of(trainer: Trainer) -> Distillation:
    assert isinstance(trainer.objective, Distillation)
    return trainer.objective


@pytest.mark.parametrize(
    ("method", "signal"), [("agp", "attention"), ("plain_sum", "hidden"), ("pcgrad", "attention_cosine")]
)
def test_a_step_moves_the_student_and_leaves_the_teacher(tmp_path: Path, method: str, signal: str) -> None:
    teacher = build_model(DEEP, TOKENIZER, seed=5)
    before = [p.detach().clone() for p in teacher.parameters()]
    trainer = trained(tmp_path, teacher=teacher, method=method, signal=signal)
    own = [p.detach().clone() for p in trainer.learner.parameters()]
    trainer.run()
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))
    assert all(not torch.equal(a, b) for a, b in zip(own, trainer.learner.parameters(), strict=True))
    assert all(value > 0.0 for value in objective_of(trainer).norms.values())
    assert trainer.model.config._attn_implementation == "sdpa"


def gradients(trainer: Trainer) -> torch.Tensor:
    trainer.learner.zero_grad()
    objective_of(trainer)(trainer.learner, trainer._batches(0), 0, 1.0)
    return torch.cat([p.grad.flatten() for p in trainer.learner.parameters() if p.grad is not None])


def test_the_sum_of_gradients_is_that_of_the_summed_loss(tmp_path: Path) -> None:
    trainer = trained(tmp_path, method="plain_sum", terms=("kl",), mixing=False, reweight=False)
    found = gradients(trainer)
    objective, batch = objective_of(trainer), trainer._batches(0)
    trainer.learner.zero_grad()
    loss, logits = objective._supervision.loss_and_logits(trainer.learner, batch, 0)
    assert logits is not None
    (loss + softened_kl(logits, objective._teachers.heard(batch)["kl"].logits, 2.0)).backward()
    wanted = torch.cat([p.grad.flatten() for p in trainer.learner.parameters() if p.grad is not None])
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", ["plain_sum", "equal_supervision"])
def test_one_pass_over_a_sum_is_the_sum_of_passes(tmp_path: Path, method: str) -> None:
    """Weights that have not moved yet are the static ones; with them every term has a pass of its own."""
    once = gradients(trained(tmp_path, method=method, reweight=False))
    apart = gradients(trained(tmp_path, method=method, reweight=True))
    torch.testing.assert_close(once, apart, rtol=1e-3, atol=1e-5)


def test_supervision_counts_once_for_each_capability_in_the_equal_arm(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"reweight": False, "weights": {"perception": 0.0, "reasoning": 0.0, "planning": 0.0}}
    one = gradients(trained(tmp_path, method="plain_sum", **fields))
    other = trained(tmp_path, method="equal_supervision", **fields)
    three = gradients(other)
    # What stands in the columns of the pictures is no answer: it counts once whatever is joined.
    supervision, batch = objective_of(other)._supervision, other._batches(0)
    other.learner.zero_grad()
    dense = supervision.told(other.learner, batch, 0).dense
    assert dense is not None
    dense.backward()  # type: ignore[no-untyped-call]
    beside = torch.cat(
        [(p.new_zeros(p.shape) if p.grad is None else p.grad).flatten() for p in other.learner.parameters()]
    )
    assert float(beside.norm()) > 0.0
    torch.testing.assert_close(three - beside, 3.0 * (one - beside), rtol=1e-3, atol=1e-5)


def test_a_student_comes_nearer_to_what_its_teacher_says(tmp_path: Path) -> None:
    trainer = trained(tmp_path, 40, terms=("kl",), weights={"supervised": 0.0, "kl": 1.0}, reweight=False)
    batch = trainer._batches(0)

    def gap() -> float:
        with torch.no_grad():
            own = trainer.learner(batch.text.ids, batch.text.labels, batch.seen.values, batch.seen.grid).logits
        return float(softened_kl(own, objective_of(trainer)._teachers.heard(batch)["kl"].logits, 2.0))

    before = gap()
    trainer.run()
    assert gap() < 0.7 * before


def test_a_run_that_stops_goes_on_identically(tmp_path: Path) -> None:
    whole = trained(tmp_path, 6, out="whole", save_every=3)
    whole.run()
    trained(tmp_path, 6, out="parts", save_every=3).run(until=3)
    second = trained(tmp_path, 6, out="parts", save_every=3)
    assert second.resume()
    second.run()
    for (name, one), other in zip(whole.learner.named_parameters(), second.learner.parameters(), strict=True):
        assert torch.equal(one, other), name
    assert objective_of(second).online.weights() == objective_of(whole).online.weights()


def test_divergence_is_nothing_where_both_agree() -> None:
    logits = torch.randn(3, 7)
    assert float(softened_kl(logits, logits + 4.0, 2.0)) == pytest.approx(0.0, abs=1e-6)
    assert float(softened_kl(torch.zeros(1, 2), torch.tensor([[2 * np.log(3.0), 0.0]]), 2.0)) == pytest.approx(
        4 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5)), rel=1e-5
    )


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    assert asked_of(lesson_named("plan+perception")) == ("planning", "perception")
    assert asked_of(lesson_named("reasoning")) == ("reasoning",)
    assert asked_of(lesson_named("full")) == ("perception", "reasoning", "planning")
    assert asked_of(lesson_named("plan+planning")) == ("planning",)
    with pytest.raises(UnknownNameError, match="supervised"):
        DistillSettings(terms=("supervised",))
    with pytest.raises(UnknownNameError, match="seeing"):
        DistillSettings(terms=("seeing",))
    with pytest.raises(UnknownNameError, match="dance"):
        DistillSettings(method="dance")
    with pytest.raises(ParameterError, match="at least one term"):
        DistillSettings(terms=())
    student = build_model(TINY, TOKENIZER)
    with pytest.raises(UnknownNameError, match="smell"):
        DistillSettings(signal="smell")
    with pytest.raises(ParameterError, match="no teacher for reasoning"):
        Teachers({"perception": student, "planning": student}, student, DistillSettings())


def test_every_way_to_join_has_its_function() -> None:
    assert [method_named(name).__name__ for name in METHODS] == list(METHODS)
