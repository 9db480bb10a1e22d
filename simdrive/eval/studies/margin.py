"""The latency that physics leaves in each case: how late full braking may begin after the hazard is in sight.

It is computed from episodes in which the ego holds lane and speed (agent ``constant_speed``), so that nothing but the
case decides it. The time from the hazard's first sight to the contact is the time to collision that a driver has.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from simdrive.eval.store import RunStore
from simdrive.eval.studies.curve import Outcomes
from simdrive.sim.tracker import TrackerLimits
from simdrive.types import Float

HOLDING = "constant_speed"
_ONCOMING_MPS = -1.0  # slower than this along the ego's heading, a contact partner comes towards the ego
_QUANTILES = (0.05, 0.25, 0.5)
_BINS_S = (-math.inf, 0.0, 0.25, 0.5, 1.0, math.inf)  # the last one holds what nothing threatens, too


def latency_margin_s(available_s: float, closing_mps: float, braking_mps2: float, ramp_s: float) -> float:
    """Return the largest delay before braking that still avoids the contact; negative = braking cannot.

    With closing speed v, braking that builds up linearly to b within R, and the contact T away when nobody brakes:
    the distance v T must hold v tau + the stopping distance, hence

        tau = T - v / (2 b) - R / 2 + b R^2 / (24 v)        for v >= b R / 2, else  tau = T - (2 / 3) sqrt(2 v R / b)

    (integration of the speed; for R = 0 this is the textbook T - v / (2 b)).
    """
    if closing_mps <= 0.0:
        return math.inf
    if closing_mps < 0.5 * braking_mps2 * ramp_s:  # it stops before the brake is fully on
        return available_s - 2.0 / 3.0 * math.sqrt(2.0 * closing_mps * ramp_s / braking_mps2)
    full = closing_mps / (2.0 * braking_mps2) + 0.5 * ramp_s - braking_mps2 * ramp_s**2 / (24.0 * closing_mps)
    return available_s - full


@dataclass(frozen=True)
class ScenarioMargin:
    """Latency margins of the cases of one scenario.

    Attributes:
        cases: avoidable cases.
        scored: of these, how many have a margin.
        untouched: nothing is hit even if the ego holds lane and speed: any latency will do.
        oncoming: the ego meets somebody who comes towards it, where braking alone settles nothing.
        quantiles_s: 5 %, 25 % and 50 % of the margins, untouched cases counted as infinite; NaN where fewer than half
            of the cases are scored.
    """

    scenario: str
    cases: int
    scored: int
    untouched: int
    oncoming: int
    quantiles_s: tuple[float, float, float]


def _last(frame: pd.DataFrame, keys: list[str], columns: list[str]) -> pd.DataFrame:
    return frame.sort_values("t_us", kind="stable").groupby(keys)[columns].last()


def case_margins(store: RunStore, limits: TrackerLimits = TrackerLimits()) -> pd.DataFrame:  # noqa: B008 - frozen
    """Return the margins of the avoidable cases of a run in which ``constant_speed`` drove at zero latency.

    Columns: ``case_key, scenario, available_s, closing_mps, margin_s``, ``oncoming`` (bool). ``margin_s`` is inf where
    nothing is hit and NaN where the partner is oncoming.

    Raises:
        IncompleteRunError: if no episode is done.
    """
    episodes = store.episodes()
    kept = episodes[episodes["valid"] & episodes["avoidable"] & (episodes["hazard_us"] >= 0)]
    egos = _last(store.table("steps"), ["row"], ["heading"])
    others = _last(store.table("actors"), ["row", "actor"], ["heading"])
    rows = []
    for entry in kept.to_dict("records"):
        facts: dict[str, Any] = {
            "case_key": entry["case_key"],
            "scenario": entry["scenario"],
            "available_s": math.inf,
            "closing_mps": math.nan,
            "margin_s": math.inf,
            "oncoming": False,
        }
        if entry["contact_t_us"] >= 0:
            row, actor = int(entry["row"]), int(entry["contact_actor"])
            turn = float(others.loc[(row, actor), "heading"]) - float(egos.loc[row, "heading"])  # type: ignore[arg-type]
            available_s = (int(entry["contact_t_us"]) - int(entry["hazard_us"])) * 1e-6
            facts |= _hit(entry["contact_ego_speed_mps"], entry["contact_actor_speed_mps"], turn, available_s, limits)
        rows.append(facts)
    return pd.DataFrame(rows)


def _hit(
    ego_mps: float, actor_mps: float, turn_rad: float, available_s: float, limits: TrackerLimits
) -> dict[str, Any]:
    """Return the facts of one contact: closing speed along the ego's heading, since braking acts along it."""
    along = actor_mps * math.cos(turn_rad)
    oncoming = along < _ONCOMING_MPS
    ramp_s = limits.max_braking_mps2 / limits.braking_jerk_mps3
    margin = latency_margin_s(available_s, ego_mps - along, limits.max_braking_mps2, ramp_s)
    return {
        "available_s": available_s,
        "closing_mps": ego_mps - along,
        "margin_s": math.nan if oncoming else margin,
        "oncoming": oncoming,
    }


def scenario_margins(margins: pd.DataFrame) -> tuple[ScenarioMargin, ...]:
    """Return the margins of ``case_margins`` per scenario, in order of appearance."""
    found = []
    for scenario, part in margins.groupby("scenario", sort=False):
        scored = part["margin_s"].dropna().to_numpy(np.float64)
        found.append(
            ScenarioMargin(
                scenario=str(scenario),
                cases=len(part),
                scored=len(scored),
                untouched=int(np.isinf(scored).sum()),
                oncoming=int(part["oncoming"].sum()),
                quantiles_s=_quantiles(scored if 2 * len(scored) >= len(part) else scored[:0]),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class MarginRate:
    """Failures of one agent at one delay among the cases whose margin lies from ``low_s`` to below ``high_s``."""

    low_s: float
    high_s: float
    delay_ms: float
    failures: int
    total: int


def rates_by_margin(outcomes: Outcomes, margins: pd.DataFrame) -> tuple[MarginRate, ...]:
    """Return failures by margin and delay: where the curve comes from, and whether the margins explain it.

    Args:
        outcomes: scored failures by case, per delay in ms.
        margins: of ``case_margins``; cases without a margin are left out.
    """
    margin_s = margins.set_index("case_key")["margin_s"].dropna()
    found = []
    for low, high in itertools.pairwise(_BINS_S):
        cases = margin_s.index[(margin_s >= low) & ((margin_s < high) | (high == math.inf))]
        for delay, failed in sorted(outcomes.items()):
            chosen = failed[failed.index.intersection(cases)]
            found.append(MarginRate(low, high, delay, int((chosen > 0.0).sum()), len(chosen)))
    return tuple(found)


def _quantiles(values: Float) -> tuple[float, float, float]:
    if not len(values):
        return (math.nan, math.nan, math.nan)
    low, quarter, half = np.quantile(values, _QUANTILES, method="inverted_cdf")  # no interpolation towards infinity
    return (float(low), float(quarter), float(half))
