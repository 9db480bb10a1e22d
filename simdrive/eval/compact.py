"""From parts to the final tables: sorted by plan row, with the same bytes however the work was cut into
parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simdrive.errors import RunFolderError
from simdrive.eval.files import write_atomically
from simdrive.eval.schema import parquet_writer

# Plan rows per row group: fixed, so that row groups do not depend on how the work was cut into parts.
GROUP_ROWS = {"episodes": 4096, "steps": 64, "actors": 64, "requests": 64}


def read_file(path: Path, row: int | None = None) -> pa.Table:
    """Read one Parquet file, or of it only the rows of one plan row.

    Raises:
        RunFolderError: if it is no readable Parquet file.
    """
    try:
        with pq.ParquetFile(path) as file:
            return file.read() if row is None else _of_row(file, row)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); delete it and run the same command again") from error


def read_columns(path: Path, columns: list[str]) -> pa.Table:
    """Read some columns of one Parquet file.

    Raises:
        RunFolderError: if it is no readable Parquet file, or lacks one of them.
    """
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise RunFolderError(f"{path} lacks the columns {', '.join(missing)}")
            return file.read(columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); delete it and run the same command again") from error


def _of_row(file: pq.ParquetFile, row: int) -> pa.Table:
    column = file.schema_arrow.get_field_index("row")
    wanted = []
    for group in range(file.num_row_groups):
        statistics = file.metadata.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max or statistics.min <= row <= statistics.max:
            wanted.append(group)
    table = file.read_row_groups(wanted)
    start, end = np.searchsorted(table.column("row").to_numpy(), [row, row + 1])
    return table.slice(start, end - start)


class _Parts:
    """The parts of one table, each read when its first row is wanted and dropped after its last."""

    def __init__(self, folder: Path, part_of_row: dict[int, str]) -> None:
        self._folder, self._part_of_row = folder, part_of_row
        self._last = {part: row for row, part in sorted(part_of_row.items())}
        self._open: dict[str, tuple[pa.Table, np.ndarray]] = {}

    def rows(self, first: int, end: int) -> Iterator[pa.Table]:
        """Yield the table rows of plan rows ``first`` .. ``end - 1``; must be called with ascending plan rows."""
        while first < end:
            part = self._part_of_row[first]
            last = first
            while last + 1 < end and self._part_of_row[last + 1] == part:
                last += 1
            yield self._slice(part, first, last)
            first = last + 1

    def _slice(self, part: str, first: int, last: int) -> pa.Table:
        if part not in self._open:
            table = read_file(self._folder / part)
            self._open[part] = table, table.column("row").to_numpy()
        table, index = self._open[part]
        start, end = np.searchsorted(index, [first, last + 1])
        if self._last[part] == last:
            del self._open[part]
        return table.slice(start, end - start)


def _groups(parts: _Parts, rows: int, per_group: int) -> Iterator[pa.Table]:
    for first in range(0, rows, per_group):
        slices = list(parts.rows(first, min(first + per_group, rows)))
        yield pa.concat_tables(slices).combine_chunks()


@dataclass(frozen=True)
class CompactTask:
    """One table to write.

    Attributes:
        folder: where the parts of this table lie.
        part_of_row: file name of the part that holds each plan row 0 .. n-1.
        target: the final file.
        name: of the table, one of ``schema.TABLES``.
    """

    folder: Path
    part_of_row: dict[int, str]
    target: Path
    name: str


def compact_table(task: CompactTask) -> None:
    """Write one table with all plan rows in order, atomically."""

    def write(temporary: Path) -> None:
        groups = _groups(_Parts(task.folder, task.part_of_row), len(task.part_of_row), GROUP_ROWS[task.name])
        writer: pq.ParquetWriter | None = None
        with ThreadPoolExecutor(1) as reader:  # the next rows are read while these are written
            coming = reader.submit(next, groups, None)
            while (group := coming.result()) is not None:
                coming = reader.submit(next, groups, None)
                writer = writer or parquet_writer(temporary, group.schema.remove_metadata())
                writer.write_table(group, row_group_size=max(len(group), 1))
        if writer is not None:
            writer.close()

    write_atomically(task.target, write, lasting=True)  # its parts are deleted next
