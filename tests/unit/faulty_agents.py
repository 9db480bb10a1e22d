"""Drivers that misbehave on purpose, each in one way."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from simdrive.build import build
from simdrive.types import AgentCard, Long, ObservationBatch, PlanBatch


class Faulty:
    """Drives like ``idm`` except for its fault: always, or as long as a file called ``until`` is missing."""

    def __init__(self, fault: str, until: str = "") -> None:
        self._driver, self._fault, self._until = build("agent", "idm"), fault, until
        self.wants, self.charge = self._driver.wants, self._driver.charge
        self.card = AgentCard(f"faulty_{fault}", "rule", "misbehaves", {})

    def reset(self, slots: Long) -> None:
        self._driver.reset(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        given = self._driver.plan(batch)
        if self._until and Path(self._until).exists():
            return given
        return getattr(self, f"_{self._fault}")(given)

    def _raise(self, given: PlanBatch) -> PlanBatch:
        raise RuntimeError("no idea")

    def _nan(self, given: PlanBatch) -> PlanBatch:
        return PlanBatch(np.full_like(given.plan, np.nan), given.usage)

    def _garbage(self, given: PlanBatch) -> PlanBatch:
        rows = len(given.plan)
        return PlanBatch(given.plan, given.usage, ("\x00</script>\ud7ff {{[[" * 50,) * rows, ("unparsable",) * rows)

    def _shape(self, given: PlanBatch) -> PlanBatch:
        return PlanBatch(given.plan[:, :, :2], given.usage)

    def _hang(self, given: PlanBatch) -> PlanBatch:
        while True:
            try:
                time.sleep(3600)
            except OSError:  # something that agents do; an exception of another kind must come through
                pass

    def _wait(self, given: PlanBatch) -> PlanBatch:
        while not Path(self._until).exists():
            time.sleep(0.01)
        return given

    def _die(self, given: PlanBatch) -> PlanBatch:
        os.kill(os.getpid(), signal.SIGKILL)
        return given

    def _die_once(self, given: PlanBatch) -> PlanBatch:
        Path(self._until).touch()
        return self._die(given)
