"""The arms of the bench of distillation do what they are named after."""

import pytest
import torch

from simdrive.bench.distill import ARMS, BASE, EAGER, FULL, SUM, _made, _step, bench_distill
from simdrive.errors import ParameterError


def test_every_arm_teaches_the_student_and_not_the_teacher() -> None:
    made = _made(1)
    found: dict[str, torch.Tensor] = {}
    for arm in ARMS:
        _step(made, arm)()
        assert all(p.grad is None for p in made.teacher.parameters())
        found[arm] = torch.cat([p.grad.flatten() for p in made.learner.model.parameters() if p.grad is not None])
        assert made.learner.model.config._attn_implementation == "sdpa"
    assert len({len(gradient) for gradient in found.values()}) == 1
    for arm in (SUM, FULL, EAGER):
        assert float((found[arm] - found[BASE]).abs().max()) > 0.0
    with pytest.raises(ParameterError, match="at least 1"):
        bench_distill(batch=0)
