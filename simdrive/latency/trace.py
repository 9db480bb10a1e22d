"""Recorded request times, replayed: what a real chip or server took becomes a latency that repeats
exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.source import RequestBatch
from simdrive.latency.trace_files import TraceRow, read_trace, rows_of_run
from simdrive.streams import digest, stream
from simdrive.types import STAGES, Long

Replay = Literal["exact", "resample"]


@dataclass(frozen=True)
class Trace:
    """Replays recorded request times.

    Args:
        path: trace file, or folder of a finished run; or give ``rows``.
        replay: ``exact`` takes row ``request index`` of the case's own rows, or of all rows where the trace
            names no cases; past the last row it starts again at the first. ``resample`` draws a row of the
            whole trace.
        scale: factor on every stage, e.g. 0.5 for a chip twice as fast.
        agent, latency: which requests of a run folder that holds several agents or latency settings.
        rows: a trace already in memory.
    """

    path: str | None = None
    replay: Replay = "exact"
    scale: float = 1.0
    agent: str | None = None
    latency: str | None = None
    rows: tuple[TraceRow, ...] = ()
    _stages_us: Long = field(init=False, repr=False, compare=False)
    _of_case: dict[str, Long] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.path is None or self.path == "???") == (not self.rows):
            raise ParameterError("a trace needs exactly one of path (latency.path=times.csv) and rows")
        if self.replay not in get_args(Replay):
            raise UnknownNameError("replay", self.replay, get_args(Replay))
        if not (np.isfinite(self.scale) and self.scale >= 0.0):
            raise ParameterError(f"scale must be finite and at least 0, got {self.scale}")
        rows = sorted(self.rows or self._read(), key=lambda row: (row.case, row.request))
        stages = np.rint(np.array([row.stages_us for row in rows]) * self.scale).astype(np.int64)
        cases = np.array([row.case for row in rows])
        object.__setattr__(self, "_stages_us", stages)
        of_case = {str(case): stages[cases == case] for case in np.unique(cases) if case}
        object.__setattr__(self, "_of_case", of_case)

    def _read(self) -> list[TraceRow]:
        path = Path(str(self.path))
        return rows_of_run(path, self.agent, self.latency) if path.is_dir() else read_trace(path)

    def price(self, requests: RequestBatch) -> Long:
        """Return recorded stage times.

        Raises:
            ParameterError: in ``exact`` replay of a trace that names its cases, if a case is not among them.
        """
        stages = np.empty((len(requests), len(STAGES)), dtype=np.int64)
        for row, (key, index) in enumerate(zip(requests.case_key, requests.index, strict=True)):
            if self.replay == "resample":
                stages[row] = stream(key, "latency.trace", int(index)).choice(self._stages_us)
            else:
                recorded = self._recorded(key)
                stages[row] = recorded[int(index) % len(recorded)]
        return stages

    def _recorded(self, key: str) -> Long:
        if not self._of_case:
            return self._stages_us
        if key not in self._of_case:
            raise ParameterError(
                f"the trace holds no request of case {key}; record it on these cases, "
                "or draw from it with latency.replay=resample"
            )
        return self._of_case[key]

    def identity(self) -> dict[str, Any]:
        """Return a hash of the recorded times, whatever file they came from."""
        by_case = {key: value.tolist() for key, value in self._of_case.items()}
        return {"source": "trace", "replay": self.replay, "rows": digest([self._stages_us.tolist(), by_case])}
