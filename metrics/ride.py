"""How the ride feels: ISO 2631-1 weighted acceleration, and the smoothness score of Bench2Drive."""

from __future__ import annotations

import functools
import math

import numpy as np

from simdrive.metrics import comfort
from simdrive.metrics.base import Scored, per_log
from simdrive.metrics.smooth import savgol
from simdrive.metrics.trace import STEP_S, ego_known, uniform
from simdrive.types import Bool, EpisodeLog, Float

# W_d (horizontal directions) in falling powers of s: Zuo and Nayfeh 2003, "Low order continuous-time filters for
# approximation of the ISO 2631-1 human vibration sensitivity weightings".
W_D = (np.array([12.66, 163.7, 60.04, 12.79]), np.array([1.0, 23.77, 236.1, 692.8, 983.4]))
SHORTEST_S = 2.0  # of a trace that is weighted: the lowest frequency of a shorter one says nothing
SEGMENT, WINDOW, ORDER = 20, 7, 2  # samples of 0.1 s, of Bench2Drive


def weighting(frequency_hz: Float) -> Float:
    """Return the gain ``[n]`` of the horizontal weighting W_d of ISO 2631-1."""
    s = 2j * math.pi * frequency_hz
    gain: Float = np.abs(np.polyval(W_D[0], s) / np.polyval(W_D[1], s))
    return gain


@functools.lru_cache(maxsize=512)
def _gains(count: int, rate_hz: float) -> Float:
    """Return the gain at every frequency of the spectrum of ``count`` samples."""
    return weighting(np.fft.rfftfreq(count, 1.0 / rate_hz).astype(np.float64))


def weighted_rms(acceleration: Float, rate_hz: float) -> float:
    """Return the frequency-weighted r.m.s. of one axis ``[n]``, m/s2, by Parseval's theorem over its spectrum."""
    count = len(acceleration)
    spectrum = np.abs(np.fft.rfft(acceleration) * _gains(count, rate_hz)) ** 2
    spectrum[1 : (count + 1) // 2] *= 2.0  # both signs of every frequency but zero and, if n is even, half the rate
    return math.sqrt(float(spectrum.sum())) / count


@per_log
def _motion(log: EpisodeLog) -> tuple[Float, Float, Float] | None:
    """Return raw longitudinal and lateral acceleration and the heading on the 10 Hz grid."""
    if not ego_known(log) or len(log.t_us) < 2 or not np.isfinite(log.acceleration[:, 0]).all():
        return None
    heading = np.unwrap(log.heading[:, 0])
    speed, heading, along = uniform(log, log.speed[:, 0], heading, log.acceleration[:, 0])
    return None if len(speed) < 2 else (along, speed * np.gradient(heading, STEP_S), heading)


def _ride(log: EpisodeLog) -> float:
    found = _motion(log)
    if found is None or len(found[0]) * STEP_S < SHORTEST_S:
        return math.nan
    return math.hypot(*(weighted_rms(axis, 1.0 / STEP_S) for axis in found[:2]))


def iso2631(name: str = "iso2631_mps2") -> Scored:
    """Vibration total value of the ego's plane of motion, ``sqrt(a_wx^2 + a_wy^2)`` with W_d and k = 1.

    Guide values of the standard's annex C: below 0.315 not uncomfortable, above 2 extremely. Unscored below two seconds.
    """
    return Scored(name, "m/s2", "lower", _ride)


def _smooth_segments(along: Float, across: Float, heading: Float) -> Bool:
    """Return ``[K]`` whether segments ``[K, SEGMENT]``, each filtered by itself, keep all bounds."""
    traces = np.stack([along, across, np.hypot(along, across)])
    acceleration, jerk = savgol(traces, WINDOW, ORDER), savgol(traces, WINDOW, ORDER, 1, STEP_S)
    turns = [savgol(heading, WINDOW, ORDER, derivative, STEP_S) for derivative in (1, 2)]
    kept: Bool = (
        (acceleration[0] > comfort.MIN_LONGITUDINAL_ACCELERATION)
        & (acceleration[0] < comfort.MAX_LONGITUDINAL_ACCELERATION)
        & (np.abs(acceleration[1]) < comfort.MAX_LATERAL_ACCELERATION)
        & (np.abs(jerk[2]) < comfort.MAX_MAGNITUDE_JERK)
        & (np.abs(jerk[0]) < comfort.MAX_LONGITUDINAL_JERK)
        & (np.abs(turns[0]) < comfort.MAX_YAW_RATE)
        & (np.abs(turns[1]) < comfort.MAX_YAW_ACCELERATION)
    ).all(axis=1)
    return kept


def _smoothness(log: EpisodeLog) -> float:
    found = _motion(log)
    if found is None or len(found[0]) < SEGMENT:
        return math.nan
    segments = len(found[0]) // SEGMENT
    kept = _smooth_segments(*(axis[: segments * SEGMENT].reshape(segments, SEGMENT) for axis in found))
    return float(kept.sum()) / segments


def bench2drive_smoothness(name: str = "bench2drive_smoothness") -> Scored:
    """Share of whole 2 s segments inside all six comfort bounds of nuPlan, smoothed within the segment (Jia et al. 2024).

    The yaw acceleration is the second derivative of the heading; the published code compares its yaw rate with that bound
    instead, which is looser. Unscored below one segment.
    """
    return Scored(name, "", "higher", _smoothness)
