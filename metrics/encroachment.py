"""Post-encroachment time: how long after one road user the other used the same place, where their ways cross.

Definition after Allen, Shin and Cooper (1978): the second user enters the conflict area so much later than the first has left
it. With boxes that is the smallest shift of one track in time against the other at which the two would touch.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from simdrive.geometry import boxes_overlap
from simdrive.jit import jit
from simdrive.metrics.base import Scored
from simdrive.metrics.trace import ego_known
from simdrive.types import Bool, EpisodeLog, Float, Long

CROSSING_SINE = 0.5  # headings at least 30 degrees off each other's line: who follows or meets the ego does not cross


@jit
def _smallest_shift_us(
    t_us: Long, present: Bool, x: Float, y: Float, heading: Float, length: Float, width: Float, limit_us: int
) -> int:
    best = limit_us + 1
    for v in range(1, x.shape[1]):
        reach = 0.5 * (math.hypot(length[0], width[0]) + math.hypot(length[v], width[v]))
        for i in range(x.shape[0]):
            for j in range(x.shape[0]):
                shift = abs(t_us[i] - t_us[j])
                if shift >= best or not present[j, v]:
                    continue
                if abs(x[j, v] - x[i, 0]) > reach or abs(y[j, v] - y[i, 0]) > reach:
                    continue
                if abs(math.sin(heading[j, v] - heading[i, 0])) < CROSSING_SINE:
                    continue
                if boxes_overlap(
                    x[i, 0], y[i, 0], heading[i, 0], length[0], width[0],
                    x[j, v], y[j, v], heading[j, v], length[v], width[v],
                ):  # fmt: skip
                    best = shift
    return best


def _pet(log: EpisodeLog, horizon_s: float) -> float:
    if not ego_known(log):
        return math.nan
    table, limit_us = log.actors, round(horizon_s * 1e6)
    moving = log.present & (np.abs(log.speed) > 0.0)  # who stands there uses no place before or after anybody
    found = _smallest_shift_us(log.t_us, moving, log.x, log.y, log.heading, table.length, table.width, limit_us)
    return found / 1e6 if found <= limit_us else math.nan


def min_pet(name: str = "min_pet_s", horizon_s: float = 5.0) -> Scored:
    """Smallest post-encroachment time with anybody whose way crosses the ego's, to the 0.1 s of a log; 0 at a contact.

    Unscored where nobody crosses within ``horizon_s``.
    """
    return Scored(name, "s", "higher", functools.partial(_pet, horizon_s=horizon_s))
