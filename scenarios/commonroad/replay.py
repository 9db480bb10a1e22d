"""Proves a replay: plays the world and compares where everybody is with the recording."""

from __future__ import annotations

import math

import numpy as np

from simdrive.scenarios.commonroad.recording import Recording
from simdrive.scenarios.commonroad.world import Placed
from simdrive.sim.worlds import Worlds
from simdrive.types import Float

FREQUENCY_HZ = 50


def track_error_m(recording: Recording, placed: Placed) -> tuple[float, int]:
    """Return (largest distance between replay and recording, m; number of recorded states compared).

    Every recorded state from the start of the world on counts. Where its time falls between two physics ticks, the
    replay is taken on the straight line between them. NaN if nothing can be compared.
    """
    worlds = Worlds([placed.spec], FREQUENCY_HZ)
    wanted = {obstacle.id: obstacle for obstacle in recording.obstacles}
    ticks = math.ceil(max((track.time_s[-1] for track in placed.spec.tracks), default=0.0) * FREQUENCY_HZ)
    count = len(placed.spec.actors) + 1
    places = np.full((ticks + 1, count, 2), math.nan)
    for tick in range(ticks + 1):
        here = worlds.actors.present[0, :count]
        places[tick, here, 0], places[tick, here, 1] = (
            worlds.actors.x[0, :count][here],
            worlds.actors.y[0, :count][here],
        )
        if tick < ticks:
            worlds.step(np.zeros((1, 2)), look_up_lanes=False)
    worst, compared = math.nan, 0
    for track in placed.spec.tracks:
        moves = wanted[placed.obstacles[track.actor - 1]].moves
        at = (moves.time_s - placed.start_s) * FREQUENCY_HZ
        truth = placed.frame.points(np.column_stack([moves.x_m, moves.y_m]))
        for when, point in zip(at, truth, strict=True):
            if when < -1e-6:
                continue
            error = math.dist(_place(places[:, track.actor], float(when)), point)
            worst = error if math.isnan(worst) else max(worst, error)
            compared += 1
    return worst, compared


def _place(places: Float, tick: float) -> tuple[float, float]:
    """Return where an actor was at a tick, whole or not; on the line through the nearest two ticks it was there."""
    there = np.flatnonzero(~np.isnan(places[:, 0]))
    if not len(there):
        return math.inf, math.inf
    low = int(np.clip(math.floor(tick + 1e-6), there[0], max(there[-1] - 1, there[0])))
    high = min(low + 1, int(there[-1]))
    share = tick - low
    x, y = places[low] + share * (places[high] - places[low])
    return float(x), float(y)
