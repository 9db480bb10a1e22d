"""A driver that says what another driver plans, in the driving language, and does what was said.

What it loses against the other is what the language cannot say: the ceiling of every model that learns from that
driver's answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simdrive.agents.answers import answer
from simdrive.agents.heard import AnswerForm, heard
from simdrive.agents.heard import answer_form as read_as
from simdrive.agents.language.codec import targets_from, texts_of
from simdrive.agents.language.targets import plans_of, targets_of
from simdrive.agents.language.waypoints import texts_of_waypoints, waypoints_of
from simdrive.build import build, instantiate
from simdrive.types import Agent, AgentCard, Charge, Long, ObservationBatch, PlanBatch, TokenUsage


class Spoken:
    """Another driver, heard through the driving language."""

    def __init__(
        self,
        driver: str | Agent | Mapping[str, Any] = "expert",
        name: str = "expert_spoken",
        answer_form: AnswerForm = "targets",
        waypoints: Mapping[str, Any] | None = None,
    ) -> None:
        """Build the driver behind a name of ``configs/agent`` or a nested configuration.

        Args:
            driver: who drives.
            name: in tables.
            answer_form: ``targets`` of the driving language, or ``waypoints``.
            waypoints: ``interval_s``, ``points`` and ``axes`` of way-points.
        """
        self._driver = _built(driver)
        self._form = read_as(answer_form, waypoints)
        inner = self._driver.card
        heard_as = "the driving language" if self._form is None else "way-points in text"
        self.card = AgentCard(name, "reference", f"{inner.name}, heard through {heard_as}", inner.parameters)
        self.wants, self.charge = self._driver.wants, Charge()

    def reset(self, slots: Long) -> None:
        """Forget everything about ``slots``."""
        self._driver.reset(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Return the plans behind what the other driver's plans sound like."""
        meant = self._driver.plan(batch).plan
        if self._form is None:
            targets, _ = targets_from(texts_of(targets_of(meant, batch)))
            return answer(plans_of(targets, batch))
        texts = texts_of_waypoints(waypoints_of(meant, batch, self._form), self._form)
        return heard(batch, texts, TokenUsage.zeros(len(batch)), form=self._form)


def _built(driver: str | Agent | Mapping[str, Any]) -> Agent:
    if isinstance(driver, str):
        named: Agent = build("agent", driver)
        return named
    if isinstance(driver, Mapping):
        nested: Agent = instantiate(driver)
        return nested
    return driver
