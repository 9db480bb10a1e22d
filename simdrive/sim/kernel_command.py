"""Meta actions of a controlled vehicle (``ControlledVehicle.act`` and ``MDPVehicle.act`` with an action)."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import clip
from simdrive.sim.lanes import ROAD_FIRST, ROAD_LAST, table_local, table_reachable
from simdrive.sim.state import Float

LANE_LEFT, IDLE, LANE_RIGHT, FASTER, SLOWER = 0, 1, 2, 3, 4  # DiscreteMetaAction.ACTIONS_ALL
SPEED_STEP_MPS = 5.0  # ControlledVehicle.DELTA_SPEED


@jit_inline
def round_half_even(value: float) -> float:
    """Round as ``numpy.round`` does: halves go to the even neighbour."""
    low = math.floor(value)
    rest = value - low
    if rest > 0.5 or (rest == 0.5 and low % 2.0 != 0.0):
        return low + 1.0
    return float(low)


@jit_inline
def nearest_notch(speed: float, low: float, high: float, notches: int) -> int:
    """Return the index of the allowed speed nearest to ``speed`` on a uniform scale from low to high."""
    share = (speed - low) / (high - low)
    return int(clip(round_half_even(share * (notches - 1)), 0.0, notches - 1.0))


@jit_inline
def next_notch(speed: float, step: int, allowed: Float, notches: int) -> int:
    """Return the index ``step`` notches from the one nearest the *actual* speed, within the scale."""
    nearest = nearest_notch(speed, allowed[0], allowed[notches - 1], notches)
    return min(max(nearest + step, 0), notches - 1)


@jit
def lane_beside(lanes: Float, points: Float, fused: bool, lane: int, step: int, x: float, y: float) -> int:
    """Return the lane ``step`` to the right of ``lane`` if it exists and a vehicle at (x, y) can reach it."""
    other = min(max(lane + step, int(lanes[lane, ROAD_FIRST])), int(lanes[lane, ROAD_LAST]) - 1)
    s, r = table_local(lanes, points, fused, other, x, y)
    return other if table_reachable(lanes, points, other, s, r) else lane
