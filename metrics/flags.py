"""Facts of an episode that qualify its other numbers: cold start, saturated plans, safety brake, stuck,
blocked.
"""

from __future__ import annotations

import math

import numpy as np

from simdrive.metrics.base import Scored
from simdrive.types import EndReason, EpisodeLog


def cold_start(name: str = "cold_start") -> Scored:
    """Whether the hazard came before the first plan."""
    return Scored(name, "", "lower", lambda log: float(log.cold_start))


def saturated(name: str = "saturated") -> Scored:
    """Whether a plan was followed past its horizon."""
    return Scored(name, "", "lower", lambda log: float(log.saturated))


def stuck(name: str = "stuck") -> Scored:
    """Whether the episode ended because the ego no longer moved."""
    return Scored(name, "", "lower", lambda log: float(log.end == EndReason.STUCK))


def blocked(name: str = "blocked") -> Scored:
    """Whether a crash among others blocked the ego, which makes the case invalid."""
    return Scored(name, "", "none", lambda log: float(log.end == EndReason.BLOCKED))


def _aeb_share(log: EpisodeLog) -> float:
    return float(np.mean(log.aeb_active)) if len(log.aeb_active) else math.nan


def aeb_share(name: str = "aeb_share") -> Scored:
    """Share of rows in which the safety brake was in charge."""
    return Scored(name, "", "lower", _aeb_share)
