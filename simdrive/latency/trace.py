"""Recorded request times, replayed: what a real chip or server took becomes a latency that repeats exactly.

A trace is a table with one row per request: the six stage times in microseconds and, if the recording knew
it, the case. It lives in a CSV file with the columns ``case,request,<stage>_us...`` or a JSON file ``{"rows":
[{...}]}``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.source import RequestBatch
from simdrive.streams import digest, stream
from simdrive.types import STAGES, EpisodeLog, Long

Replay = Literal["exact", "resample"]
COLUMNS = ("case", "request", *(f"{name}_us" for name in STAGES))


@dataclass(frozen=True)
class TraceRow:
    """One recorded request; an empty case means that the recording did not know it."""

    case: str
    request: int
    stages_us: tuple[int, ...]


def rows_of_logs(logs: Iterable[EpisodeLog]) -> list[TraceRow]:
    """Return the started requests of episodes as trace rows, in order, ready to be written or replayed."""
    rows = []
    for log in logs:
        started = log.requests.stages_us[log.requests.t_start_us >= 0]
        rows += [TraceRow(log.case.key, i, tuple(map(int, stages))) for i, stages in enumerate(started)]
    return rows


def rows_of_durations(durations_ms: Sequence[float], stage: str = "decode") -> list[TraceRow]:
    """Return trace rows for a plain list of request times in ms, charged to one stage."""
    if stage not in STAGES:
        raise UnknownNameError("stage", stage, STAGES)
    column = STAGES.index(stage)
    return [
        TraceRow("", i, tuple(round(ms * 1000.0) if k == column else 0 for k in range(len(STAGES))))
        for i, ms in enumerate(durations_ms)
    ]


def write_trace(path: str | Path, rows: Iterable[TraceRow]) -> None:
    """Write a trace as CSV (default) or, where ``path`` ends in ``.json``, as JSON."""
    records = [dict(zip(COLUMNS, (row.case, row.request, *row.stages_us), strict=True)) for row in rows]
    if Path(path).suffix == ".json":
        Path(path).write_text(json.dumps({"rows": records}) + "\n", encoding="utf-8")
        return
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


def read_trace(path: str | Path) -> list[TraceRow]:
    """Read a trace file.

    Raises:
        ParameterError: if the file is missing, empty, or a row lacks a column or holds no whole time of at
            least 0.
    """
    file = Path(path)
    if not file.is_file():
        raise ParameterError(f"trace file {str(path)!r} does not exist")
    try:
        text = file.read_text(encoding="utf-8")
        records = json.loads(text)["rows"] if file.suffix == ".json" else csv.DictReader(text.splitlines())
        rows = [_row(record, number) for number, record in enumerate(records, 1)]
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        columns = ", ".join(COLUMNS)
        raise ParameterError(f"trace file {str(path)!r} is broken: {error}; columns are {columns}") from error
    if not rows:
        raise ParameterError(f"trace file {str(path)!r} holds no request")
    return rows


def _row(record: Mapping[str, Any], number: int) -> TraceRow:
    """Return one row; ``case`` and ``request`` may be left out, stages that are left out took no time."""
    unknown = sorted(set(record) - set(COLUMNS))
    if unknown:
        raise ValueError(f"row {number} has the unknown column {unknown[0]!r}")
    stages = tuple(_whole(record.get(column), 0) for column in COLUMNS[2:])
    if min(stages) < 0 or not set(record) & set(COLUMNS[2:]):
        raise ValueError(f"row {number} needs stage times of at least 0, got {dict(record)}")
    return TraceRow(str(record.get("case") or ""), _whole(record.get("request"), number - 1), stages)


def _whole(value: Any, missing: int) -> int:
    if value is None or value == "":
        return missing
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is no whole number")
    return int(value)


@dataclass(frozen=True)
class Trace:
    """Replays recorded request times.

    Args:
        path: trace file; or give ``rows``.
        replay: ``exact`` takes row ``request index`` of the case's own rows, or of all rows where the trace
            names no cases; past the last row it starts again at the first. ``resample`` draws a row of the
            whole trace.
        scale: factor on every stage, e.g. 0.5 for a chip twice as fast.
        rows: a trace already in memory.
    """

    path: str | None = None
    replay: Replay = "exact"
    scale: float = 1.0
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
        rows = sorted(self.rows or read_trace(str(self.path)), key=lambda row: (row.case, row.request))
        stages = np.rint(np.array([row.stages_us for row in rows]) * self.scale).astype(np.int64)
        cases = np.array([row.case for row in rows])
        object.__setattr__(self, "_stages_us", stages)
        of_case = {str(case): stages[cases == case] for case in np.unique(cases) if case}
        object.__setattr__(self, "_of_case", of_case)

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
