"""Real durations become a trace that replays; what else is in the file says where they come from."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_kit import Fake, straight_plans
from typer.testing import CliRunner

from simdrive.cli import app
from simdrive.errors import ParameterError, SimdriveError
from simdrive.eval.measuring import measure
from simdrive.latency.trace import Trace
from simdrive.latency.trace_files import read_trace
from simdrive.scenarios.sampling import sample_cases
from simdrive.types import STAGES, ObservationBatch


def test_durations_are_those_of_single_requests_after_the_warm_up() -> None:
    sizes: list[int] = []

    def drive(batch: ObservationBatch) -> Any:
        sizes.append(len(batch))
        time.sleep(0.4 if len(sizes) <= 2 else 0.002)
        return straight_plans(batch)

    found = measure(Fake(drive), sample_cases("cut_in", 1, 0), requests=6, warm_up=2)
    assert len(found.durations_us) == 6
    assert set(sizes) == {1}
    assert min(found.durations_us) >= 2_000
    assert np.median(found.durations_us) < 400_000  # the slow ones only warmed up
    assert len(sizes) < 20  # no more is driven than is wanted
    assert found.provenance["batch"] == 1
    rows = found.rows("vision")
    assert [row.stages_us[STAGES.index("vision")] for row in rows] == list(found.durations_us)


def test_an_agent_that_only_fails_is_refused() -> None:
    def fail(batch: ObservationBatch) -> Any:
        raise KeyError("no")

    with pytest.raises(SimdriveError, match="failed on all"):
        measure(Fake(fail), sample_cases("cut_in", 1, 0), requests=2, warm_up=0)
    with pytest.raises(ParameterError, match="requests"):
        measure(Fake(fail), sample_cases("cut_in", 1, 0), requests=0, warm_up=0)


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_measure_writes_a_trace_that_replays(tmp_path: Path, kind: str) -> None:
    out = tmp_path / f"t.{kind}"
    words = ["latency", "measure", "agent=constant_speed", "requests=4", "warm_up=1", f"out={out}", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout.splitlines()[-1])
    assert (facts["agent"], facts["requests"], facts["batch"]) == ("constant_speed", 4, 1)
    assert {"host", "processor", "simdrive", "python", "packages"} <= set(facts)
    assert len(read_trace(out)) == 4
    assert Trace(str(out)).identity()["source"] == "trace"
    beside = tmp_path / "t.provenance.json"
    told = json.loads((out if kind == "json" else beside).read_text())
    assert (told.get("provenance") or told)["agent"] == "constant_speed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("agent=idmm",), "idm"),
        (("stage=decoding",), "decode"),
        (("out=t.txt",), ".json or .csv"),
        (("cases=0",), "cases"),
        (("request=3",), "requests"),
    ],
)
def test_measure_names_what_is_wrong(words: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["latency", "measure", *words])
    assert result.exit_code == 2
    assert message in result.output


def test_schedule_prints_and_counts() -> None:
    result = CliRunner().invoke(app, ["latency", "schedule"])
    assert result.exit_code == 0, result.output
    assert "nonpreemptive  PPP......AAAAAAPPP" in result.stdout
    found = CliRunner().invoke(app, ["latency", "schedule", "planner.priority=0", "--json"])
    rows = {row["policy"]: row["misses"] for row in json.loads(found.stdout.splitlines()[-1])["policies"]}
    assert rows == {"nonpreemptive": 2, "preemptive": 2, "partitioned": 0, "let": 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("policies=[fifo]",), "preemptive"),
        (("jobs=3",), "list of mappings"),
        (("jobs=[{name: a, cost: 3}]",), "period_ms"),
        (("planner.cost_ms=0",), "cost_ms"),
        (("deadline_ms=-1",), "deadline_ms"),
        (("planner.cost=3",), "planner.cost_ms"),
    ],
)
def test_schedule_names_what_is_wrong(words: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["latency", "schedule", *words])
    assert result.exit_code == 2
    assert message in result.output
