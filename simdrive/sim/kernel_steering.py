"""Lane following: the cascaded lateral controller of ``ControlledVehicle`` and the linear one."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import clip, dot2, not_zero, wrap_to_pi
from simdrive.sim.kernel_frame import GAIN_SHIFT, GAIN_TURN, HEADING, LENGTH, SPEED, SQUARE
from simdrive.sim.lanes import table_heading
from simdrive.sim.state import Float

SPEED_GAIN = 1 / 0.6  # ControlledVehicle.KP_A, 1/s
HEADING_GAIN = 1 / 0.2  # KP_HEADING, 1/s
LATERAL_GAIN = 1 / 0.6  # KP_LATERAL, 1/s
PURSUIT_S = 0.5 * 0.2  # TAU_PURSUIT
MAX_STEERING_RAD = math.pi / 3


@jit_inline
def _arcsin(value: float) -> float:
    """Return the arc sine; most vehicles sit exactly on their lane, where it is zero."""
    return value if value == 0.0 else math.asin(value)


@jit_inline
def steering(
    lanes: Float, points: Float, lane: int, s: float, r: float, speed: float, heading: float, length: float
) -> float:
    """Return the steering angle that follows the centre of ``lane``, rad, limited to 60 degrees.

    Args:
        lanes: lane table of the map.
        points: point table.
        lane: lane to follow.
        s: coordinate of the vehicle along it, m.
        r: lateral coordinate, m.
        speed: m/s.
        heading: rad, world frame.
        length: of the vehicle, m.
    """
    divisor = not_zero(speed)
    command = _arcsin(clip(-LATERAL_GAIN * r / divisor, -1.0, 1.0))
    ahead = table_heading(lanes, points, lane, s + speed * PURSUIT_S)
    wanted = ahead + clip(command, -math.pi / 4, math.pi / 4)
    rate = HEADING_GAIN * wrap_to_pi(wanted - heading)
    slip = clip(length / 2 / divisor * rate, -1.0, 1.0)
    if slip == 0.0:
        return slip
    return clip(math.atan(2 * math.tan(math.asin(slip))), -MAX_STEERING_RAD, MAX_STEERING_RAD)


@jit
def linear_steering(lanes: Float, points: Float, fused: bool, lane: int, s: float, r: float, row: Float) -> float:
    """Return the steering angle of ``LinearVehicle``, rad, limited to 60 degrees.

    Args:
        lanes: lane table of the map.
        points: point table.
        fused: rounding of dot products.
        lane: lane to follow.
        s: coordinate of the vehicle along it, m.
        r: lateral coordinate, m.
        row: the vehicle's row of the frame's numbers.
    """
    divisor, length = not_zero(row[SPEED]), row[LENGTH]
    ahead = table_heading(lanes, points, lane, s + row[SPEED] * PURSUIT_S)
    turn = wrap_to_pi(ahead - row[HEADING]) * length / divisor
    shift = -r * length / math.pow(divisor, row[SQUARE])
    angle = dot2(fused, row[GAIN_TURN], row[GAIN_SHIFT], turn, shift)
    return clip(angle, -MAX_STEERING_RAD, MAX_STEERING_RAD)
