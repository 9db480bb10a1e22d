"""How close it came: time to collision of boxes, nuPlan's bound on it, needed deceleration, smallest gap.

Everybody keeps velocity and heading (constant-velocity prediction), so on bends a vehicle in the opposite
lane can count as a conflict for an instant; the same holds for nuPlan's metric.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from simdrive.geometry import box_distance
from simdrive.jit import jit
from simdrive.metrics.base import Scored, per_log
from simdrive.metrics.collision import touches
from simdrive.metrics.trace import REAR_AXLE_SHARE, ego_known, meetings, velocities
from simdrive.types import Bool, EpisodeLog, Float

MOVING_MPS = 0.05
NUPLAN_MOVING_MPS = 0.005
STEP_S, HORIZON_S = 0.1, 3.0  # of nuPlan's projection


def _seen(log: EpisodeLog, moving_mps: float) -> Bool:
    """Return ``[T, V - 1]``: the actor is there and the ego moves."""
    there: Bool = log.present[:, 1:] & (np.abs(log.speed[:, :1]) > moving_mps)
    return there


def _min_ttc(log: EpisodeLog, horizon_s: float) -> float:
    if log.contact is not None:
        return 0.0
    seen = _seen(log, MOVING_MPS)
    if not seen.any() or not ego_known(log):
        return math.nan
    return float(min(np.min(meetings(log).times(), where=seen, initial=np.inf), horizon_s))


def min_ttc(name: str = "min_ttc_s", horizon_s: float = 10.0) -> Scored:
    """Smallest time to collision with anybody while the ego moves; 0 at a contact, at most ``horizon_s``.

    Unscored if nobody else was there or the ego never moved.
    """
    return Scored(name, "s", "higher", functools.partial(_min_ttc, horizon_s=horizon_s))


def _exposed(log: EpisodeLog, below_s: float) -> float:
    seen = _seen(log, MOVING_MPS)
    if not seen.any() or len(log.t_us) < 2 or not ego_known(log):
        return math.nan
    short: Bool = np.min(np.where(seen, meetings(log).times(), np.inf), axis=1) <= below_s
    return float(np.sum(np.diff(log.t_us)[short[:-1]]) / 1e6)


def ttc_exposure(name: str = "ttc_exposure_s", below_s: float = 1.5) -> Scored:
    """Time exposed (TET): how long the time to collision is at most ``below_s`` while the ego moves."""
    return Scored(name, "s", "lower", functools.partial(_exposed, below_s=below_s))


@per_log
def conflict_tracks(log: EpisodeLog) -> Bool:
    """Return ``[T, V - 1]``: the tracks that nuPlan's time to collision looks at.

    Tracks less than 30 degrees off the heading, seen from the rear axle, always; tracks up to 150 degrees
    only while the ego is on several lanes, off the drivable area or in a junction; never those already
    touched (an episode ends at its first contact, so the row of the contact itself is scored by fault
    instead).
    """
    heading = log.heading[:, :1]
    back = REAR_AXLE_SHARE * float(log.actors.length[0])
    dx = log.x[:, 1:] - log.x[:, :1] + back * np.cos(heading)
    dy = log.y[:, 1:] - log.y[:, :1] + back * np.sin(heading)
    bearing = np.abs((np.arctan2(dy, dx) - heading + np.pi) % (2.0 * np.pi) - np.pi)
    open_side = (log.on_several_lanes | (log.off_road_m > 0.0) | log.in_junction)[:, None]
    relevant = (bearing < np.deg2rad(30.0)) | (open_side & (bearing < np.deg2rad(150.0)))
    touched = [touch.actor - 1 for touch in touches(log)]
    tracks: Bool = relevant & _seen(log, NUPLAN_MOVING_MPS)
    if touched:
        tracks[-1, touched] = False
    return tracks


@per_log
def stepped_ttc(log: EpisodeLog) -> Float:
    """Return nuPlan's time to collision ``[T]``: the first of 0.1, 0.2 .. 2.9 s at which boxes overlap,
    else inf.
    """
    met = meetings(log)
    with np.errstate(invalid="ignore"):
        when = np.maximum(np.ceil(met.first / STEP_S - 1e-9), 1.0) * STEP_S
    hit = conflict_tracks(log) & (when <= met.last + 1e-9) & (when < HORIZON_S - 1e-9)
    times: Float = np.min(np.where(hit, when, np.inf), axis=1, initial=np.inf)
    return times


def ttc_bound_value(log: EpisodeLog, bound_s: float = 0.95) -> float:
    """Return 1 if nuPlan's time to collision stays above ``bound_s`` and no contact is the ego's fault,
    else 0.
    """
    if any(touch.at_fault for touch in touches(log)):
        return 0.0
    if not ego_known(log):
        return math.nan
    return float(np.min(stepped_ttc(log)) > bound_s)


def ttc_within_bound(name: str = "ttc_within_bound", bound_s: float = 0.95) -> Scored:
    """nuPlan's time-to-collision score; its 0.1 s projection steps are taken from the closed form."""
    return Scored(name, "", "higher", functools.partial(ttc_bound_value, bound_s=bound_s))


@jit
def _largest_need(seen: Bool, x: Float, y: Float, heading: Float, velocity: Float, times: Float) -> float:
    worst = 0.0
    for k in range(x.shape[0]):
        cos, sin = math.cos(heading[k, 0]), math.sin(heading[k, 0])
        for v in range(1, x.shape[1]):
            if not seen[k, v - 1] or not 0.0 < times[k, v - 1] < math.inf:
                continue
            ahead = (x[k, v] - x[k, 0]) * cos + (y[k, v] - y[k, 0]) * sin
            closing = (velocity[k, 0, 0] - velocity[k, v, 0]) * cos + (velocity[k, 0, 1] - velocity[k, v, 1]) * sin
            if ahead > 0.0 and closing > 0.0:
                worst = max(worst, closing / (2.0 * times[k, v - 1]))
    return worst


def _max_drac(log: EpisodeLog, cap_mps2: float) -> float:
    seen = _seen(log, MOVING_MPS)
    if not seen.any() or not ego_known(log):
        return math.nan
    return min(_largest_need(seen, log.x, log.y, log.heading, velocities(log), meetings(log).times()), cap_mps2)


def max_drac(name: str = "max_drac_mps2", cap_mps2: float = 20.0) -> Scored:
    """Largest deceleration rate to avoid a crash (DRAC), over everybody ahead on a collision course.

    Closing speed along the ego's heading over twice the time to collision: behind a leader this is the
    textbook ``dv^2 / (2 gap)``, before a crossing road user the deceleration that stops short of its path.
    At most ``cap_mps2``, which no tyre delivers; above 3.35 counts as critical. Unscored if nobody was
    there.
    """
    return Scored(name, "m/s2", "lower", functools.partial(_max_drac, cap_mps2=cap_mps2))


@jit
def _smallest_gap(present: Bool, x: Float, y: Float, heading: Float, length: Float, width: Float) -> float:
    best = math.inf
    for k in range(x.shape[0]):
        for v in range(1, x.shape[1]):
            if not present[k, v]:
                continue
            reach = 0.5 * (math.hypot(length[0], width[0]) + math.hypot(length[v], width[v]))
            if math.hypot(x[k, v] - x[k, 0], y[k, v] - y[k, 0]) - reach >= best:
                continue  # not even its circumscribed circle comes nearer
            gap = box_distance(
                x[k, 0],
                y[k, 0],
                heading[k, 0],
                length[0],
                width[0],
                x[k, v],
                y[k, v],
                heading[k, v],
                length[v],
                width[v],
            )
            best = min(best, gap)
    return best


def _min_gap(log: EpisodeLog) -> float:
    table = log.actors
    gap = _smallest_gap(log.present, log.x, log.y, log.heading, table.length, table.width)
    return gap if math.isfinite(gap) and ego_known(log) else math.nan


def min_gap(name: str = "min_gap_m") -> Scored:
    """Smallest distance between the ego's box and any other; unscored if nobody else was there."""
    return Scored(name, "m", "higher", _min_gap)
