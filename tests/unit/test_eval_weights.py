"""Failure rates by weights: one setting, the same cases, and no controls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_fixtures import CONFIG, log_of, plan, planned

from simdrive.errors import ParameterError
from simdrive.eval.episode_codec import EpisodeResult, encode
from simdrive.eval.store import RunStore
from simdrive.eval.weights import failures_by_weights
from simdrive.metrics.evaluate import evaluate, load_metrics

AGENTS = {"careful": {"weight_hash": "aa"}, "rash": {"weight_hash": "bb"}}


def run(path: Path, agents: dict[str, dict[str, Any]], done: Any) -> str:
    store = RunStore.create_or_open(path, {**CONFIG, "agents": {k: json.dumps(v) for k, v in agents.items()}}, plan())
    metrics = load_metrics(["contact", "failure"])
    for entry in planned():
        if done(entry):
            log = log_of(entry)
            store.write_part(encode([EpisodeResult(entry, log, evaluate(log, metrics))]))
    return str(path)


def late(entry: Any) -> bool:
    return bool(entry.latency.endswith("400 ms"))


def test_rates_are_found_by_weights(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", AGENTS, late)
    episodes = RunStore.open(folder).episodes()
    expected = {
        key: float((episodes[episodes["agent"] == name]["failure"] > 0).mean())
        for name, key in (("careful", "aa"), ("rash", "bb"))
    }
    assert expected == {"aa": 0.0, "bb": 1.0}
    assert failures_by_weights([folder]) == expected


def test_controls_and_agents_without_weights_are_left_out(tmp_path: Path) -> None:
    agents = {"careful": {"speed_mps": 3.0}, "rash": {"weight_hash": "bb", "blind": True}}
    assert failures_by_weights([run(tmp_path / "run", agents, late)]) == {}
    assert failures_by_weights([]) == {}


def test_two_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="2 settings .*constant 0 ms.*constant 400 ms"):
        failures_by_weights([run(tmp_path / "run", AGENTS, lambda entry: True)])


def test_other_cases_are_refused(tmp_path: Path) -> None:
    folder = run(
        tmp_path / "run", AGENTS, lambda entry: late(entry) and not (entry.agent == "rash" and entry.case.seed == 0)
    )
    with pytest.raises(ParameterError, match=r"different cases \(3/2\)"):
        failures_by_weights([folder])
