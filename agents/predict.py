"""Where the visible actors will be: a few hypotheses per actor, in the world and beside the ego's route.

A vehicle on a lane goes on along it (through branches: the likeliest way and the next likely one), keeps its
deceleration, and completes a sideways motion or a lane change that its indicator announces. Anybody else keeps
velocity and turn. A pedestrian or cyclist who waits beside the road and faces it may set off.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.agents.following import beside_route
from simdrive.jit import jit
from simdrive.sim.lanes import lane_heading, lane_local, lane_position
from simdrive.sim.plans import fold, route_pose
from simdrive.sim.route import project
from simdrive.sim.state import Shape

STEP_S = 0.2
STEPS = 31  # 6 s
GHOSTS = 40  # hypotheses kept per world

# columns of a ghost's track
X, Y, HEADING, SPEED, S, R, HALF, SIDE, ALONG = range(9)
TRACK = 9
# columns of a ghost
ACTOR, LIKELY, LENGTH, WIDTH, KIND = range(5)
FACTS = 5
# kinds of a hypothesis
GOES_ON, TURNS, CHANGES_LANE, SETS_OFF, YIELDS = range(5)

_PEDESTRIAN, _CYCLIST = int(Shape.PEDESTRIAN), int(Shape.CYCLIST)
_FIRST_OBJECT, _LAST_OBJECT = int(Shape.DEBRIS), int(Shape.BUILDING)
LANE_CHANGE_MPS = 1.1  # lateral speed of an announced lane change
SET_OFF_MPS = 1.5  # walking speed of somebody who may step out


@jit
def following_lane(roads, lane, indicator, rank):  # type: ignore[no-untyped-def]
    """Return (next lane or -1, number of ways on) at the end of a lane; rank 0 is the likeliest way.

    With an indicator on, the way that turns most to that side is likeliest; else the straightest.
    """
    road = roads.lane_road[lane]
    begin, end = roads.road_next_start[road], roads.road_next_start[road + 1]
    out = lane_heading(roads, lane, roads.lane_length[lane])
    best, second, best_cost, second_cost = -1, -1, math.inf, math.inf
    for link in range(begin, end):
        other = roads.road_next[link]
        first, after = roads.road_lane_start[other], roads.road_lane_start[other + 1]
        same = first + min(roads.lane_id[lane], after - first - 1)
        ahead = 0.5 * roads.lane_length[same]
        turn = fold(lane_heading(roads, same, ahead) - out)
        cost = abs(turn) if indicator == 0 or indicator == 2 else -indicator * turn
        if cost < best_cost:
            second, second_cost = best, best_cost
            best, best_cost = same, cost
        elif cost < second_cost:
            second, second_cost = same, cost
    if rank == 1 and second >= 0:
        return second, end - begin
    return best, end - begin


@jit
def _travelled(speed, acceleration, t):  # type: ignore[no-untyped-def]
    """Return (distance, speed) after t: braking goes on to standstill, driving on for one second only."""
    if acceleration < 0.0:
        stop = speed / -acceleration
        u = min(t, stop)
        return u * (speed + 0.5 * acceleration * u), max(speed + acceleration * u, 0.0)
    u = min(t, 1.0)
    reached = speed + acceleration * u
    return u * (speed + 0.5 * acceleration * u) + (t - u) * reached, reached


@jit
def follow_lane(  # type: ignore[no-untyped-def]
    roads, lane, s, r, lateral_mps, goal_r, start_s, speed, acceleration, indicator, rank, stop_m, track
):
    """Write the track of a vehicle along its lane; return whether a branch offered a second way.

    The offset moves from ``r`` to ``goal_r`` at ``lateral_mps`` from ``start_s`` seconds on. ``stop_m`` is how far it
    may go at most (it yields there), infinite otherwise.
    """
    branched, entry, used = False, s, 0
    offset = r
    for k in range(STEPS):
        t = k * STEP_S
        distance, v = _travelled(speed, acceleration, t)
        if distance > stop_m:
            distance, v = stop_m, 0.0
        along = entry + distance
        while along > roads.lane_length[lane]:
            other, ways = following_lane(roads, lane, indicator, rank if not branched else 0)
            if other < 0:
                break
            if ways > 1:
                branched = True
            width = roads.lane_width[lane]
            entry -= roads.lane_length[lane]
            along = entry + distance
            # Lanes meet end to start, but an offset lane keeps its place in the world.
            px, py = lane_position(roads, lane, roads.lane_length[lane], offset)
            _, offset_new = lane_local(roads, other, px, py)
            if abs(offset_new) < 1.5 * width:
                goal_r += offset_new - offset
                offset = offset_new
            lane = other
            used += 1
            if used > 8:
                break
        if t > start_s and lateral_mps > 0.0:
            step = lateral_mps * STEP_S
            offset = min(goal_r, offset + step) if goal_r > offset else max(goal_r, offset - step)
        inside = min(max(along, 0.0), roads.lane_length[lane])
        heading = lane_heading(roads, lane, inside)
        px, py = lane_position(roads, lane, inside, offset)
        past = along - inside
        track[k, X] = px + past * math.cos(heading)
        track[k, Y] = py + past * math.sin(heading)
        track[k, HEADING], track[k, SPEED] = heading, v
    return branched


@jit
def go_on(x, y, heading, speed, lateral, acceleration, yaw_rate, delay_s, track):  # type: ignore[no-untyped-def]
    """Write the track of a free mover: its velocity, turning on for 1.5 s at most; it sets off after ``delay_s``."""
    for k in range(STEPS):
        t = max(k * STEP_S - delay_s, 0.0)
        turning = min(t, 1.5)
        distance, v = _travelled(speed, acceleration, t)
        h = heading + yaw_rate * turning
        if abs(yaw_rate) > 0.02 and abs(speed) > 0.1:
            bend = min(distance, abs(speed) * turning)
            radius = speed / yaw_rate
            part = bend / radius
            px = x + radius * (math.sin(heading + part) - math.sin(heading))
            py = y - radius * (math.cos(heading + part) - math.cos(heading))
            px += (distance - bend) * math.cos(h)
            py += (distance - bend) * math.sin(h)
        else:
            px, py = x + distance * math.cos(heading), y + distance * math.sin(heading)
        track[k, X] = px - lateral * t * math.sin(heading)
        track[k, Y] = py + lateral * t * math.cos(heading)
        track[k, HEADING], track[k, SPEED] = h, v


@jit
def locate(route, count, length, width, track):  # type: ignore[no-untyped-def]
    """Fill in the columns of a track that are taken beside the ego's route."""
    row = -1
    for k in range(STEPS):
        still = k > 0 and track[k, X] == track[k - 1, X] and track[k, Y] == track[k - 1, Y]
        if still:
            for column in (S, R, HALF, SIDE):
                track[k, column] = track[k - 1, column]
            track[k, ALONG] = 0.0
            continue
        s, r, row = project(route, count, track[k, X], track[k, Y], row)
        _, _, direction, _ = route_pose(route, s)
        turn = fold(track[k, HEADING] - direction)
        cos, sin = math.cos(turn), math.sin(turn)
        track[k, S], track[k, R] = s, r
        track[k, HALF] = 0.5 * (length * abs(cos) + width * abs(sin))
        track[k, SIDE] = 0.5 * (length * abs(sin) + width * abs(cos))
        track[k, ALONG] = track[k, SPEED] * cos


@jit
def _keep(ghosts, facts, used, actor, likely, length, width, kind):  # type: ignore[no-untyped-def]
    facts[used, ACTOR], facts[used, LIKELY], facts[used, KIND] = actor, likely, kind
    facts[used, LENGTH], facts[used, WIDTH] = length, width
    return used + 1


@jit
def _on_lane(roads, lane, x, y, heading):  # type: ignore[no-untyped-def]
    """Return (s, r, turn against the lane, whether a vehicle there follows the lane)."""
    s, r = lane_local(roads, lane, x, y)
    inside = min(max(s, 0.0), roads.lane_length[lane])
    turn = fold(heading - lane_heading(roads, lane, inside))
    follows = abs(turn) < 0.6 and abs(r) < 0.75 * roads.lane_width[lane] and s > -5.0
    return s, r, turn, follows


@jit
def _neighbour(roads, lane, side):  # type: ignore[no-untyped-def]
    """Return whether a lane lies to the left (-1) or right (+1) on the same road."""
    road = roads.lane_road[lane]
    other = lane + side
    return roads.road_lane_start[road] <= other < roads.road_lane_start[road + 1]


@jit
def predict(  # type: ignore[no-untyped-def]
    roads, route, count, ego_s, ego_speed, seen, shape, x, y, heading, speed, lateral, acceleration, yaw_rate,
    length, width, indicator, lane, ghosts, facts,
):  # fmt: skip
    """Write hypotheses about all visible actors that could matter within the horizon; return their number.

    ``ghosts`` float64 ``[GHOSTS, STEPS, TRACK]`` and ``facts`` float64 ``[GHOSTS, FACTS]`` are written. The ego is
    entry 0 of the actor arrays ``[V]`` and is skipped.
    """
    used = 0
    horizon = (STEPS - 1) * STEP_S
    for a in range(1, x.shape[0]):
        if not seen[a] or used > GHOSTS - 3:
            continue
        dx, dy = x[a] - x[0], y[a] - y[0]
        reach = (ego_speed + abs(speed[a]) + 6.0) * horizon + 15.0
        if dx * dx + dy * dy > reach * reach:
            continue
        solid = _FIRST_OBJECT <= shape[a] <= _LAST_OBJECT
        walker = shape[a] == _PEDESTRIAN or shape[a] == _CYCLIST
        track = ghosts[used]
        moving = abs(speed[a]) > 0.1 or abs(lateral[a]) > 0.1
        if solid or not moving:
            go_on(x[a], y[a], heading[a], 0.0, 0.0, 0.0, 0.0, 0.0, track)
            locate(route, count, length[a], width[a], track)
            used = _keep(ghosts, facts, used, a, 1.0, length[a], width[a], GOES_ON)
            if walker and _faces_route(route, count, x[a], y[a], heading[a], length[a], width[a]):
                go_on(x[a], y[a], heading[a], SET_OFF_MPS, 0.0, 0.0, 0.0, 0.3, ghosts[used])
                locate(route, count, length[a], width[a], ghosts[used])
                used = _keep(ghosts, facts, used, a, 0.2, length[a], width[a], SETS_OFF)
            continue
        s, r, turn, follows = _on_lane(roads, lane[a], x[a], y[a], heading[a])
        braking = min(acceleration[a], 0.0) if acceleration[a] < -0.5 else 0.0
        driving = min(max(acceleration[a], 0.0), 2.0) if acceleration[a] > 0.3 else 0.0
        if walker or not follows or speed[a] < 0.0:
            go_on(
                x[a], y[a], heading[a], speed[a], lateral[a], braking + driving if not walker else 0.0,
                yaw_rate[a] if not walker else 0.0, 0.0, track,
            )  # fmt: skip
            locate(route, count, length[a], width[a], track)
            used = _keep(ghosts, facts, used, a, 1.0, length[a], width[a], GOES_ON)
            continue
        used = _vehicle(
            roads, route, count, lane[a], s, r, turn, speed[a], braking + driving, indicator[a],
            length[a], width[a], a, ghosts, facts, used,
        )  # fmt: skip
    return used


@jit
def _vehicle(  # type: ignore[no-untyped-def]
    roads, route, count, lane, s, r, turn, speed, acceleration, indicator, length, width, a, ghosts, facts, used
):
    sideways = speed * math.sin(turn)
    lane_width = roads.lane_width[lane]
    goal, rate, likely = r, 0.0, 1.0
    if abs(sideways) > 0.25:
        side = 1 if sideways > 0.0 else -1
        crossing = r * side > 0.12 * lane_width  # it is leaving its lane on that side
        goal = side * lane_width if crossing and _neighbour(roads, lane, side) else 0.0
        if crossing and not _neighbour(roads, lane, side):
            goal = r + sideways * 1.0
        if not crossing and r * side < -0.12 * lane_width:
            goal = 0.0  # it comes back to its centre
        elif not crossing:
            goal = side * lane_width if _neighbour(roads, lane, side) else r + sideways * 1.0
        rate = abs(sideways)
    track = ghosts[used]
    announced = indicator != 0 and indicator != 2 and rate == 0.0 and _neighbour(roads, lane, indicator)
    branched = follow_lane(
        roads, lane, s, r, rate, goal, -1.0, speed, acceleration, indicator, 0, math.inf, track
    )
    locate(route, count, length, width, track)
    first = used
    used = _keep(ghosts, facts, used, a, likely, length, width, GOES_ON)
    if announced:
        follow_lane(
            roads, lane, s, r, LANE_CHANGE_MPS, indicator * lane_width, 0.3, speed, acceleration, 0, 0, math.inf,
            ghosts[used],
        )  # fmt: skip
        locate(route, count, length, width, ghosts[used])
        facts[first, LIKELY] = 0.5
        used = _keep(ghosts, facts, used, a, 0.6, length, width, CHANGES_LANE)
    elif branched:
        follow_lane(
            roads, lane, s, r, rate, goal, -1.0, speed, acceleration, indicator, 1, math.inf, ghosts[used]
        )
        locate(route, count, length, width, ghosts[used])
        facts[first, LIKELY] = 0.9 if indicator != 0 else 0.7
        used = _keep(ghosts, facts, used, a, 0.1 if indicator != 0 else 0.3, length, width, TURNS)
    return used


@jit
def _faces_route(route, count, x, y, heading, length, width):  # type: ignore[no-untyped-def]
    """Tell whether somebody who stands within 6 m of the route looks towards it."""
    _, r, turn, _, side = beside_route(route, count, x, y, heading, length, width)
    towards = -math.sin(turn) if r > 0.0 else math.sin(turn)
    return towards > 0.5 and abs(r) - side < 6.0


def blank_ghosts() -> tuple[np.ndarray, np.ndarray]:
    """Return scratch arrays for ``predict``."""
    return np.zeros((GHOSTS, STEPS, TRACK)), np.zeros((GHOSTS, FACTS))
