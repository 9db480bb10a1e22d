"""What holds for every configured metric: declared, pure, never a score for what is unknown; and golden
episodes.
"""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from golden_logs import GOLDEN, LOGS, measured
from logs import make_log, make_requests, straight_plan, with_fields

from simdrive.build import config_names
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.metrics.base import Scored
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.types import EndReason, EpisodeLog, Metric

# Scores that need the motion of the ego, and therefore must not be given where it is unknown.
OF_MOTION = (
    "bench2drive_smoothness",
    "comfort",
    "discomfort_share",
    "driving_direction",
    "epdms",
    "iso2631_mps2",
    "lateral_jerk_rms_mps3",
    "longitudinal_jerk_rms_mps3",
    "longitudinal_jerk_p95_mps3",
    "max_btn",
    "max_drac_mps2",
    "max_stn",
    "min_gap_m",
    "min_mttc_s",
    "min_rss_margin_m",
    "min_thw_s",
    "min_ttc_s",
    "min_wttc_s",
    "nuplan_score",
    "pdms",
    "progress_m",
    "progress_ratio",
    "speed_limit",
    "ttc_exposure_s",
    "ttc_integrated_s2",
    "ttc_within_bound",
)


def edge_logs() -> dict[str, EpisodeLog]:
    other = [{"x": 30.0}]
    return {
        "no rows": make_log(0),
        "one row": make_log(1, others=other),
        "two rows": make_log(2, others=other),
        "two rows, short": make_log(2, others=other, last_us=20_000),
        "contact in the first row": make_log(1, others=[{"x": 4.5}], contact_with=1),
        "alone": make_log(30),
        "everybody absent": make_log(30, others=[{"x": 30.0, "present": False}]),
        "one plan": make_log(30, requests=make_requests([0], 0, straight_plan(0, 0, 0, 1.0)[None])),
        "no plan arrived": make_log(
            30, requests=make_requests([0, 100_000], 0, status=[6, 6], t_actuate_us=np.array([-1, -1]))
        ),
        "plans without points": make_log(30, requests=make_requests([0, 100_000], 0, np.zeros((2, 0, 5)))),
        "blocked": make_log(30, end=EndReason.BLOCKED),
        "unavoidable": make_log(30, avoidable=False),
        "all unknown": all_unknown(),
    }


def all_unknown() -> EpisodeLog:
    log = make_log(30, others=[{"x": 30.0}])
    floats = {
        field.name: np.full_like(value, math.nan)
        for field in dataclasses.fields(log)
        if isinstance(value := getattr(log, field.name), np.ndarray) and value.dtype == np.float64
    }
    return with_fields(log, **floats, expert_progress_m=math.nan)


@pytest.mark.parametrize("name", edge_logs())
def test_no_metric_fails_on_an_edge_and_nan_means_unscored(name: str) -> None:
    found = evaluate(edge_logs()[name], load_metrics())
    assert found.errors == {}
    for metric, value in found.values.items():
        assert value.valid == (not math.isnan(value.value)), metric


@pytest.mark.parametrize("name", OF_MOTION)
def test_unknown_motion_is_never_scored(name: str) -> None:
    assert not load_metrics([name])[0](all_unknown()).valid


@pytest.mark.parametrize("name", config_names("metric"))
def test_every_metric_is_declared_and_named_like_its_file(name: str) -> None:
    metric = load_metrics([name])[0]
    assert metric.name == name
    assert metric.better in ("lower", "higher", "none")
    units = {"_mps": "m/s", "_mps2": "m/s2", "_mps3": "m/s3", "_ms": "ms", "_s": "s", "_m": "m"}
    unit = next((unit for ending, unit in units.items() if name.endswith(ending)), None)
    assert unit is None or metric.unit == unit


def frozen(log: EpisodeLog) -> EpisodeLog:
    for part in (log, log.requests, log.actors):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
    return log


def test_metrics_are_pure() -> None:
    metrics = load_metrics()
    first = [evaluate(frozen(make()), metrics) for make in LOGS.values()]
    assert all(found.errors == {} for found in first)
    again = [evaluate(make(), metrics) for make in reversed(LOGS.values())][::-1]
    for one, other in zip(first, again, strict=True):
        assert {k: str(v.value) for k, v in one.values.items()} == {k: str(v.value) for k, v in other.values.items()}


def test_golden_episodes() -> None:
    table = measured()
    assert sorted(f"{family}.json" for family in table) == sorted(path.name for path in GOLDEN.glob("*.json"))
    for family, logs in table.items():
        golden = json.loads((GOLDEN / f"{family}.json").read_text(encoding="utf-8"))
        for log, values in logs.items():
            assert values == {
                name: None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
                for name, value in golden[log].items()
            }, (family, log)


def test_a_metric_that_raises_is_recorded_and_stops_no_other() -> None:
    def broken(log: EpisodeLog) -> float:
        raise ZeroDivisionError("no speed")

    metrics: list[Metric] = [Scored("broken", "", "none", broken), *load_metrics(["contact"])]
    found = evaluate(make_log(3), metrics)
    assert found.errors == {"broken": "ZeroDivisionError: no speed"}
    assert not found["broken"].valid
    assert found["contact"].value == 0.0


def test_unknown_and_doubled_metrics_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'failure'"):
        load_metrics(["falure"])
    with pytest.raises(ParameterError, match="two metrics are named 'contact'"):
        load_metrics(["contact", "contact"])
