"""Which cases of a report are laid side by side, and which of their episodes: those that tell drivers apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from simdrive.eval.summary import counted
from simdrive.report.evidence import Group

MOST_CASES = 6
MOST_SIDES = 4
_COLUMNS = ("key", "case_key", "scenario", "seed", "run", "valid", "end")


@dataclass(frozen=True)
class Side:
    """One episode of a case.

    Attributes:
        key: of the episode.
        run: position of the folder that holds it.
        agent: who drove.
        setting: under which setting, as the page words it.
        agent_index: position of the agent.
        setting_index: position of the setting.
        failed: whether it counts as a failure; None = not scored.
    """

    key: str
    run: int
    agent: str
    setting: str
    agent_index: int
    setting_index: int
    failed: bool | None

    @property
    def name(self) -> str:
        """Agent and setting."""
        return f"{self.agent}, {self.setting}"


@dataclass(frozen=True)
class SharedCase:
    """One case and two to four episodes of it, in plan order."""

    case_key: str
    scenario: str
    seed: int
    sides: tuple[Side, ...]

    @property
    def why(self) -> str:
        """Who fails here and who does not, in words."""
        failed = [side.name for side in self.sides if side.failed]
        passed = [side.name for side in self.sides if side.failed is False]
        if failed and passed:
            return f"Fails: {'; '.join(failed)}. Does not: {'; '.join(passed)}."
        if failed:
            return "All that are scored fail."
        return "None that is scored fails." if passed else "No episode of this case is scored."


def shared_cases(groups: Sequence[Group], most: int = MOST_CASES) -> list[SharedCase]:
    """Return the cases that at least two episodes share, the most telling first.

    First those that one fails and another does not, then those that somebody fails, then the smallest time to
    collision. Within each of these the scenarios take turns, so that one hard scenario does not fill the list.
    """
    frame = _episodes(groups)
    if frame is None:
        return []
    by_case = frame.groupby("case_key", sort=False)
    facts = by_case.agg(
        episodes=("key", "size"), scenario=("scenario", "first"), low=("failure", "min"), high=("failure", "max"),
        ttc=("min_ttc_s", "min"), place=("place", "min"),
    )  # fmt: skip
    facts = facts[facts["episodes"] > 1]
    facts = facts.assign(
        rank=np.where(facts["high"] > facts["low"], 0, np.where(facts["high"] > 0.0, 1, 2)),
        ttc=facts["ttc"].fillna(math.inf),
    ).sort_values(["rank", "ttc", "place"])
    facts = facts.assign(turn=facts.groupby(["rank", "scenario"], sort=False).cumcount())
    chosen = facts.sort_values(["rank", "turn", "ttc", "place"]).index[:most]
    return [_shared(by_case.get_group(name), groups) for name in chosen]


def _episodes(groups: Sequence[Group]) -> pd.DataFrame | None:
    """Return the finished episodes of all groups with what the choice needs, None without any."""
    frames = []
    for index, group in enumerate(groups):
        if not len(group.episodes):
            continue
        frame = group.episodes[list(_COLUMNS)].assign(group=index)
        for name in ("failure", "min_ttc_s"):
            frame[name] = group.episodes[name].astype(float) if name in group.episodes.columns else math.nan
        frame.loc[~frame.index.isin(counted(group.episodes).index), "failure"] = math.nan
        frames.append(frame)
    if not frames:
        return None
    joined = pd.concat(frames, ignore_index=True)
    return joined.assign(place=range(len(joined)))


def _shared(frame: pd.DataFrame, groups: Sequence[Group]) -> SharedCase:
    sides = [
        _side(groups[int(group)], str(key), int(run), float(failure))
        for group, key, run, failure in frame[["group", "key", "run", "failure"]].itertuples(index=False, name=None)
    ]
    first = frame.iloc[0]
    return SharedCase(str(first["case_key"]), str(first["scenario"]), int(first["seed"]), telling(sides))


def _side(group: Group, key: str, run: int, failure: float) -> Side:
    failed = None if math.isnan(failure) else failure > 0.0
    return Side(key, run, group.agent, group.setting, group.agent_index, group.setting_index, failed)


def telling(sides: Sequence[Side], most: int = MOST_SIDES) -> tuple[Side, ...]:
    """Return at most ``most`` sides in their order: the first one, then new agents, then new outcomes of an agent."""
    chosen = [0]
    while len(chosen) < min(most, len(sides)):
        agents = {sides[place].agent for place in chosen}
        outcomes = {(sides[place].agent, sides[place].failed) for place in chosen}
        left = (place for place in range(len(sides)) if place not in chosen)
        chosen.append(
            min(left, key=lambda p: (sides[p].agent in agents, (sides[p].agent, sides[p].failed) in outcomes, p))
        )
    return tuple(sides[place] for place in sorted(chosen))
