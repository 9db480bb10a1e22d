"""Logs of any shape survive their way through tables and files bit by bit."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import make_log, make_requests, with_fields
from run_fixtures import planned, result_of, tables_of
from test_eval_store import assert_same

from simdrive.eval import schema
from simdrive.eval.episode_codec import EpisodeResult, decode, encode
from simdrive.eval.plan import PlannedEpisode, plan_frame, planned_episodes
from simdrive.metrics.evaluate import Evaluation
from simdrive.sim.spec import Lighting
from simdrive.types import Case, Contact, EndReason, EpisodeLog, MetricValue

EMPTY = Evaluation({}, {})


def scramble(value: Any, rng: np.random.Generator) -> Any:
    """Replace an array by random content of the same type and shape, specials of floating point included."""
    if value.dtype == np.float64:
        bits = rng.integers(0, 2**64, size=value.shape, dtype=np.uint64).view(np.float64)
        return np.where(np.isnan(bits), rng.choice([math.nan, math.inf, -0.0, 5e-324], size=value.shape), bits)
    if value.dtype == np.bool_:
        return rng.random(value.shape) < 0.5
    limits = np.iinfo(value.dtype)
    return rng.integers(limits.min, limits.max, size=value.shape, dtype=value.dtype, endpoint=True)


def random_log(rng: np.random.Generator, rows: int, others: int, requests: int, points: int) -> EpisodeLog:
    log = make_log(
        rows,
        others=[{"x": 1.0, "name": f"Žluťoučký {k}"} for k in range(others)],
        requests=make_requests([7 * k for k in range(requests)], 3, np.zeros((requests, points, 5))),
    )

    def scrambled(part: Any) -> Any:
        arrays = {
            field.name: scramble(value, rng)
            for field in dataclasses.fields(part)
            if isinstance(value := getattr(part, field.name), np.ndarray)
        }
        return dataclasses.replace(part, **arrays)

    status = rng.integers(0, 7, size=requests).astype(np.int8)
    plan = scramble(np.zeros((requests, points, 5)), rng)
    for row, keep in enumerate(rng.integers(0, points + 1, size=requests)):
        plan[row, keep:] = math.nan
    tokens = {
        name: rng.integers(0, 2**40, size=requests) for name in ("prompt_tokens", "image_tokens", "output_tokens")
    }
    log = dataclasses.replace(
        scrambled(log),
        t_us=np.cumsum(rng.integers(1, 10**6, size=rows)),
        actors=scrambled(log.actors),
        requests=dataclasses.replace(scrambled(log.requests), status=status, plan=plan, **tokens),
        end=EndReason(int(rng.integers(0, 6))),
        lighting=Lighting(sun_elevation_deg=float(rng.normal()), tunnel_start_x_m=math.nan),
    )
    if rng.random() < 0.5:
        log = with_fields(log, contact=Contact(5, others, 3, *(float(value) for value in rng.normal(size=3))))
    return log


def planned_for(log: EpisodeLog, row: int) -> PlannedEpisode:
    return PlannedEpisode(row, f"key{row}", log.case, "agent", "latency")


@given(
    seed=st.integers(0, 2**32 - 1),
    shapes=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)),
        min_size=1,
        max_size=3,
    ),
)
@settings(max_examples=40, deadline=None)
def test_any_log_survives(seed: int, shapes: list[tuple[int, int, int, int]]) -> None:
    rng = np.random.default_rng(seed)
    logs = [random_log(rng, *shape) for shape in shapes]
    tables = encode([EpisodeResult(planned_for(log, row), log, EMPTY) for row, log in enumerate(logs)])
    for row, log in enumerate(logs):
        parts = [tables.table(name) for name in schema.TABLES[1:]]
        found = decode(tables.episodes.to_pylist()[row], *(part.filter(_is(part, row)) for part in parts))
        assert_same(found, log)


def _is(table: Any, row: int) -> Any:
    import pyarrow.compute as pc

    return pc.equal(table.column("row"), row)


def test_metric_values_and_errors_are_columns() -> None:
    result = result_of(0)
    evaluation = Evaluation(
        {"first": MetricValue(2.5), "second": MetricValue(7.0, valid=False)}, {"second": "ValueError: no"}
    )
    row = encode([dataclasses.replace(result, evaluation=evaluation)]).episodes.to_pylist()[0]
    assert row["first"] == 2.5
    assert math.isnan(row["second"])
    assert row["metric_errors"] == '{"second":"ValueError: no"}'
    assert tables_of(0).episodes.to_pylist()[0]["metric_errors"] == ""


def test_metrics_may_not_shadow_facts_nor_differ_between_episodes() -> None:
    result = result_of(0)
    clash = Evaluation({"agent": MetricValue(1.0)}, {})
    with pytest.raises(ValueError, match="facts: agent"):
        encode([dataclasses.replace(result, evaluation=clash)])
    with pytest.raises(ValueError, match="different metrics"):
        encode([result, dataclasses.replace(result_of(1), evaluation=EMPTY)])
    with pytest.raises(ValueError, match="at least one episode"):
        encode([])


def test_tables_are_sorted_by_plan_row_whatever_the_order_of_results() -> None:
    shuffled = encode([result_of(row) for row in (3, 0, 2)])
    ordered = encode([result_of(row) for row in (0, 2, 3)])
    for name in schema.TABLES:
        assert repr(shuffled.table(name).to_pylist()) == repr(ordered.table(name).to_pylist()), name


def test_request_facts_count_by_status() -> None:
    log = make_log(3, requests=make_requests([0, 1, 2, 3], 0, status=[0, 3, 3, 6], dropped_frames=9))
    case_log = with_fields(log, case=Case("a", (), 1))
    row = encode([EpisodeResult(planned_for(case_log, 0), case_log, EMPTY)]).episodes.to_pylist()[0]
    assert (row["requests_ok"], row["requests_unparsable"], row["requests_unfinished"]) == (1, 2, 1)
    assert (row["dropped_frames"], row["output_tokens"]) == (9, 44)


def test_plan_frame_and_back() -> None:
    entries = planned()
    again = planned_episodes(plan_frame(entries))
    assert [repr(entry) for entry in again] == [repr(entry) for entry in entries]
