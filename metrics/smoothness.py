"""Smoothness of one discrete movement: SPARC and log dimensionless jerk, applied to the strongest braking
event.

Both measures are for movements that start and end at a baseline, never for a whole cruise. Definitions after
Balasubramanian et al., "On the analysis of movement smoothness", J. NeuroEng. Rehabil. 2015.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from simdrive.metrics.base import Scored
from simdrive.metrics.trace import STEP_S, signals
from simdrive.types import EpisodeLog, Float

SHORTEST = 8  # samples of a movement


def sparc(speed: Float, rate_hz: float, cutoff_hz: float = 10.0, floor: float = 0.05) -> float:
    """Return the spectral arc length of a movement's speed profile ``[n]`` (negative; nearer 0 is
    smoother).
    """
    padded = 2 ** (math.ceil(math.log2(len(speed))) + 4)
    step_hz = rate_hz / padded
    magnitude = np.abs(np.fft.fft(speed, padded))
    magnitude = magnitude / magnitude.max()
    kept = magnitude[: math.floor(cutoff_hz / step_hz + 1e-9) + 1]
    above = np.flatnonzero(kept >= floor)
    band = kept[above[0] : above[-1] + 1]
    width = step_hz * (len(band) - 1)
    return -float(np.sum(np.sqrt((step_hz / width) ** 2 + np.diff(band) ** 2))) if width > 0.0 else math.nan


def dimensionless_jerk(speed: Float, rate_hz: float) -> float:
    """Return the dimensionless jerk of a speed profile ``[n]`` (negative; nearer 0 is smoother)."""
    step_s = 1.0 / rate_hz
    duration_s = len(speed) * step_s  # n steps, not n - 1: as published
    jerk = np.diff(speed, 2) / step_s**2
    return -float(duration_s**3 / np.max(np.abs(speed)) ** 2 * np.sum(jerk**2) * step_s)


def log_dimensionless_jerk(speed: Float, rate_hz: float) -> float:
    """Return minus the logarithm of the dimensionless jerk; NaN where the jerk is 0."""
    jerk = abs(dimensionless_jerk(speed, rate_hz))
    return -math.log(jerk) if jerk > 0.0 else math.nan


def braking_event(speed: Float, least_drop_mps: float) -> Float | None:
    """Return ``v0 - v`` over the largest fall of the speed ``[N]``, None if it is short or smaller than
    asked.
    """
    drop = np.maximum.accumulate(speed) - speed
    end = int(np.argmax(drop))
    if drop[end] < least_drop_mps:
        return None
    start = end - int(np.argmax(speed[end::-1] >= speed[end] + drop[end]))
    event: Float = speed[start] - speed[start : end + 1]
    return event if len(event) >= SHORTEST else None


def _of_braking(log: EpisodeLog, spectral: bool, least_drop_mps: float) -> float:
    found = signals(log)
    event = None if found is None else braking_event(found.speed_mps, least_drop_mps)
    if event is None:
        return math.nan
    rate_hz = 1.0 / STEP_S
    return sparc(event, rate_hz, cutoff_hz=0.5 * rate_hz) if spectral else log_dimensionless_jerk(event, rate_hz)


def braking_sparc(name: str = "braking_sparc", least_drop_mps: float = 3.0) -> Scored:
    """Spectral arc length of the strongest braking event; unscored if the speed never fell by
    ``least_drop_mps``.
    """
    return Scored(name, "", "higher", functools.partial(_of_braking, spectral=True, least_drop_mps=least_drop_mps))


def braking_ldlj(name: str = "braking_ldlj", least_drop_mps: float = 3.0) -> Scored:
    """Log dimensionless jerk of the strongest braking event; unscored like ``braking_sparc``."""
    return Scored(name, "", "higher", functools.partial(_of_braking, spectral=False, least_drop_mps=least_drop_mps))
