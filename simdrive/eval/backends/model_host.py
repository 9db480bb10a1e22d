"""A model that answers for many workers: what arrives while it computes is its next batch.

Nothing here knows of Ray; an actor runs it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from simdrive.eval.backends.batches import fit, joined, parts
from simdrive.eval.grid import AgentConfig
from simdrive.eval.work import build_agent
from simdrive.types import Agent, AgentCard, Charge, Long, ObservationBatch, PlanBatch, Wants

R = TypeVar("R")
_SLOTS = 2**32  # of one guest: the same slot of two workers is not the same episode


@dataclass(frozen=True)
class Failed:
    """What an agent raised; it is raised again where it was asked, so that it reads as there."""

    error: Exception


@dataclass(frozen=True)
class Introduction:
    """What a worker must know of an agent that is elsewhere."""

    card: AgentCard
    wants: Wants
    charge: Charge


@dataclass(frozen=True)
class Guest:
    """A worker and the agent that answers it."""

    number: int
    config: str


@dataclass(frozen=True, eq=False)
class _Question:
    config: str
    batch: ObservationBatch
    answer: asyncio.Future[PlanBatch | Failed | None]


class ModelHost:
    """Holds the agents that its guests drive with, and asks them in one thread, so that a GPU has one batch at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._agents: dict[str, Agent] = {}  # by configuration
        self._guests: dict[str, Guest] = {}
        self._waiting: list[_Question] = []
        self._busy: asyncio.Task[None] | None = None

    async def join(self, name: str, config: str) -> Introduction | Failed:
        """Let a worker drive with an agent from now on, and with no other; agents without guests are let go."""
        number = self._guests[name].number if name in self._guests else len(self._guests)
        self._guests[name] = Guest(number, config)
        try:
            agent = await self._alone(functools.partial(self._built, config))
        except Exception as error:
            return Failed(error)
        return Introduction(agent.card, agent.wants, agent.charge)

    async def reset(self, name: str, slots: Long) -> bool:
        """Forget everything about ``slots`` [N] of a worker; False if it is unknown here."""
        guest = self._guests.get(name)
        agent = None if guest is None else self._agents.get(guest.config)
        if guest is None or agent is None:
            return False
        await self._alone(functools.partial(agent.reset, slots + guest.number * _SLOTS))
        return True

    async def plan(self, name: str, batch: ObservationBatch) -> PlanBatch | Failed | None:
        """Answer a batch of a worker; None if it is unknown here, so that what the agent knew of its slots is gone."""
        guest = self._guests.get(name)
        if guest is None or guest.config not in self._agents:
            return None
        own = replace(batch, slot=batch.slot + guest.number * _SLOTS)
        question = _Question(guest.config, own, asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        if self._busy is None or self._busy.done():
            self._busy = asyncio.create_task(self._work())
        return await question.answer

    async def _work(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            now = [asked for asked in self._waiting if asked.config == first.config and fit(first.batch, asked.batch)]
            now = now or [first]  # what shows the world fits nothing, not even itself
            self._waiting = [asked for asked in self._waiting if asked not in now]
            agent = self._agents.get(first.config)
            answers: Sequence[PlanBatch | Failed | None] = [None] * len(now)  # let go in the meantime
            if agent is not None:
                answers = await self._alone(functools.partial(ask_all, agent, [asked.batch for asked in now]))
            for asked, answer in zip(now, answers, strict=True):
                asked.answer.set_result(answer)

    async def _alone(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _built(self, config: str) -> Agent:
        wanted = {guest.config for guest in self._guests.values()}
        self._agents = {key: agent for key, agent in self._agents.items() if key in wanted}
        if config not in self._agents:
            self._agents[config] = build_agent(AgentConfig("", config))
        return self._agents[config]


def ask_all(agent: Agent, batches: Sequence[ObservationBatch]) -> list[PlanBatch | Failed]:
    """Ask about several batches at once; if that fails, about each alone, so that no worker pays for another's."""
    if len(batches) > 1:
        try:
            return list(parts(agent.plan(joined(batches)), [len(batch) for batch in batches]))
        except Exception:  # noqa: S110 - whoever is to blame fails again alone, and is told
            pass
    return [_asked(agent, batch) for batch in batches]


def _asked(agent: Agent, batch: ObservationBatch) -> PlanBatch | Failed:
    try:
        return agent.plan(batch)
    except Exception as error:
        return Failed(error)
