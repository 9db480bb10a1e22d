"""A fast safety layer at sensor rate beside any plan: full brake when contact is near and braking still helps."""

from __future__ import annotations

import math

from simdrive.geometry import boxes_overlap
from simdrive.jit import jit

HORIZON_S = 2.6
STEP_S = 0.1


@jit
def time_to_contact(  # type: ignore[no-untyped-def]
    speed, curvature, length, width, dx, dy, turn, vx, vy, other_length, other_width
):
    """Return (time, closing speed along the ego's course) of first contact, (inf, 0) when none within the horizon.

    Ego frame: the other's centre (dx ahead, dy right), heading ``turn``, velocity (vx, vy). The ego keeps speed and
    curvature, the other its velocity.
    """
    steps = int(round(HORIZON_S / STEP_S))
    for k in range(steps + 1):
        t = k * STEP_S
        yaw = speed * t * curvature
        if abs(yaw) < 1e-6:
            ex, ey = speed * t, 0.5 * curvature * speed * t * speed * t
        else:
            ex, ey = math.sin(yaw) / curvature, (1.0 - math.cos(yaw)) / curvature
        ox, oy = dx + vx * t, dy + vy * t
        if boxes_overlap(ex, ey, yaw, length, width, ox, oy, turn, other_length, other_width):
            return t, speed - (vx * math.cos(yaw) + vy * math.sin(yaw))
    return math.inf, 0.0


@jit
def aeb_monitor(  # type: ignore[no-untyped-def]
    x, y, heading, speed, lateral_speed, length, width, seen, curvature, was_active, braking_mps2, reaction_s, out
):
    """Tell for each world whether the emergency brake is on.

    It fires when the time to contact with a visible actor in the ego's path (constant velocity; the ego's path has
    its present curvature) falls below the time a full stop relative to that actor needs, dv / (2 a) + reaction; once
    on, it stays on until that time has grown by half, or the car stands.

    Args:
        x, y, heading, speed, lateral_speed, length, width: float64 ``[B, V]``, world frame, ego in column 0.
        seen: bool ``[B, V]``, present and in line of sight.
        curvature: float64 ``[B]`` of the ego's path, 1/m, positive to the right.
        was_active: bool ``[B]``, the answer of the tick before.
        braking_mps2: full deceleration.
        reaction_s: ramp and margin.
        out: bool ``[B]``, written (may be ``was_active``).
    """
    for b in range(x.shape[0]):
        fire = False
        v = speed[b, 0]
        cos, sin = math.cos(heading[b, 0]), math.sin(heading[b, 0])
        for a in range(1, x.shape[1]):
            if fire or v < 0.3 or not seen[b, a]:
                continue
            wx, wy = x[b, a] - x[b, 0], y[b, a] - y[b, 0]
            dx, dy = wx * cos + wy * sin, wy * cos - wx * sin
            turn = heading[b, a] - heading[b, 0]
            vx = speed[b, a] * math.cos(turn) - lateral_speed[b, a] * math.sin(turn)
            vy = speed[b, a] * math.sin(turn) + lateral_speed[b, a] * math.cos(turn)
            reach = HORIZON_S * (v + math.sqrt(vx * vx + vy * vy)) + length[b, a] + length[b, 0]
            if dx < 0.0 or dx * dx + dy * dy > reach * reach:
                continue
            time, closing = time_to_contact(
                v, curvature[b], length[b, 0], width[b, 0], dx, dy, turn, vx, vy, length[b, a], width[b, a]
            )
            bound = closing / (2.0 * braking_mps2) + reaction_s
            if was_active[b]:
                bound *= 1.5
            fire = closing > 0.0 and time < bound
        out[b] = fire
