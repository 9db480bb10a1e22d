"""Closed forms for when scripted movements get somewhere, so that a hazard meets an ego that does not react.

Scripted movements across a path build up and take off lateral speed at ``LATERAL_ACCELERATION_MPS2`` (see
``OFFSET`` in simdrive.sim.spec).
"""

from __future__ import annotations

import math

from simdrive.errors import ParameterError

LATERAL_ACCELERATION_MPS2 = 2.0


def start_up_time_s(distance_m: float, speed_mps: float, acceleration_mps2: float) -> float:
    """Return the time to cover a distance from standstill, accelerating constantly up to a speed.

    Raises:
        ParameterError: if speed or acceleration is not positive.
    """
    if speed_mps <= 0.0 or acceleration_mps2 <= 0.0:
        raise ParameterError(f"speed {speed_mps} and acceleration {acceleration_mps2} must be positive")
    ramp_m = 0.5 * speed_mps**2 / acceleration_mps2
    if distance_m <= ramp_m:
        return math.sqrt(2.0 * distance_m / acceleration_mps2)
    return speed_mps / acceleration_mps2 + (distance_m - ramp_m) / speed_mps


def shift_time_s(distance_m: float, total_m: float, rate_mps: float) -> float:
    """Return when a sideways movement of ``total_m`` at ``rate_mps`` has come ``distance_m`` far.

    Right up to the place where the movement slows down for its end.

    Raises:
        ParameterError: if the distance is not within the total.
    """
    if not 0.0 <= distance_m <= total_m:
        raise ParameterError(f"distance {distance_m} must lie within the total of {total_m}")
    a = LATERAL_ACCELERATION_MPS2
    peak = min(rate_mps, math.sqrt(a * total_m))
    ramp_m = 0.5 * peak**2 / a
    if distance_m <= ramp_m:
        return math.sqrt(2.0 * distance_m / a)
    return peak / a + (distance_m - ramp_m) / peak


def shortest_shift_s(distance_m: float) -> float:
    """Return the time below which no lateral speed covers ``distance_m`` from lateral rest."""
    return math.sqrt(2.0 * distance_m / LATERAL_ACCELERATION_MPS2)


def shift_rate_mps(distance_m: float, time_s: float) -> float:
    """Return the lateral speed that covers ``distance_m`` within ``time_s`` from lateral rest.

    Raises:
        ParameterError: if no lateral speed does.
    """
    least = shortest_shift_s(distance_m)
    if time_s < least:
        raise ParameterError(f"{distance_m:g} m sideways take at least {least:.4f} s, got {time_s:.4f} s")
    a = LATERAL_ACCELERATION_MPS2
    return a * (time_s - math.sqrt(max(time_s**2 - 2.0 * distance_m / a, 0.0)))
