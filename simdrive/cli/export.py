"""``simdrive export``: a run as plain tables, as a LeRobot dataset of its roll-outs, or as a Rerun recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr
from simdrive.errors import ParameterError, UnknownNameError

TABLE_KINDS = ("parquet", "csv")
KINDS = (*TABLE_KINDS, "lerobot", "rerun")


@guarded
def export(
    run: Path = typer.Argument(..., help="run folder, complete or not"),
    to: str = typer.Option("parquet", "--to", help="parquet, csv, lerobot or rerun"),
    table: str | None = typer.Option(None, help="of parquet and csv: episodes (default), steps, actors or requests"),
    choose: str | None = typer.Option(
        None, help="of lerobot and rerun: all, successes, failures, worst:N or a key; default all, worst:1 of rerun"
    ),
    video: bool = typer.Option(False, "--video", help="of lerobot: with the front camera, rendered again"),
    out: Path | None = typer.Option(
        None,
        "-o",
        "--out",
        help="what to write; default RUN/export/TABLE.KIND, RUN/export/lerobot, RUN/export/review.rrd",
    ),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Write one tidy table: a row per episode (step, request), every row with its agent, case and setting.

    Parameters of the scenario become columns param_*; columns of lists are left out of CSV. Or write roll-outs as a
    LeRobotDataset v3.0 for imitation learning, or episodes as a Rerun recording for deep review (extra `rerun`).
    """
    from simdrive.eval.store import RunStore

    if to not in KINDS:
        raise UnknownNameError("format", to, KINDS)
    tabular = to in TABLE_KINDS
    for name, given, fits in (
        ("--table", table is not None, tabular),
        ("--choose", choose is not None, not tabular),
        ("--video", video, to == "lerobot"),
    ):
        if given and not fits:
            raise ParameterError(f"{name} does not go with --to {to}; leave it out, or choose another format")
    store = RunStore.open(run)
    if to == "lerobot":
        facts = _lerobot(store, choose or "all", out or run / "export" / "lerobot", video)
    elif to == "rerun":
        facts = _rerun(store, choose or "worst:1", out or run / "export" / "review.rrd")
    else:
        facts = _table(store, table or "episodes", to, out, run)
    if json:
        print_json(facts)
    else:
        counts = ", ".join(f"{count} {name}" for name, count in facts.items() if isinstance(count, int))
        stderr().print(f"{facts['file']}: {counts}", markup=False)


def _table(store: Any, table: str, to: str, out: Path | None, run: Path) -> dict[str, Any]:
    from simdrive.eval.files import write_atomically
    from simdrive.eval.schema import TABLES

    if table not in TABLES:
        raise UnknownNameError("table", table, TABLES)
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
    return {"file": target.as_posix(), "rows": len(frame), "columns": list(frame.columns)}


def _lerobot(store: Any, choice: str, out: Path, video: bool) -> dict[str, Any]:
    from simdrive.report.lerobot import write_lerobot

    made = write_lerobot(store, _keys(store, choice), out, video=video)
    return {"file": made.path.as_posix(), "episodes": made.episodes, "frames": made.frames, "files": made.files}


def _rerun(store: Any, choice: str, out: Path) -> dict[str, Any]:
    from simdrive.report.rerun_recording import need_rerun, write_rerun

    need_rerun()
    if out.suffix != ".rrd":
        raise ParameterError(f"a Rerun recording is a file that ends in .rrd, got -o {out}")
    return {"file": out.as_posix(), "episodes": write_rerun(store, _keys(store, choice), out)}


def _keys(store: Any, choice: str) -> list[str]:
    """Return the keys of the chosen episodes."""
    from simdrive.report.clips import chosen_keys

    episodes = store.episodes()
    if choice in set(episodes["key"]):
        return [choice]
    if choice not in ("all", "successes", "failures") and not choice.startswith("worst:"):
        raise ParameterError(
            f"--choose must be all, successes, failures, worst:N or the key of a finished episode, got {choice!r}"
        )
    if choice == "successes":
        failed = set(chosen_keys(episodes, "failures"))
        scored = episodes[episodes["failure"].notna()].sort_values("row")["key"]
        keys = [str(key) for key in scored if key not in failed]
    else:
        keys = chosen_keys(episodes, choice)
    if not keys:
        raise ParameterError(f"--choose {choice} finds no episode in {store.path}; try all or worst:1")
    return keys


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
