"""How fast a commanded actor goes: event rows turned into acceleration and lateral speed, one tick at a time.

Plain numbers in, plain numbers out, so that every rule can be checked by hand.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit
from simdrive.sim.spec import Action

LATERAL_ACCELERATION_MPS2 = 2.0  # how fast lateral speed is built up and taken off

_ACCELERATE, _SPEED, _STOP = int(Action.ACCELERATE), int(Action.SPEED), int(Action.STOP)
_LATERAL_SPEED = int(Action.LATERAL_SPEED)


@jit
def approach(value: float, goal: float, step: float) -> float:
    """Return ``value`` moved towards ``goal`` by at most ``step``."""
    if goal > value:
        return min(goal, value + step)
    return max(goal, value - step)


@jit
def commanded_acceleration(
    action: int, magnitude: float, rate: float, until: float, speed: float, before: float, dt: float
) -> tuple[float, bool]:
    """Return (acceleration in this tick, whether the row is done) under a LONGITUDINAL event row.

    Args:
        action, magnitude, rate, until: the row (``simdrive.sim.spec.Action``).
        speed: m/s.
        before: acceleration of the last tick, m/s2; jerk limits start from it.
        dt: length of a tick, s.
    """
    if action == _SPEED:
        return min(max((magnitude - speed) / dt, -rate), rate), False
    wish = magnitude
    if action == _STOP:
        wish = -magnitude if speed >= 0.0 else magnitude
    if rate > 0.0:
        wish = approach(before, wish, rate * dt)
    left = until - speed
    if action == _ACCELERATE and (left - wish * dt) * magnitude <= 0.0:  # false where until is NaN
        return (left / dt if left * magnitude > 0.0 else 0.0), True
    return wish, False


@jit
def advance(speed: float, acceleration: float, dt: float, ends_at_zero: bool) -> tuple[float, float]:
    """Return (speed after a tick, distance covered), exact for constant acceleration.

    Args:
        speed: m/s.
        acceleration: m/s2.
        dt: length of the tick, s.
        ends_at_zero: stop for the rest of the tick where the speed reaches zero.
    """
    after = speed + acceleration * dt
    same_way = (after > 0.0 and speed > 0.0) or (after < 0.0 and speed < 0.0)
    if not ends_at_zero or same_way or (speed == 0.0 and after >= 0.0):
        return after, 0.5 * (speed + after) * dt
    if after == 0.0 or speed == 0.0:
        return 0.0, 0.5 * speed * dt
    return 0.0, -0.5 * speed * speed / acceleration


@jit
def lateral_step(
    action: int,
    magnitude: float,
    rate: float,
    until: float,
    goal_r: float,
    r: float,
    lateral: float,
    cap: float,
    dt: float,
) -> tuple[float, float, bool]:
    """Return (path_r after a tick, lateral speed, whether the row is done) under a LATERAL event row.

    Args:
        action, magnitude, rate, until: the row; action -1 = none is in charge.
        goal_r: where OFFSET and LANE_CHANGE end, m.
        r: path_r, m.
        lateral: lateral speed of the last tick, m/s.
        cap: largest lateral speed that the actor can have, m/s.
        dt: length of a tick, s.
    """
    if action == _LATERAL_SPEED:
        left, speed = until - r, min(max(magnitude, -cap), cap)
        if left * magnitude <= 0.0:
            return r, 0.0, True
        if abs(speed) * dt >= abs(left):  # false where until is NaN
            return until, 0.0, True
        return r + speed * dt, speed, False
    if action < 0:
        return r, 0.0, False
    ramp = LATERAL_ACCELERATION_MPS2 * dt
    left = goal_r - r
    # The largest speed from which steps of `ramp` still end at the goal.
    fall = 0.5 * ramp * (math.sqrt(1.0 + 8.0 * abs(left) / (ramp * dt)) - 1.0)
    speed = approach(lateral, math.copysign(min(fall, rate), left), ramp)
    speed = min(max(speed, -cap), cap)
    if left == 0.0 or (abs(left) <= ramp * dt and abs(speed) <= 1.001 * ramp and cap > 0.0):
        return goal_r, 0.0, True
    return r + speed * dt, speed, False


@jit
def gap_limit(
    gap: float, speed: float, leader_speed: float, jam: float, time_gap: float, gain: float, divisor: float
) -> float:
    """Return the acceleration that keeps an IDM gap, m/s2, not below -8.

    Interaction term of the intelligent driver model (Treiber, Hennecke, Helbing 2000).

    Args:
        gap: bumper to bumper, m.
        speed, leader_speed: along the own heading, m/s.
        jam: gap at standstill, m.
        time_gap: s.
        gain: comfortable acceleration, m/s2.
        divisor: 2 sqrt(comfortable acceleration * comfortable deceleration), m/s2.
    """
    wanted = jam + max(0.0, speed * time_gap + speed * (speed - leader_speed) / divisor)
    return max(gain * (1.0 - (wanted / max(gap, 0.1)) ** 2), -8.0)
