"""Lane following: the cascaded lateral controller and the speed controller of ``ControlledVehicle``."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.jit import jit, jit_inline
from simdrive.sim.arithmetic import clip, not_zero, wrap_to_pi
from simdrive.sim.kernel_linear import linear_steering
from simdrive.sim.kernel_neighbours import lane_s
from simdrive.sim.kernel_routes import next_lane
from simdrive.sim.lanes import VEHICLE_LENGTH_M, lane_heading, lane_local, reachable
from simdrive.sim.state import Actors, Behaviour, Extras, RoadTables, Routes, Scratch, Traits

_LINEAR = int(Behaviour.LINEAR)
SPEED_GAIN = 1 / 0.6  # ControlledVehicle.KP_A, 1/s
HEADING_GAIN = 1 / 0.2  # KP_HEADING, 1/s
LATERAL_GAIN = 1 / 0.6  # KP_LATERAL, 1/s
PURSUIT_S = 0.5 * 0.2  # TAU_PURSUIT
MAX_STEERING_RAD = math.pi / 3
SPEED_STEP_MPS = 5.0  # DELTA_SPEED
LANE_LEFT, IDLE, LANE_RIGHT, FASTER, SLOWER = 0, 1, 2, 3, 4  # DiscreteMetaAction.ACTIONS_ALL


@jit_inline
def _arcsin(value: float) -> float:
    """Return the arc sine; most vehicles sit exactly on their lane, where it is zero."""
    return value if value == 0.0 else math.asin(value)


@jit_inline
def steering(
    b: int,
    i: int,
    lane: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    extras: Extras,
    scratch: Scratch,
) -> float:
    """Return the steering angle that follows the centre of ``lane``, rad, limited to 60 degrees."""
    if traits.behaviour[b, i] == _LINEAR:
        angle = linear_steering(b, i, lane, first_lane, actors, traits, roads, extras, scratch)
        return clip(angle, -MAX_STEERING_RAD, MAX_STEERING_RAD)
    speed = actors.speed[b, i]
    divisor = not_zero(speed)
    s = lane_s(b, i, lane, first_lane, actors, roads, scratch)
    lateral_speed = -LATERAL_GAIN * scratch.r[b, i, lane - first_lane]
    command = _arcsin(clip(lateral_speed / divisor, -1.0, 1.0))
    wanted = lane_heading(roads, lane, s + speed * PURSUIT_S) + clip(command, -math.pi / 4, math.pi / 4)
    rate = HEADING_GAIN * wrap_to_pi(wanted - actors.heading[b, i])
    slip = clip(traits.length[b, i] / 2 / divisor * rate, -1.0, 1.0)
    if slip == 0.0:
        return slip
    return clip(math.atan(2 * math.tan(math.asin(slip))), -MAX_STEERING_RAD, MAX_STEERING_RAD)


@jit_inline
def follow_road(
    b: int,
    i: int,
    first_lane: int,
    actors: Actors,
    routes: Routes,
    roads: RoadTables,
    scratch: Scratch,
) -> None:
    """Switch the target to the next lane 2.5 m before the end of the present target."""
    lane = actors.target_lane[b, i]
    s = lane_s(b, i, lane, first_lane, actors, roads, scratch)
    if s > roads.lane_length[lane] - VEHICLE_LENGTH_M / 2:
        actors.target_lane[b, i] = next_lane(b, i, lane, actors, routes, roads)


@jit_inline
def act_controlled(
    b: int,
    i: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    scratch: Scratch,
) -> None:
    """Set the controls of a controlled vehicle from its target lane and speed."""
    follow_road(b, i, first_lane, actors, routes, roads, scratch)
    control_towards_target(b, i, first_lane, actors, traits, roads, extras, scratch)


@jit_inline
def control_towards_target(
    b: int,
    i: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    extras: Extras,
    scratch: Scratch,
) -> None:
    """Write steering and acceleration for the present target lane and target speed."""
    lane = actors.target_lane[b, i]
    actors.steering[b, i] = steering(b, i, lane, first_lane, actors, traits, roads, extras, scratch)
    actors.acceleration[b, i] = SPEED_GAIN * (actors.target_speed[b, i] - actors.speed[b, i])


@jit_inline
def _change_speed(b: int, i: int, step: int, actors: Actors, extras: Extras) -> None:
    """Move the target speed one notch; on a discrete scale the notch nearest the *actual* speed counts."""
    notches = extras.target_speed_count[b, i]
    if notches == 0:
        actors.target_speed[b, i] += step * SPEED_STEP_MPS
        return
    low, high = extras.target_speeds[b, i, 0], extras.target_speeds[b, i, notches - 1]
    share = (actors.speed[b, i] - low) / (high - low)
    nearest = int(clip(round_half_even(share * (notches - 1)), 0.0, notches - 1.0))
    index = min(max(nearest + step, 0), notches - 1)
    actors.speed_index[b, i] = index
    actors.target_speed[b, i] = extras.target_speeds[b, i, index]


@jit_inline
def round_half_even(value: float) -> float:
    """Round as ``numpy.round`` does: halves go to the even neighbour."""
    low = math.floor(value)
    rest = value - low
    if rest > 0.5 or (rest == 0.5 and low % 2.0 != 0.0):
        return low + 1.0
    return low


@jit_inline
def _change_lane(
    b: int, i: int, step: int, actors: Actors, roads: RoadTables
) -> None:
    """Target the lane beside the present target if the vehicle can reach it."""
    lane = actors.target_lane[b, i]
    start = roads.road_lane_start[roads.lane_road[lane]]
    end = roads.road_lane_start[roads.lane_road[lane] + 1]
    candidate = min(max(lane + step, start), end - 1)
    s, r = lane_local(roads, candidate, actors.x[b, i], actors.y[b, i])
    if reachable(roads, candidate, s, r):
        actors.target_lane[b, i] = candidate


@jit
def command(
    b: int,
    i: int,
    meta_action: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    scratch: Scratch,
) -> None:
    """Apply a meta action to a controlled vehicle, once, on the first frame of a policy step."""
    discrete = extras.target_speed_count[b, i] > 0
    if discrete and meta_action >= FASTER:
        _change_speed(b, i, 1 if meta_action == FASTER else -1, actors, extras)
    follow_road(b, i, first_lane, actors, routes, roads, scratch)
    if not discrete and meta_action >= FASTER:
        _change_speed(b, i, 1 if meta_action == FASTER else -1, actors, extras)
    if meta_action == LANE_LEFT or meta_action == LANE_RIGHT:
        _change_lane(b, i, -1 if meta_action == LANE_LEFT else 1, actors, roads)
    control_towards_target(b, i, first_lane, actors, traits, roads, extras, scratch)
