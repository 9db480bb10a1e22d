"""The minimum that UN R157, 5.2.5.2, asks of a system when a vehicle cuts in, as a driver."""

from __future__ import annotations

from simdrive.jit import jit
from simdrive.r157.parameters import SAFE, UNSAFE

REACTION_S = 0.35
BRAKE_MPS2 = 6.0  # reached at once: the paragraph knows no ramp
LATERAL_M = 0.5  # free width below which the other vehicle counts as intruding
ROUNDING_S = 0.1  # the paragraph's last term: a time resolution of 0.1 s
TIME_GAP_S = 2.0


@jit
def judge_cut_in(clearance_m, gap_m, closing_mps):  # type: ignore[no-untyped-def]
    """Return SAFE or UNSAFE: the collision must be avoided where TTC > v_rel / (2 * 6 m/s2) + 0.35 s (+ 0.1 s)."""
    if clearance_m > LATERAL_M:
        return SAFE
    bound_s = closing_mps / (2.0 * BRAKE_MPS2) + REACTION_S + ROUNDING_S
    return SAFE if abs(gap_m / closing_mps) > bound_s else UNSAFE


@jit
def following_gap(speed_mps):  # type: ignore[no-untyped-def]
    """Return the gap (m) at which this driver follows; the paragraph has none, so the human's."""
    return TIME_GAP_S * speed_mps
