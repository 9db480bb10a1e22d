"""Who is where at each sample: the path of the vehicle that the ego has to answer to.

A path is ``float64 [6, samples]``: centre x and y (m), speed along and across (m/s), length (m), and whether the driver
answers to it at that sample. The ego drives along x with y = 0. Other vehicles move sideways with constant speed, brake
without ramp and do not react. Speeds are summed up, so the first sample after the start lies one step beyond it.
"""

from __future__ import annotations

import math

from simdrive.jit import jit
from simdrive.r157.parameters import (
    CUT_IN_CLEARANCE_M,
    CUT_IN_LATERAL_MPS2,
    HORIZON_S,
    LANE_CHANGE_M,
    LENGTH_M,
    STOPPED_LENGTH_M,
    WANDERING_M,
    WIDTH_M,
)

X, Y, VX, VY, LONG, SEEN = 0, 1, 2, 3, 4, 5
FIELDS = 6


@jit
def approach_samples(lateral_mps, frequency_hz):  # type: ignore[no-untyped-def]
    """Return the samples during which a vehicle gathers its sideways speed (m/s, positive)."""
    return math.ceil(lateral_mps / (CUT_IN_LATERAL_MPS2 / frequency_hz))


@jit
def _sideways_samples(distance_m, lateral_mps, frequency_hz):  # type: ignore[no-untyped-def]
    """Return the samples of constant sideways motion that just cover ``distance_m``."""
    if lateral_mps == 0.0:
        return 0
    return int(min(frequency_hz * distance_m // lateral_mps + 1.0, 1e9))


@jit
def write_cut_in(ego_mps, other_mps, gap_m, lateral_mps, frequency_hz, path):  # type: ignore[no-untyped-def]
    """Write a vehicle that cuts in; return (ego x at sample 0, number of samples to judge).

    ``gap_m`` holds at the instant at which the full sideways speed is reached and the bodies are 1.6 m apart sideways.
    """
    early = approach_samples(lateral_mps, frequency_hz)
    x0, y0 = gap_m + LENGTH_M, CUT_IN_CLEARANCE_M + WIDTH_M
    step = -CUT_IN_LATERAL_MPS2 / frequency_hz
    back, aside, behind = 0.0, 0.0, 0.0
    path[X, early], path[Y, early], path[VX, early], path[VY, early] = x0, y0, other_mps, -lateral_mps
    for k in range(early - 1, -1, -1):
        back -= other_mps / frequency_hz
        behind -= ego_mps / frequency_hz
        aside -= k * step / frequency_hz
        path[X, k], path[Y, k], path[VX, k], path[VY, k] = x0 + back, y0 + aside, other_mps, k * step
    samples = early + 1 + round(HORIZON_S * frequency_hz)
    moving = _sideways_samples(y0, lateral_mps, frequency_hz)
    along, across = 0.0, 0.0
    for k in range(early + 1, samples):
        sideways = -lateral_mps if k - early <= moving else 0.0
        along += other_mps
        across += sideways
        path[X, k], path[Y, k] = along / frequency_hz + x0, across / frequency_hz + y0
        path[VX, k], path[VY, k] = other_mps, sideways
    path[LONG, :samples] = LENGTH_M
    path[SEEN, :samples] = 1.0
    return behind, samples - 1


@jit
def write_deceleration(ego_mps, other_mps, gap_m, decel_mps2, frequency_hz, path):  # type: ignore[no-untyped-def]
    """Write a leader that brakes from the first step on; return (ego x at sample 0, number of samples to judge)."""
    samples = round(HORIZON_S * frequency_hz)
    total = 0.0
    for k in range(samples):
        speed = max(other_mps - k * decel_mps2 / frequency_hz, 0.0)
        total += speed
        path[X, k], path[Y, k] = total / frequency_hz + (gap_m + LENGTH_M), 0.0
        path[VX, k], path[VY, k] = speed, 0.0
    path[LONG, :samples] = LENGTH_M
    path[SEEN, :samples] = 1.0
    return ego_mps / frequency_hz, samples - 1


@jit
def write_cut_out(  # type: ignore[no-untyped-def]
    ego_mps, other_mps, gap_m, revealed_m, lateral_mps, frequency_hz, path
):
    """Write what a leader reveals that cuts out; return (ego x at sample 0, number of samples to judge).

    The driver answers to the stopped car once the leader is 0.375 m off its line, and to the leader itself if that
    hits the stopped car and stands in the way. ``gap_m`` is ego to leader, ``revealed_m`` leader to stopped car.
    """
    samples = round(HORIZON_S * frequency_hz)
    moving = _sideways_samples(LANE_CHANGE_M, lateral_mps, frequency_hz)
    x0 = gap_m + LENGTH_M
    stopped_m = x0 + revealed_m + LENGTH_M
    along, across, crashed = 0.0, 0.0, False
    x, y = x0, 0.0
    for k in range(samples):
        sideways = -lateral_mps if k < moving else 0.0
        if not crashed:
            along += other_mps
            across += sideways
            x = along / frequency_hz + x0
            y = (across / frequency_hz + LANE_CHANGE_M) - LANE_CHANGE_M  # placed from the lane that it leaves for
            apart = abs(stopped_m - x) - STOPPED_LENGTH_M / 2.0 - LENGTH_M / 2.0
            crashed = abs(y) - WIDTH_M / 2.0 - WIDTH_M / 2.0 < 0.0 and apart < 0.0
        path[X, k], path[Y, k] = (x, y) if crashed else (stopped_m, 0.0)
        path[VX, k], path[VY, k] = 0.0, 0.0
        path[LONG, k] = LENGTH_M if crashed else STOPPED_LENGTH_M
        path[SEEN, k] = 1.0 if crashed or y < -WANDERING_M else 0.0
    return ego_mps / frequency_hz, samples - 1
