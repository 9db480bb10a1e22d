"""The dynamic bicycle model (``BicycleVehicle``): tyre forces, slip, one Runge-Kutta step.

Rajamani: Vehicle Dynamics and Control (2011), chapter 2; constants of highway-env's unit-mass vehicle.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import fused_multiply_add

_MASS = 1.0
_ARM_M = 2.5  # centre of gravity to either axle
_INERTIA = 1 / 12 * 1 * (5.0**2 + 2.0**2)
_STIFFNESS = 15.0
MAX_YAW_RATE = 2 * math.pi
_State = tuple[float, float, float, float, float, float]


@jit_inline
def _derivative(state: _State, steering: float, acceleration: float) -> _State:
    """Return d/dt of (x, y, heading, speed, lateral speed, yaw rate)."""
    heading, speed, lateral, yaw_rate = state[2], state[3], state[4], state[5]
    slip_front = math.atan2(lateral + _ARM_M * yaw_rate, speed)
    slip_rear = math.atan2(lateral - _ARM_M * yaw_rate, speed)
    force_front = 2 * _STIFFNESS * (steering - slip_front)
    force_rear = 2 * _STIFFNESS * (0 - slip_rear)
    if abs(speed) < 1:
        force_front = -_MASS * lateral - _INERTIA / _ARM_M * yaw_rate
        force_rear = -_MASS * lateral + _INERTIA / _ARM_M * yaw_rate
    lateral_change = 1 / _MASS * (force_front + force_rear) - yaw_rate * speed
    yaw_change = 1 / _INERTIA * (_ARM_M * force_front - _ARM_M * force_rear)
    c, s = math.cos(heading), math.sin(heading)
    # A matrix product: BLAS sums from the last column, fused.
    x_change = fused_multiply_add(c, speed, -s * lateral)
    y_change = fused_multiply_add(s, speed, c * lateral)
    return x_change, y_change, yaw_rate, acceleration, lateral_change, yaw_change


@jit_inline
def _shifted(state: _State, rate: _State, step: float) -> _State:
    return (
        state[0] + rate[0] * step,
        state[1] + rate[1] * step,
        state[2] + rate[2] * step,
        state[3] + rate[3] * step,
        state[4] + rate[4] * step,
        state[5] + rate[5] * step,
    )


@jit_inline
def _mean_rate(f1: _State, f2: _State, f3: _State, f4: _State) -> _State:
    return (
        f1[0] + 2 * f2[0] + 2 * f3[0] + f4[0],
        f1[1] + 2 * f2[1] + 2 * f3[1] + f4[1],
        f1[2] + 2 * f2[2] + 2 * f3[2] + f4[2],
        f1[3] + 2 * f2[3] + 2 * f3[3] + f4[3],
        f1[4] + 2 * f2[4] + 2 * f3[4] + f4[4],
        f1[5] + 2 * f2[5] + 2 * f3[5] + f4[5],
    )


@jit
def bicycle_step(state: _State, steering: float, acceleration: float, dt: float) -> _State:
    """Return (x, y, heading, speed, lateral speed, yaw rate) after ``dt`` seconds."""
    f1 = _derivative(state, steering, acceleration)
    f2 = _derivative(_shifted(state, f1, dt / 2), steering, acceleration)
    f3 = _derivative(_shifted(state, f2, dt / 2), steering, acceleration)
    f4 = _derivative(_shifted(state, f3, dt), steering, acceleration)
    total = _mean_rate(f1, f2, f3, f4)
    return _shifted(state, total, dt / 6)
