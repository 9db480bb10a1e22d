"""Ray: chunks of episodes are tasks on this machine or on a cluster that shares the run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simdrive.eval.backends.backend import Effort
from simdrive.eval.backends.ray_tasks import RayTasks
from simdrive.eval.extras import need_extra
from simdrive.eval.runner import Progress, RunRequest, run
from simdrive.eval.store import RunStore


@dataclass(frozen=True)
class Ray:
    """Drives with ``workers`` tasks of Ray at a time.

    Attributes:
        address: ``local`` starts a Ray of its own; ``auto`` or ``host:port`` joins a cluster that is there.
        models_on_gpus: let one actor per GPU answer for models, instead of every worker loading its own.
    """

    address: str = "local"
    models_on_gpus: bool = True

    def check(self) -> None:
        """Look for the package.

        Raises:
            SimdriveError: if it is not installed.
        """
        need_extra("ray")

    def drive(self, request: RunRequest, out: Path, progress: Progress, effort: Effort) -> RunStore:
        """Return the complete run in ``out``; this process alone plans, compacts and decides what is tried again."""
        return run(
            request, out, progress, workers=effort.workers, batch=effort.batch, provenance=dict(effort.provenance),
            agent_timeout_s=effort.agent_timeout_s, crew=RayTasks(effort.workers, self.address, self.models_on_gpus),
        )  # fmt: skip
