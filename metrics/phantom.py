"""Phantom braking: what the ego does in cases that hold no hazard."""

from __future__ import annotations

import functools
import math

import numpy as np

from simdrive.metrics.base import Scored
from simdrive.metrics.trace import ego_known, signals
from simdrive.types import Bool, EpisodeLog


def hazard_free(log: EpisodeLog) -> bool:
    """Return whether the case has no hazard actor (the hazard-free variants and the control suite)."""
    return not bool(log.actors.is_hazard.any()) and log.hazard_us < 0


def road_ahead_clear(log: EpisodeLog, reach_m: float, margin_m: float = 0.5) -> Bool:
    """Return ``[T]``: nobody's box reaches into the strip before the ego, as wide as it plus a margin on
    both sides.
    """
    cos, sin = np.cos(log.heading[:, :1]), np.sin(log.heading[:, :1])
    dx, dy = log.x[:, 1:] - log.x[:, :1], log.y[:, 1:] - log.y[:, :1]
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    turn = log.heading[:, 1:] - log.heading[:, :1]
    length, width = 0.5 * log.actors.length[1:], 0.5 * log.actors.width[1:]
    half_along = np.abs(length * np.cos(turn)) + np.abs(width * np.sin(turn))
    half_across = np.abs(length * np.sin(turn)) + np.abs(width * np.cos(turn))
    gap = along - half_along - 0.5 * log.actors.length[0]
    beside = np.abs(across) - half_across > 0.5 * log.actors.width[0] + margin_m
    clear: Bool = ~(log.present[:, 1:] & (along > 0.0) & (gap < reach_m) & ~beside).any(axis=1)
    return clear


def _phantom_stop(log: EpisodeLog, below_mps: float, reach_m: float) -> float:
    if not hazard_free(log) or not ego_known(log):
        return math.nan
    speed = log.speed[:, 0]
    started = np.maximum.accumulate(speed) > below_mps
    free = road_ahead_clear(log, reach_m) & ~log.in_junction
    return float((started & (np.abs(speed) < below_mps) & free).any())


def phantom_stop(name: str = "phantom_stop", below_mps: float = 1.0, reach_m: float = 20.0) -> Scored:
    """Whether, in a case without hazard, the ego slowed below ``below_mps`` on a free road outside junctions.

    Free means that nobody reaches into the strip of ``reach_m`` ahead. Unscored in cases with a hazard.
    """
    return Scored(name, "", "lower", functools.partial(_phantom_stop, below_mps=below_mps, reach_m=reach_m))


def _hardest(log: EpisodeLog) -> float:
    found = signals(log)
    if not hazard_free(log) or found is None:
        return math.nan
    return float(np.maximum(-np.min(found.longitudinal_acceleration), 0.0))


def phantom_braking(name: str = "phantom_braking_mps2") -> Scored:
    """Strongest (smoothed) braking in a case without hazard; unscored in cases with one."""
    return Scored(name, "m/s2", "lower", _hardest)
