"""Stands in a worker for a model that an actor of Ray holds; answers, errors and limits of patience are the model's own."""

from __future__ import annotations

from typing import Any

from simdrive.errors import AgentUnavailableError
from simdrive.eval.backends.model_host import Failed
from simdrive.eval.extras import need_extra
from simdrive.eval.watched import HungAgentError
from simdrive.types import Long, ObservationBatch, PlanBatch


class LostModelError(HungAgentError):
    """What held the model ended, and with it what it knew of the episodes under way: they begin anew."""


class ServedAgent:
    """An agent that is elsewhere."""

    def __init__(self, actor: str, agent: str) -> None:
        """Introduce this worker.

        Args:
            actor: its name.
            agent: canonical JSON of the mapping that the agent is built from.

        Raises:
            AgentUnavailableError: if there is no such actor any more.
            SimdriveError: whatever building the agent raises.
        """
        self._ray = need_extra("ray")
        try:
            self._actor = self._ray.get_actor(actor)
        except ValueError as error:
            raise AgentUnavailableError(f"the Ray actor {actor} that holds the model is gone; run again") from error
        self._name = str(self._ray.get_runtime_context().get_worker_id())
        told = self._answer(self._actor.join.remote(self._name, agent))
        self.card, self.wants, self.charge = told.card, told.wants, told.charge

    def reset(self, slots: Long) -> None:
        """Forget everything about ``slots``.

        Raises:
            LostModelError: if the actor does not know this worker any more.
        """
        self._answer(self._actor.reset.remote(self._name, slots))

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Pass on.

        Raises:
            LostModelError: if the actor does not know this worker any more.
        """
        answer: PlanBatch = self._answer(self._actor.plan.remote(self._name, batch))
        return answer

    def _answer(self, reference: Any) -> Any:
        """Wait in a way that an alarm can end, which it cannot within Ray's own code."""
        try:
            answer = reference.future().result()
        except HungAgentError:
            self._ray.kill(self._actor, no_restart=False)  # it would hang for all others, too
            raise
        except self._ray.exceptions.RayError as error:  # nothing that the model said
            reason = str(error).strip().splitlines()[0]
            raise LostModelError(f"the Ray actor that holds the model died or cannot be reached: {reason}") from error
        if isinstance(answer, Failed):
            raise answer.error
        if answer is None or answer is False:
            raise LostModelError("the Ray actor that holds the model was started anew")
        return answer
