"""The two sides of a comparison: a run folder, or the ``summary.json`` of one that is kept in version control."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from simdrive.errors import ParameterError, RunFolderError, UnknownNameError
from simdrive.eval.store import RunStore
from simdrive.eval.survived import restricted, survived

SETTING = ("latency", "camera", "corruption")


@dataclass(frozen=True)
class Side:
    """What is known of one side.

    Attributes:
        name: as it was given.
        plan: planned episodes; empty for a summary.
        episodes: finished episodes; may be empty.
        totals: groups and groups by scenario of a summary; empty for a run folder.
        planned: how many episodes were planned.
        done: how many of them are finished.
    """

    name: str
    plan: pd.DataFrame
    episodes: pd.DataFrame
    totals: tuple[dict[str, Any], ...]
    planned: int
    done: int

    @property
    def agents(self) -> list[str]:
        """The agents in the order of the plan."""
        if self.totals:
            return list(dict.fromkeys(str(group["agent"]) for group in self.totals))
        return [str(name) for name in self.plan["agent"].unique()]

    def only(self, agent: str | None) -> Side:
        """Return this side with one of its agents; None = all.

        Raises:
            UnknownNameError: if there is no such agent.
        """
        if agent is None:
            return self
        if agent not in self.agents:
            raise UnknownNameError(f"agent of {self.name}", agent, self.agents)
        plan, episodes = self.plan[self.plan["agent"] == agent], self.episodes[self.episodes["agent"] == agent]
        totals = tuple(group for group in self.totals if group["agent"] == agent)
        if totals:
            return Side(self.name, plan, episodes, totals, self.planned, self.done)
        return Side(self.name, plan, episodes, totals, len(plan), len(episodes))


def open_side(path: Path) -> Side:
    """Return a run folder or a summary as a side.

    Raises:
        RunFolderError: if it is neither, or has another schema version.
        ParameterError: if it is a file that is no summary.
    """
    if path.is_file():
        return _from_summary(path)
    store = RunStore.open(path)
    done = len(store.plan) - len(store.pending_rows())
    return Side(str(path), store.plan, finished(store), (), len(store.plan), done)


def only_survived(base: Side, candidate: Side, driver: str) -> tuple[Side, Side]:
    """Return both sides with failures counted only where a driver of either comes through.

    Raises:
        ParameterError: if a side is a summary, which does not know its cases.
        UnknownNameError: if neither has such an agent.
    """
    for side in (base, candidate):
        if side.totals:
            raise ParameterError(f"{side.name} is a summary and does not know its cases; give the run folder")
    cases = survived([candidate.episodes, base.episodes], driver).cases
    first, second = (replace(side, episodes=restricted(side.episodes, cases)) for side in (base, candidate))
    return first, second


def finished(store: RunStore) -> pd.DataFrame:
    """Return the finished episodes, an empty table with the plan's columns where there is none."""
    if len(store.pending_rows()) < len(store.plan):
        return store.episodes().sort_values("row").reset_index(drop=True)
    return store.plan.iloc[:0].assign(end=pd.Series(dtype=str), metric_errors=pd.Series(dtype=str))


def _from_summary(path: Path) -> Side:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} is neither a run folder nor a readable summary.json: {error}") from error
    advice = f"{path} is no summary of simdrive's; give a run folder, or the summary.json that `simdrive show` writes"
    if not isinstance(content, dict):
        raise ParameterError(advice)
    groups = [*_groups(content, "groups"), *_groups(content, "by_scenario")]
    planned, done = content.get("planned"), content.get("done")
    if not groups or not isinstance(planned, int) or not isinstance(done, int):
        raise ParameterError(advice)
    columns = ["key", "case_key", "scenario", "seed", "agent", *SETTING, "valid", "end", "row"]
    empty = pd.DataFrame(columns=columns)
    return Side(str(path), empty, empty, tuple(groups), planned, done)


def _groups(content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    groups = content.get(name)
    if not isinstance(groups, list):
        return []
    needed = ("agent", *SETTING, "rates", "scores", "scenario")
    return [group for group in groups if isinstance(group, dict) and all(key in group for key in needed)]
