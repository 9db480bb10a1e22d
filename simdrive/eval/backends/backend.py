"""The contract of everything that can drive a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from simdrive.eval.runner import Progress, RunRequest
from simdrive.eval.store import RunStore


@dataclass(frozen=True)
class Effort:
    """How a run is driven; nothing of it changes a byte of the tables.

    Attributes:
        workers: processes; of each job where there are jobs.
        batch: worlds stepped together.
        agent_timeout_s: longest call of an agent on the host, None = any.
        provenance: further entries of ``run.json``.
    """

    workers: int = 1
    batch: int = 64
    agent_timeout_s: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """Drives what is pending of a run, whatever ended it before, and compacts it.

    Finished parts are kept and nothing counts twice, whichever process or machine dies. An episode that cannot be driven
    stays pending, with a note; then the call ends with an ``IncompleteRunError`` and the next one goes on.
    """

    def check(self) -> None:
        """Raise a ``SimdriveError`` that names the remedy if something is missing that it needs."""

    def drive(self, request: RunRequest, out: Path, progress: Progress, effort: Effort) -> RunStore:
        """Return the complete run in ``out``."""
