"""Real durations of an agent on this host, as a trace that a simulation can replay.

An agent drives cases alone (one world, so one row per call) at zero latency, and every call of ``plan`` is timed with the
host's clock; where torch runs on a GPU, the device is synchronised before and after. The first calls only warm up. Host
time goes into the trace and nowhere else: the drives are thrown away.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import simdrive
from simdrive.errors import ParameterError, SimdriveError
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.prepared import world_of
from simdrive.eval.reference import ZERO_LATENCY
from simdrive.eval.rollout import rollout
from simdrive.latency.trace_files import TraceRow
from simdrive.streams import digest
from simdrive.types import FRAME_PERIOD_US, STAGES, Agent, Case, Long, ObservationBatch, PlanBatch

_PACKAGES = ("numpy", "numba", "torch", "transformers")


@dataclass(frozen=True)
class Measured:
    """Durations of single requests with where they come from."""

    durations_us: tuple[int, ...]
    failures: int  # requests that raised; not among the durations
    provenance: dict[str, Any]

    def rows(self, stage: str) -> list[TraceRow]:
        """Return trace rows with everything in one stage; they name no case, so they replay on any."""
        column = STAGES.index(stage)
        return [
            TraceRow("", number, tuple(us if k == column else 0 for k in range(len(STAGES))))
            for number, us in enumerate(self.durations_us)
        ]


class Timed:
    """An agent whose calls are timed; to the loop it is the agent itself."""

    def __init__(self, agent: Agent, synchronise: Callable[[], None]) -> None:
        """Time every call of ``agent``."""
        self.card, self.wants, self.charge = agent.card, agent.wants, agent.charge
        self.durations_us: list[int] = []
        self.failures = 0
        self._agent, self._synchronise = agent, synchronise

    def reset(self, slots: Long) -> None:
        """Reset the agent."""
        self._agent.reset(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Answer one request and note how long that took."""
        self._synchronise()
        start_ns = time.perf_counter_ns()
        try:
            answer = self._agent.plan(batch)
        except Exception:
            self.failures += 1
            raise
        self._synchronise()
        self.durations_us.append((time.perf_counter_ns() - start_ns + 500) // 1000)
        return answer


def measure(
    agent: Agent, cases: Sequence[Case], requests: int, warm_up: int, settings: Mapping[str, Any] | None = None
) -> Measured:
    """Drive cases in turn until enough requests are measured.

    Args:
        agent: any agent.
        cases: driven in order, again from the front if they do not suffice.
        requests: how many to measure after the warm-up.
        warm_up: calls that come before.
        settings: written into the provenance, e.g. the agent's configuration.

    Raises:
        ParameterError: if the counts are no whole numbers in range, or there is no case.
        SimdriveError: if the agent failed on every request of a case.
    """
    for name, value, least in (("requests", requests, 1), ("warm_up", warm_up, 0)):
        if type(value) is not int or value < least:
            raise ParameterError(f"{name} must be a whole number of at least {least}, got {value!r}")
    if not cases:
        raise ParameterError("there is no case to drive")
    synchronise, device = _device()
    timed, used, wanted = Timed(agent, synchronise), 0, requests + warm_up
    while len(timed.durations_us) < wanted:
        case, before = cases[used % len(cases)], len(timed.durations_us)
        spec = world_of(case)
        missing_s = (wanted - before + 1) * FRAME_PERIOD_US * 1e-6  # no more than is still wanted
        rollout(
            [EpisodeInput(case, replace(spec, time_limit_s=min(spec.time_limit_s, missing_s)))], timed, ZERO_LATENCY
        )
        used += 1
        if len(timed.durations_us) == before:
            raise SimdriveError(
                f"agent {agent.card.name} failed on all requests of a case; drive it with `simdrive record` to see why"
            )
    kept = tuple(timed.durations_us[warm_up:wanted])
    provenance = {
        "agent": agent.card.name, "kind": agent.card.kind, "weight_hash": agent.card.weight_hash,
        "charge": asdict(agent.charge), "settings": dict(settings or {}), "batch": 1, "requests": len(kept),
        "warm_up": warm_up, "failures": timed.failures,
        "cases": {"count": min(used, len(cases)), "hash": digest([case.key for case in cases[:used]])},
        "quantiles_us": {f"p{share}": round(float(np.percentile(kept, share))) for share in (50, 95, 99)},
        "device": device, **_host(),
    }  # fmt: skip
    return Measured(kept, timed.failures, provenance)


def _device() -> tuple[Callable[[], None], str]:
    """Return what waits for the device, and its name; torch is not imported for an agent that does without."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return (lambda: None), "cpu"
    return torch.cuda.synchronize, str(torch.cuda.get_device_name())


def _host() -> dict[str, Any]:
    return {
        "simdrive": simdrive.__version__, "python": platform.python_version(), "platform": platform.platform(),
        "host": platform.node(), "processor": _processor(), "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "cpus": os.cpu_count(), "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "recorded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip


def _processor() -> str:
    """Return the name of the processor, where the system tells it."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
