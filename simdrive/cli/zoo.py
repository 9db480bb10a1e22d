"""``simdrive zoo``: the models that come with simdrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.errors import SimdriveError


@guarded
def zoo(
    root: Path | None = typer.Option(None, "--root", help="another folder of model folders, e.g. of your own runs"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """List the models that come with simdrive: size, parents, data, scores and hash; a changed weight file is an error."""
    from simdrive.models.where import ZOO_ROOT
    from simdrive.models.zoo import zoo as entries

    found = entries(root or ZOO_ROOT)
    rows = [entry.row() for entry in found]
    if json:
        print_json({"models": rows})
    elif rows:
        _table(rows)
    else:
        stderr().print(f"no models under {(root or ZOO_ROOT).as_posix()}", markup=False)
    wrong = [row for row in rows if row["state"] != "ok"]
    if wrong:
        raise SimdriveError("; ".join(f"{row['name']}: {row['state']}" for row in wrong))


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("name", "weights", "MB", "bits", "parents", "trained on", "validation failures", "hash", "state"):
        table.add_column(title, no_wrap=title in ("name", "hash"))
    for row in rows:
        table.add_row(*_cells(row))
    stdout().print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    from simdrive.models.zoo import driving_of

    size = f"{row['bytes'] / 1e6:.1f}"
    if "parameters" not in row:
        return [row["name"], "", size, "", "", "", "", "", "DAMAGED"]
    data = row["data"]
    seen = f"{data['steps'] * data['batch']:,} of {data['samples']:,} samples" if "steps" in data else "-"
    return [
        row["name"], f"{row['parameters']:,}", size, f"{row['bits']:g}", ", ".join(row["parents"]) or "-",
        f"{seen}{', blind' if data.get('blind') else ''}", driving_of(row["scores"]), row["weight_hash"][:12], "ok",
    ]  # fmt: skip
