"""What the regulation's drivers make of cases that were driven as worlds: their verdicts, without driving them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simdrive.r157.cases import to_cases
from simdrive.r157.parameters import CC_HUMAN, FSM, REG157, RSS, SCENARIOS
from simdrive.r157.verdict import judge
from simdrive.types import Bool

DRIVERS = {"cc_human": CC_HUMAN, "reg157": REG157, "rss": RSS, "fsm": FSM}  # by the name of the agent
_PREFIX = "r157_"


def judgeable(scenarios: Sequence[str]) -> bool:
    """Whether all of these scenarios are the regulation's."""
    return all(name.removeprefix(_PREFIX) in SCENARIOS and name.startswith(_PREFIX) for name in scenarios)


def comes_through(driver: str, scenarios: Sequence[str], params: Sequence[Mapping[str, Any]]) -> Bool:
    """Return ``[N]`` whether a driver of ``DRIVERS`` comes through cases of scenarios r157_* without contact.

    Without its hazard a case counts as come through. Where the worlds start with a time gap, so does the verdict.
    """
    rows = [_row(driver, name, given) for name, given in zip(scenarios, params, strict=True)]
    harmless = np.array([not given.get("hazard", True) for given in params], np.bool_)
    unharmed: Bool = judge(to_cases(rows)).collision == 0
    return unharmed | harmless


def _row(driver: str, scenario: str, given: Mapping[str, Any]) -> tuple[float, ...]:
    ego = float(given["ego_speed_kph"]) / 3.6
    other = float(given.get("other_speed_kph", given["ego_speed_kph"])) / 3.6
    return (
        SCENARIOS.index(scenario.removeprefix(_PREFIX)), DRIVERS[driver], ego, other, float(given.get("dx0_m", 0.0)),
        float(given.get("lateral_speed_mps", 0.0)), float(given.get("decel_mps2", 0.0)),
        ego * float(given.get("time_gap_s", np.nan)),
    )  # fmt: skip
