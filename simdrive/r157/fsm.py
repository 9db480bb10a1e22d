"""The fuzzy safety model as a driver (Mattas et al., Accident Analysis & Prevention 148 (2020) 105794).

Two fuzzy measures between 0 and 1: PFS, proactive (would a full brake of the leader be survived?), and CFS, critical
(must the ego brake now, speeds as they are?).
"""

from __future__ import annotations

from simdrive.jit import jit
from simdrive.r157.parameters import FULL_BRAKE_MPS2, JERK_MPS3, SAFE, UNSAFE

REACTION_S = 0.75
COMFORTABLE_MPS2, STRONG_MPS2 = 4.0, 6.0  # what the ego likes to brake with, and what it can
LEADER_MPS2 = 7.0
STANDSTILL_M, SAFETY_M = 2.0, 2.0  # gap kept at standstill; further margin of the safe bound
LATERAL_S = 0.1


@jit
def proactive(gap_m, speed_mps, other_mps):  # type: ignore[no-untyped-def]
    """Return PFS: 0 beyond the safe gap, 1 below the unsafe one, linear between."""
    kept = gap_m - STANDSTILL_M
    reaction, stop = speed_mps * REACTION_S, other_mps**2 / (2.0 * LEADER_MPS2)
    safe = reaction + speed_mps**2 / (2.0 * COMFORTABLE_MPS2) - stop + SAFETY_M
    if kept > safe:
        return 0.0
    unsafe = reaction + speed_mps**2 / (2.0 * STRONG_MPS2) - stop
    if kept < unsafe:
        return 1.0
    return (kept - safe) / (unsafe - safe)


@jit
def critical(gap_m, speed_mps, other_mps, acceleration_mps2):  # type: ignore[no-untyped-def]
    """Return CFS for an ego with ``acceleration_mps2`` (of the last step, braking negative)."""
    if speed_mps <= other_mps:
        return 0.0
    held = max(acceleration_mps2, -COMFORTABLE_MPS2)
    excess = speed_mps + REACTION_S * held - other_mps  # speed difference left after the reaction time
    if speed_mps + REACTION_S * held < other_mps:
        # The braking under way suffices if the gap does; here the published simulation takes the unclipped value.
        return 1.0 if gap_m < (speed_mps - other_mps) ** 2 / abs(acceleration_mps2 * 2.0) else 0.0
    reaction = (speed_mps + held * REACTION_S / 2.0 - other_mps) * REACTION_S
    safe = reaction + excess**2 / (COMFORTABLE_MPS2 * 2.0)
    if gap_m > safe:
        return 0.0
    unsafe = reaction + excess**2 / (STRONG_MPS2 * 2.0)
    if gap_m < unsafe:
        return 1.0
    return (gap_m - safe) / (unsafe - safe)


@jit
def passes_before(clearance_m, gap_m, lengths_m, closing_mps, towards_mps):  # type: ignore[no-untyped-def]
    """Return whether a vehicle beside the path does not come in, or only after the ego has passed it."""
    if clearance_m <= 0.0:
        return False
    if towards_mps <= 0.0:
        return True
    return clearance_m / towards_mps > (gap_m + lengths_m) / closing_mps + LATERAL_S


@jit
def judge(pfs, cfs):  # type: ignore[no-untyped-def]
    """Return UNSAFE where either measure is above 0, else SAFE."""
    return SAFE if cfs + pfs == 0.0 else UNSAFE


@jit
def brake(applied_mps2, frequency_hz, pfs, cfs):  # type: ignore[no-untyped-def]
    """Return the deceleration one step after ``applied_mps2``; the jerk limit holds for its rise only."""
    if cfs > 0.0:
        wanted = cfs * (STRONG_MPS2 - COMFORTABLE_MPS2) + COMFORTABLE_MPS2
    else:
        wanted = pfs * COMFORTABLE_MPS2
    return min(min(applied_mps2 + JERK_MPS3 / frequency_hz, FULL_BRAKE_MPS2), wanted)


@jit
def following_gap(speed_mps):  # type: ignore[no-untyped-def]
    """Return the smallest gap (m) behind an equally fast leader at which PFS is 0."""
    stop = speed_mps**2 / (2.0 * COMFORTABLE_MPS2) - speed_mps**2 / (2.0 * LEADER_MPS2)
    return speed_mps * REACTION_S + stop + STANDSTILL_M + SAFETY_M
