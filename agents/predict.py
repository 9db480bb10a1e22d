"""Where the visible actors will be: a few hypotheses (ghosts) per actor, in the world and beside the ego's route.

A vehicle on a lane goes on along it (through branches: the likeliest way and the next likely one), keeps its
deceleration, and completes a sideways motion or a lane change that its indicator announces. Anybody else keeps
velocity and turn. A pedestrian or cyclist who waits beside the road and faces it may set off.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.agents.following import beside_route
from simdrive.agents.lanemap import LENGTH as LANE_LENGTH
from simdrive.agents.lanemap import NEXT_COUNT, ROAD_END, ROAD_FIRST, locate_on, next_lane, place
from simdrive.agents.lanemap import WIDTH as LANE_WIDTH
from simdrive.agents.scene import (
    ACCELERATION,
    E_LENGTH,
    E_R,
    E_S,
    E_SPEED,
    E_WIDTH,
    INDICATOR,
    LANE,
    LATERAL,
    SEEN,
    SHAPE,
    YAW_RATE,
)
from simdrive.agents.scene import HEADING as A_HEADING
from simdrive.agents.scene import LENGTH as A_LENGTH
from simdrive.agents.scene import SPEED as A_SPEED
from simdrive.agents.scene import WIDTH as A_WIDTH
from simdrive.agents.scene import X as A_X
from simdrive.agents.scene import Y as A_Y
from simdrive.jit import jit
from simdrive.sim.plans import fold, route_pose
from simdrive.sim.route import project
from simdrive.sim.state import Shape

STEP_S = 0.2
STEPS = 31  # 6 s
GHOSTS = 40  # hypotheses kept per world

# columns of a ghost's track
X, Y, HEADING, SPEED, S, R, HALF, SIDE, ALONG = range(9)
TRACK = 9
# columns of a ghost's facts; the meeting columns belong to the path looked at last (simdrive.agents.candidates)
ACTOR, LIKELY, LENGTH, WIDTH, KIND, R_MIN, R_MAX, S_MIN, S_MAX = range(9)
M_IN, M_OUT, M_FROM, M_TO, M_ALONG = range(9, 14)
UNTIL = 14  # step up to which contact with it is the ego's business
SLACK = 15  # scale of the margins: 0 for one that is within them already
FACTS = 16
# kinds of a hypothesis
GOES_ON, TURNS, CHANGES_LANE, SETS_OFF = range(4)

_PEDESTRIAN, _CYCLIST = int(Shape.PEDESTRIAN), int(Shape.CYCLIST)
_FIRST_OBJECT, _LAST_OBJECT = int(Shape.DEBRIS), int(Shape.BUILDING)
LANE_CHANGE_MPS = 1.1  # lateral speed of an announced lane change
SIDEWAYS_GAIN_MPS, FASTEST_SIDEWAYS_MPS = 1.0, 2.6  # how much faster than now somebody may come into the path
UNSURE = 2.5  # how much wider margins are towards somebody on the way into the path
CUT_IN_BRAKING_MPS2 = 2.5  # how hard somebody who cuts in may brake then
GAIN_S, LONG_GAIN_S = 1.3, 3.0  # how long an acceleration up to FREE_GAIN_MPS2, or a stronger one, is taken to go on
FREE_GAIN_MPS2 = 2.0
SETTING_OFF_S = (0.0, 0.35, 0.9)  # how much longer somebody who sets off on foot or by cycle may gain speed
SET_OFF_MPS = 1.5  # walking speed of somebody who may step out
REAR_REACTS_S = 3.0  # after that a faster car behind has adapted its speed
NEAR_M = 8.0  # ghosts that stay farther than this from the route do not matter


@jit
def _travelled(speed, acceleration, t):  # type: ignore[no-untyped-def]
    """Return (distance, speed) after t: braking goes on to standstill, gaining speed for GAIN_S or LONG_GAIN_S only."""
    if acceleration < 0.0:
        u = min(t, speed / -acceleration)
        return u * (speed + 0.5 * acceleration * u), max(speed + acceleration * u, 0.0)
    u = min(t, GAIN_S if acceleration <= FREE_GAIN_MPS2 else LONG_GAIN_S)
    reached = speed + acceleration * u
    return u * (speed + 0.5 * acceleration * u) + (t - u) * reached, reached


@jit
def follow_lane(  # type: ignore[no-untyped-def]
    lanes, poses, following, lane, s, r, lateral_mps, goal_r, start_s, speed, acceleration, indicator, rank, track
):
    """Write the track of a vehicle along its lane; return whether a branch offered a second way.

    The offset moves from ``r`` to ``goal_r`` at ``lateral_mps`` from ``start_s`` seconds on.
    """
    branched, entry, used, offset = False, s, 0, r
    for k in range(STEPS):
        t = k * STEP_S
        distance, v = _travelled(speed, acceleration, t)
        while entry + distance > lanes[lane, LANE_LENGTH] and used < 8:
            other = next_lane(lanes, poses, following, lane, indicator, 0 if branched else rank)
            if other < 0:
                break
            branched = branched or lanes[lane, NEXT_COUNT] > 1
            # Lanes meet end to start, but an offset lane keeps its place in the world.
            x, y, _ = place(lanes, poses, lane, lanes[lane, LANE_LENGTH], offset)
            _, moved, _ = locate_on(lanes, poses, other, x, y)
            if abs(moved) < 1.5 * lanes[lane, LANE_WIDTH]:
                goal_r += moved - offset
                offset = moved
            entry -= lanes[lane, LANE_LENGTH]
            lane, used = other, used + 1
        if t > start_s and lateral_mps > 0.0:
            step = lateral_mps * STEP_S
            offset = min(goal_r, offset + step) if goal_r > offset else max(goal_r, offset - step)
        track[k, X], track[k, Y], track[k, HEADING] = place(lanes, poses, lane, entry + distance, offset)
        track[k, SPEED] = v
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
def _keep(route, count, ego, ghosts, facts, used, actor, likely, length, width, kind):  # type: ignore[no-untyped-def]
    """Take up ghost number ``used`` if it comes near the route ahead; return the number of ghosts."""
    track, fact = ghosts[used], facts[used]
    locate(route, count, length, width, track)
    fact[ACTOR], fact[LIKELY], fact[KIND], fact[LENGTH], fact[WIDTH] = actor, likely, kind, length, width
    fact[R_MIN], fact[R_MAX], fact[S_MIN], fact[S_MAX] = 1e9, -1e9, 1e9, -1e9
    for k in range(STEPS):
        fact[R_MIN] = min(fact[R_MIN], track[k, R] - track[k, SIDE])
        fact[R_MAX] = max(fact[R_MAX], track[k, R] + track[k, SIDE])
        fact[S_MIN] = min(fact[S_MIN], track[k, S] - track[k, HALF])
        fact[S_MAX] = max(fact[S_MAX], track[k, S] + track[k, HALF])
    fact[UNTIL], fact[SLACK] = STEPS, 1.0
    gap = abs(track[0, S] - ego[E_S]) - track[0, HALF] - 0.5 * ego[E_LENGTH]
    side = abs(track[0, R] - ego[E_R]) - track[0, SIDE] - 0.5 * ego[E_WIDTH]
    if gap < 1.0 and side < 0.35:
        fact[SLACK] = 0.0
    if track[0, S] + track[0, HALF] < ego[E_S] - 0.5 * ego[E_LENGTH] and track[0, ALONG] > 0.5:
        # Who follows in the same lane keeps its own distance; beside, it reacts to a car in front of it.
        same_lane = abs(track[0, R] - ego[E_R]) < track[0, SIDE] + 0.5 * ego[E_WIDTH]
        fact[UNTIL] = 0 if same_lane else round(REAR_REACTS_S / STEP_S)
    beside = fact[R_MIN] > NEAR_M or fact[R_MAX] < -NEAR_M
    behind = fact[S_MAX] < ego[E_S] - 5.0
    ahead = fact[S_MIN] > ego[E_S] + 8.0 * ego[E_SPEED] + 30.0
    return used if beside or behind or ahead else used + 1


@jit
def _faces_route(route, count, actor):  # type: ignore[no-untyped-def]
    """Tell whether somebody who stands within 6 m of the route looks towards it."""
    _, r, turn, _, side = beside_route(route, count, actor)
    towards = -math.sin(turn) if r > 0.0 else math.sin(turn)
    return towards > 0.5 and abs(r) - side < 6.0


@jit
def _comes_closer(route, count, actor):  # type: ignore[no-untyped-def]
    """Return 1 if a vehicle moves sideways towards the ego's path and the same way, -1 if it comes against it, else 0."""
    _, r, turn, _, _ = beside_route(route, count, actor)
    if r * actor[A_SPEED] * math.sin(turn) >= 0.0:
        return 0
    return 1 if math.cos(turn) > 0.0 else -1


@jit
def _sideways_goal(lanes, lane, r, sideways):  # type: ignore[no-untyped-def]
    """Return the offset that a sideways motion leads to: the next lane (or as far off the road), or its centre."""
    side = 1 if sideways > 0.0 else -1
    if r * side < -0.12 * lanes[lane, LANE_WIDTH]:
        return 0.0  # it comes to its centre
    return side * lanes[lane, LANE_WIDTH]


@jit
def predict(lanes, poses, following, route, count, ego, actors, ghosts, facts):  # type: ignore[no-untyped-def]
    """Write hypotheses about all visible actors that could matter within the horizon; return their number.

    ``ghosts`` float64 ``[GHOSTS, STEPS, TRACK]`` and ``facts`` float64 ``[GHOSTS, FACTS]`` are written. The ego is
    entry 0 of ``actors`` and is skipped.
    """
    used, horizon = 0, (STEPS - 1) * STEP_S
    for a in range(1, actors.shape[0]):
        actor = actors[a]
        if actor[SEEN] == 0.0 or used > GHOSTS - 4:
            continue
        dx, dy, speed = actor[A_X] - actors[0, A_X], actor[A_Y] - actors[0, A_Y], actor[A_SPEED]
        reach = (ego[E_SPEED] + abs(speed) + 3.0) * horizon + 20.0
        if dx * dx + dy * dy > reach * reach:
            continue
        walker = actor[SHAPE] == _PEDESTRIAN or actor[SHAPE] == _CYCLIST
        stands = _FIRST_OBJECT <= actor[SHAPE] <= _LAST_OBJECT
        stands = stands or (abs(speed) < 0.1 and abs(actor[LATERAL]) < 0.1)
        gain = actor[ACCELERATION] if actor[ACCELERATION] < -0.5 else 0.0
        if actor[ACCELERATION] > 0.3:
            gain = min(actor[ACCELERATION], FREE_GAIN_MPS2)
        lane = int(actor[LANE])
        s, r, along = locate_on(lanes, poses, lane, actor[A_X], actor[A_Y])
        turn = fold(actor[A_HEADING] - along)
        on_lane = abs(turn) < 0.6 and abs(r) < 0.75 * lanes[lane, LANE_WIDTH] and s > -5.0
        follows = on_lane and not (stands or walker) and speed > 0.0
        indicator = int(actor[INDICATOR])
        sideways = speed * math.sin(turn)
        goal, rate, beside, closer = r, 0.0, lane + indicator, 0
        if follows and abs(sideways) > 0.25:
            goal, rate = _sideways_goal(lanes, lane, r, sideways), abs(sideways)
            closer = _comes_closer(route, count, actor)
        signals = abs(indicator) == 1
        announced = signals and rate == 0.0 and lanes[lane, ROAD_FIRST] <= beside < lanes[lane, ROAD_END]
        branched = False
        for hypothesis in range(3 if walker else 2):
            likely, kind = 1.0, GOES_ON
            if follows:
                start, rank, light = -1.0, hypothesis, indicator
                if hypothesis == 1:
                    if closer != 0:
                        # It has only begun: be ready for one that comes faster, and brakes once it is there.
                        rate = min(max(rate + SIDEWAYS_GAIN_MPS, LANE_CHANGE_MPS), max(FASTEST_SIDEWAYS_MPS, rate))
                        gain = min(gain, -CUT_IN_BRAKING_MPS2) if closer > 0 else gain
                        rank, likely, kind = 0, 0.5, CHANGES_LANE if closer > 0 else GOES_ON
                    elif announced:
                        goal, rate = indicator * lanes[lane, LANE_WIDTH], LANE_CHANGE_MPS
                        start, rank, light, likely, kind = 0.3, 0, 0, 0.6, CHANGES_LANE
                    elif actor[ACCELERATION] > FREE_GAIN_MPS2:
                        # Who starts in a hurry may go on like that.
                        gain, rank, likely = actor[ACCELERATION], 0, 0.5
                    elif branched:
                        likely, kind = 0.1 if signals else 0.3, TURNS
                    else:
                        break
                branches = follow_lane(
                    lanes, poses, following, lane, s, r, rate, goal, start, speed, gain, light, rank, ghosts[used]
                )
                if hypothesis == 0:
                    branched = branches
                    if closer != 0:
                        likely = 0.6
                    else:
                        likely = 0.5 if announced else ((0.9 if signals else 0.7) if branched else 1.0)
            else:
                v, wait, lateral, rate = speed, 0.0, actor[LATERAL], gain
                if stands:
                    v, lateral, rate = 0.0, 0.0, 0.0
                free = not (walker or stands)
                if walker and not stands and gain > 0.0:
                    # Who sets off may go on gaining speed for any time: not at all, for a moment, for long.
                    v, rate, likely = speed + actor[ACCELERATION] * SETTING_OFF_S[hypothesis], 0.0, 0.6
                elif hypothesis == 1:
                    if not (stands and walker and _faces_route(route, count, actor)):
                        break
                    v, wait, likely, kind = SET_OFF_MPS, 0.3, 0.2, SETS_OFF
                elif hypothesis == 2:
                    break
                go_on(
                    actor[A_X], actor[A_Y], actor[A_HEADING], v, lateral, rate,
                    actor[YAW_RATE] if free else 0.0, wait, ghosts[used],
                )  # fmt: skip
            kept = _keep(route, count, ego, ghosts, facts, used, a, likely, actor[A_LENGTH], actor[A_WIDTH], kind)
            if closer != 0:
                facts[used, SLACK] *= UNSURE
            used = kept
    return used
