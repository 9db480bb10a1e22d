"""How far two plans for the same observation are apart, in the terms of a driver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simdrive.eval.adopting import plan_at
from simdrive.types import Float

MEASURES = ("waypoint_m", "speed_mps", "lateral_m", "brakes_later_s")
MEANING = {
    "waypoint_m": "mean distance of the places planned for 0.5, 1, ... 3 s",
    "speed_mps": "mean difference of the speeds planned for 1, 2 and 4 s",
    "lateral_m": "distance across the way planned for 2 s",
    "brakes_later_s": "how much later the student's plan has lost 1 m/s; a plan that never does counts as 4 s",
}
WAYPOINT_TIMES_S = np.arange(0.5, 3.01, 0.5)
SPEED_TIMES_S = np.array([1.0, 2.0, 4.0])
LATERAL_S = 2.0
HORIZON_S = 4.0
BRAKED_MPS = 1.0  # a plan that gives up less than this follows the road, more or less
_TIMES_S = np.arange(0.0, HORIZON_S + 0.01, 0.1)


def plan_differences(teacher: Sequence[Float | None], student: Sequence[Float | None], speeds_mps: Float) -> Float:
    """Return ``[N, len(MEASURES)]`` between the plans of N observations; NaN where one of them is missing.

    Args:
        teacher: N plans ``[P, 5]``, or None where there was no usable answer.
        student: likewise.
        speeds_mps: ``[N]`` of the ego at the observations.
    """
    found: Float = np.full((len(speeds_mps), len(MEASURES)), np.nan)
    for row, (one, other) in enumerate(zip(teacher, student, strict=True)):
        if one is not None and other is not None:
            found[row] = _difference(one, other, float(speeds_mps[row]))
    return found


def _difference(teacher: Float, student: Float, speed_mps: float) -> Float:
    gap = plan_at(student, WAYPOINT_TIMES_S)[:, 1:3] - plan_at(teacher, WAYPOINT_TIMES_S)[:, 1:3]
    speeds = plan_at(student, SPEED_TIMES_S)[:, 4] - plan_at(teacher, SPEED_TIMES_S)[:, 4]
    there, then = plan_at(student, np.array([LATERAL_S]))[0], plan_at(teacher, np.array([LATERAL_S]))[0]
    across = (there[2] - then[2]) * np.cos(then[3]) - (there[1] - then[1]) * np.sin(then[3])
    later_s = first_brake_s(student, speed_mps) - first_brake_s(teacher, speed_mps)
    return np.array([np.hypot(gap[:, 0], gap[:, 1]).mean(), np.abs(speeds).mean(), abs(across), later_s])


def first_brake_s(plan: Float, speed_mps: float) -> float:
    """Return when a plan ``[P, 5]`` has lost ``BRAKED_MPS`` of the present speed, to 0.1 s; ``HORIZON_S`` if it never does."""
    slow = np.flatnonzero(plan_at(plan, _TIMES_S)[:, 4] <= speed_mps - BRAKED_MPS + 1e-9)
    return float(_TIMES_S[slow[0]]) if len(slow) else HORIZON_S
