from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_kit import inputs
from model_kit import save_tiny
from scenes import Actor, observe

from simdrive.agents.vlm import Vlm
from simdrive.build import instantiate
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.eval.grid import AgentConfig
from simdrive.eval.rollout import rollout
from simdrive.latency.modes import LatencySetting
from simdrive.latency.source import Constant
from simdrive.models.local import Said
from simdrive.types import ObservationBatch, RequestStatus, TokenUsage

COUNT = 7


@pytest.fixture(scope="module", params=["internvl", "qwen2_5_vl"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / request.param, request.param)


def _batch(seed: int = 0) -> ObservationBatch:
    scenes: list[list[Actor]] = [[Actor(20.0 + 3.0 * row)] for row in range(COUNT)]
    batch = observe(scenes, speed=12.0, slots=list(range(COUNT)))
    ego = batch.ego.copy()
    ego[:, 3] += np.arange(COUNT) * 2.5  # longer and shorter numbers: prompts of several lengths
    frames = np.random.default_rng(seed).integers(0, 256, (COUNT, 2, 2, 32, 64, 3), dtype=np.uint8)
    return dataclasses.replace(batch, ego=ego, frames=frames)


def _agent(folder: Path, **options: Any) -> Vlm:
    return Vlm(str(folder), **{"constrained": True, "batch": 4, **options})


@pytest.mark.parametrize("style", ["plan", "reason_plan", "full"])
def test_constrained_answers_always_become_plans(folder: Path, style: Any) -> None:
    answer = _agent(folder, answer_style=style).plan(_batch())
    assert answer.error == (None,) * COUNT
    assert np.isfinite(answer.plan).all()
    assert answer.text is not None
    assert len(set(answer.text)) > 1
    assert all(("; speed" in text) == (style != "plan") for text in answer.text)


def test_a_cautious_driver_pulls_away_by_the_median(folder: Path) -> None:
    batch = _batch()
    ego = batch.ego.copy()
    ego[:, 3] = [0.0, 15.0, 1.9, 2.1, 8.0, 0.5, 20.0]
    batch = dataclasses.replace(batch, ego=ego)
    cautious, median = (_agent(folder, quantile=quantile).say(batch).texts for quantile in (0.1, 0.5))
    slow = ego[:, 3] < 2.0
    assert [a == b for a, b in zip(cautious, median, strict=True)] == slow.tolist()
    bold = [_agent(folder, quantile=0.9).say(_batch()).texts for _ in range(2)]
    assert bold[0] == bold[1] != _agent(folder, quantile=0.5).say(_batch()).texts


def test_usage_counts_text_pictures_and_answer_apart(folder: Path) -> None:
    agent, batch = _agent(folder), _batch()
    said = agent.say(batch)
    marks = 2 if "internvl" in str(folder) else 4
    slots = 2 * (32 * 64) // 16**2
    assert said.usage.image.tolist() == [slots + marks] * COUNT
    chat = agent._model.chat
    assert said.usage.output.tolist() == [len(chat.encoded(text)) + 1 for text in said.texts]
    assert (said.usage.prompt > 10).all()


def test_free_answers_of_an_untrained_model_are_unparsable_and_keep_text_and_usage(folder: Path) -> None:
    answer = _agent(folder, constrained=False, max_output_tokens=6).plan(_batch())
    assert answer.error == ("unparsable",) * COUNT
    assert answer.text is not None
    assert all(answer.text)
    assert (answer.usage.output > 0).all()
    assert (answer.usage.output <= 6).all()


def test_deterministic_answers_do_not_depend_on_their_batch(folder: Path) -> None:
    """Bit for bit in what decides: the logits of every step choose the same tokens, whoever stands beside."""
    agent, batch = _agent(folder, deterministic=True), _batch()
    together = agent.say(batch).texts
    order = np.array([4, 1, 6, 0, 5, 2, 3])
    fields = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    shuffled = {k: v[order] for k, v in fields.items() if isinstance(v, np.ndarray)}
    again = agent.say(dataclasses.replace(batch, **shuffled)).texts
    assert [together[row] for row in order] == again
    one = {k: v[2:3] for k, v in fields.items() if isinstance(v, np.ndarray)}
    assert agent.say(dataclasses.replace(batch, **one)).texts == [together[2]]


def test_a_request_may_ask_for_a_shorter_answer(folder: Path) -> None:
    limits = np.array([3, 9, 3, 9, 3, 9, 3])
    answer = _agent(folder).plan(dataclasses.replace(_batch(), max_output_tokens=limits))
    assert answer.error is not None
    assert (answer.usage.output <= limits).all()
    assert answer.error[0] == "unparsable"


def test_blind_sees_nothing_of_the_frames(folder: Path) -> None:
    blind, seeing = _agent(folder, blind=True), _agent(folder)
    assert blind.say(_batch(0)).texts == blind.say(_batch(1)).texts
    assert seeing.say(_batch(0)).texts != seeing.say(_batch(1)).texts
    assert blind.card.kind == "control"
    assert blind.wants == seeing.wants  # priced like the seeing one


def test_stale_sees_the_first_frames_of_each_slot_until_reset(folder: Path) -> None:
    agent, seeing = _agent(folder, stale=True), _agent(folder)
    first, later = _batch(0), _batch(1)
    expected = seeing.say(first).texts
    assert agent.say(first).texts == expected
    assert agent.say(later).texts == expected
    agent.reset(np.arange(3))
    fresh = seeing.say(later).texts
    assert agent.say(later).texts == fresh[:3] + expected[3:]


def test_text_only_asks_for_no_pictures(folder: Path) -> None:
    agent = _agent(folder, text_only=True)
    assert agent.wants.cameras == ()
    said = agent.say(dataclasses.replace(_batch(), frames=None))
    assert said.usage.image.tolist() == [0] * COUNT
    with pytest.raises(ParameterError, match="carries no frames"):
        _agent(folder).say(dataclasses.replace(_batch(), frames=None))


def test_attention_to_the_pictures_is_there_on_demand(folder: Path) -> None:
    agent = _agent(folder, attention=True)
    looked = agent.plan(_batch()).looked
    assert looked is not None
    camera, cameras = agent.wants.cameras[0], len(agent.wants.cameras)
    assert looked.shape == (
        COUNT,
        cameras,
        camera.height // 16,
        camera.width // 16,
    )  # picture tokens are 16 pixels wide
    assert (looked >= 0.0).all()
    assert (looked.sum(axis=(1, 2, 3)) < 1.0).all()
    assert _agent(folder).plan(_batch()).looked is None
    with pytest.raises(ParameterError, match="shown pictures"):
        _agent(folder, attention=True, text_only=True)


def test_it_drives_in_closed_loop(folder: Path) -> None:
    agent = _agent(folder, charge={"architecture": "internvl3_1b", "precision": "w4a16"})
    setting = LatencySetting(Constant(300.0))
    logs = rollout(inputs(3), agent, setting)
    assert len(logs) == 3
    for log in logs:
        done = log.requests.status == RequestStatus.OK
        assert done.any()
        assert (log.requests.output_tokens[done] > 0).all()
        assert all(text.startswith("speed") for text, ok in zip(log.requests.text, done, strict=True) if ok)
    assert agent.charge.architecture == "internvl3_1b"


def test_a_run_names_the_weights_and_refuses_others(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(f"_target_: simdrive.agents.vlm.Vlm\nmodel: {folder}\nname: mine\n")
    resolved = AgentConfig.named(str(config))
    agent = Vlm(str(folder))
    assert agent.card.weight_hash in resolved.config
    with pytest.raises(ParameterError, match="this run was planned with 0123"):
        instantiate({"_target_": "simdrive.agents.vlm.Vlm", "model": str(folder), "weight_hash": "0123"})


def test_way_points_are_read_instead_of_targets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = _agent(folder, constrained=False, answer_form="waypoints", waypoints={"points": 3, "axes": "forward_right"})
    batch = _batch()
    free = agent.plan(dataclasses.replace(batch, max_output_tokens=np.full(COUNT, 4)))
    assert free.error == ("unparsable",) * COUNT
    usage = TokenUsage.zeros(COUNT)
    monkeypatch.setattr(agent, "say", lambda _: Said(["[(6, 0), (12, 0), (18, 0.5)]"] * COUNT, usage))
    answer = agent.plan(batch)
    assert answer.error == (None,) * COUNT
    assert answer.plan[:, 6, 2] - batch.ego[:, 1] == pytest.approx(0.5, abs=1e-3)
    assert agent.card.parameters["axes"] == "forward_right"
    with pytest.raises(ParameterError, match="set it false for way-points"):
        _agent(folder, answer_form="waypoints")


def test_wrong_settings_are_named(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="answer_style"):
        _agent(folder, answer_style="poem")
    with pytest.raises(UnknownNameError, match="no folder of that path, no name of the zoo"):
        Vlm("nowhere")
    with pytest.raises(ParameterError, match="brings its own cameras"):
        _agent(folder, frame_offsets_us=[0])
    with pytest.raises(UnknownNameError, match="dtype"):
        _agent(folder, dtype="int8")
    with pytest.raises(ParameterError, match="phrasing must be 0 to 2"):
        _agent(folder, phrasing=7)
