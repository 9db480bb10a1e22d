"""Training on what a frozen vision tower said once, instead of asking it again at every step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_compress_samples import PICTURED, written
from test_compress_trainer import TINY, TOKENIZER, weights

import simdrive.compress.remembered as module
from simdrive.compress.distill.settings import DistillSettings
from simdrive.compress.remembered import remembered
from simdrive.compress.samples import Samples
from simdrive.compress.settings import TrainSettings
from simdrive.compress.trainer import Trainer
from simdrive.compress.training import TrainRequest, train
from simdrive.compress.validate import ClosedLoop
from simdrive.errors import ParameterError
from simdrive.models.build import build_model
from simdrive.models.folder import load_model, save_model
from simdrive.models.processor import Processor

PROCESSOR = Processor.of(TINY, PICTURED.cameras, PICTURED.frame_offsets_us)
SETTINGS = TrainSettings(
    steps=4, batch=4, warmup=1, decay=2, save_every=9, log_every=2, freeze=("vision",), augment=False, dense=0.3
)


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    return written(tmp_path, 24)


def rounded(tower: Any) -> Any:
    """Let a tower say what it says in bfloat16, as it is remembered."""
    asked = tower.forward

    def forward(*given: Any, **named: Any) -> Any:
        found = asked(*given, **named)
        found.last_hidden_state = found.last_hidden_state.to(torch.bfloat16).float()
        return found

    tower.forward = forward
    return tower


@pytest.mark.parametrize("blind", [False, True])
def test_a_training_that_remembers_is_one_that_asks(blind: bool, samples: Samples, tmp_path: Path) -> None:
    settings = replace(SETTINGS, blind=blind)
    asking = build_model(TINY, TOKENIZER, seed=3)
    rounded(asking.model.vision_tower)
    plain = Trainer(asking, TOKENIZER, PROCESSOR, samples, settings, tmp_path / "plain")
    plain.run()
    model = build_model(TINY, TOKENIZER, seed=3)
    memory = remembered(model, PROCESSOR, samples, settings, tmp_path / "sight")
    other = Trainer(model, TOKENIZER, PROCESSOR, samples, settings, tmp_path / "memory", memory=memory)
    other.run()
    np.testing.assert_array_equal(weights(other), weights(plain))
    assert len(memory.states) == (1 if blind else len(samples))


def test_it_is_computed_once_for_a_tower_and_its_samples(
    samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(TINY, TOKENIZER, seed=3)
    first = remembered(model, PROCESSOR, samples, SETTINGS, tmp_path / "sight")
    asked: list[int] = []
    said: Callable[..., Any] = module._said

    def counted(*given: Any) -> Any:
        asked.append(len(given[2]))
        return said(*given)

    monkeypatch.setattr(module, "_said", counted)
    again = remembered(model, PROCESSOR, samples, SETTINGS, tmp_path / "sight")
    assert not asked
    np.testing.assert_array_equal(first.states, again.states)
    fewer = replace(samples, blocks=samples.blocks[:5])
    assert len(remembered(model, PROCESSOR, fewer, SETTINGS, tmp_path / "sight").states) == 5
    other = build_model(TINY, TOKENIZER, seed=4)
    assert not np.array_equal(remembered(other, PROCESSOR, samples, SETTINGS, tmp_path / "sight").states, first.states)
    assert len(list((tmp_path / "sight").iterdir())) == 3  # and nothing half done


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"freeze": ()}, "train.freeze=\\[vision\\]"), ({"augment": True}, "train.augment=false")],
)
def test_what_cannot_be_remembered_is_said(
    changes: dict[str, Any], said: str, samples: Samples, tmp_path: Path
) -> None:
    model = build_model(TINY, TOKENIZER, seed=3)
    with pytest.raises(ParameterError, match=said):
        remembered(model, PROCESSOR, samples, replace(SETTINGS, **changes), tmp_path)
    qwen = build_model(replace(TINY, family="qwen2_5_vl"), TOKENIZER, seed=3)
    with pytest.raises(ParameterError, match="family internvl"):
        remembered(qwen, PROCESSOR, samples, SETTINGS, tmp_path)


def test_a_student_and_its_teacher_see_by_one_memory(samples: Samples, tmp_path: Path) -> None:
    teacher = build_model(TINY, TOKENIZER, seed=5)
    save_model(tmp_path / "teacher", teacher, TOKENIZER, PROCESSOR, "teacher")
    request = TrainRequest(
        "student", (tmp_path,), tmp_path / "out", TINY, SETTINGS, vision=str(tmp_path / "teacher"), motion_gain=0.0,
        teachers={"": str(tmp_path / "teacher")}, distill=DistillSettings(terms=("kl", "perception")),
        remember=tmp_path / "sight", validate_every=0, closed_loop=ClosedLoop(cases=0), tensorboard=False,
    )  # fmt: skip
    best = train(request, lambda line: None)
    found = load_model(best).model.model.vision_tower.state_dict()
    for name, value in load_model(tmp_path / "teacher").model.model.vision_tower.state_dict().items():
        assert torch.equal(found[name], value), name
    save_model(tmp_path / "other", build_model(TINY, TOKENIZER, seed=6), TOKENIZER, PROCESSOR, "other")
    with pytest.raises(ParameterError, match="sees by another"):
        train(replace(request, teachers={"": str(tmp_path / "other")}, out=tmp_path / "again"), lambda line: None)
