"""The published composite scores, adapted to closed-loop episodes: nuPlan, PDMS (NAVSIM v1), EPDMS (NAVSIM
v2).

Adaptations, for all three: an episode ends at its first contact; the expert of the same case stands for the
logged human; a term that an episode cannot score (comfort below four samples, flicker below two plans)
leaves the weighted mean instead of counting as 0 or 1. PDMS and EPDMS score open-loop proposals of 4 s;
here the driven episode is scored as a whole, their time to collision looks 0, 0.3, 0.6 and 0.9 s ahead of
every row, progress is the ratio to the expert. EPDMS has no traffic-light term here (a log carries no
signal state), does not excuse what the human violated too, and averages extended comfort over successive
plans. Scores are comparable between agents of simdrive, not with published tables.
"""

from __future__ import annotations

import math

import numpy as np

from simdrive.metrics.base import Scored
from simdrive.metrics.collision import no_at_fault_value, touches
from simdrive.metrics.comfort import comfort_value
from simdrive.metrics.criticality import conflict_tracks, ttc_bound_value
from simdrive.metrics.flicker import extended_comfort_value
from simdrive.metrics.progress import making_progress_value, ratio_value
from simdrive.metrics.road import (
    drivable_area_value,
    driving_direction_value,
    lane_keeping_value,
    speed_limit_value,
)
from simdrive.metrics.trace import ego_known, meetings
from simdrive.types import EndReason, EpisodeLog

PDM_OFFSETS_S = (0.0, 0.3, 0.6, 0.9)


def weighted_mean(terms: tuple[tuple[float, float], ...]) -> float:
    """Return the mean of (weight, value) terms without the NaN ones; NaN if none is left."""
    scored = [(weight, value) for weight, value in terms if not math.isnan(value)]
    total = sum(weight for weight, _ in scored)
    return sum(weight * value for weight, value in scored) / total if total else math.nan


def pdm_ttc_value(log: EpisodeLog) -> float:
    """Return 0 if a conflicting track would overlap the ego at any of the four offsets, else 1 (NAVSIM)."""
    if any(touch.at_fault for touch in touches(log)):
        return 0.0
    if not ego_known(log):
        return math.nan
    met = meetings(log)
    hit = np.zeros(met.first.shape, dtype=np.bool_)
    for offset_s in PDM_OFFSETS_S:
        hit |= (met.first <= offset_s) & (met.last >= offset_s)
    return float(not (hit & conflict_tracks(log)).any())


def _nuplan(log: EpisodeLog) -> float:
    multiplier = (
        no_at_fault_value(log) * drivable_area_value(log) * making_progress_value(log) * driving_direction_value(log)
    )
    terms = (
        (5.0, ratio_value(log)),
        (5.0, ttc_bound_value(log)),
        (4.0, speed_limit_value(log)),
        (2.0, comfort_value(log)),
    )
    return math.nan if log.end == EndReason.BLOCKED else multiplier * weighted_mean(terms)


def _pdms(log: EpisodeLog) -> float:
    progress = ratio_value(log)
    terms = ((5.0, pdm_ttc_value(log)), (5.0, progress), (2.0, comfort_value(log)))
    if log.end == EndReason.BLOCKED or math.isnan(progress):
        return math.nan
    return no_at_fault_value(log) * drivable_area_value(log) * weighted_mean(terms)


def _epdms(log: EpisodeLog) -> float:
    progress = ratio_value(log)
    terms = (
        (5.0, progress),
        (5.0, pdm_ttc_value(log)),
        (2.0, lane_keeping_value(log)),
        (2.0, comfort_value(log)),
        (2.0, extended_comfort_value(log)),
    )
    if log.end == EndReason.BLOCKED or math.isnan(progress):
        return math.nan
    multiplier = no_at_fault_value(log) * drivable_area_value(log) * driving_direction_value(log)
    return multiplier * weighted_mean(terms)


def nuplan_score(name: str = "nuplan_score") -> Scored:
    """nuPlan's closed-loop score: four multipliers times progress 5, TTC 5, speed limit 4, comfort 2."""
    return Scored(name, "", "higher", _nuplan)


def pdms(name: str = "pdms") -> Scored:
    """PDM score of NAVSIM v1: ``NC * DAC * (5 TTC + 5 EP + 2 C) / 12``, adapted as the module says."""
    return Scored(name, "", "higher", _pdms)


def epdms(name: str = "epdms") -> Scored:
    """Extended PDM score of NAVSIM v2: ``NC * DAC * DDC * (5 EP + 5 TTC + 2 LK + 2 HC + 2 EC) / 16``,
    adapted.
    """
    return Scored(name, "", "higher", _epdms)
