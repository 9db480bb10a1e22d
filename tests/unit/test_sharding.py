"""Parts of a run: every case in exactly one, and rows that come back to their places."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_fixtures import planned, result_of

from simdrive.errors import IncompleteRunError, ParameterError, RunFolderError
from simdrive.eval import merging
from simdrive.eval.episode_codec import encode
from simdrive.eval.plan import plan_frame
from simdrive.eval.schema import TABLES
from simdrive.eval.sharding import parse_shard, whole_rows
from simdrive.eval.store import RunStore
from simdrive.types import Case

CASES = tuple(Case("cut_in", (("gap_m", float(k)),), k) for k in range(5))


def test_rows_by_hand() -> None:
    # Five cases, two blocks, second of two parts: cases 1 and 3 of each block.
    assert whole_rows(np.arange(4), 2, 2, 5).tolist() == [1, 3, 6, 8]


@given(st.integers(1, 40), st.integers(1, 5), st.data())
def test_parts_cover_every_row_once_and_in_order(cases: int, blocks: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, cases))
    found = []
    for number in range(1, count + 1):
        own = len(range(number - 1, cases, count))
        rows = whole_rows(np.arange(blocks * own), number, count, cases)
        assert (np.diff(rows) > 0).all()
        found += rows.tolist()
    assert sorted(found) == list(range(blocks * cases))


def test_every_case_is_in_one_part() -> None:
    parts = [parse_shard(f"{number}/3", CASES) for number in (1, 2, 3)]
    chosen = [case for part in parts if part is not None for case in part.chosen(CASES)]
    assert sorted(case.seed for case in chosen) == [0, 1, 2, 3, 4]
    assert parse_shard(None, CASES) is None


@pytest.mark.parametrize("value", ["0/4", "5/4", "1/6", "1", "a/b", "1/0", 0.25, True, "-1/2", ["1/2"]])
def test_other_parts_are_refused(value: object) -> None:
    with pytest.raises(ParameterError, match="shard"):
        parse_shard(value, CASES)


CONFIG = {"suite": "tiny", "cases": {"count": 3, "hash": "x"}}


def stored(path: Path, rows: list[int], config: dict[str, Any]) -> Path:
    """Write the episodes of these rows of the tiny run as a run of their own."""
    entries = [replace(planned()[row], row=place) for place, row in enumerate(rows)]
    store = RunStore.create_or_open(path, config, plan_frame(entries))
    results = [replace(result_of(row), planned=entry) for row, entry in zip(rows, entries, strict=True)]
    for first in range(0, len(rows), 2):
        store.write_part(encode(results[first : first + 2]))
    store.write_map(f"m{len(rows)}", {"a": np.arange(3)})
    store.compact()
    return path


def shards(root: Path, count: int = 2) -> list[Path]:
    return [
        stored(root / f"s{number}", [row for row in range(12) if row % 3 % count == number - 1],
               CONFIG | {"shard": f"{number}/{count}"})
        for number in range(1, count + 1)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [2, 3])
def test_merged_tables_are_those_of_one_run(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_AT_ONCE", 3)
    whole = stored(tmp_path / "whole", list(range(12)), CONFIG)
    out = merging.merge(shards(tmp_path, count)[::-1], tmp_path / "merged").path
    for name in ("plan", *TABLES):
        assert (out / f"{name}.parquet").read_bytes() == (whole / f"{name}.parquet").read_bytes()
    assert len(list(out.glob("maps/*.npz"))) > 0
    assert merging.merge(shards(tmp_path, count), out).is_compacted  # again: nothing is left to do


def test_shards_that_are_missing_double_or_of_another_run_are_named(tmp_path: Path) -> None:
    first, second = shards(tmp_path)
    with pytest.raises(IncompleteRunError, match="2/2 are missing"):
        merging.merge([first], tmp_path / "out")
    with pytest.raises(RunFolderError, match="are both shard 1/2"):
        merging.merge([first, second, first], tmp_path / "out")
    other = stored(tmp_path / "other", [1, 4, 7, 10], CONFIG | {"suite": "else", "shard": "2/2"})
    with pytest.raises(RunFolderError, match="suite: 'tiny' -> 'else'"):
        merging.merge([first, other], tmp_path / "out")
    with pytest.raises(RunFolderError, match="is no shard of a run"):
        merging.merge([stored(tmp_path / "whole", [0], CONFIG)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_shard_under_way_is_not_merged(tmp_path: Path) -> None:
    first, second = shards(tmp_path)
    (second / "episodes.parquet").unlink()
    with pytest.raises(IncompleteRunError, match="is not complete"):
        merging.merge([first, second], tmp_path / "out")
