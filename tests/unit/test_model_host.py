"""A model that answers for many workers: batches of all of them, and nothing of one shows in what another gets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from scenes import observe, select

from simdrive.errors import ParameterError
from simdrive.eval.backends import model_host
from simdrive.eval.backends.batches import fit, joined, parts
from simdrive.eval.backends.model_host import Failed, Introduction, ModelHost, ask_all
from simdrive.types import AgentCard, Charge, Long, ObservationBatch, PlanBatch, TokenUsage, Wants


def batch(*slots: int) -> ObservationBatch:
    """Observations without a view of the world; the speed of a row says its slot."""
    seen = replace(select(observe([[]]), [0] * len(slots)), world=None, slot=np.array(slots, np.int64))
    return replace(seen, ego=np.arange(7.0) + np.array(slots, float)[:, None])


@dataclass
class Told:
    """Answers each row with its slot and speed; refuses a speed; remembers what it was asked."""

    refused: float = -1.0
    asked: list[list[int]] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    card = AgentCard("told", "model", "", {})
    wants, charge = Wants(), Charge("x", "w4a16")

    def __post_init__(self) -> None:
        self.gate.set()

    def reset(self, slots: Long) -> None:
        self.forgotten += slots.tolist()

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        self.gate.wait(30)
        self.asked.append(batch.slot.tolist())
        if self.refused in batch.ego[:, 0]:
            raise ValueError(f"not {self.refused:g}")
        rows = len(batch)
        plan = np.broadcast_to(batch.ego[:, None, :5], (rows, 3, 5)).copy()
        usage = TokenUsage(*(np.full(rows, k) + batch.slot % 2**32 for k in (1, 2, 3)))
        return PlanBatch(plan, usage, tuple(f"slot {slot % 2**32}" for slot in batch.slot.tolist()), (None,) * rows)


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> dict[str, Told]:
    """Agents by configuration; an unknown one cannot be built."""
    found = {"a": Told(), "b": Told()}

    def built(config: Any) -> Told:
        if config.config not in found:
            raise ParameterError("no such folder")
        return found[config.config]

    monkeypatch.setattr(model_host, "build_agent", built)
    return found


def wait(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def same(first: Any, second: Any) -> bool:
    values = (
        (value.plan.tolist(), [getattr(value.usage, name).tolist() for name in ("prompt", "image", "output")],
         value.text, value.error)
        for value in (first, second)
    )  # fmt: skip
    return json.dumps(next(values)) == json.dumps(next(values))


def test_batches_that_were_joined_come_apart_again() -> None:
    several = [batch(0, 1), batch(5), batch(2, 3, 4)]
    whole = joined(several)
    assert whole.slot.tolist() == [0, 1, 5, 2, 3, 4]
    assert len(whole.route) == 6
    assert whole.frames is None
    for answer, asked in zip(parts(Told().plan(whole), [2, 1, 3]), several, strict=True):
        assert same(answer, Told().plan(asked))
    with pytest.raises(ValueError, match="as many rows"):
        list(parts(Told().plan(whole), [2, 2]))


def test_what_differs_in_shape_or_shows_the_world_is_not_joined() -> None:
    one = batch(0)
    assert fit(one, batch(1, 2))
    assert not fit(one, replace(one, frames=np.zeros((1, 1, 1, 4, 4, 3), np.uint8)))
    assert not fit(one, replace(one, route=one.route[:, :5]))
    seen = observe([[]])
    assert not fit(seen, seen)


def test_what_arrives_while_the_model_computes_is_one_batch(agents: dict[str, Told]) -> None:
    told = agents["a"]

    async def drive() -> list[Any]:
        host = ModelHost()
        for name in ("x", "y", "z"):
            assert await host.join(name, "a") == Introduction(told.card, told.wants, told.charge)
        told.gate.clear()
        calls = [asyncio.create_task(host.plan(name, batch(0, 1))) for name in ("x", "y", "z")]
        await asyncio.sleep(0.05)
        told.gate.set()
        return await asyncio.gather(*calls)

    answers = wait(drive())
    assert [len(asked) for asked in told.asked] in ([2, 4], [6])
    assert len({slot for asked in told.asked for slot in asked}) == 6  # nobody's slot is another's
    assert all(same(answer, Told().plan(batch(0, 1))) for answer in answers)


def test_a_failure_is_told_to_its_owner_alone_and_in_its_own_words() -> None:
    told = Told(refused=7.0)
    first, second = ask_all(told, [batch(1), batch(7)])
    assert same(first, Told().plan(batch(1)))
    assert isinstance(second, Failed)
    assert repr(second.error) == "ValueError('not 7')"


def test_slots_are_forgotten_by_owner_and_strangers_are_told_so(agents: dict[str, Told]) -> None:
    async def drive() -> None:
        host = ModelHost()
        assert await host.plan("x", batch(0)) is None
        assert not await host.reset("x", np.arange(2))
        await host.join("x", "a")
        await host.join("y", "a")
        assert await host.reset("x", np.arange(2))
        assert await host.reset("y", np.arange(1))
        await host.join("x", "b")  # the next chunk of that worker; "a" still has a guest
        assert set(host._agents) == {"a", "b"}
        await host.join("y", "b")
        assert set(host._agents) == {"b"}

    wait(drive())
    assert agents["a"].forgotten == [0, 1, 2**32]


def test_an_agent_that_cannot_be_built_says_why_to_the_worker(agents: dict[str, Told]) -> None:
    failed = wait(ModelHost().join("x", "unknown"))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ParameterError)
