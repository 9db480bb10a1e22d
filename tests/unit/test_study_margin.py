"""Latency margins: the formula against fine-step integration, and on cases whose contact is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from logs import make_log, with_fields
from run_fixtures import cases

from simdrive.eval.episode_codec import EpisodeResult, encode
from simdrive.eval.keys import episode_key
from simdrive.eval.plan import PlannedEpisode, plan_frame
from simdrive.eval.store import RunStore
from simdrive.eval.studies.margin import case_margins, latency_margin_s, rates_by_margin, scenario_margins
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.sim.tracker import TrackerLimits


def stopping_m(closing: float, braking: float, ramp: float, step: float = 1e-5) -> float:
    """Integrate the way until the closing speed is gone, with braking that builds up linearly."""
    t = np.arange(0.0, 6.0, step)
    slowed = np.cumsum(np.where(t < ramp, braking * t / ramp, braking)) * step
    speed = np.maximum(closing - slowed, 0.0)
    return float(speed.sum() * step)


@pytest.mark.parametrize(("closing", "braking", "ramp"), [(15.0, 8.0, 0.3), (30.0, 6.0, 0.6), (0.8, 8.0, 0.3)])
def test_formula_against_integration(closing: float, braking: float, ramp: float) -> None:
    available_s = 4.0
    expected = available_s - stopping_m(closing, braking, ramp) / closing
    assert latency_margin_s(available_s, closing, braking, ramp) == pytest.approx(expected, abs=1e-3)


def test_formula_by_hand() -> None:
    """At 20 m/s without a ramp, 8 m/s2 take 25 m, which is 1.25 s of way."""
    assert latency_margin_s(2.0, 20.0, 8.0, 0.0) == pytest.approx(0.75)
    assert latency_margin_s(1.0, 20.0, 8.0, 0.0) == pytest.approx(-0.25)
    assert latency_margin_s(1.0, 0.0, 8.0, 0.3) == math.inf


def test_formula_is_continuous_where_the_brake_is_just_fully_on() -> None:
    edge = 0.5 * 8.0 * 0.3
    below, above = (latency_margin_s(2.0, edge + side, 8.0, 0.3) for side in (-1e-9, 1e-9))
    assert below == pytest.approx(above, abs=1e-6)


def hold_store(path: Path) -> RunStore:
    """Four cases held at 10 m/s: a stopped car, a faster leader never reached, an oncoming car, an unavoidable one."""
    others = [
        {"x": 25.0, "speed": 0.0, "is_hazard": True},
        {"x": 25.0, "speed": 12.0, "is_hazard": True},
        {"x": 45.0, "speed": 10.0, "heading": math.pi, "is_hazard": True},
        {"x": 25.0, "speed": 0.0, "is_hazard": True},
    ]
    results, planned = [], []
    for row, (case, other) in enumerate(zip(cases(4), others, strict=True)):
        avoidable = row != 3
        entry = PlannedEpisode(row, episode_key(case, {}, {}, sources="test"), case, "constant_speed", "now",
                               avoidable=avoidable, hazard_us=500_000)  # fmt: skip
        log = make_log(21, speed=10.0, others=[other], contact_with=None if row == 1 else 1)
        log = with_fields(log, case=case, hazard_us=500_000, avoidable=avoidable)
        planned.append(entry)
        results.append(EpisodeResult(entry, log, evaluate(log, load_metrics(["contact"]))))
    store = RunStore.create_or_open(path / "run", {"test": 1}, plan_frame(planned))
    store.write_part(encode(results))
    return store


def test_margins_of_recorded_cases(tmp_path: Path) -> None:
    limits = TrackerLimits()
    found = case_margins(hold_store(tmp_path), limits)
    assert len(found) == 3  # the unavoidable case does not count
    stopped, leader, oncoming = found.to_dict("records")
    assert stopped["available_s"] == pytest.approx(1.5)
    assert stopped["closing_mps"] == pytest.approx(10.0)
    assert stopped["margin_s"] == pytest.approx(latency_margin_s(1.5, 10.0, 8.0, 8.0 / 27.0))
    assert leader["margin_s"] == math.inf
    assert oncoming["oncoming"]
    assert math.isnan(oncoming["margin_s"])


def test_scenario_quantiles_count_untouched_cases_as_infinite() -> None:
    margins = pd.DataFrame(
        {"scenario": ["a"] * 4 + ["b"], "margin_s": [0.1, 0.2, math.inf, math.inf, math.nan],
         "oncoming": [False] * 4 + [True]}
    )  # fmt: skip
    a, b = scenario_margins(margins)
    assert (a.cases, a.scored, a.untouched, a.oncoming) == (4, 4, 2, 0)
    assert a.quantiles_s == (0.1, 0.1, 0.2)
    assert (b.scored, b.oncoming) == (0, 1)
    assert all(math.isnan(value) for value in b.quantiles_s)


def test_failures_by_margin() -> None:
    margins = pd.DataFrame({"case_key": list("abcd"), "margin_s": [-0.1, 0.3, math.inf, math.nan]})
    outcomes = {100.0: pd.Series({"a": 1.0, "b": 0.0, "c": 0.0, "d": 1.0}), 0.0: pd.Series({"a": 0.0, "c": 1.0})}
    found = {(rate.low_s, rate.delay_ms): (rate.failures, rate.total) for rate in rates_by_margin(outcomes, margins)}
    assert found[-math.inf, 0.0] == (0, 1)
    assert found[-math.inf, 100.0] == (1, 1)
    assert found[0.25, 100.0] == (0, 1)
    assert found[0.25, 0.0] == (0, 0)
    assert found[1.0, 0.0] == (1, 1)  # infinity is in the last range
    assert sum(total for (_, delay), (_, total) in found.items() if delay == 100.0) == 3  # without the NaN


def test_weaker_brakes_leave_less(tmp_path: Path) -> None:
    store = hold_store(tmp_path)
    strong, weak = (case_margins(store, limits)["margin_s"][0]
                    for limits in (TrackerLimits(), replace(TrackerLimits(), max_braking_mps2=4.0)))  # fmt: skip
    assert weak < strong
