"""Moving vehicles by one step: the modified bicycle model of ``Vehicle.step``."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import clip
from simdrive.sim.kernel_bicycle import MAX_YAW_RATE, bicycle_step
from simdrive.sim.kernel_frame import (
    ACCELERATION,
    COS,
    CRASHED,
    HAS_IMPACT,
    HEADING,
    IMPACT_X,
    IMPACT_Y,
    KIND,
    LATERAL_SPEED,
    LENGTH,
    MAX_SPEED,
    MIN_SPEED,
    PRESENT,
    SIN,
    SPEED,
    STEERING,
    TIMER,
    YAW_RATE,
    X,
    Y,
)
from simdrive.sim.state import Behaviour, Float, Whole

_OBSTACLE, _LANDMARK, _SCRIPTED = int(Behaviour.OBSTACLE), int(Behaviour.LANDMARK), int(Behaviour.SCRIPTED)
_IDM, _LINEAR, _BICYCLE = int(Behaviour.IDM), int(Behaviour.LINEAR), int(Behaviour.BICYCLE)


@jit_inline
def limited(acceleration: float, speed: float, low: float, high: float) -> float:
    """Return the acceleration that keeps a speed outside its range from growing further, m/s2."""
    if speed > high:
        return min(acceleration, high - speed)
    if speed < low:
        return max(acceleration, low - speed)
    return acceleration


@jit_inline
def _course(heading: float, angle: float, cos_heading: float, sin_heading: float) -> tuple[float, float, float]:
    """Return (cosine, sine of the course, sine of the slip) for a steering angle."""
    if angle == 0.0:  # straight on: the cached direction is exact
        return cos_heading, sin_heading, 0.0
    slip = math.atan(0.5 * math.tan(angle))
    return math.cos(heading + slip), math.sin(heading + slip), math.sin(slip)


@jit
def _move_bicycle(row: Float, dt: float) -> None:
    """Move a vehicle with tyre slip; impacts are not applied, as in highway-env."""
    angle = clip(row[STEERING], -math.pi / 2, math.pi / 2)
    row[STEERING] = angle
    yaw_rate = clip(row[YAW_RATE], -MAX_YAW_RATE, MAX_YAW_RATE)
    state = (row[X], row[Y], row[HEADING], row[SPEED], row[LATERAL_SPEED], yaw_rate)
    x, y, heading, speed, lateral, yaw_rate = bicycle_step(state, angle, row[ACCELERATION], dt)
    row[X], row[Y], row[HEADING] = x, y, heading
    row[SPEED], row[LATERAL_SPEED], row[YAW_RATE] = speed, lateral, yaw_rate


@jit_inline
def integrate(dt: float, numbers: Float, whole: Whole) -> None:
    """Move every present stock vehicle of a frame: limits, position, pending impact, heading, speed, in this order."""
    for i in range(numbers.shape[0]):
        kind = whole[i, KIND]
        if not whole[i, PRESENT] or kind in (_SCRIPTED, _OBSTACLE, _LANDMARK):
            continue
        if kind in (_IDM, _LINEAR):
            numbers[i, TIMER] += dt
        speed, heading = numbers[i, SPEED], numbers[i, HEADING]
        if whole[i, CRASHED]:
            numbers[i, STEERING] = 0.0
            numbers[i, ACCELERATION] = -1.0 * speed
        acceleration = limited(numbers[i, ACCELERATION], speed, numbers[i, MIN_SPEED], numbers[i, MAX_SPEED])
        numbers[i, ACCELERATION] = acceleration
        if kind == _BICYCLE:
            _move_bicycle(numbers[i], dt)
            continue
        cos_course, sin_course, slip_sin = _course(heading, numbers[i, STEERING], numbers[i, COS], numbers[i, SIN])
        x, y = numbers[i, X] + speed * cos_course * dt, numbers[i, Y] + speed * sin_course * dt
        if whole[i, HAS_IMPACT]:
            x, y = x + numbers[i, IMPACT_X], y + numbers[i, IMPACT_Y]
            whole[i, CRASHED], whole[i, HAS_IMPACT] = 1, 0
        numbers[i, X], numbers[i, Y] = x, y
        numbers[i, HEADING] = heading + speed * slip_sin / (numbers[i, LENGTH] / 2) * dt
        numbers[i, SPEED] = speed + acceleration * dt
