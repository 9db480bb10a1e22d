"""What a report is made of: the episodes, requests and provenance of one or more run folders, side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simdrive.eval.folder import read_run
from simdrive.eval.sides import finished
from simdrive.eval.store import RunStore
from simdrive.eval.summary import GROUP
from simdrive.eval.survived import restricted, survived

REQUEST_COLUMNS = ("row", "status", "t_start_us", "t_finish_us", "deadline_us", "missed")
AGENT_ERRORS = ("exception", "timeout", "unparsable", "invalid")


@dataclass(frozen=True)
class RunFacts:
    """One run folder: how it is called, what its files say, what went wrong."""

    name: str
    store: RunStore
    run: dict[str, Any]
    config_text: str
    errors: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Evidence:
    """Runs laid side by side; ``run`` is the position of the folder a row comes from.

    Attributes:
        runs: the folders, in the order given.
        plan: planned episodes of all of them, each key once.
        episodes: finished episodes, each key once; agents carry their folder's name where they would be confused.
        requests: of these episodes, ``REQUEST_COLUMNS`` with ``run``.
        repeated: planned episodes that a former folder holds as well; they count once.
    """

    runs: tuple[RunFacts, ...]
    plan: pd.DataFrame
    episodes: pd.DataFrame
    requests: pd.DataFrame
    repeated: int
    narrowed: str = ""  # in which cases alone failures count, in words; "" = in all avoidable ones


def narrowed(evidence: Evidence, driver: str) -> Evidence:
    """Return evidence in which failures count only in cases that an agent comes through.

    Raises:
        UnknownNameError: if no run has that agent.
    """
    found = survived([evidence.episodes], driver)
    return replace(evidence, episodes=restricted(evidence.episodes, found.cases), narrowed=str(found))


def gather(paths: Sequence[Path]) -> Evidence:
    """Read run folders; nothing in them is changed.

    Raises:
        RunFolderError: if one is none, is broken, or has another schema version.
    """
    runs = tuple(_facts(path) for path in paths)
    plan = _joined([facts.store.plan for facts in runs])
    episodes = _joined([finished(facts.store) for facts in runs])
    requests = _joined([facts.store.columns("requests", REQUEST_COLUMNS) for facts in runs])
    repeated = int(plan["key"].duplicated().sum())
    plan, episodes = plan.drop_duplicates("key"), episodes.drop_duplicates("key")
    for name in _confused(runs, plan):
        for frame in (plan, episodes):
            mine = frame["agent"] == name
            frame.loc[mine, "agent"] = [f"{name} @ {runs[run].name}" for run in frame.loc[mine, "run"]]
    return Evidence(runs, plan.reset_index(drop=True), episodes.reset_index(drop=True), requests, repeated)


def _facts(path: Path) -> RunFacts:
    store = RunStore.open(path)
    text = (path / "config.yaml").read_text(encoding="utf-8")
    return RunFacts(str(path), store, read_run(path), text, tuple(store.errors()))


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    numbered = [frame.assign(run=run) for run, frame in enumerate(frames)]
    full = [frame for frame in numbered if len(frame)]
    return pd.concat(full, ignore_index=True) if full else numbered[0]


def _confused(runs: tuple[RunFacts, ...], plan: pd.DataFrame) -> list[str]:
    """Return the agents whose name means different things, or that drove one case in one setting twice."""
    twice = plan[plan.duplicated([*GROUP, "case_key"], keep=False)]
    names = {str(name) for name in twice["agent"]}
    for name in plan["agent"].unique():
        agents = [facts.store.config.get("agents") for facts in runs]
        settings = {
            json.dumps(each[name], sort_keys=True) for each in agents if isinstance(each, dict) and name in each
        }
        if len(settings) > 1:
            names.add(str(name))
    return sorted(names)


@dataclass(frozen=True)
class Group:
    """One agent under one setting, with what a page shows of it.

    Attributes:
        agent: its name.
        setting: label of latency, camera and corruption without what all groups share.
        full: the whole label.
        agent_index: position of the agent.
        setting_index: position of the setting.
        planned: how many episodes were planned.
        episodes: those that are finished.
        latency_ms: sorted durations of the requests that finished, milliseconds.
        requests: how many requests there were.
        with_deadline: how many of them had one.
        missed: how many missed it.
        failed: how many failed, by class.
    """

    agent: str
    setting: str
    full: str
    agent_index: int
    setting_index: int
    planned: int
    episodes: pd.DataFrame
    latency_ms: np.ndarray[Any, Any]
    requests: int
    with_deadline: int
    missed: int
    failed: dict[str, int]

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the request durations, NaN without requests."""
        return float(np.quantile(self.latency_ms, share)) if len(self.latency_ms) else float("nan")


def groups_of(evidence: Evidence) -> list[Group]:
    """Return the groups in plan order."""
    plan = evidence.plan
    full = full_labels(plan)
    short = dict(zip(dict.fromkeys(full), short_labels(list(dict.fromkeys(full))), strict=True))
    agents, settings = list(dict.fromkeys(plan["agent"])), list(short)
    label_of = dict(zip(plan["key"], full, strict=True))
    episodes = evidence.episodes.assign(setting=[label_of[key] for key in evidence.episodes["key"]])
    driven = _split(episodes)
    wanted = episodes[["run", "row", "agent", "setting"]] if len(episodes) else episodes
    asked = evidence.requests.merge(wanted, on=["run", "row"]) if len(episodes) else evidence.requests.iloc[:0]
    calls = _split(asked) if len(asked) else {}
    found = []
    for place, frame in _split(plan.assign(setting=full)).items():
        position = agents.index(place[0]), settings.index(place[1])
        done = driven.get(place, evidence.episodes.iloc[:0])
        found.append(_group(place, short[place[1]], position, len(frame), done, calls.get(place)))
    return found


def _split(frame: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the rows of each (agent, setting), in order of appearance."""
    found: dict[tuple[str, str], pd.DataFrame] = {}
    for name, part in frame.groupby(["agent", "setting"], sort=False):
        agent, setting = tuple(name)
        found[str(agent), str(setting)] = part
    return found


def _group(
    place: tuple[str, str], short: str, position: tuple[int, int], planned: int,
    episodes: pd.DataFrame, calls: pd.DataFrame | None,
) -> Group:  # fmt: skip
    agent, full = place
    if calls is None:
        return Group(agent, short, full, *position, planned, episodes, np.zeros(0), 0, 0, 0, {})
    done = calls[(calls["t_finish_us"] >= 0) & (calls["t_start_us"] >= 0)]
    durations = np.sort((done["t_finish_us"] - done["t_start_us"]).to_numpy(np.float64)) / 1e3
    failed = {name: int((calls["status"] == name).sum()) for name in AGENT_ERRORS}
    return Group(
        agent, short, full, *position, planned, episodes, durations, len(calls), int((calls["deadline_us"] >= 0).sum()),
        int(calls["missed"].sum()), {name: count for name, count in failed.items() if count},
    )  # fmt: skip


def full_labels(plan: pd.DataFrame) -> list[str]:
    """Return latency, camera and corruption of each row as one label."""
    rows = plan[["latency", "camera", "corruption"]].itertuples(index=False, name=None)
    return [", ".join(str(part) for part in row if part) for row in rows]


def short_labels(labels: Sequence[str]) -> list[str]:
    """Return labels without the comma-separated parts that all of them share; unchanged where nothing would be left."""
    parts = [label.split(", ") for label in labels]
    shared = set(parts[0]).intersection(*parts[1:]) if len(parts) > 1 else set(parts[0][1:]) if parts else set()
    short = [", ".join(part for part in each if part not in shared) for each in parts]
    return short if all(short) and len(set(short)) == len(set(labels)) else list(labels)


def series_of(label: str) -> str:
    """Return what settings must share to lie on one line of a chart: all but their first ``name=number``."""
    return re.sub(r"=-?\d+(\.\d+)?", "=#", label, count=1)
