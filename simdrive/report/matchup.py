"""Who is shown side by side, and on which case: cases that one survives and another does not come first."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.report.evidence import full_labels
from simdrive.report.panes import MOST_PANES

Verdict = Literal["fails", "survives", "unscored"]
_LEAST_OF_A_KEY = 8  # characters, as videos show them


@dataclass(frozen=True)
class Seat:
    """One driver under one setting (latency, camera, corruption)."""

    agent: str
    setting: str

    def __str__(self) -> str:
        return f"{self.agent}@{self.setting}"


@dataclass(frozen=True)
class Matchup:
    """One case that all of some seats have driven: the episode of each, in their order."""

    case_key: str
    keys: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    contacts: tuple[bool, ...]
    min_ttc_s: float  # smallest of all, inf where unscored

    @property
    def rank(self) -> int:
        """0 = split verdicts, 1 = only contacts differ, 2 = all fail, 3 = all the same otherwise."""
        if {"fails", "survives"} <= set(self.verdicts):
            return 0
        if len(set(self.contacts)) > 1:
            return 1
        return 2 if set(self.verdicts) == {"fails"} else 3


def seats_of(plan: pd.DataFrame, names: Sequence[str]) -> list[Seat]:
    """Return the seats that ``names`` stand for: AGENT for all its settings, or AGENT@SETTING.

    SETTING is the label of the setting or whole words of it: ``idm@delay_ms=400``, ``idm@400``.

    Raises:
        UnknownNameError: if an agent or a setting is not planned.
        ParameterError: if fewer than two or more than four are left.
    """
    settings: dict[str, list[str]] = {}
    for agent, label in zip(plan["agent"], full_labels(plan), strict=True):
        known = settings.setdefault(str(agent), [])
        if label not in known:
            known.append(label)
    seats = list(dict.fromkeys(seat for name in names for seat in _seats(name, settings)))
    shown = ", ".join(map(str, seats[: 2 * MOST_PANES]))
    if len(seats) > MOST_PANES:
        raise ParameterError(
            f"side_by_side shows up to {MOST_PANES}, got {len(seats)} ({shown}{', ...' * (len(seats) > 8)}); "
            f"name fewer agents, or one setting of each as AGENT@SETTING, for example '{seats[0].agent}@"
            f"{seats[0].setting.split(', ')[0].split(' ')[-1]}'"
        )
    if len(seats) < 2:
        raise ParameterError(
            f"side_by_side needs at least two, got {shown or 'none'}; for one give run= and key= alone"
        )
    return seats


def _seats(name: str, settings: dict[str, list[str]]) -> list[Seat]:
    if name in settings:
        return [Seat(name, setting) for setting in settings[name]]
    agent, sign, words = (part.strip() for part in name.rpartition("@"))
    if not sign or agent not in settings:
        raise UnknownNameError("agent", agent or name, settings)
    exact = [setting for setting in settings[agent] if setting == words]
    whole = re.compile(rf"(?<![\w.]){re.escape(words)}(?![\w]|\.\d)")
    found = exact or [setting for setting in settings[agent] if words and whole.search(setting)]
    if not found:
        raise UnknownNameError(f"setting of {agent}", words, settings[agent])
    return [Seat(agent, setting) for setting in found]


def matchups(episodes: pd.DataFrame, seats: Sequence[Seat]) -> list[Matchup]:
    """Return the cases that all seats have finished, the most telling first.

    First those that one survives and another does not, then those where only some collide (not scored, for nobody could
    have avoided it), then those that all fail; within each the smallest time to collision first.

    Raises:
        ParameterError: if there is none.
    """
    named = episodes.assign(setting=full_labels(episodes))
    driven = [_by_case(named, seat) for seat in seats]
    shared = [case for case in driven[0] if all(case in other for other in driven)]
    if not shared:
        counts = ", ".join(f"{seat} {len(cases)}" for seat, cases in zip(seats, driven, strict=True))
        raise ParameterError(
            f"no case was finished by all of them (finished cases: {counts}); drive them on one suite and seed, "
            "or finish the run"
        )
    found = [_matchup(case, [cases[case] for cases in driven]) for case in shared]
    return sorted(found, key=lambda matchup: (matchup.rank, matchup.min_ttc_s))


def _by_case(episodes: pd.DataFrame, seat: Seat) -> dict[str, dict[str, Any]]:
    mine = episodes[(episodes["agent"] == seat.agent) & (episodes["setting"] == seat.setting)]
    return {str(row["case_key"]): row for row in mine.to_dict("records")}  # type: ignore[misc]


def _matchup(case_key: str, rows: list[dict[str, Any]]) -> Matchup:
    times = [float(row.get("min_ttc_s", math.nan)) for row in rows]
    return Matchup(
        case_key,
        tuple(str(row["key"]) for row in rows),
        tuple(_verdict(row) for row in rows),
        tuple(row["end"] == "contact" for row in rows),
        min((time for time in times if not math.isnan(time)), default=math.inf),
    )


def _verdict(row: dict[str, Any]) -> Verdict:
    failure = float(row.get("failure", math.nan))
    return "unscored" if math.isnan(failure) else "fails" if failure == 1.0 else "survives"


def chosen(found: Sequence[Matchup], episodes: pd.DataFrame, key: str | None, nth: int) -> Matchup:
    """Return the case of an episode key or a case key (its first eight characters do), or the n-th case.

    Raises:
        ParameterError: if there is no such case, or not all drove it.
    """
    if key is None:
        if not 1 <= nth <= len(found):
            raise ParameterError(f"nth must be between 1 and {len(found)}, the number of shared cases, got {nth}")
        return found[nth - 1]
    same = [str(case) for case in episodes["case_key"][episodes["key"] == key]]
    if not same and len(key) >= _LEAST_OF_A_KEY:
        same = [case for case in dict.fromkeys(episodes["case_key"].astype(str)) if case.startswith(key)]
    if len(same) != 1:
        told = "the beginning of several cases" if same else "no finished episode and no case of it"
        raise ParameterError(f"key {key!r} is {told}; leave it out for the most telling case, or take one of a report")
    for matchup in found:
        if matchup.case_key == same[0]:
            return matchup
    here = episodes[episodes["case_key"] == same[0]]
    drivers = ", ".join(f"{agent}@{label}" for agent, label in zip(here["agent"], full_labels(here), strict=True))
    raise ParameterError(f"case {same[0][:8]} was not finished by all of them, only by {drivers}; choose another key")
