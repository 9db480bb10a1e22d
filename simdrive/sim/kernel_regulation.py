"""Priority rules at unsignalled junctions (``RegulatedRoad``): predict, find conflicts, stop who must yield."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit
from simdrive.sim.arithmetic import dot2, fused_multiply_add, norm2
from simdrive.sim.kernel_bicycle import bicycle_step
from simdrive.sim.kernel_neighbours import lane_s
from simdrive.sim.lanes import lane_heading, lane_position
from simdrive.sim.state import (
    Actors,
    Behaviour,
    Extras,
    Float,
    RoadTables,
    Routes,
    Scratch,
    Traits,
    WorldInfo,
)

_KINEMATIC, _CONTROLLED, _IDM = int(Behaviour.KINEMATIC), int(Behaviour.CONTROLLED), int(Behaviour.IDM)
_LINEAR, _BICYCLE = int(Behaviour.LINEAR), int(Behaviour.BICYCLE)
_RULES_PER_S = 2  # RegulatedRoad.REGULATION_FREQUENCY
_YIELD_PASSES = 0  # RegulatedRoad.YIELD_DURATION * REGULATION_FREQUENCY
_HORIZON, _STEP_S = 11, 0.25  # predictions at 0.25 .. 2.75 s


@jit
def _lane_of_entry(b: int, owner: int, entry: int, lane_id: int, routes: Routes, roads: RoadTables) -> int:
    """Return the lane row of a route entry; an open lane id means the present one."""
    road = routes.road[b, owner, entry]
    wanted = routes.lane_id[b, owner, entry]
    row = roads.road_lane_start[road] + (lane_id if wanted < 0 else wanted)
    return min(row, roads.road_lane_start[road + 1] - 1)


@jit
def _predict_on_route(
    b: int, i: int, s: float, actors: Actors, routes: Routes, roads: RoadTables, path: Float
) -> None:
    """Write (x, y, heading) at every prediction time for a vehicle that keeps its speed along its route."""
    owner = routes.owner[b, i]
    own = actors.lane[b, i]
    for k in range(_HORIZON):
        along = s + actors.speed[b, i] * (_STEP_S * (k + 1))
        entry, entries = actors.route_head[b, owner], routes.entries[b, owner]
        lane = own if entry >= entries else _lane_of_entry(b, owner, entry, roads.lane_id[own], routes, roads)
        while entry + 1 < entries and along > roads.lane_length[lane]:
            along -= roads.lane_length[lane]
            entry += 1
            lane = _lane_of_entry(b, owner, entry, roads.lane_id[own], routes, roads)
        path[k, 0], path[k, 1] = lane_position(roads, lane, along, 0.0)
        path[k, 2] = lane_heading(roads, lane, along)


@jit
def _predict_freely(b: int, i: int, actors: Actors, traits: Traits, extras: Extras, path: Float) -> None:
    """Write predictions of a vehicle without a route: present steering, no acceleration."""
    x, y, heading, speed = actors.x[b, i], actors.y[b, i], actors.heading[b, i], actors.speed[b, i]
    lateral, yaw_rate = actors.lateral_speed[b, i], actors.yaw_rate[b, i]
    steering = actors.steering[b, i] if extras.steering_held[b, i] else 0.0
    crashed, impact = actors.crashed[b, i], actors.has_impact[b, i]
    acceleration = 0.0
    for k in range(_HORIZON):
        if crashed:
            steering, acceleration = 0.0, -1.0 * speed
        if speed > traits.max_speed[b, i]:
            acceleration = min(acceleration, traits.max_speed[b, i] - speed)
        elif speed < traits.min_speed[b, i]:
            acceleration = max(acceleration, traits.min_speed[b, i] - speed)
        if traits.behaviour[b, i] == _BICYCLE:
            steering = min(max(steering, -math.pi / 2), math.pi / 2)
            yaw_rate = min(max(yaw_rate, -2 * math.pi), 2 * math.pi)
            state = (x, y, heading, speed, lateral, yaw_rate)
            x, y, heading, speed, lateral, yaw_rate = bicycle_step(state, steering, acceleration, _STEP_S)
        else:
            slip = math.atan(0.5 * math.tan(steering))
            x += speed * math.cos(heading + slip) * _STEP_S
            y += speed * math.sin(heading + slip) * _STEP_S
            if impact:
                x, y = x + actors.impact_x[b, i], y + actors.impact_y[b, i]
                crashed, impact = True, False
            heading += speed * math.sin(slip) / (traits.length[b, i] / 2) * _STEP_S
            speed += acceleration * _STEP_S
        path[k, 0], path[k, 1], path[k, 2] = x, y, heading


@jit
def _corner_inside(
    ax: float, ay: float, a_length: float, a_width: float, a_heading: float,
    bx: float, by: float, b_length: float, b_width: float, b_heading: float,
) -> bool:  # fmt: skip
    """Tell whether a corner, side centre or the centre of box A lies in box B."""
    ca, sa, cb, sb = math.cos(a_heading), math.sin(a_heading), math.cos(b_heading), math.sin(b_heading)
    for along in range(-1, 2):
        for across in range(-1, 2):
            px, py = along * (a_length / 2), across * (a_width / 2)
            x = fused_multiply_add(-sa, py, ca * px) + ax - bx
            y = fused_multiply_add(ca, py, sa * px) + ay - by
            s, r = fused_multiply_add(cb, x, -sb * y), fused_multiply_add(sb, x, cb * y)
            if -b_length / 2 <= s <= b_length / 2 and -b_width / 2 <= r <= b_width / 2:
                return True
    return False


@jit
def _conflict(b: int, i: int, j: int, traits: Traits, roads: RoadTables, paths: Float) -> bool:
    """Tell whether the predictions of two vehicles come to overlap; boxes 1.5 times as long, 0.9 as wide."""
    for k in range(_HORIZON):
        xi, yi, xj, yj = paths[i, k, 0], paths[i, k, 1], paths[j, k, 0], paths[j, k, 1]
        if norm2(roads.fused_dot[0], xj - xi, yj - yi) > traits.length[b, i]:
            continue
        li, wi, hi = 1.5 * traits.length[b, i], 0.9 * traits.width[b, i], paths[i, k, 2]
        lj, wj, hj = 1.5 * traits.length[b, j], 0.9 * traits.width[b, j], paths[j, k, 2]
        if _corner_inside(xi, yi, li, wi, hi, xj, yj, lj, wj, hj):
            return True
        if _corner_inside(xj, yj, lj, wj, hj, xi, yi, li, wi, hi):
            return True
    return False


@jit
def _yielding(b: int, i: int, j: int, actors: Actors, roads: RoadTables, scratch: Scratch) -> int:
    """Return who must yield: the lower lane priority, else the one behind."""
    priority_i, priority_j = roads.lane_priority[actors.lane[b, i]], roads.lane_priority[actors.lane[b, j]]
    if priority_i != priority_j:
        return j if priority_i > priority_j else i
    fused = roads.fused_dot[0]
    dx, dy = actors.x[b, j] - actors.x[b, i], actors.y[b, j] - actors.y[b, i]
    ahead_of_i = dot2(fused, scratch.cos_heading[b, i], scratch.sin_heading[b, i], dx, dy)
    ahead_of_j = dot2(fused, scratch.cos_heading[b, j], scratch.sin_heading[b, j], -dx, -dy)
    return i if ahead_of_i > ahead_of_j else j


@jit
def _release(b: int, actors: Actors, roads: RoadTables, extras: Extras) -> None:
    """Let everybody go who has yielded long enough."""
    for i in range(actors.x.shape[1]):
        if not extras.yielding[b, i]:
            continue
        if extras.yield_timer[b, i] >= _YIELD_PASSES:
            actors.target_speed[b, i] = roads.lane_speed_limit[actors.lane[b, i]]
            extras.yielding[b, i] = False
        else:
            extras.yield_timer[b, i] += 1


@jit
def enforce_rules_world(
    b: int,
    dt: float,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    info: WorldInfo,
    scratch: Scratch,
) -> None:
    """Count a step and, twice a second, reassign who yields: target speed 0 until the next pass.

    SCRIPTED actors and objects take no part; MDP vehicles (with discrete target speeds) never yield.
    """
    info.rule_steps[b] += 1
    if info.rule_steps[b] % int(1 / dt / _RULES_PER_S) != 0:
        return
    _release(b, actors, roads, extras)
    actor_count = actors.x.shape[1]
    first_lane = roads.map_lane_start[info.map_id[b]]
    paths = np.empty((actor_count, _HORIZON, 3))
    active = np.zeros(actor_count, np.bool_)
    for i in range(actor_count):
        kind = traits.behaviour[b, i]
        if not actors.present[b, i] or traits.is_object[b, i]:
            continue
        if kind == _KINEMATIC or kind == _BICYCLE:
            _predict_freely(b, i, actors, traits, extras, paths[i])
            active[i] = True
        elif kind == _CONTROLLED or kind == _IDM or kind == _LINEAR:
            s = lane_s(b, i, actors.lane[b, i], first_lane, actors, roads, scratch)
            _predict_on_route(b, i, s, actors, routes, roads, paths[i])
            active[i] = True
    for i in range(actor_count):
        for j in range(i + 1, actor_count):
            if active[i] and active[j] and _conflict(b, i, j, traits, roads, paths):
                stopped = _yielding(b, i, j, actors, roads, scratch)
                kind = traits.behaviour[b, stopped]
                if kind != _KINEMATIC and kind != _BICYCLE and extras.target_speed_count[b, stopped] == 0:
                    actors.target_speed[b, stopped] = 0.0
                    extras.yielding[b, stopped] = True
                    extras.yield_timer[b, stopped] = 0
