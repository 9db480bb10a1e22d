"""Finds what a failing machine or disk cut off in a run folder, and removes it, so that it counts as not done.

Parts carry what describes them at their end, so a file that was cut off anywhere is recognised without reading it all.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from simdrive.eval.folder import is_readable
from simdrive.eval.schema import TABLES


def remove_damaged(folder: Path) -> tuple[str, ...]:
    """Delete the cut-off tables, parts, maps and notes of a run folder; return their names relative to it."""
    tables = [folder / f"{name}.parquet" for name in TABLES]
    parts = [part for name in TABLES for part in sorted((folder / name).glob("part-*.parquet"))]
    damaged = [path for path in (*tables, *parts) if path.is_file() and not is_readable(path)]
    damaged += [path for path in sorted((folder / "maps").glob("*.npz")) if not zipfile.is_zipfile(path)]
    damaged += [path for path in sorted((folder / "errors").glob("*.json")) if not _is_note(path)]
    for path in damaged:
        path.unlink(missing_ok=True)
    return tuple(path.relative_to(folder).as_posix() for path in damaged)


def _is_note(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except ValueError:
        return False
