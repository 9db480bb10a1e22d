"""How hard it would be to get out: headway, modified time to collision, braking and steering threat, RSS, worst case.

The leader of a moment is the nearest actor ahead whose box reaches into the strip that the ego's box sweeps straight on.
Definitions as collected in Westhofen et al., "Criticality metrics for automated driving", Archives of Computational
Methods in Engineering 2023.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from simdrive.jit import jit
from simdrive.metrics.base import Scored, per_log
from simdrive.metrics.trace import ego_known, meetings, velocities
from simdrive.types import Bool, EpisodeLog, Float

MOVING_MPS = 0.05
DRY_ROAD_MPS2 = 8.0
CAP = 10.0  # of threat numbers: more than 1 is lost already
_FINE_S = 0.05


@dataclass(frozen=True)
class Leader:
    """The leader at each row, ``[T]``; NaN where there is none or the ego stands."""

    gap_m: Float  # bumper to bumper, along the ego's heading
    closing_mps: Float
    ego_mps: Float
    leader_mps: Float  # along the ego's heading
    ego_mps2: Float
    leader_mps2: Float
    aside_m: Float  # centre of the leader, to the right of the ego's
    aside_mps: Float  # how fast it moves to the right
    widths_m: Float  # half of both extents across the heading


@per_log
def leader(log: EpisodeLog) -> Leader:
    """Return the leader of every row."""
    cos, sin = np.cos(log.heading[:, :1]), np.sin(log.heading[:, :1])
    dx, dy = log.x[:, 1:] - log.x[:, :1], log.y[:, 1:] - log.y[:, :1]
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    turn = log.heading[:, 1:] - log.heading[:, :1]
    length, width = 0.5 * log.actors.length, 0.5 * log.actors.width
    half_along = np.abs(length[1:] * np.cos(turn)) + np.abs(width[1:] * np.sin(turn)) + length[0]
    half_across = np.abs(length[1:] * np.sin(turn)) + np.abs(width[1:] * np.cos(turn)) + width[0]
    ahead = log.present[:, 1:] & (along > 0.0) & (np.abs(across) < half_across)
    ahead &= np.abs(log.speed[:, :1]) > MOVING_MPS
    gap = np.where(ahead, along - half_along, np.inf)
    if not gap.shape[1]:
        gap = np.full((len(gap), 1), np.inf)
    which, rows = np.argmin(gap, axis=1), np.arange(len(gap))
    found = np.isfinite(gap[rows, which])

    def of(values: Float) -> Float:
        column = values[rows, which] if values.shape[1] else np.zeros(len(rows))
        return np.where(found, column, np.nan)

    speeds = velocities(log)
    ahead_mps = speeds[..., 0] * cos + speeds[..., 1] * sin
    aside_mps = speeds[..., 1] * cos - speeds[..., 0] * sin
    ego, other = np.where(found, ahead_mps[:, 0], np.nan), of(ahead_mps[:, 1:])
    return Leader(
        np.maximum(of(gap), 0.0), ego - other, ego, other, np.where(found, log.acceleration[:, 0], np.nan),
        of(log.acceleration[:, 1:] * np.cos(turn)), of(across), of(aside_mps[:, 1:] - aside_mps[:, :1]), of(half_across),
    )  # fmt: skip


def _smallest(values: Float) -> float:
    known = values[~np.isnan(values)]
    return float(known.min()) if len(known) else math.nan


def _largest(values: Float) -> float:
    return -_smallest(-values)


def _led(log: EpisodeLog) -> Leader | None:
    return leader(log) if ego_known(log) else None


def _headway(log: EpisodeLog) -> float:
    led = _led(log)
    return math.nan if led is None else _smallest(led.gap_m / np.maximum(led.ego_mps, MOVING_MPS))


def min_thw(name: str = "min_thw_s") -> Scored:
    """Smallest time headway to the leader, gap over the ego's speed; below 1 s is critical. Unscored without leader."""
    return Scored(name, "s", "higher", _headway)


def modified_ttc(gap_m: Float, closing_mps: Float, closing_mps2: Float) -> Float:
    """Return the smallest positive root of ``a t^2 / 2 + v t - g = 0``, inf without one (Ozbay et al. 2008).

    Args:
        gap_m: g, ``[...]``, at least 0.
        closing_mps: v, follower minus leader.
        closing_mps2: a, follower minus leader.
    """
    inside = closing_mps**2 + 2.0 * closing_mps2 * gap_m
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(np.maximum(inside, 0.0))
        # 2 g / (v + root) is the first root for either sign of a, and does not cancel where a is small.
        first = 2.0 * gap_m / (closing_mps + root)
    meets = (inside >= 0.0) & (closing_mps + root > 0.0)
    found: Float = np.where(np.isnan(gap_m), np.nan, np.where(meets, first, np.inf))
    return found


def _mttc(log: EpisodeLog, horizon_s: float) -> float:
    led = _led(log)
    if led is None:
        return math.nan
    times = modified_ttc(led.gap_m, led.closing_mps, led.ego_mps2 - led.leader_mps2)
    return min(_smallest(times), horizon_s) if not np.isnan(times).all() else math.nan


def min_mttc(name: str = "min_mttc_s", horizon_s: float = 10.0) -> Scored:
    """Smallest time to collision with the leader if both keep their acceleration, at most ``horizon_s``."""
    return Scored(name, "s", "higher", functools.partial(_mttc, horizon_s=horizon_s))


def _needed_braking(led: Leader) -> Float:
    """Return the deceleration ``[T]`` that just avoids the leader, 0 where none is needed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        stop = np.where(led.closing_mps > 0.0, led.closing_mps**2 / (2.0 * led.gap_m), 0.0)
    need: Float = np.maximum(stop - led.leader_mps2, 0.0)
    return np.where(led.closing_mps > 0.0, need, np.where(np.isnan(led.gap_m), np.nan, 0.0))


def _needed_swerve(led: Leader) -> Float:
    """Return the lateral acceleration ``[T]`` that just passes beside the leader, 0 where no meeting is due."""
    with np.errstate(divide="ignore", invalid="ignore"):
        time_s = led.gap_m / led.closing_mps
        there = led.aside_m + led.aside_mps * time_s
        aside = np.minimum(np.abs(there + led.widths_m), np.abs(there - led.widths_m))
        need = np.where(np.abs(there) < led.widths_m, 2.0 * aside / time_s**2, 0.0)
    return np.where(led.closing_mps > 0.0, need, np.where(np.isnan(led.gap_m), np.nan, 0.0))


def _threat(log: EpisodeLog, steering: bool, most_mps2: float) -> float:
    led = _led(log)
    if led is None:
        return math.nan
    worst = _largest((_needed_swerve(led) if steering else _needed_braking(led)) / most_mps2)
    return math.nan if math.isnan(worst) else min(worst, CAP)


def max_btn(name: str = "max_btn", most_mps2: float = DRY_ROAD_MPS2) -> Scored:
    """Largest brake threat number: deceleration needed behind the leader over what the road gives, at most 10.

    ``(dv^2 / (2 gap) - a_leader) / most_mps2`` while closing; from 1 on braking alone is too late.
    """
    return Scored(name, "", "lower", functools.partial(_threat, steering=False, most_mps2=most_mps2))


def max_stn(name: str = "max_stn", most_mps2: float = DRY_ROAD_MPS2) -> Scored:
    """Largest steer threat number: lateral acceleration that just passes the leader over what the road gives, at most 10.

    ``2 d / TTC^2 / most_mps2`` with the smaller way d aside. Where it and the brake threat number exceed 1, neither helps.
    """
    return Scored(name, "", "lower", functools.partial(_threat, steering=True, most_mps2=most_mps2))


def rss_distance(
    ego_mps: Float,
    leader_mps: Float,
    reaction_s: float,
    gains_mps2: float,
    brakes_mps2: float,
    leader_brakes_mps2: float,
) -> Float:
    """Return the safe longitudinal distance of RSS, at least 0 (Shalev-Shwartz, Shammah and Shashua 2017)."""
    reached = ego_mps + reaction_s * gains_mps2
    way = ego_mps * reaction_s + 0.5 * gains_mps2 * reaction_s**2 + reached**2 / (2.0 * brakes_mps2)
    safe: Float = np.maximum(way - np.maximum(leader_mps, 0.0) ** 2 / (2.0 * leader_brakes_mps2), 0.0)
    return safe


def _rss_margin(
    log: EpisodeLog, reaction_s: float, gains_mps2: float, brakes_mps2: float, leader_brakes_mps2: float
) -> float:
    led = _led(log)
    if led is None:
        return math.nan
    safe = rss_distance(led.ego_mps, led.leader_mps, reaction_s, gains_mps2, brakes_mps2, leader_brakes_mps2)
    return _smallest(led.gap_m - safe)


def min_rss_margin(
    name: str = "min_rss_margin_m",
    reaction_s: float = 0.75,
    gains_mps2: float = 3.0,
    brakes_mps2: float = 6.0,
    leader_brakes_mps2: float = 6.0,
) -> Scored:
    """Smallest gap to the leader beyond the safe distance of RSS; negative = too near. Unscored without leader."""
    score = functools.partial(
        _rss_margin, reaction_s=reaction_s, gains_mps2=gains_mps2, brakes_mps2=brakes_mps2,
        leader_brakes_mps2=leader_brakes_mps2,
    )  # fmt: skip
    return Scored(name, "m", "higher", score)


def _integrated(log: EpisodeLog, below_s: float) -> float:
    seen: Bool = log.present[:, 1:] & (np.abs(log.speed[:, :1]) > MOVING_MPS)
    if not seen.any() or len(log.t_us) < 2 or not ego_known(log):
        return math.nan
    times = np.min(np.where(seen, meetings(log).times(), np.inf), axis=1)
    lack = np.where(times > 0.0, np.maximum(below_s - times, 0.0), 0.0)
    return float(np.sum(np.diff(log.t_us) * lack[:-1]) / 1e6)


def ttc_integrated(name: str = "ttc_integrated_s2", below_s: float = 1.5) -> Scored:
    """Time integrated time to collision (TIT): the lack of time below ``below_s``, summed over time, s2.

    Minderhoud and Bovy 2001. Boxes at constant velocity, as for ``min_ttc_s`` and ``ttc_exposure_s`` (TET).
    """
    return Scored(name, "s2", "lower", functools.partial(_integrated, below_s=below_s))


def _worst_case(log: EpisodeLog, most_mps2: float, horizon_s: float) -> float:
    seen: Bool = log.present[:, 1:] & (np.abs(log.speed[:, :1]) > MOVING_MPS)
    if not seen.any() or not ego_known(log):
        return math.nan
    speeds = velocities(log)
    apart = np.stack([log.x[:, 1:] - log.x[:, :1], log.y[:, 1:] - log.y[:, :1]], axis=-1)[seen]
    rate = (speeds[:, 1:] - speeds[:, :1])[seen]
    radius = 0.5 * np.hypot(log.actors.length, log.actors.width)
    touch = np.broadcast_to(radius[0] + radius[1:], seen.shape)[seen]
    # Only pairs that can meet before the horizon are stepped through.
    reach = np.hypot(apart[:, 0], apart[:, 1]) - touch
    soon = reach <= np.hypot(rate[:, 0], rate[:, 1]) * horizon_s + most_mps2 * horizon_s**2
    return _first_touch(apart[soon], rate[soon], touch[soon], most_mps2, horizon_s)


@jit
def _clear(apart: Float, rate: Float, touch: Float, pair: int, most_mps2: float, t: float) -> float:
    x, y = apart[pair, 0] + rate[pair, 0] * t, apart[pair, 1] + rate[pair, 1] * t
    return math.sqrt(x * x + y * y) - touch[pair] - most_mps2 * t * t


@jit
def _first_touch(apart: Float, rate: Float, touch: Float, most_mps2: float, horizon_s: float) -> float:
    """Return the first time at which growing circles touch: for each pair by steps and a bisection of the first one."""
    found = horizon_s
    for pair in range(len(touch)):
        for step in range(round(horizon_s / _FINE_S) + 1):
            high = step * _FINE_S
            if high > found + _FINE_S:
                break
            if _clear(apart, rate, touch, pair, most_mps2, high) > 0.0:
                continue
            if step == 0:
                return 0.0
            low = high - _FINE_S
            for _ in range(40):
                middle = 0.5 * (low + high)
                if _clear(apart, rate, touch, pair, most_mps2, middle) <= 0.0:
                    high = middle
                else:
                    low = middle
            found = min(found, high)
            break
    return found


def min_wttc(name: str = "min_wttc_s", most_mps2: float = DRY_ROAD_MPS2, horizon_s: float = 5.0) -> Scored:
    """Smallest worst-case time to collision, at most ``horizon_s``.

    Wachenfeld et al. 2016: circles around both boxes, each growing by ``most_mps2 t^2 / 2`` around its centre, which
    keeps its velocity; both do their worst. Unscored if nobody else was there or the ego never moved.
    """
    return Scored(name, "s", "higher", functools.partial(_worst_case, most_mps2=most_mps2, horizon_s=horizon_s))
