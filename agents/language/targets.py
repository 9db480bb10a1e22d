"""What a driving answer says in numbers: changes of speed after 1, 2 and 4 s, and where to be across the road then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrive.agents.answers import curvatures, slopes
from simdrive.agents.language.upsample import POINTS, SIDE_TIMES_S, TIMES_S, read_plans, write_plans
from simdrive.sim.plans import present_bends
from simdrive.types import Float, ObservationBatch

# Fine around nothing at all, coarse where a car brakes with all it has.
CHANGES_MPS = np.concatenate([np.arange(-40.0, -12.0, 2.0), np.arange(-12.0, -4.0), np.arange(-4.0, 8.01, 0.5)])
SIDES_M = np.concatenate([np.arange(-6.0, -2.0, 0.5), np.arange(-2.0, 2.01, 0.25), np.arange(2.5, 6.01, 0.5)])
_STANDS_MPS = 0.3  # a target below this means: stand
_LOOK_S = np.arange(0.0, 5.01, 0.25)


@dataclass(frozen=True)
class Targets:
    """Driving answers of N requests."""

    change_mps: Float  # [N, 3] speed after TIMES_S against the present one
    side_m: Float  # [N, 2] offset to the right of the route after SIDE_TIMES_S


def rounded(values: Float, grid: Float) -> Float:
    """Return the nearest value of an ascending grid for each of ``values``."""
    middle = 0.5 * (grid[1:] + grid[:-1])
    nearest: Float = grid[np.searchsorted(middle, values)]
    return nearest


def plans_of(targets: Targets, batch: ObservationBatch) -> Float:
    """Return the plans ``[N, 21, 5]`` behind driving answers, along each route from where the ego is."""
    speed = np.maximum(batch.ego[:, 3], 0.0)
    bend = present_bends(batch.route, batch.route_s, curvatures(batch), speed)
    plans: Float = np.empty((len(batch), POINTS, 5))
    write_plans(
        np.ascontiguousarray(batch.route), batch.route_s, batch.route_r, slopes(batch), bend, speed,
        speed[:, None] + targets.change_mps, targets.side_m, plans,
    )  # fmt: skip
    return plans


def targets_of(plans: Float, batch: ObservationBatch) -> Targets:
    """Return the driving answers that come nearest to plans ``[N, P, 5]``."""
    speeds, offsets = looked_up(plans, batch)
    speed = np.maximum(batch.ego[:, 3], 0.0)
    change = rounded(_told_speeds(speeds) - speed[:, None], CHANGES_MPS)
    # Standing is said so that it is reached: the nearest change might leave a creeping car.
    down = CHANGES_MPS[np.maximum(np.searchsorted(CHANGES_MPS, -speed, side="right") - 1, 0)]
    stands = speeds[:, np.searchsorted(_LOOK_S, TIMES_S)] < _STANDS_MPS
    change = np.where(stands, np.minimum(change, down[:, None]), change)
    side = rounded(offsets[:, np.searchsorted(_LOOK_S, SIDE_TIMES_S)], SIDES_M)
    return Targets(change, side)


def _told_speeds(speeds: Float) -> Float:
    """Return ``[N, 3]`` the speeds at TIMES_S; of a car that comes to stand before, where the line to its stop leads."""
    told: Float = np.empty((len(speeds), len(TIMES_S)))
    before = 0
    for k, time_s in enumerate(TIMES_S):
        at = int(np.searchsorted(_LOOK_S, time_s))
        start = np.maximum(speeds[:, before], 0.0)
        standing = speeds[:, before : at + 1] < 0.05
        stops = standing[:, -1] & ~standing[:, 0]
        last = np.maximum(np.argmax(standing, axis=1), 1)  # steps until it stands
        line = start * (1.0 - (at - before) / last)
        told[:, k] = np.where(stops, line, speeds[:, at])
        before = at
    return told


def looked_up(plans: Float, batch: ObservationBatch) -> tuple[Float, Float]:
    """Return speeds (m/s) and offsets from the route (m), both ``[N, 21]``, of plans every 0.25 s."""
    speeds: Float = np.empty((len(batch), len(_LOOK_S)))
    offsets: Float = np.empty_like(speeds)
    read_plans(np.ascontiguousarray(batch.route), batch.route_s, plans, _LOOK_S, speeds, offsets)
    return speeds, offsets
