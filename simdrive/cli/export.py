"""``simdrive export``: the episodes of a run as one plain table for pandas, DuckDB, R or a spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr
from simdrive.errors import ParameterError, UnknownNameError

KINDS = ("parquet", "csv")


@guarded
def export(
    run: Path = typer.Argument(..., help="run folder, complete or not"),
    to: str = typer.Option("parquet", "--to", help="parquet or csv"),
    table: str = typer.Option("episodes", help="episodes, steps, actors or requests"),
    out: Path | None = typer.Option(None, "-o", "--out", help="file to write; default RUN/export/TABLE.KIND"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Write one tidy table: a row per episode (step, request), every row with its agent, case and setting.

    Parameters of the scenario become columns param_*; columns of lists are left out of CSV.
    """
    from simdrive.eval.files import write_atomically
    from simdrive.eval.schema import TABLES
    from simdrive.eval.store import RunStore

    if to not in KINDS:
        raise UnknownNameError("format", to, KINDS)
    if table not in TABLES:
        raise UnknownNameError("table", table, TABLES)
    store = RunStore.open(run)
    target = out or run / "export" / f"{table}.{to}"
    if target.is_dir():
        raise ParameterError(f"{target} is a folder; give -o a file name")
    frame = _tidy(store, table)
    target.parent.mkdir(parents=True, exist_ok=True)
    if to == "parquet":
        write_atomically(target, lambda path: frame.to_parquet(path, index=False))
    else:
        plain = frame.drop(columns=[name for name in frame if frame[name].map(lambda v: hasattr(v, "__len__")
                                                                               and not isinstance(v, str)).any()])  # fmt: skip
        write_atomically(target, lambda path: plain.to_csv(path, index=False))
    if json:
        print_json({"file": target.as_posix(), "rows": len(frame), "columns": list(frame.columns)})
    else:
        stderr().print(f"{target.as_posix()}: {len(frame)} rows", markup=False)


def _tidy(store: Any, name: str) -> Any:
    """Return a table with what names the episode in every row, and the scenario's parameters as columns."""
    import json

    import pandas as pd

    frame = store.table(name)
    if name == "episodes":
        parameters = pd.json_normalize([json.loads(text) for text in frame["params"]]).add_prefix("param_")
        return pd.concat([frame.drop(columns="params"), parameters], axis=1)
    named = ["row", "key", "scenario", "seed", "case_key", "agent", "latency", "camera", "corruption"]
    return store.plan[named].merge(frame, on="row", how="inner", validate="one_to_many")
