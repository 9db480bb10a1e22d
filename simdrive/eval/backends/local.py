"""The default: processes of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simdrive.eval.backends.backend import Effort
from simdrive.eval.runner import Progress, RunRequest, run
from simdrive.eval.store import RunStore


@dataclass(frozen=True)
class Local:
    """Drives in this process, or with ``workers`` above 1 in as many others."""

    def check(self) -> None:
        """Need nothing."""

    def drive(self, request: RunRequest, out: Path, progress: Progress, effort: Effort) -> RunStore:
        """Return the complete run in ``out``."""
        return run(
            request, out, progress, workers=effort.workers, batch=effort.batch, provenance=dict(effort.provenance),
            agent_timeout_s=effort.agent_timeout_s,
        )  # fmt: skip
