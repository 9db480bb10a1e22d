"""Synchronisation: who starts where and when, so that an ego that does not react hits the target as stated.

Movements begin and impacts fall on physics ticks; whatever is left over goes into starting places, never into the
place of the impact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError
from simdrive.scenarios.ncap.protocol import T0_S, TICK_S
from simdrive.scenarios.stage import LEAD_IN_S

HALF_TICK_S = 0.5 * TICK_S
_WAIT_S = (0.3, 1.3)  # between the lead-in and the test


@dataclass(frozen=True)
class StartUp:
    """A start from standstill that ends in a steady speed."""

    ticks: int  # from the first movement to the impact
    acceleration_mps2: float

    @property
    def seconds(self) -> float:
        """The same time in seconds."""
        return self.ticks * TICK_S


def start_up(travel_m: float, steady_m: float, speed_mps: float) -> StartUp:
    """Return how to cover ``travel_m`` from standstill in whole ticks, the last ``steady_m`` or a little less steadily.

    The steady part gives way by less than a tick's travel.

    Raises:
        ParameterError: if there is no room to accelerate in.
    """
    if speed_mps <= 0.0 or not 0.0 <= steady_m < travel_m:
        raise ParameterError(
            f"a target that goes {travel_m:.2f} m, {steady_m:.2f} m of it steadily, cannot get to {speed_mps:.2f} m/s; "
            "speed and way to accelerate in must be positive"
        )
    needed = (2.0 * travel_m - steady_m) / speed_mps
    ticks = math.ceil(needed / TICK_S - 1e-9)
    ramp_m = travel_m - steady_m + (ticks * TICK_S - needed) * speed_mps
    return StartUp(ticks, 0.5 * speed_mps**2 / ramp_m)


def impact_tick(rng: np.random.Generator, at_least_s: float = 0.0) -> int:
    """Draw the tick of the impact: after the lead-in, and T0 or ``at_least_s`` (if that is longer) to spare."""
    wait = round((LEAD_IN_S + float(rng.uniform(*_WAIT_S))) / TICK_S)
    return wait + math.ceil(max(T0_S, at_least_s) / TICK_S)
