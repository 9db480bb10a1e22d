"""Joins the parts of a sharded run to the folder that one machine would have written, with the same tables to the byte."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from simdrive.errors import IncompleteRunError, RunFolderError
from simdrive.eval.files import write_atomically
from simdrive.eval.folder import differences
from simdrive.eval.lock import only_writer
from simdrive.eval.schema import TABLES, RunTables
from simdrive.eval.sharding import whole_rows
from simdrive.eval.store import RunStore
from simdrive.types import Long

_AT_ONCE = 256  # plan rows that are held in memory


@dataclass(frozen=True)
class _Part:
    store: RunStore
    number: int
    count: int
    cases: int

    @property
    def rows(self) -> Long:
        """Where its plan rows stand in the whole plan."""
        return whole_rows(np.arange(len(self.store.plan)), self.number, self.count, self.cases)


def merge(shards: Sequence[Path], out: Path, provenance: Mapping[str, Any] | None = None) -> RunStore:
    """Join all shards of a run into ``out``; the same call continues an interrupted one.

    Args:
        shards: the run folders, in any order; they are left as they are.
        out: the folder of the whole run.
        provenance: further entries of its ``run.json``.

    Raises:
        RunFolderError: if a folder is no shard, is of another run, or is given twice.
        IncompleteRunError: if a shard is missing or not complete.
    """
    parts = [_part(path) for path in shards]
    _check(parts)
    config = _config(parts[0])
    plans = [part.store.plan.assign(row=part.rows.astype(np.int32)) for part in parts]
    plan = pd.concat(plans).sort_values("row").reset_index(drop=True)
    with only_writer(out):
        store = RunStore.create_or_open(out, config, plan, provenance)
        pending = set(store.pending_rows().tolist())
        for part in parts:
            _copy_files(part.store.path, out)
            _copy_rows(part, store, pending)
        store.compact()
    return store


def _part(path: Path) -> _Part:
    store = RunStore.open(path)
    shard, cases = store.config.get("shard"), store.config.get("cases")
    number, _, count = str(shard).partition("/")
    if not (number.isdigit() and count.isdigit() and isinstance(cases, dict) and isinstance(cases.get("count"), int)):
        raise RunFolderError(f"{path} is no shard of a run; make shards with `simdrive eval ... shard=i/N`")
    return _Part(store, int(number), int(count), cases["count"])


def _config(part: _Part) -> dict[str, Any]:
    return {key: value for key, value in part.store.config.items() if key != "shard"}


def _check(parts: Sequence[_Part]) -> None:
    if not parts:
        raise IncompleteRunError("no shard is given; name the run folders of all of them")
    first = parts[0]
    seen: dict[int, Path] = {}
    for part in parts:
        lines = list(differences(_config(first), _config(part)))
        if lines or part.count != first.count:
            why = "\n".join(f"  {line}" for line in lines[:8]) or f"  shards: {first.count} -> {part.count}"
            raise RunFolderError(f"{first.store.path} and {part.store.path} are not shards of one run:\n{why}")
        if part.number in seen:
            raise RunFolderError(f"{seen[part.number]} and {part.store.path} are both shard {part.number}/{part.count}")
        seen[part.number] = part.store.path
        if not part.store.is_compacted:
            done, planned = part.store.progress()
            raise IncompleteRunError(
                f"{part.store.path} is not complete ({done}/{planned} episodes); run its command again, then merge"
            )
    missing = [f"{number}/{first.count}" for number in range(1, first.count + 1) if number not in seen]
    if missing:
        raise IncompleteRunError(f"the shards {', '.join(missing)} are missing; name their folders, too")


def _copy_files(source: Path, out: Path) -> None:
    """Copy maps and videos, which carry their content or episode in their names."""
    for path in (*source.glob("maps/*.npz"), *source.glob("videos/*.*")):
        target = out / path.relative_to(source)
        if path.is_file() and not target.is_file():
            target.parent.mkdir(exist_ok=True)
            write_atomically(target, lambda temporary, path=path: shutil.copyfile(path, temporary))  # type: ignore[misc]


def _copy_rows(part: _Part, store: RunStore, pending: set[int]) -> None:
    rows = part.rows
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        if pending.isdisjoint(some.tolist()):
            continue
        tables = {name: _numbered(part.store.path / f"{name}.parquet", first, rows) for name in TABLES}
        store.write_part(RunTables(**tables))


def _numbered(path: Path, first: int, rows: Long) -> pa.Table:
    """Read some plan rows of one table of a shard, with their numbers in the whole plan."""
    until = min(first + _AT_ONCE, len(rows))
    try:
        table = pq.read_table(path, filters=[("row", ">=", first), ("row", "<", until)])
    except (OSError, pa.ArrowException) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); run the command of that shard again") from error
    column = table.schema.get_field_index("row")
    numbers = pa.array(rows[table.column("row").to_numpy()], pa.int32())
    return table.set_column(column, table.schema.field(column), numbers)
