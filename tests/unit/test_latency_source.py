"""Latency sources: whole microseconds that add up, common random numbers, exact replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simdrive.build import build
from simdrive.errors import ParameterError, SimdriveError, UnknownNameError
from simdrive.latency.lognormal import Lognormal
from simdrive.latency.source import Constant, RequestBatch, stage_shares
from simdrive.latency.trace import Trace
from simdrive.latency.trace_files import TraceRow, read_trace, rows_of_durations, write_trace
from simdrive.types import STAGES, Charge, TokenUsage

TIMES = st.tuples(*[st.integers(0, 10**7)] * len(STAGES))


def requests_of(keys: list[str], indices: list[int]) -> RequestBatch:
    count = len(keys)
    ones = np.ones(count, dtype=np.int64)
    return RequestBatch(tuple(keys), np.array(indices), TokenUsage.zeros(count), ones, ones, Charge())


def test_constant_puts_everything_into_decode() -> None:
    stages = Constant(delay_ms=123.456).price(requests_of(["a", "b"], [0, 7]))
    assert stages.dtype == np.int64
    assert stages.tolist() == [[0, 0, 0, 0, 123_456, 0]] * 2


@given(st.floats(0, 1e5), st.dictionaries(st.sampled_from(STAGES), st.floats(0.01, 10), min_size=1))
def test_a_split_adds_up_to_the_delay_exactly(delay_ms: float, split: dict[str, float]) -> None:
    stages = Constant(delay_ms, split).price(requests_of(["a"], [0]))[0]
    assert stages.sum() == round(delay_ms * 1000)
    assert (stages >= 0).all()
    assert all(stages[i] == 0 for i, name in enumerate(STAGES) if name not in split)


def test_split_by_hand() -> None:
    assert stage_shares({"prefill": 1, "decode": 3}) == (0, 0, 0, 0.25, 0.75, 0)
    with pytest.raises(UnknownNameError, match="prefill"):
        stage_shares({"prefil": 1})
    with pytest.raises(ParameterError, match=r"split\.decode"):
        stage_shares({"decode": -1})
    with pytest.raises(ParameterError, match="above 0"):
        stage_shares({"decode": 0})


@pytest.mark.parametrize("delay_ms", [-1.0, float("nan"), float("inf")])
def test_a_delay_must_be_finite_and_not_negative(delay_ms: float) -> None:
    with pytest.raises(ParameterError, match="delay_ms"):
        Constant(delay_ms)


def test_lognormal_keeps_median_and_p99() -> None:
    count = 4000
    source = Lognormal(median_ms=200, p99_ms=300)
    total = source.price(requests_of(["case"] * count, list(range(count)))).sum(axis=1)
    assert np.median(total) == pytest.approx(200_000, rel=0.01)
    assert np.quantile(total, 0.99) == pytest.approx(300_000, rel=0.03)


def test_lognormal_row_depends_on_case_and_index_alone() -> None:
    source = Lognormal(median_ms=100, sigma=0.3)
    batch = source.price(requests_of(["a", "b", "a"], [0, 0, 5]))
    assert np.array_equal(batch[2], source.price(requests_of(["a"], [5]))[0])
    assert len({tuple(row) for row in batch.tolist()}) == 3


def test_changing_one_stage_leaves_the_draws_of_the_others() -> None:
    split = {"vision": 1.0, "prefill": 2.0, "decode": 5.0}
    batch = requests_of(["a"] * 20, list(range(20)))
    both = Lognormal(median_ms=100, sigma={"prefill": 0.1, "decode": 0.5}, split=split).price(batch)
    one = Lognormal(median_ms=100, sigma={"prefill": 0.1}, split=split).price(batch)
    decode = STAGES.index("decode")
    assert np.array_equal(np.delete(both, decode, 1), np.delete(one, decode, 1))
    assert (one[:, decode] == 62_500).all()
    assert len(set(both[:, decode].tolist())) == 20


@pytest.mark.parametrize(
    "fields",
    [{}, {"p99_ms": 300, "sigma": 0.1}, {"p99_ms": 100}, {"sigma": -0.1}, {"sigma": float("nan")}],
)
def test_lognormal_refuses_contradictions(fields: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        Lognormal(median_ms=200, **fields)


@given(st.lists(TIMES, min_size=1, max_size=20), st.sampled_from(["csv", "json"]))
def test_a_trace_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory, times: list[tuple[int, ...]], kind: str
) -> None:
    path = tmp_path_factory.mktemp("trace") / f"t.{kind}"
    rows = [TraceRow("ab"[i % 2], i // 2, row) for i, row in enumerate(times)]
    write_trace(path, rows)
    assert read_trace(path) == rows


def test_exact_replay_is_by_case_and_index_and_wraps() -> None:
    rows = tuple(
        TraceRow(case, i, (0, 0, 0, 0, 10 * i + offset, 0)) for case, offset in (("a", 1), ("b", 2)) for i in range(3)
    )
    times = Trace(rows=rows[::-1]).price(requests_of(["a", "b", "a", "a"], [0, 2, 2, 4])).sum(axis=1)
    assert times.tolist() == [1, 22, 21, 11]
    with pytest.raises(ParameterError, match="resample"):
        Trace(rows=rows).price(requests_of(["c"], [0]))


def test_a_plain_list_serves_every_case() -> None:
    source = Trace(rows=tuple(rows_of_durations([1.0, 2.5])), scale=2.0)
    assert source.price(requests_of(["x", "y", "x"], [0, 1, 2])).sum(axis=1).tolist() == [2000, 5000, 2000]


def test_resampling_draws_recorded_rows_repeatably() -> None:
    source = Trace(rows=tuple(rows_of_durations([1, 2, 3, 4])), replay="resample")
    batch = requests_of(["x"] * 50, list(range(50)))
    drawn = source.price(batch).sum(axis=1)
    assert set(drawn.tolist()) == {1000, 2000, 3000, 4000}
    assert np.array_equal(drawn, source.price(batch).sum(axis=1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "case,request\n,0\n",
        "decode_us\n-1\n",
        "decode_us\nabc\n",
        "decode_us\n1.5\n",
        "decod_us\n1\n",
        "a\x00b",
    ],
)
def test_a_broken_trace_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.csv"
    path.write_text(text)
    with pytest.raises(ParameterError, match=r"broken\.csv"):
        Trace(path=str(path))


@given(st.text(max_size=60))
def test_no_text_crashes_the_trace_parser(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("t.csv", "t.json"):
        (folder / name).write_text(text, encoding="utf-8", errors="replace")
        try:
            read_trace(folder / name)
        except SimdriveError:
            pass


def test_json_with_fractions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"rows": [{"decode_us": 12.5}]}))
    with pytest.raises(ParameterError, match="whole number"):
        read_trace(path)


def test_trace_needs_one_origin() -> None:
    for fields in ({}, {"path": "???"}, {"path": "x.csv", "rows": (TraceRow("", 0, (0,) * 6),)}):
        with pytest.raises(ParameterError, match="exactly one"):
            Trace(**fields)
    with pytest.raises(ParameterError, match="does not exist"):
        Trace(path="no_such_file.csv")
    with pytest.raises(UnknownNameError, match="exact"):
        Trace(rows=(TraceRow("", 0, (0,) * 6),), replay="exakt")  # type: ignore[arg-type]


def test_identity_follows_the_numbers(tmp_path: Path) -> None:
    assert Constant(200).identity() == Constant(200.0, {"decode": 7}).identity()
    assert Constant(200).identity() != Constant(201).identity()
    rows = rows_of_durations([1, 2, 3])
    write_trace(tmp_path / "t.csv", rows)
    assert Trace(path=str(tmp_path / "t.csv")).identity() == Trace(rows=tuple(rows)).identity()


def test_configs_build(tmp_path: Path) -> None:
    assert build("latency", "constant", delay_ms=400).price(requests_of(["a"], [0])).sum() == 400_000
    assert build("latency", "lognormal").price(requests_of(["a"], [0])).sum() > 0
    write_trace(tmp_path / "t.csv", rows_of_durations([5]))
    assert build("latency", "trace", path=str(tmp_path / "t.csv")).price(requests_of(["a"], [9])).sum() == 5000
    with pytest.raises(ParameterError, match=r"latency\.path"):
        build("latency", "trace")


def test_a_finished_run_is_a_trace(tmp_path: Path) -> None:
    plan = [("a", "slow"), ("b", "slow"), ("a", "fast")]
    columns: dict[str, Any] = {
        "row": [0, 1, 2],
        "case_key": [case for case, _ in plan],
        "agent": ["idm"] * 3,
        "latency": [latency for _, latency in plan],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "plan.parquet")
    started = [(0, 0, 10), (0, -1, 0), (0, 300, 30), (1, 0, 40), (2, 0, 50)]  # row, start, decode time
    requests: dict[str, Any] = {f"{stage}_us": [0] * 5 for stage in STAGES}
    requests |= {
        "row": [row for row, _, _ in started],
        "t_obs_us": [0, 100, 200, 0, 0],
        "t_start_us": [start for _, start, _ in started],
        "decode_us": [time for _, _, time in started],
    }
    with pytest.raises(ParameterError, match="no finished run"):
        Trace(path=str(tmp_path))
    pyarrow.parquet.write_table(pyarrow.table(requests), tmp_path / "requests.parquet")
    with pytest.raises(ParameterError, match="latency='slow'"):
        Trace(path=str(tmp_path))
    source = Trace(path=str(tmp_path), latency="slow")
    assert source.price(requests_of(["a", "a", "a", "b"], [0, 1, 2, 0])).sum(axis=1).tolist() == [10, 30, 10, 40]
