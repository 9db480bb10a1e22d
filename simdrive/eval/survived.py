"""Which cases a reference driver comes through, so that failures can be counted in those alone.

A case is avoidable by itself when some manoeuvre survives it (simdrive.eval.reference). Regulations ask more narrowly: does a named
driver, such as UN R157's competent human, come through? Any agent of a run can be that driver. In cases of the regulation its
own drivers need not have driven: their formulas say it (simdrive.r157).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from simdrive.errors import UnknownNameError
from simdrive.eval.summary import GROUP, counted
from simdrive.r157.of_worlds import DRIVERS, comes_through, judgeable

_HARMED = ("contact", "off_road")


@dataclass(frozen=True)
class Survived:
    """What one driver came through.

    Attributes:
        driver: agent, and the setting it drove under.
        cases: keys of the avoidable cases in which it touched nobody and kept to the road.
        avoidable: how many avoidable cases it drove.
    """

    driver: str
    cases: frozenset[str]
    avoidable: int

    def __str__(self) -> str:
        return f"the {len(self.cases)} of {self.avoidable} avoidable cases that {self.driver} comes through untouched"


def survived(frames: Sequence[pd.DataFrame], agent: str) -> Survived:
    """Return what ``agent`` came through under the first of its settings, in plan order.

    Args:
        frames: tables of episodes; the first that has the agent counts.
        agent: name of an agent in one of them; where all cases are those of UN R157 also one of the regulation's drivers.

    Raises:
        UnknownNameError: if it is neither.
    """
    names = [str(name) for frame in frames for name in frame["agent"].unique()]
    if agent not in names:
        known = [name for name in DRIVERS if _all_regulated(frames)]
        if agent not in known:
            raise UnknownNameError("reference driver", agent, dict.fromkeys([*names, *known]))
        return _by_formula(frames, agent)
    episodes = next(frame for frame in frames if (frame["agent"] == agent).any()).sort_values("row")
    mine = episodes[episodes["agent"] == agent]
    setting, first = next(iter(mine.groupby(list(GROUP), sort=False)))
    driven = counted(first)
    driven = driven[driven["avoidable"].astype(bool)]
    harmed = driven["end"].isin(_HARMED)
    if "off_road" in driven:  # a short way beside the road ends nothing
        harmed |= driven["off_road"] > 0.0
    untouched = driven[~harmed]
    label = ", ".join(str(part) for part in setting if str(part))
    return Survived(label, frozenset(map(str, untouched["case_key"])), len(driven))


def _all_regulated(frames: Sequence[pd.DataFrame]) -> bool:
    return judgeable([str(name) for frame in frames for name in frame["scenario"].unique()])


def _by_formula(frames: Sequence[pd.DataFrame], driver: str) -> Survived:
    columns = ["case_key", "scenario", "params", "avoidable"]
    cases = pd.concat([frame[columns] for frame in frames]).drop_duplicates("case_key")
    cases = cases[cases["avoidable"].astype(bool)]
    passed = comes_through(driver, list(cases["scenario"]), [json.loads(text) for text in cases["params"]])
    label = f"{driver} by the formulas of UN R157"
    return Survived(label, frozenset(map(str, cases["case_key"][passed])), len(cases))


def restricted(episodes: pd.DataFrame, cases: frozenset[str]) -> pd.DataFrame:
    """Return episodes of which only those of ``cases`` can fail; all others are as good as unavoidable."""
    found = episodes.copy()
    other = ~found["case_key"].isin(cases)
    found.loc[other, "avoidable"] = False
    if "failure" in found:
        found.loc[other, "failure"] = math.nan
    return found
