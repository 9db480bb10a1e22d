"""Equal shares: arms learn from equally many rows, and from equally many of what the student had learned from before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from simdrive.compress.samples import pictured_of, shards, write_shard
from simdrive.errors import ParameterError

TRAIN = "train"


def rows_in(folder: Path) -> int:
    """Return how many training rows a data folder holds."""
    return sum(len(_places(path)) for path in shards([folder]))


def drawn(folders: Sequence[Path], count: int, out: Path, seed: int) -> Path:
    """Write ``count`` training rows of some data folders, drawn at random, into ``out``; what is there is kept.

    Raises:
        ParameterError: if there are fewer.
        SimdriveError: if a folder holds no samples or a file is damaged.
    """
    path = out / "rows.parquet"
    if path.is_file():
        return out
    files = shards(list(folders))
    places = [(number, row) for number, file in enumerate(files) for row in _places(file)]
    if len(places) < count:
        raise ParameterError(f"{', '.join(map(str, folders))} hold {len(places)} training rows, {count} are asked for")
    chosen = np.random.default_rng(seed).permutation(len(places))[:count]
    wanted: dict[int, list[int]] = {}
    for number, row in (places[k] for k in sorted(chosen.tolist())):
        wanted.setdefault(number, []).append(row)
    shown = {pictured_of(files[number]) for number in wanted}
    if len(shown) > 1:
        raise ParameterError(
            f"{', '.join(map(str, folders))} show different pictures; give folders of the same cameras"
        )
    tables = [pq.read_table(files[number]).take(rows) for number, rows in wanted.items()]
    answered = {(table.schema.metadata or {}).get(b"simdrive.labels", b"").decode() for table in tables}
    rows = [row for table in tables for row in table.to_pylist()]
    out.mkdir(parents=True, exist_ok=True)
    write_shard(path, rows, shown.pop(), ", ".join(sorted(answered - {""})))
    return out


def _places(path: Path) -> list[int]:
    split = pq.read_table(path, columns=["split"])["split"].to_pylist()
    return [place for place, name in enumerate(split) if name == TRAIN]
