"""What tests of the event table share: one hazard on a straight road, and when its rows fired."""

from __future__ import annotations

import math
from typing import Any

from world_kit import run, world

from simdrive.sim.spec import Action, ActorSpec, Event
from simdrive.sim.worlds import Worlds

DT = 0.02
STOP = {"action": Action.STOP, "magnitude": 6.0}


def fired_at(worlds: Worlds, seconds: float, row: int = 0) -> float:
    """Step until the hazard row fires; return that time, NaN if it does not within ``seconds``."""
    for _ in range(round(seconds / DT)):
        run(worlds, DT)
        if worlds.hazard_us[row] >= 0:
            return float(worlds.hazard_us[row]) / 1e6
    return math.nan


def hazard_world(event_row: Event, *actors: ActorSpec, **fields: Any) -> Worlds:
    """Return one world whose hazard row is its only event."""
    return Worlds([world(*actors, events=(event_row,), hazard_actors=(1,), hazard_row=0, **fields)])
