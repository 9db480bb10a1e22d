"""Requests that are answered at once: the columns of ``Immediate`` hold what the clocks of ``Requests`` would."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from loop_kit import Fake, inputs, same_drive, straight_plans

from simdrive.agents.constant_speed import ConstantSpeed
from simdrive.agents.idm import Idm
from simdrive.eval import rollout as loop
from simdrive.eval.requests import Requests
from simdrive.eval.rollout import rollout
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.types import Agent, CameraSpec, EpisodeLog, ObservationBatch, PlanBatch, RequestStatus, TokenUsage, Wants

ZERO = LatencySetting(Constant(0.0), Mode("zero"))


def moody(batch: ObservationBatch) -> PlanBatch:
    """Fail in every way there is, depending on time and place alone, with plans of two lengths."""
    plan, mood = straight_plans(batch), (batch.t_obs_us // 100_000) % 7
    if (mood == 3).any():
        raise ValueError("not now")
    plan[mood == 1, 18:] = np.nan  # a shorter plan
    plan[mood == 2, :, 1] += 400.0  # one that jumps
    error = [{4: "unparsable", 5: "timeout"}.get(int(m)) for m in mood]
    text = [f"{t} us" if m == 6 else "" for t, m in zip(batch.t_obs_us, mood, strict=True)]
    counts = np.full(len(batch), 7, np.int64)
    return PlanBatch(plan, TokenUsage(counts, 0 * counts, counts + mood), text=text, error=error)


def looking(batch: ObservationBatch) -> PlanBatch:
    """Look somewhere else in every frame."""
    share = np.stack([np.full((1, 2, 3), 1e-6 * t) for t in batch.t_obs_us])
    return PlanBatch(straight_plans(batch), TokenUsage(*np.full((3, len(batch)), 7)), looked=share)


def by_clocks(monkeypatch: pytest.MonkeyPatch, agent: Agent, setting: LatencySetting) -> list[EpisodeLog]:
    """Drive with a clock per world."""
    phases: list[Any] = []
    monkeypatch.setattr(loop, "Immediate", lambda worlds, driver: Requests(*phases))
    episodes = inputs(6, brake_at_s=1.5)
    phases += [
        [episode.case.key for episode in episodes],
        np.array([loop.request_phase_us(episode.case) for episode in episodes]), agent, setting,
    ]  # fmt: skip
    try:
        return rollout(episodes, agent, setting)
    finally:
        monkeypatch.undo()


@pytest.mark.parametrize("make", [
    lambda: Idm(), lambda: ConstantSpeed(), lambda: Fake(moody),
    lambda: Fake(looking, wants=Wants(cameras=(CameraSpec(width=32, height=16),))),
], ids=["idm", "constant_speed", "moody", "looking"])  # fmt: skip
@pytest.mark.parametrize("setting", [ZERO, LatencySetting(Constant(0.0), Mode("streaming"))], ids=["zero", "streaming"])
def test_columns_hold_what_the_clocks_say(make: Any, setting: LatencySetting, monkeypatch: pytest.MonkeyPatch) -> None:
    assert setting.immediate
    scheduled = by_clocks(monkeypatch, make(), setting)
    for ours, theirs in zip(rollout(inputs(6, brake_at_s=1.5), make(), setting), scheduled, strict=True):
        assert same_drive(ours, theirs)
        for field in dataclasses.fields(ours.requests):
            got, wanted = getattr(ours.requests, field.name), getattr(theirs.requests, field.name)
            if field.name == "looked" and wanted is not None:
                got, wanted = got.share, wanted.share
                assert np.isfinite(wanted).all()
            if isinstance(wanted, np.ndarray):
                assert got.dtype == wanted.dtype, field
                assert np.array_equal(got, wanted, equal_nan=wanted.dtype.kind == "f"), field
            else:
                assert got == wanted, field


def test_every_kind_of_failure_was_there() -> None:
    logs = [log.requests for log in rollout(inputs(6), Fake(moody), ZERO)]
    assert {int(status) for log in logs for status in log.status} == set(range(5))
    assert any(np.isnan(log.plan[log.status == RequestStatus.OK][:, -1, 0]).any() for log in logs)
