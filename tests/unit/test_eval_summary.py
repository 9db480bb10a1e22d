"""Summaries: counts, intervals and paired tests by hand, and their tables."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from run_fixtures import CONFIG, plan, tables_of

from simdrive.errors import IncompleteRunError
from simdrive.eval import stats
from simdrive.eval.store import RunStore
from simdrive.eval.summary import RunSummary, summarise, summarise_episodes, write_summary
from simdrive.report.table import summary_table


def episodes(*groups: tuple[str, str, list[float]], **columns: Any) -> pd.DataFrame:
    """An episodes table: per group (agent, latency) the failures of the cases c0, c1 ..., NaN = unscored."""
    rows = [
        {
            "row": 0,
            "agent": agent,
            "latency": latency,
            "camera": "",
            "corruption": "",
            "scenario": "even" if index % 2 == 0 else "odd",
            "case_key": f"c{index}",
            "valid": True,
            "avoidable": not math.isnan(failure),
            "end": "time_limit",
            "failure": failure,
            "min_ttc_s": float(index),
            "metric_errors": "",
        }
        for agent, latency, failures in groups
        for index, failure in enumerate(failures)
    ]
    frame = pd.DataFrame(rows).assign(**columns)
    frame["row"] = np.arange(len(frame))
    return frame


def test_rates_and_scores_by_hand() -> None:
    summary = summarise_episodes(episodes(("idm", "0 ms", [0.0, 1.0, math.nan, 0.0, 1.0])))
    (group,) = summary.groups
    assert (group.agent, group.latency, group.scenario) == ("idm", "0 ms", None)
    assert (group.episodes, group.counted, group.avoidable) == (5, 5, 4)
    failures = group.rates["failure"]
    assert (failures.count, failures.total) == (2, 4)
    assert failures.interval == stats.wilson(2, 4)
    score = group.scores["min_ttc_s"]
    assert (score.mean, score.minimum, score.maximum, score.count) == (2.0, 0.0, 4.0, 5)
    assert group.against_reference is None


def test_invalid_and_blocked_episodes_are_not_counted() -> None:
    frame = episodes(("idm", "0 ms", [1.0, 1.0, 0.0, 0.0]))
    frame.loc[0, "valid"] = False
    frame.loc[1, "end"] = "blocked"
    (group,) = summarise_episodes(frame).groups
    assert (group.episodes, group.counted) == (4, 2)
    assert (group.rates["failure"].count, group.rates["failure"].total) == (0, 2)
    assert group.scores["min_ttc_s"].mean == 2.5


def test_each_group_is_tested_against_the_first_on_the_same_cases() -> None:
    nan = math.nan
    summary = summarise_episodes(
        episodes(
            ("expert", "0 ms", [0, 0, 0, 0, 0, 0, 0, 1, nan, 0]),
            ("expert", "400 ms", [1, 1, 1, 1, 1, 1, 0, 1, 1, nan]),
            ("idm", "0 ms", [0, 0, 0, 1, 0, 0, 0, 0, nan, 0]),
        )
    )
    assert summary.reference == ("expert", "0 ms", "", "")
    late, idm = (group.against_reference for group in summary.groups[1:])
    assert late is not None
    assert idm is not None
    assert (late.paired.pairs, late.paired.only_first, late.paired.only_second, late.unpaired) == (8, 0, 6, 1)
    assert late.paired.p_value == pytest.approx(2 * 0.5**6)
    assert late.p_holm == pytest.approx(4 * 0.5**6)
    assert late.paired.difference.estimate == pytest.approx(6 / 8)
    assert (idm.paired.pairs, idm.paired.only_first, idm.paired.only_second) == (9, 1, 1)
    assert idm.p_holm == 1.0


def test_groups_without_shared_cases_are_not_tested() -> None:
    frame = episodes(("a", "0", [0.0, 1.0]), ("b", "0", [0.0, 1.0]))
    frame.loc[2:, "case_key"] = ["x", "y"]
    against = summarise_episodes(frame).groups[1].against_reference
    assert against is not None
    assert (against.paired.pairs, against.unpaired) == (0, 2)
    assert math.isnan(against.p_holm)


def test_scenarios_split_every_group() -> None:
    summary = summarise_episodes(episodes(("a", "0", [0.0, 1.0, 0.0]), ("b", "0", [0.0, 0.0, 1.0])))
    found = [(part.agent, part.scenario, part.rates["failure"].count) for part in summary.by_scenario]
    assert found == [("a", "even", 0), ("a", "odd", 1), ("b", "even", 1), ("b", "odd", 0)]


def test_runs_without_the_failure_metric_have_no_test() -> None:
    frame = episodes(("a", "0", [0.0]), ("b", "0", [0.0])).drop(columns="failure")
    summary = summarise_episodes(frame)
    assert "failure" not in summary.groups[0].rates
    assert text(summary).count("-") > 0
    with pytest.raises(IncompleteRunError, match="no episode"):
        summarise_episodes(frame.iloc[:0])


def test_summary_of_a_store_is_written_as_plain_json(tmp_path: Any) -> None:
    store = RunStore.create_or_open(tmp_path / "run", CONFIG, plan())
    store.write_part(tables_of(0, 1, 2, 6, 7, 8))
    summary = summarise(store)
    assert (summary.planned, summary.done) == (12, 6)
    write_summary(store, summary)
    stored = json.loads((store.path / "summary.json").read_text(encoding="utf-8"))
    assert stored == summary.to_dict()
    assert not stored["complete"]
    assert "avoidable cases only" in stored["filter"]
    assert "Wilson" in stored["aggregation"]
    careful, rash = stored["groups"]
    assert rash["rates"]["contact"] == {
        "count": 3,
        "total": 3,
        "interval": {"estimate": 1.0, "low": pytest.approx(0.4385, abs=1e-4), "high": 1.0, "reason": ""},
    }
    assert rash["against_reference"]["paired"]["only_second"] == 3
    assert careful["scores"]["min_ttc_s"]["count"] == 3


def text(summary: RunSummary, by_scenario: bool = False) -> str:
    stream = io.StringIO()
    Console(file=stream, width=60, soft_wrap=True).print(summary_table(summary, by_scenario))
    return stream.getvalue()


def example() -> RunSummary:
    return summarise_episodes(
        episodes(
            ("expert", "constant 0 ms, streaming", [0, 0, 0, 0]),
            ("idm", "constant 400 ms, streaming", [1, 1, 1, 0]),
        ),
        planned=10,
    )


def test_plain_table_is_aligned_uncut_and_uncoloured() -> None:
    lines = text(example()).splitlines()
    headings = [heading.strip() for heading in lines[0].split("  ") if heading.strip()]
    assert headings[:4] == ["agent", "latency", "n", "failures %"]
    assert headings[-3:] == ["points", "p", "p Holm"]
    assert "reference" in lines[2]
    assert "constant 400 ms, streaming" in lines[3]
    assert "3/4  75.0 [30.1, 95.4]" in lines[3]
    assert "+75.0 [" in lines[3]
    assert lines[3].endswith("0.250")
    assert "\x1b" not in text(example())
    assert "INCOMPLETE: 8 of 10 planned episodes" in text(example())


def test_split_table_names_the_scenarios() -> None:
    lines = text(example(), by_scenario=True).splitlines()
    assert "scenario" in lines[0]
    assert "points" not in lines[0]
    assert sum("even" in line or "odd" in line for line in lines) == 4


def test_varied_cameras_get_a_column_and_metric_errors_a_note() -> None:
    frame = episodes(("a", "0", [0.0]), ("a", "0", [1.0]))
    frame["camera"] = ["front", "wide"]
    frame.loc[0, "metric_errors"] = '{"x":"y"}'
    shown = text(summarise_episodes(frame))
    assert "camera" in shown.splitlines()[0]
    assert "METRIC ERRORS in 1 episodes" in shown


def test_a_terminal_gets_a_drawn_table() -> None:
    stream = io.StringIO()
    Console(file=stream, width=200, force_terminal=True).print(summary_table(example()))
    assert "─" in stream.getvalue()
    assert "75.0 [30.1, 95.4]" in stream.getvalue()
