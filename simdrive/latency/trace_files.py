"""Files of recorded request times: what a trace is read from and written to.

A trace is a table with one row per request: the six stage times in whole microseconds and, if the recording
knew it, the case. It lives in a CSV file with the columns ``case,request,<stage>_us...``, in a JSON file
``{"rows": [{...}]}``, or in the folder of a run, whose requests are then the trace.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.types import STAGES, EpisodeLog

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


def write_trace(path: str | Path, rows: Iterable[TraceRow], provenance: Mapping[str, Any] | None = None) -> None:
    """Write a trace as CSV (default) or, where ``path`` ends in ``.json``, as JSON.

    Where it comes from stands in the JSON file itself, or beside a CSV file in ``<name>.provenance.json``.
    """
    records = [dict(zip(COLUMNS, (row.case, row.request, *row.stages_us), strict=True)) for row in rows]
    if Path(path).suffix == ".json":
        known = {} if provenance is None else {"provenance": dict(provenance)}
        Path(path).write_text(json.dumps({**known, "rows": records}) + "\n", encoding="utf-8")
        return
    if provenance is not None:
        beside = Path(path).with_suffix(".provenance.json")
        beside.write_text(json.dumps(dict(provenance), indent=1) + "\n", encoding="utf-8")
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


def rows_of_run(folder: str | Path, agent: str | None = None, latency: str | None = None) -> list[TraceRow]:
    """Return the started requests of a finished run, of one agent under one latency setting.

    Args:
        folder: run folder with ``plan.parquet`` and ``requests.parquet``.
        agent, latency: labels in the plan; needed where the run holds several.

    Raises:
        ParameterError: if the folder is no finished run, or an agent or latency setting must be named.
    """
    tables = [Path(folder) / name for name in ("plan.parquet", "requests.parquet")]
    if not all(table.is_file() for table in tables):
        raise ParameterError(f"{str(folder)!r} is no finished run: it lacks plan.parquet or requests.parquet")
    plan, requests = (pyarrow.parquet.read_table(table).to_pylist() for table in tables)
    asked = {"agent": agent, "latency": latency}
    plan = [row for row in plan if all(name in (None, row[field]) for field, name in asked.items())]
    kinds = sorted({(row["agent"], row["latency"]) for row in plan})
    if len(kinds) != 1:
        found = "; ".join(f"agent={agent!r} latency={latency!r}" for agent, latency in kinds) or "none"
        raise ParameterError(f"a trace needs one agent and one latency setting of {str(folder)!r}; fits: {found}")
    case = {row["row"]: row["case_key"] for row in plan}
    started = [row for row in requests if row["row"] in case and row["t_start_us"] >= 0]
    started.sort(key=lambda row: (row["row"], row["t_start_us"], row["t_obs_us"]))
    count: dict[int, int] = {}
    rows = []
    for row in started:
        index = count[row["row"]] = count.get(row["row"], -1) + 1
        rows.append(TraceRow(case[row["row"]], index, tuple(row[f"{stage}_us"] for stage in STAGES)))
    return rows


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
