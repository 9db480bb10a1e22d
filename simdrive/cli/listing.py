"""``simdrive ls``: what there is to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stdout
from simdrive.errors import UnknownNameError

KINDS = {
    "suites": "suite",
    "scenarios": "scenario",
    "agents": "agent",
    "metrics": "metric",
    "latencies": "latency",
    "corruptions": "corruption",
}


@guarded
def ls(
    kind: str = typer.Argument("suites", help="suites, scenarios, agents, metrics, latencies, corruptions or runs"),
    root: Path = typer.Option(Path("runs"), help="folder that holds run folders"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """List suites, scenarios, agents, metrics, latency sources, corruptions of the cameras, or runs."""
    if kind == "runs":
        rows = _runs(root)
    elif kind in KINDS:
        rows = _entries(KINDS[kind])
    else:
        raise UnknownNameError("kind", kind, [*KINDS, "runs"])
    if json:
        print_json({kind: rows})
        return
    _table(rows, kind)


def _entries(group: str) -> list[dict[str, Any]]:
    from simdrive.build import config_names, load_config

    return [
        {"name": name, "description": _describe(group, load_config(group, name), name)} for name in config_names(group)
    ]


def _describe(group: str, config: dict[str, Any], name: str) -> str:
    if "description" in config:
        return str(config["description"])
    from simdrive.build import locate

    if "_target_" in config:
        doc = (locate(str(config["_target_"])).__doc__ or "").strip().splitlines()
        return doc[0] if doc else ""
    return ""


def _runs(root: Path) -> list[dict[str, Any]]:
    from simdrive.eval.store import RunStore

    rows = []
    for path in sorted(root.glob("*/run.json")):
        store = RunStore.open(path.parent)
        done, planned = store.progress()
        rows.append({"name": path.parent.as_posix(), "description": f"{store.status}, {done}/{planned} episodes"})
    return rows


def _table(rows: list[dict[str, Any]], kind: str) -> None:
    from rich.table import Table

    if not rows:
        stdout().print(f"no {kind}")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(row["name"], row["description"])
    stdout().print(table)
