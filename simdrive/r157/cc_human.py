"""The competent and careful human driver of UN R157, Annex 4 Appendix 3."""

from __future__ import annotations

from simdrive.jit import jit
from simdrive.r157.parameters import FULL_BRAKE_MPS2, JERK_MPS3, OVER, SAFE, UNSAFE

REACTION_S = 0.75
RELEASE_MPS2 = 0.4  # deceleration while the foot moves to the brake pedal
CRITICAL_TTC_S = 2.0
TIME_GAP_S = 2.0


@jit
def judge_cut_in(clearance_m, gap_m, closing_mps):  # type: ignore[no-untyped-def]
    """Return SAFE, UNSAFE or OVER for a vehicle that cuts in.

    The danger is a time to collision of at most 2.0 s once the bodies overlap sideways. As in the published simulation
    the situation counts as ended without collision at the first overlapping sample with a larger one.
    """
    if clearance_m > 0.0:
        return SAFE
    return OVER if abs(gap_m / closing_mps) > CRITICAL_TTC_S else UNSAFE


@jit
def brake(applied_mps2, frequency_hz):  # type: ignore[no-untyped-def]
    """Return the deceleration one step after ``applied_mps2``: ramp, then full brake."""
    return min(applied_mps2 + JERK_MPS3 / frequency_hz, FULL_BRAKE_MPS2)


@jit
def following_gap(speed_mps):  # type: ignore[no-untyped-def]
    """Return the gap (m) at which this driver follows: a time gap of 2.0 s."""
    return TIME_GAP_S * speed_mps
