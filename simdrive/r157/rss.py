"""Responsibility-sensitive safety as a driver (Shalev-Shwartz, Shammah and Shashua, arXiv:1708.06374)."""

from __future__ import annotations

from simdrive.jit import jit
from simdrive.r157.parameters import FULL_BRAKE_MPS2, JERK_MPS3, SAFE, UNSAFE

REACTION_S = 0.75
ACCELERATION_MPS2 = 3.0  # of the ego during the reaction, at worst
BRAKE_MPS2 = 6.0  # of both vehicles
LATERAL_MPS2 = 1.0
LATERAL_MARGIN_M = 0.3


@jit
def longitudinal_distance(speed_mps, other_mps):  # type: ignore[no-untyped-def]
    """Return the safe gap (m), definition 1 of the paper with equal braking of both; not clipped at 0."""
    reached = speed_mps + REACTION_S * ACCELERATION_MPS2
    reaction = speed_mps * REACTION_S + ACCELERATION_MPS2 * REACTION_S**2 / 2.0
    return reaction + reached**2 / (2.0 * BRAKE_MPS2) - other_mps**2 / (2.0 * BRAKE_MPS2)


@jit
def lateral_distance(lateral_mps):  # type: ignore[no-untyped-def]
    """Return the safe sideways clearance (m), definition 6 of the paper, of which only the other vehicle moves."""
    reached = abs(lateral_mps) + LATERAL_MPS2 * REACTION_S
    return (
        LATERAL_MARGIN_M
        + (2.0 * abs(lateral_mps) + LATERAL_MPS2 * REACTION_S) * REACTION_S / 2.0
        + reached**2 / (2.0 * LATERAL_MPS2)
    )


@jit
def judge(clearance_m, gap_m, speed_mps, other_mps, lateral_mps):  # type: ignore[no-untyped-def]
    """Return UNSAFE where both distances are below their bounds, else SAFE."""
    if gap_m < longitudinal_distance(speed_mps, other_mps) and clearance_m < lateral_distance(lateral_mps):
        return UNSAFE
    return SAFE


@jit
def brake(applied_mps2, frequency_hz):  # type: ignore[no-untyped-def]
    """Return the deceleration one step after ``applied_mps2``: the human's ramp from zero, then full brake."""
    return min(applied_mps2 + JERK_MPS3 / frequency_hz, FULL_BRAKE_MPS2)


@jit
def following_gap(speed_mps):  # type: ignore[no-untyped-def]
    """Return the gap (m) that is still safe after a leader has braked fully for one reaction time."""
    lost = BRAKE_MPS2 * REACTION_S
    return longitudinal_distance(speed_mps, max(speed_mps - lost, 0.0)) + lost * REACTION_S / 2.0
