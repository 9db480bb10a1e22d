"""What the statistics promise and what simulation found: as text, as records, and inside a page of the documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simdrive.errors import ParameterError
from simdrive.eval import simulated
from simdrive.eval.files import write_text
from simdrive.eval.simulated import Simulated
from simdrive.report.aligned import aligned

BEGIN, END = "<!-- simulated: begin (generated) -->", "<!-- simulated: end -->"
HEADINGS = ("what", "setting", "runs", "share %", "99.9 % interval", "promised %", "kept")


@dataclass(frozen=True)
class Part:
    """One table."""

    title: str
    simulate: Callable[[int], list[Simulated]]


PARTS = {
    "coverage": Part("Coverage at every time", simulated.coverage),
    "paired": Part("Type-I error of the paired test", simulated.paired_error),
    "power": Part("Power of the paired test", simulated.power_table),
}


def _cells(row: Simulated) -> list[str]:
    share, promised = row.share, row.promised
    exact = row.what.startswith("power")
    return [
        row.what, row.setting, str(row.runs), f"{100 * share.estimate:.2f}",
        f"{100 * share.low:.2f} to {100 * share.high:.2f}",
        "-" if row.kept is None else f"{100 * promised:.1f}" if exact else f"at most {100 * promised:g}",
        "-" if row.kept is None else "yes" if row.kept else "NO",
    ]  # fmt: skip


def text(tables: Mapping[str, Sequence[Simulated]]) -> str:
    """Return the tables as aligned text."""
    parts = []
    for name, rows in tables.items():
        parts.append(f"{PARTS[name].title}\n" + aligned(HEADINGS, [_cells(row) for row in rows], left=HEADINGS[:2]))
    return "\n\n".join(parts)


def records(rows: Sequence[Simulated]) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values."""
    return [
        {
            "what": row.what,
            "setting": row.setting,
            "runs": row.runs,
            "share": row.share.estimate,
            "low": row.share.low,
            "high": row.share.high,
            "promised": row.promised,
            "kept": row.kept,
        }
        for row in rows
    ]


def markdown(tables: Mapping[str, Sequence[Simulated]], runs: int) -> str:
    """Return the tables as Markdown."""
    lines = [f"Measured by `simdrive stats simulate runs={runs}`; the same command gives the same figures.", ""]
    for name, rows in tables.items():
        lines += [f"### {PARTS[name].title}", "", f"| {' | '.join(HEADINGS)} |", "|---|---|" + "---:|" * 5]
        lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def write_tables(path: Path, tables: Mapping[str, Sequence[Simulated]], runs: int) -> None:
    """Replace what stands between the marks of a page by the tables.

    Raises:
        ParameterError: if the page cannot be read or lacks the marks; it is left untouched.
    """
    try:
        page = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"into={path} cannot be read: {error}") from error
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ParameterError(f"{path} lacks the lines {BEGIN} and {END}: tables are written between them")
    write_text(path, f"{before}{BEGIN}\n{markdown(tables, runs)}{END}{after}")
