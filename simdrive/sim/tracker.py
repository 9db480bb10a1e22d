"""Turns plans into controls: what the car does between two answers of its driver, within what a car can do.

A plan is followed by its time stamps in the world frame, so an answer that arrives late is entered where the clock
says, not at its first point. One compiled call serves all worlds of a tick; a world's control depends on that
world's numbers alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError
from simdrive.jit import jit, jit_allocating
from simdrive.sim.plans import bow, fold
from simdrive.types import Float

SATURATED = 1  # flag bit: the plan was used past its horizon
NO_PLAN = 2  # flag bit: there was no plan, the control only coasts straight on


@dataclass(frozen=True)
class TrackerLimits:
    """What the car can do; controls never leave these bounds.

    A dry-road full brake of 8 m/s2 that builds up at 27 m/s3 (0 to full in 0.3 s) is what automatic emergency
    braking reaches; the brake is released no faster than at 27 m/s3 and drive torque builds up at 12 m/s3. The end
    of a stop is the one exception: at standstill the deceleration is gone within one tick.
    """

    max_acceleration_mps2: float = 3.0
    max_braking_mps2: float = 8.0
    braking_jerk_mps3: float = 27.0
    driving_jerk_mps3: float = 12.0
    max_steering_rad: float = 0.7
    max_steering_rate_radps: float = 0.8
    max_lateral_acceleration_mps2: float = 7.0
    horizon_braking_mps2: float = 3.0  # past the end of a plan

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0.0):
                raise ParameterError(f"tracker limit {name} must be positive and finite, got {value}")

    def array(self) -> Float:
        """Return the limits as the array ``[8]`` that the kernels take, in the order of the fields."""
        return np.array(list(vars(self).values()), dtype=np.float64)


@jit
def _arc_lengths(plan, arc):  # type: ignore[no-untyped-def]
    arc[0] = 0.0
    for i in range(1, plan.shape[0]):
        dx, dy = plan[i, 1] - plan[i - 1, 1], plan[i, 2] - plan[i - 1, 2]
        arc[i] = arc[i - 1] + math.sqrt(dx * dx + dy * dy)


@jit
def sample_time(plan, arc, time_s, braking):  # type: ignore[no-untyped-def]
    """Return (distance along the plan, speed) at ``time_s`` after its first time zero.

    Before the first point it is extended backwards at its speed, past the last one it brakes at ``braking`` m/s2.
    """
    last = plan.shape[0] - 1
    if time_s <= plan[0, 0]:
        return (time_s - plan[0, 0]) * plan[0, 4], plan[0, 4]
    if time_s >= plan[last, 0]:
        late, speed = time_s - plan[last, 0], plan[last, 4]
        late = min(late, speed / braking) if speed > 0.0 else 0.0
        return arc[last] + late * (speed - 0.5 * braking * late), speed - braking * late
    i = 0
    while plan[i + 1, 0] < time_s:
        i += 1
    span = plan[i + 1, 0] - plan[i, 0]
    u = (time_s - plan[i, 0]) / span
    v0, v1 = plan[i, 4], plan[i + 1, 4]
    length = arc[i + 1] - arc[i]
    # Distance within the interval follows the speed column, scaled so that both ends are met.
    if v0 + v1 > 1e-9:
        share = u * (v0 + 0.5 * u * (v1 - v0)) / (0.5 * (v0 + v1))
    else:
        share = u
    return arc[i] + share * length, v0 + u * (v1 - v0)


@jit
def _heading_at(plan, arc, distance):  # type: ignore[no-untyped-def]
    last = plan.shape[0] - 1
    if distance <= 0.0:
        return plan[0, 3]
    if distance >= arc[last]:
        return plan[last, 3]
    i = 0
    while arc[i + 1] < distance:
        i += 1
    length = arc[i + 1] - arc[i]
    u = (distance - arc[i]) / length if length > 1e-9 else 0.0
    return plan[i, 3] + u * fold(plan[i + 1, 3] - plan[i, 3])


@jit
def _project(plan, arc, x, y):  # type: ignore[no-untyped-def]
    """Return (distance along the plan, offset to its right) of a point; the ends are extended straight on."""
    last = plan.shape[0] - 1
    best, distance, offset = 1e300, 0.0, 0.0
    for i in range(last):
        length = arc[i + 1] - arc[i]
        if length < 1e-3:
            continue
        ux, uy = (plan[i + 1, 1] - plan[i, 1]) / length, (plan[i + 1, 2] - plan[i, 2]) / length
        dx, dy = x - plan[i, 1], y - plan[i, 2]
        along, across = dx * ux + dy * uy, dy * ux - dx * uy
        outside = -along if along < 0.0 else max(along - length, 0.0)
        if outside * outside + across * across < best:
            best = outside * outside + across * across
            u = min(max(along / length, 0.0), 1.0)
            chord = math.atan2(uy, ux)
            # The path between two points is the cubic that has their headings.
            side = bow(length, u, fold(plan[i, 3] - chord), fold(plan[i + 1, 3] - chord))
            distance, offset = arc[i] + u * length, across - side
    # Ends: straight on along the first and last heading.
    for end in (0, last):
        cos, sin = math.cos(plan[end, 3]), math.sin(plan[end, 3])
        dx, dy = x - plan[end, 1], y - plan[end, 2]
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        if ((end == 0 and along <= 0.0) or (end == last and along >= 0.0)) and across * across < best:
            best, distance, offset = across * across, arc[end] + along, across
    return distance, offset


@jit
def _longitudinal(plan, arc, time_s, distance, speed, limits):  # type: ignore[no-untyped-def]
    """Return (wanted acceleration, reference speed): feed-forward of the plan plus feedback on speed and place."""
    target_m, target_mps = sample_time(plan, arc, time_s, limits[7])
    _, next_mps = sample_time(plan, arc, time_s + 0.1, limits[7])
    # Nothing is caught up beyond half the planned speed: a plan that stands never makes the car creep.
    correction = min(max(0.8 * (target_m - distance), -2.0), min(2.0, 0.5 * target_mps))
    wanted = (next_mps - target_mps) / 0.1 + 3.0 * (target_mps + correction - speed)
    return wanted, max(target_mps, next_mps)


@jit
def _curvature_to_steering(curvature, length):  # type: ignore[no-untyped-def]
    """Invert highway-env's kinematic bicycle: curvature = 2 sin(beta) / length, beta = atan(tan(steering) / 2)."""
    sine = min(max(0.5 * curvature * length, -0.99), 0.99)
    return math.atan(2.0 * math.tan(math.asin(sine)))


@jit
def _lateral(plan, arc, distance, offset, heading, speed, length, limits):  # type: ignore[no-untyped-def]
    """Return the wanted steering angle: curvature of the plan ahead plus a second-order return to its line."""
    window = max(0.22 * speed, 1.5)
    here = _heading_at(plan, arc, distance)
    preview = fold(_heading_at(plan, arc, distance + window) - here) / window
    v = max(speed, 3.0)
    omega = 2.8
    damping = 2.0 * 0.8 * omega
    pull = omega * omega * min(max(offset, -0.15 * v), 0.15 * v)
    feedback = (pull + damping * v * math.sin(fold(heading - here))) / (v * v)
    # The slip angle turns the course at once: solving for course = heading + slip keeps the loop stable when slow.
    curvature = (preview - feedback) / (1.0 + 0.5 * length * damping / v)
    bound = limits[6] / max(speed * speed, 1.0)
    steering = _curvature_to_steering(min(max(curvature, -bound), bound), length)
    return min(max(steering, -limits[4]), limits[4])


@jit
def limit_acceleration(wanted, previous, speed, dt_s, limits):  # type: ignore[no-untyped-def]
    """Return ``wanted`` within bounds and jerk, and never so strong that the car would reverse."""
    wanted = min(max(wanted, -limits[1]), limits[0])
    fall = limits[2] * dt_s
    rise = (limits[2] if previous < 0.0 else limits[3]) * dt_s
    if previous < 0.0 < previous + rise:  # from brake to drive within this tick
        rise = max(-previous, limits[3] * dt_s)
    value = min(max(wanted, previous - fall), previous + rise)
    return max(value, -speed / dt_s)


@jit_allocating
def track(  # type: ignore[no-untyped-def]
    plans, t_obs_us, now_us, has_plan, x, y, heading, speed, length, previous, dt_s, limits, out, flags
):
    """Derive the controls of one physics tick for all worlds.

    Args:
        plans: float64 ``[B, P, 5]``, columns PLAN_COLUMNS, world frame; the heading is the direction of travel.
        t_obs_us: int64 ``[B]``, the observation each plan answers.
        now_us: int64 ``[B]``, present time.
        has_plan: bool ``[B]``; without a plan the car coasts with the wheel turned back (see ``hold_plan``).
        x, y, heading, speed, length: float64 ``[B]``, the egos in the world frame.
        previous: float64 ``[B, 2]``, controls of the tick before: acceleration (m/s2), steering (rad).
        dt_s: length of a tick.
        limits: float64 ``[8]``, ``TrackerLimits.array()``.
        out: float64 ``[B, 2]``, written (may be ``previous`` itself).
        flags: uint8 ``[B]``, written: bits SATURATED, NO_PLAN.
    """
    _track(
        plans, t_obs_us, now_us, has_plan, x, y, heading, speed, length, previous, dt_s, limits, out, flags,
        np.empty(plans.shape[1]),
    )  # fmt: skip


@jit
def _track(  # type: ignore[no-untyped-def]
    plans, t_obs_us, now_us, has_plan, x, y, heading, speed, length, previous, dt_s, limits, out, flags, arc
):
    """Do what ``track`` says; ``arc`` [P] is working memory."""
    for b in range(plans.shape[0]):
        flags[b] = 0
        wanted, steering = 0.0, 0.0
        if has_plan[b]:
            plan = plans[b]
            time_s = (now_us[b] - t_obs_us[b]) * 1e-6
            if time_s > plan[plan.shape[0] - 1, 0] + 1e-9:
                flags[b] = SATURATED
            _arc_lengths(plan, arc)
            distance, offset = _project(plan, arc, x[b], y[b])
            wanted, reference = _longitudinal(plan, arc, time_s, distance, speed[b], limits)
            if reference < 0.05 and speed[b] < 0.3:
                wanted, steering = -speed[b] / dt_s, previous[b, 1]  # stand: wheel as it is
            else:
                steering = _lateral(plan, arc, distance, offset, heading[b], speed[b], length[b], limits)
        else:
            flags[b] = NO_PLAN
        turn = limits[5] * dt_s
        steering = min(max(steering, previous[b, 1] - turn), previous[b, 1] + turn)
        out[b, 0] = limit_acceleration(wanted, previous[b, 0], speed[b], dt_s, limits)
        out[b, 1] = steering


@jit_allocating
def planned_accelerations(plans, t_obs_us, now_us, chosen, braking, out):  # type: ignore[no-untyped-def]
    """Write ``out`` [B] where ``chosen`` [B]: the acceleration (m/s2) that each plan asks for now, feedback left out."""
    arc = np.empty(plans.shape[1])
    for b in range(plans.shape[0]):
        if chosen[b]:
            time_s = (now_us[b] - t_obs_us[b]) * 1e-6
            _arc_lengths(plans[b], arc)
            _, now_mps = sample_time(plans[b], arc, time_s, braking)
            _, next_mps = sample_time(plans[b], arc, time_s + 0.1, braking)
            out[b] = (next_mps - now_mps) / 0.1


@jit
def emergency_brake(active, previous, speed, dt_s, limits, out):  # type: ignore[no-untyped-def]
    """Override the acceleration of ``out`` [B, 2] with a full brake where ``active`` [B]; steering stays.

    ``previous`` float64 ``[B, 2]`` are the controls of the tick before (jerk limit), so ``out`` must be another array.
    """
    for b in range(active.shape[0]):
        if active[b]:
            braking = limit_acceleration(-limits[1], previous[b, 0], speed[b], dt_s, limits)
            out[b, 0] = min(out[b, 0], braking)
