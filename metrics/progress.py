"""How far the ego got along its route, alone and relative to the expert."""

from __future__ import annotations

import math

from simdrive.metrics.base import Scored
from simdrive.types import EpisodeLog

SHORTEST_M = 2.0  # nuPlan: shorter ways count as 2 m, so that a standing expert asks for no progress
REVERSED_M = -2.0


def driven(log: EpisodeLog) -> float:
    """Return the metres driven along the route, NaN for an empty log."""
    return float(log.route_s[-1]) - log.route_start_s if len(log.route_s) else math.nan


def ratio_value(log: EpisodeLog) -> float:
    """Return nuPlan's progress ratio to the expert, in [0, 1]; NaN if the expert's progress is unknown."""
    ego, expert = driven(log), log.expert_progress_m
    if math.isnan(ego) or math.isnan(expert):
        return math.nan
    if ego < REVERSED_M:
        return 0.0
    return min(1.0, max(ego, SHORTEST_M) / max(expert, SHORTEST_M))


def making_progress_value(log: EpisodeLog, least: float = 0.2) -> float:
    """Return nuPlan's multiplier: 1 if the ratio reaches ``least``, else 0; NaN if the ratio is unscored."""
    ratio = ratio_value(log)
    return math.nan if math.isnan(ratio) else float(ratio >= least)


def progress(name: str = "progress_m") -> Scored:
    """Metres driven along the route."""
    return Scored(name, "m", "higher", driven)


def progress_ratio(name: str = "progress_ratio") -> Scored:
    """Progress relative to the expert's, at most 1 (nuPlan's rule)."""
    return Scored(name, "", "higher", ratio_value)


def making_progress(name: str = "making_progress", least: float = 0.2) -> Scored:
    """Whether the ego made at least ``least`` of the expert's progress."""
    return Scored(name, "", "higher", lambda log: making_progress_value(log, least))
