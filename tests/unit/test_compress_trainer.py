"""The training loop on a model of a few thousand weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_compress_samples import PICTURED, written

from simdrive.agents.language.questions import every_word
from simdrive.compress.checkpoint import load_checkpoint, load_head
from simdrive.compress.lessons import lesson_named, turns_of
from simdrive.compress.settings import TrainSettings
from simdrive.compress.soft_labels import SoftLabels
from simdrive.compress.trainer import Trainer
from simdrive.errors import ParameterError, SimdriveError, UnknownNameError
from simdrive.models.build import build_model
from simdrive.models.chat import IGNORED, Chat, training_batch
from simdrive.models.processor import Processor
from simdrive.models.shape import VlmShape
from simdrive.models.tokenizer import train_tokenizer

TINY = VlmShape(
    text_width=32, text_layers=2, text_heads=4, text_kv_heads=2, text_ffn=48, vision_width=16, vision_layers=1,
    vision_heads=2, vision_ffn=24, tile_px=16, patch_px=8, merge=2,
)  # fmt: skip
TOKENIZER = train_tokenizer(every_word() * 3)


def trainer(folder: Path, out: str, shape: VlmShape = TINY, **settings: object) -> Trainer:
    fields = {"steps": 6, "batch": 4, "warmup": 2, "decay": 2, "save_every": 3, "log_every": 2, **settings}
    model = build_model(shape, TOKENIZER, seed=3)
    processor = Processor.of(shape, PICTURED.cameras, PICTURED.frame_offsets_us)
    return Trainer(model, TOKENIZER, processor, written(folder, 24), TrainSettings(**fields), folder / out)  # type: ignore[arg-type]


def weights(found: Trainer) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in found.model.parameters()]).numpy()


@pytest.mark.parametrize("muon", [(), ("vision", "language")])
def test_a_run_that_stops_goes_on_identically(muon: tuple[str, ...], tmp_path: Path) -> None:
    whole = trainer(tmp_path, "whole", muon=muon)
    whole.run()
    first = trainer(tmp_path, "parts", muon=muon)
    first.run(until=3)
    second = trainer(tmp_path, "parts", muon=muon)
    assert second.resume()
    assert second.step == 3
    second.run()
    assert weights(second).tobytes() == weights(whole).tobytes()
    rows = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 6


def test_it_learns(tmp_path: Path) -> None:
    found = trainer(
        tmp_path, "learn", steps=60, log_every=10, save_every=100, learning_rate=5e-3, lessons={"plan": 1.0}
    )
    found.run()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "learn" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.4 * losses[0]


def test_the_qwen_family_learns_too(tmp_path: Path) -> None:
    shape = VlmShape(**{**vars(TINY), "family": "qwen2_5_vl"})
    found = trainer(
        tmp_path, "qwen", shape=shape, steps=40, log_every=10, save_every=100, learning_rate=5e-3, lessons={"plan": 1.0}
    )
    found.run()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "qwen" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.6 * losses[0]


def test_a_blind_model_sees_nothing(tmp_path: Path) -> None:
    blind = trainer(tmp_path, "blind", steps=1, blind=True)
    other = written(tmp_path, 24)
    for place, block in enumerate(other.blocks):
        blind.samples.blocks[place] = other.blocks[-1 - place] if place else block
    blind.run()
    again = trainer(tmp_path, "blind2", steps=1, blind=True)
    again.run()
    assert weights(blind).tobytes() == weights(again).tobytes()


def test_another_model_or_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path, "run").run(until=3)
    other = trainer(tmp_path, "run", shape=VlmShape(**{**vars(TINY), "text_layers": 3}))
    with pytest.raises(SimdriveError, match="another model"):
        other.resume()
    (tmp_path / "run" / "checkpoint" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(SimdriveError, match="damaged"):
        trainer(tmp_path, "run").resume()
    assert load_checkpoint(tmp_path / "nowhere", other.model) is None


def test_learning_rate_goes_up_stays_and_comes_down() -> None:
    settings = TrainSettings(steps=100, warmup=10, decay=20, learning_rate=1.0)
    assert [settings.rate(step) for step in (0, 9, 50, 79, 90, 99)] == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.5, 0.05])


def test_only_answers_are_learned(tmp_path: Path) -> None:
    samples, lesson = written(tmp_path, 4), lesson_named("plan+reasoning")
    batch = training_batch(Chat(TOKENIZER, (4,)), [turns_of(samples, row, lesson, row) for row in (0, 1)])
    ids, labels = batch.ids, batch.labels
    learned = TOKENIZER.decode(labels[0][labels[0] != IGNORED])
    assert learned == "speed 0 0 0 side 0m 0m<|im_end|>nothing<|im_end|>"
    assert ids.shape == labels.shape
    assert (ids[labels != IGNORED] == labels[labels != IGNORED]).all()
    text = TOKENIZER.decode(ids[0]).replace("<pad>", "")
    assert text.startswith(
        "<|im_start|>user\n<img><IMG_CONTEXT><IMG_CONTEXT><IMG_CONTEXT><IMG_CONTEXT></img>\nat 0 of 15"
    )
    assert TOKENIZER.encode(text, add_special_tokens=False) == [
        i for i in ids[0].tolist() if i != TOKENIZER.pad_token_id
    ]
    with pytest.raises(UnknownNameError, match="lesson 'dance'"):
        lesson_named("dance")


def test_neighbours_of_a_number_are_nearly_right() -> None:
    encode = lambda text: TOKENIZER.encode(text, add_special_tokens=False)  # noqa: E731
    soft = SoftLabels(encode, len(TOKENIZER))
    (minus_two,) = encode(" -2")
    shares = dict(
        zip([TOKENIZER.decode([i]) for i in soft.ids[minus_two].tolist()], soft.shares[minus_two].tolist(), strict=True)
    )
    assert shares == pytest.approx({" -2": 0.64, " -2.5": 0.14, " -1.5": 0.14, " -3": 0.04, " -1": 0.04})
    (word,) = encode(" car")
    assert soft.shares[word].tolist() == [1.0, 0, 0, 0, 0]
    assert soft.shares.sum(-1).numpy() == pytest.approx(np.ones(len(TOKENIZER)), abs=1e-6)
    logits = torch.zeros(1, len(TOKENIZER))
    assert float(soft.loss(logits, torch.tensor([minus_two]))) == pytest.approx(np.log(len(TOKENIZER)), rel=1e-5)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ParameterError, match="precision"):
        TrainSettings(precision="int3")
    with pytest.raises(ParameterError, match="at least 1"):
        TrainSettings(steps=0)
    assert PICTURED.shape == (1, 2, 16, 32, 3)


def test_the_dense_task_is_learned_and_its_run_goes_on_identically(tmp_path: Path) -> None:
    chosen = {"steps": 40, "dense": 1.0, "see_first": 40, "log_every": 10, "save_every": 20, "learning_rate": 5e-3}
    whole = trainer(tmp_path, "whole", **chosen)
    words = whole.model.lm_head.weight.detach().clone()
    whole.run()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.5 * losses[0]
    assert torch.equal(words, whole.model.lm_head.weight)  # nothing was said yet
    parts = trainer(tmp_path, "parts", **chosen)
    parts.run(until=20)
    parts = trainer(tmp_path, "parts", **chosen)
    assert parts.resume()
    parts.run()
    assert weights(parts).tobytes() == weights(whole).tobytes()


def test_a_later_training_keeps_the_head_of_the_one_it_began_with(tmp_path: Path) -> None:
    chosen = {"dense": 1.0, "see_first": 6}
    first, later = trainer(tmp_path, "first", **chosen), trainer(tmp_path, "later", **chosen, seed=9)
    first.run()
    ours, theirs = first.learner.head, later.learner.head
    assert ours is not None
    assert theirs is not None
    assert load_head(tmp_path / "first", theirs)
    for kept, taken in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(kept, taken)
    wider = trainer(tmp_path, "wider", replace(TINY, text_width=48), **chosen).learner.head
    assert not load_head(tmp_path / "first", wider)
    assert not load_head(tmp_path / "nowhere", theirs)
    assert not load_head(tmp_path / "first", None)


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_words_and_the_dense_task_share_one_pass(tmp_path: Path, family: str) -> None:
    found = trainer(tmp_path, family, shape=VlmShape(**{**vars(TINY), "family": family}), steps=2, dense=0.5)
    before = [p.detach().clone() for p in found.learner.parameters()]
    found.run()
    assert all(
        not torch.equal(old, new) for old, new in zip(before, found.learner.parameters(), strict=True) if new.ndim > 1
    )


def test_seeing_first_needs_something_to_see() -> None:
    with pytest.raises(ParameterError, match="train.dense"):
        TrainSettings(see_first=10)


def test_numbers_outside_training_keep_their_last_bits(tmp_path: Path) -> None:
    trainer(tmp_path, "run", steps=1).run()
    smallest = torch.tensor([2.0**-1074], dtype=torch.float64)
    assert float(smallest * 1.0) == 2.0**-1074
    assert np.float64(2.0**-1074) * np.float64(1.0) > 0.0


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl"])
def test_frozen_parts_stay_as_they_are(tmp_path: Path, family: str) -> None:
    found = trainer(tmp_path, "out", VlmShape(**{**vars(TINY), "family": family}), freeze=("vision", "projector"))
    before = {name: p.detach().clone() for name, p in found.model.named_parameters()}
    found.run()
    moved = {name for name, p in found.model.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert all("language_model" in name or "lm_head" in name for name in moved)
    assert any("language_model" in name for name in moved)
    with pytest.raises(UnknownNameError, match="wheels"):
        trainer(tmp_path, "other", freeze=("wheels",))


def test_an_unstable_run_stops_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    found = trainer(tmp_path, "out", save_every=1)
    found.run(until=2)
    with torch.no_grad():
        next(iter(found.model.parameters())).fill_(float("nan"))
    with pytest.raises(SimdriveError, match="unstable at step 2: loss nan"):
        found.run()
    again = trainer(tmp_path, "out")
    assert again.resume()
    assert np.isfinite(weights(again)).all()
