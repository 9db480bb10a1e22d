"""Which lanes lie inside a junction: metrics treat crossing traffic and lane directions differently there."""

from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit
from simdrive.sim.arithmetic import wrap_to_pi
from simdrive.sim.lanes import lane_heading, lane_local, lane_position
from simdrive.sim.state import Bool, RoadTables

_STEP_M = 2.0
_CROSSING_RAD = math.radians(20.0)


@jit
def _meets(roads: RoadTables, lane: int, other: int) -> bool:
    """Tell whether the centre of ``lane`` runs onto ``other`` at an angle."""
    samples = math.ceil(roads.lane_length[lane] / _STEP_M) + 1
    for sample in range(samples):
        s = roads.lane_length[lane] * sample / (samples - 1) if samples > 1 else 0.0
        x, y = lane_position(roads, lane, s, 0.0)
        along, across = lane_local(roads, other, x, y)
        if not 0.0 <= along <= roads.lane_length[other] or abs(across) >= 0.5 * roads.lane_width[other]:
            continue
        turn = abs(wrap_to_pi(lane_heading(roads, lane, s) - lane_heading(roads, other, along)))
        if _CROSSING_RAD < turn < math.pi - _CROSSING_RAD:
            return True
    return False


@jit
def _mark(roads: RoadTables, inside: Bool) -> None:
    for m in range(roads.map_lane_start.shape[0] - 1):
        for lane in range(roads.map_lane_start[m], roads.map_lane_start[m + 1]):
            for other in range(roads.map_lane_start[m], roads.map_lane_start[m + 1]):
                if roads.lane_road[lane] != roads.lane_road[other] and _meets(roads, lane, other):
                    inside[lane] = inside[other] = True


def junction_lanes(roads: RoadTables) -> Bool:
    """Return ``[L]`` the lanes that cross or join a lane of another road at more than 20 degrees.

    Merges of a ramp run nearly parallel and are none; the ring of a roundabout and its accesses are.
    """
    inside = np.zeros(len(roads.lane_kind), dtype=np.bool_)
    _mark(roads, inside)
    return inside
