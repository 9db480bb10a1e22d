"""How fast a whole suite run is: worlds, agents, metrics and tables together, with one worker and with several."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simdrive.bench.host import host
from simdrive.eval.grid import agent_configs, latency_configs
from simdrive.eval.runner import RunRequest, run
from simdrive.eval.warm import warm
from simdrive.scenarios.sampling import load_suite, suite_cases


class _Silent:
    """Progress of a bench: none."""

    def stage(self, name: str, total: int) -> None:
        """Say nothing."""

    def advance(self, count: int) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""


def bench_eval(
    suite: str = "smoke",
    agents: Sequence[str] = ("idm", "expert"),
    delays_ms: Sequence[float] = (0, 200, 400),
    workers: Sequence[int] = (1, 2),
) -> dict[str, Any]:
    """Run the same grid with each number of workers and return the bench object.

    The baseline is the first entry of ``workers``; the ratio is episodes per second over the baseline's. Kernels are
    compiled before the clock starts; worker start-up, references, scoring and compaction are inside.
    """
    warm()
    request = _request(suite, agents, delays_ms)
    rows = [_timed(request, count) for count in workers]
    for row in rows:
        row["ratio"] = row["value"] / rows[0]["value"]
        row["baseline"] = rows[0]["case"]
    best = max(rows, key=lambda row: float(row["value"]))
    return {
        "bench": "eval",
        "rows": rows,
        "summary": {
            "episodes_per_s": best["value"],
            "simulated_over_wall_time": best["simulated_s"] / best["wall_s"],
            "wall_s": best["wall_s"],
        },
        "host": host(),
    }


def _request(suite_name: str, agents: Sequence[str], delays_ms: Sequence[float]) -> RunRequest:
    suite = load_suite(suite_name)
    source = {"_target_": "simdrive.latency.source.Constant", "delay_ms": list(delays_ms)}
    return RunRequest(
        suite.name,
        suite.version,
        suite_cases(suite),
        agent_configs(agents),
        latency_configs("constant", source, "streaming", "follow_plan", False),
    )


def _timed(request: RunRequest, workers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        store = run(request, Path(folder) / "run", _Silent(), workers=workers)
        wall_s = time.perf_counter() - start
        episodes = store.episodes()
    return {
        "case": f"{request.suite}, {len(episodes)} episodes, {workers} worker{'s' if workers > 1 else ''}",
        "value": len(episodes) / wall_s,
        "unit": "episodes/s",
        "wall_s": wall_s,
        "simulated_s": float(episodes["duration_s"].sum()),
    }
