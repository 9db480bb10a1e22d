"""An agent with a limit of patience: one that does not come back must not hold a run for ever.

Host time never enters a result. So a call that takes too long is no answer with a bad status: it ends the chunk, whose
episodes stay pending and are driven by the next run.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from simdrive.errors import AgentUnavailableError
from simdrive.types import Agent, Long, ObservationBatch, PlanBatch

_AGAIN_S = 1.0  # an agent may swallow the first exception
EXPENDABLE = "SIMDRIVE_EXPENDABLE"  # set in the environment of workers that something other than Python started
_BACKSTOP = 1.5  # of the limit: where a worker ends that hangs in foreign code, which no signal interrupts


class HungAgentError(AgentUnavailableError):
    """A call of the agent took longer than a run is willing to wait."""


class WatchedAgent:
    """Passes everything on to an agent and waits for each call no longer than ``limit_s``."""

    def __init__(self, agent: Agent, limit_s: float) -> None:
        self._agent, self._limit_s = agent, limit_s
        self.card, self.wants, self.charge = agent.card, agent.wants, agent.charge

    def reset(self, slots: Long) -> None:
        """Pass on."""
        with _patience(self._limit_s, self.card.name):
            self._agent.reset(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Pass on.

        Raises:
            HungAgentError: if it takes longer than the limit.
        """
        with _patience(self._limit_s, self.card.name):
            return self._agent.plan(batch)


def watched(agent: Agent, limit_s: float | None) -> Agent:
    """Return the agent with a limit, or itself where there is none or the system has no timer for one."""
    if limit_s is None or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return agent
    return WatchedAgent(agent, limit_s)


@contextmanager
def _patience(limit_s: float, name: str) -> Iterator[None]:
    def over(number: int, frame: FrameType | None) -> None:
        raise HungAgentError(
            f"agent {name} has not answered for {limit_s:g} s; if it is only slow, raise agent_timeout_s=... "
            "(null = wait for ever), or use a smaller batch=..."
        )

    worker = multiprocessing.parent_process() is not None or EXPENDABLE in os.environ
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_S)
    if worker:
        with open(os.devnull, "w") as nowhere:
            faulthandler.dump_traceback_later(_BACKSTOP * limit_s + _AGAIN_S, exit=True, file=nowhere)
            try:
                yield
            finally:
                _stop(before)
                faulthandler.cancel_dump_traceback_later()
        return
    try:
        yield
    finally:
        _stop(before)


def _stop(before: object) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)  # type: ignore[arg-type]  # what signal.signal returned
