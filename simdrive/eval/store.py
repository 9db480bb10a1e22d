"""The run folder: what was planned, what is done, and the tables; survives being killed at any point.

    run.json config.yaml plan.parquet            written once, run.json first
    episodes/ steps/ actors/ requests/           parts, one file per chunk of plan rows, until compaction
    episodes.parquet steps.parquet ...           after compaction, sorted by plan row
    maps/<key>.npz errors/<key>.json summary.json

Everything is written under a temporary name and moved into place. A part counts once its file in
``episodes/`` is there, which is written last. Nothing but ``run.json`` depends on the host or the time.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from simdrive.errors import IncompleteRunError, RunFolderError, UnknownNameError
from simdrive.eval import folder as layout
from simdrive.eval.compact import CompactTask, compact_table, read_columns, read_file
from simdrive.eval.episode_codec import decode
from simdrive.eval.files import remove_orphans, write_atomically, write_json
from simdrive.eval.mending import remove_damaged
from simdrive.eval.plan import check_plan
from simdrive.eval.schema import TABLES, RunTables, write_table
from simdrive.types import EpisodeLog, Long

Array = np.ndarray[Any, Any]
RunAll = Callable[[Callable[[CompactTask], None], list[CompactTask]], Iterable[None]]


class RunStore:
    """One run folder. Make it with :meth:`create_or_open` to add episodes, with :meth:`open` to read."""

    def __init__(self, path: Path, config: dict[str, Any], plan: pd.DataFrame) -> None:
        self.path = path
        self.config = config
        self.plan = plan
        self.damaged: tuple[str, ...] = ()  # files that were cut off and are gone, so that they are made again
        self._row_of_key = {key: row for row, key in enumerate(plan["key"])}

    # --- opening ------------------------------------------------------------

    @classmethod
    def create_or_open(
        cls,
        path: Path | str,
        config: Mapping[str, Any],
        plan: pd.DataFrame,
        provenance: Mapping[str, Any] | None = None,
    ) -> RunStore:
        """Return the folder of this configuration, new or with what is done already; made ready for writing.

        Args:
            path: the run folder; may be absent or empty.
            config: whatever decides the content of the run, as plain JSON values; not workers or batch size.
            plan: see :mod:`simdrive.eval.plan`.
            provenance: further entries of ``run.json`` (arguments, commit, ...), written on creation only.

        Raises:
            RunFolderError: if the folder is foreign or broken, or holds another configuration or plan (the
                message
                shows the difference); it is left untouched.
        """
        path = Path(path)
        check_plan(plan)
        plain = layout.plain(config)
        if layout.is_empty(path):
            layout.create(path, plain, plan, provenance or {})
        else:
            layout.check_same(path, plain, plan)
            layout.finish_creation(path, plain, plan)
        store = cls(path, plain, plan)
        store.damaged = remove_damaged(path)
        store._sweep()
        return store

    @classmethod
    def open(cls, path: Path | str) -> RunStore:
        """Open a run folder for reading; nothing in it is changed.

        Raises:
            RunFolderError: if it is no run folder or a broken one.
        """
        path = Path(path)
        layout.read_run(path)
        return cls(path, layout.read_config(path), layout.read_plan(path))

    def grow(self, plan: pd.DataFrame) -> RunStore:
        """Return this folder with a longer plan that begins with the present one; for runs that a rule ends.

        Raises:
            RunFolderError: if the plan does not begin with the present one.
        """
        check_plan(plan)
        layout.grow(self.path, plan)
        return RunStore(self.path, self.config, plan)

    # --- what is done ------------------------------------------------------------

    @property
    def is_compacted(self) -> bool:
        """Whether all final tables are there."""
        return all(self._final(name).is_file() for name in TABLES)

    def progress(self) -> tuple[int, int]:
        """Return how many episodes are done and how many are planned."""
        return len(self.plan) - len(self.pending_rows()), len(self.plan)

    @property
    def status(self) -> str:
        """``complete`` (compacted), ``done`` (all driven, not compacted yet) or ``incomplete``."""
        if self.is_compacted:
            return "complete"
        return "incomplete" if len(self.pending_rows()) else "done"

    def _final(self, name: str) -> Path:
        return self.path / f"{name}.parquet"

    def _parts(self) -> dict[int, str]:
        """Return which part holds each finished plan row; parts that lack a table do not count."""
        found: dict[int, str] = {}
        for path in sorted((self.path / "episodes").glob("part-*.parquet")):
            if all((self.path / name / path.name).is_file() for name in TABLES):
                for row in layout.part_rows(path):
                    found.setdefault(row, path.name)
        return found

    def pending_rows(self) -> Long:
        """Return the plan rows that are not finished, ascending."""
        if self.is_compacted:
            return np.zeros(0, dtype=np.int64)
        return np.setdiff1d(np.arange(len(self.plan)), np.array(list(self._parts()), dtype=np.int64))

    def _sweep(self) -> None:
        """Remove what a killed process left: temporary files, incomplete parts, parts that are compacted
        already.
        """
        for folder in (self.path, *(self.path / name for name in (*TABLES, "maps", "errors"))):
            remove_orphans(folder)
        kept = set() if self.is_compacted else set(self._parts().values())
        for name in reversed(TABLES):
            for part in (self.path / name).glob("part-*.parquet"):
                if part.name not in kept:
                    part.unlink(missing_ok=True)

    # --- writing ------------------------------------------------------------

    def write_part(self, tables: RunTables) -> None:
        """Store some finished episodes, all or none; several processes may do so at once.

        Raises:
            ValueError: if a row is not in the plan under the same key.
        """
        episodes = tables.episodes
        rows = episodes.column("row").to_numpy()
        for row, key in zip(rows.tolist(), episodes.column("key").to_pylist(), strict=True):
            if self._row_of_key.get(key) != row:
                raise ValueError(f"episode {key} is not row {row} of the plan")
        name = f"part-{rows.min():07d}-{rows.max():07d}.parquet"
        for table in reversed(TABLES):
            write_table(self.path / table / name, tables.table(table))
        settled = {f"{key}.json" for key in episodes.column("key").to_pylist()}
        for note in (self.path / "errors").glob("*.json"):
            if note.name in settled:
                note.unlink(missing_ok=True)

    def record_error(self, row: int, kind: str, message: str, traceback: str = "") -> None:
        """Note why an episode could not be driven (``kind``: agent, simulator, worker, ...); it stays
        pending.
        """
        entry = self.plan.iloc[row]
        note = {name: entry[name] for name in ("key", "scenario", "params", "case_key", "agent", "latency")}
        note |= {
            "row": row,
            "seed": int(entry["seed"]),
            "kind": kind,
            "message": message,
            "traceback": traceback,
        }
        write_json(self.path / "errors" / f"{entry['key']}.json", note)

    def write_map(self, map_key: str, arrays: Mapping[str, Array]) -> None:
        """Store a map's arrays under its key, once."""
        path = self.path / "maps" / f"{map_key}.npz"
        if not path.is_file():

            def write(temporary: Path) -> None:
                with temporary.open("wb") as stream:
                    np.savez_compressed(stream, **dict(arrays))  # type: ignore[arg-type]

            write_atomically(path, write)

    def compact(self, run_all: RunAll = map) -> None:
        """Join all parts into the final tables and remove the parts; does nothing if that is done already.

        Args:
            run_all: applies a function to tasks, in any order or place (``map``, or that of a pool of processes).

        Raises:
            IncompleteRunError: if planned episodes are missing.
        """
        if self.is_compacted:
            self._sweep()
            return
        missing = self.pending_rows()
        if len(missing):
            raise IncompleteRunError(
                f"{self.path}: {len(missing)} of {len(self.plan)} planned episodes are not done "
                f"(first: row {missing[0]}); run the same command again, errors are in errors/"
            )
        part_of_row = self._parts()
        tasks = [CompactTask(self.path / name, part_of_row, self._final(name), name) for name in reversed(TABLES)]
        for _ in run_all(compact_table, tasks):
            pass
        self._sweep()

    # --- reading ------------------------------------------------------------

    def _read(self, name: str, row: int | None = None) -> pa.Table:
        """Return one table, all of it or the rows of one plan row."""
        if self._final(name).is_file():
            return read_file(self._final(name), row)
        parts = self._parts()
        if row is not None:
            if row not in parts:
                raise IncompleteRunError(f"{self.path}: episode {self.plan['key'][row]} is not done yet")
            return read_file(self.path / name / parts[row], row)
        tables = [read_file(self.path / name / part) for part in sorted(set(parts.values()))]
        if not tables:
            raise IncompleteRunError(f"{self.path}: no episode is done yet")
        return pa.concat_tables(tables).sort_by("row")

    def _row(self, key: str) -> int:
        if key not in self._row_of_key:
            raise UnknownNameError("episode key", key, self._row_of_key)
        return self._row_of_key[key]

    def episodes(self) -> pd.DataFrame:
        """Return one row per finished episode.

        Raises:
            IncompleteRunError: if none is finished.
        """
        return _frame(self._read("episodes"))

    def table(self, name: str) -> pd.DataFrame:
        """Return one of ``TABLES`` with the rows of all finished episodes.

        Raises:
            IncompleteRunError: if none is finished.
        """
        return _frame(self._read(name))

    def columns(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """Return some columns of one of ``TABLES`` with the rows of all finished episodes, none if none is finished.

        Reads nothing else: the plans of a long run's requests alone take gigabytes.
        """
        wanted = list(columns)
        if self._final(name).is_file():
            return _frame(read_columns(self._final(name), wanted))
        tables = [read_columns(self.path / name / part, wanted) for part in sorted(set(self._parts().values()))]
        return _frame(pa.concat_tables(tables)) if tables else pd.DataFrame(columns=wanted)

    def steps(self, key: str) -> pd.DataFrame:
        """Return the ego's rows of one episode."""
        return _frame(self._read("steps", self._row(key)))

    def actors(self, key: str) -> pd.DataFrame:
        """Return the other actors' rows of one episode."""
        return _frame(self._read("actors", self._row(key)))

    def requests(self, key: str) -> pd.DataFrame:
        """Return the requests of one episode."""
        return _frame(self._read("requests", self._row(key)))

    def load_log(self, key: str) -> EpisodeLog:
        """Return the log of one episode exactly as it was written."""
        row = self._row(key)
        episode = self._read("episodes", row).to_pylist()[0]
        return decode(episode, *(self._read(name, row) for name in TABLES[1:]))

    def load_map(self, map_key: str) -> dict[str, Array]:
        """Return the arrays of a map.

        Raises:
            RunFolderError: if the folder does not hold it.
        """
        path = self.path / "maps" / f"{map_key}.npz"
        if not path.is_file():
            raise RunFolderError(f"{self.path} holds no map {map_key}")
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(stored)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise RunFolderError(f"{path} cannot be read ({error}); the command that made the run mends it") from error

    def errors(self) -> list[dict[str, Any]]:
        """Return the notes of :meth:`record_error` that are still open, by plan row."""
        notes = [json.loads(path.read_text(encoding="utf-8")) for path in (self.path / "errors").glob("*.json")]
        return sorted(notes, key=lambda note: int(note["row"]))


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame
