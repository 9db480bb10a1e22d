"""A driver that says what another driver plans, in the driving language, and does what was said.

What it loses against the other is what the language cannot say: the ceiling of every model that learns from that
driver's answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simdrive.agents.answers import answer
from simdrive.agents.language.codec import targets_from, texts_of
from simdrive.agents.language.targets import plans_of, targets_of
from simdrive.build import build, instantiate
from simdrive.types import Agent, AgentCard, Charge, Long, ObservationBatch, PlanBatch


class Spoken:
    """Another driver, heard through the driving language."""

    def __init__(self, driver: str | Agent | Mapping[str, Any] = "expert", name: str = "expert_spoken") -> None:
        """Build the driver behind a name of ``configs/agent`` or a nested configuration."""
        self._driver = _built(driver)
        inner = self._driver.card
        self.card = AgentCard(name, "reference", f"{inner.name}, heard through the driving language", inner.parameters)
        self.wants, self.charge = self._driver.wants, Charge()

    def reset(self, slots: Long) -> None:
        """Forget everything about ``slots``."""
        self._driver.reset(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Return the plans behind what the other driver's plans sound like."""
        targets, _ = targets_from(texts_of(targets_of(self._driver.plan(batch).plan, batch)))
        return answer(plans_of(targets, batch))


def _built(driver: str | Agent | Mapping[str, Any]) -> Agent:
    if isinstance(driver, str):
        named: Agent = build("agent", driver)
        return named
    if isinstance(driver, Mapping):
        nested: Agent = instantiate(driver)
        return nested
    return driver
