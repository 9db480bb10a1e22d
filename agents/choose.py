"""How the expert picks a candidate: the calm ones first, and the others only where calm driving would not do."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

import numpy as np

from simdrive.agents.candidates import (
    ACCELERATE,
    C_R,
    C_S,
    C_SLOPE,
    C_SPEED,
    COLUMNS,
    FOLLOW,
    copy_table,
    meetings,
    roll,
    sharpest,
    widest,
)
from simdrive.agents.following import bend_speeds, valid_points
from simdrive.agents.judge import CONTACT, judge
from simdrive.agents.lanemap import WIDTH as LANE_WIDTH
from simdrive.agents.predict import (
    CHANGES_LANE,
    FACTS,
    GHOSTS,
    KIND,
    LIKELY,
    M_IN,
    R_MAX,
    R_MIN,
    STEP_S,
    STEPS,
    TRACK,
    predict,
)
from simdrive.agents.scene import E_CURVATURE, E_FREE, E_R, E_S, E_SLOPE, E_SPEED, E_TIME, E_WIDTH, LANE
from simdrive.jit import jit, jit_allocating
from simdrive.sim.plans import present_bend, shift_length, write_point

PLAN_ROWS = 26  # 5 s in steps of STEP_S
PREVIOUS_R, PREVIOUS_T, PREVIOUS_END, PREVIOUS_V = 0, 1, 2, 3  # per slot, last choice: offset, time, where
# on the route it gets there, first row of its speeds
MEMORY = PREVIOUS_V + PLAN_ROWS

CALM_JERK, HARD_JERK = 6.0, 25.0
HARD_BRAKING = 8.0
GOOD_ENOUGH = 1.5  # what calm driving in lane may cost above a free road before anything else is looked at
SMALL_SHIFT, LANE_CHANGE, ONCOMING = 0.4, 4.0, 7.0  # what leaving the lane centre costs
STRADDLE = 2.5  # what driving on a lane line costs
BEND = 0.03  # curvature (1/m) from which on lanes are not changed
BRAKE_TRUST = 0.6  # a full brake turns out better than predicted more often than anything else
STEER_LAST = 40.0  # what steering costs while somebody cuts in: braking also works when they come faster than expected
EVADE_EDGE_M = 0.2  # how far over the edge of the road one evades: less than counts as leaving it
EVADE_ONCOMING = 700.0  # what evading onto oncoming lanes costs: less than any likely contact
COMMITTED = 8.0  # what going on with an emergency manoeuvre is worth
STAY = 1.0  # what keeping to the offset chosen last is worth
DANGER = 0.01 * CONTACT
CALM_LATERAL, HARD_LATERAL = 1.5, 5.0
ALL_S = 7.0  # later than anybody can come into the path
HEED = (ALL_S, ALL_S, 3.6, 2.1, 0.7)  # who comes into the path before these times is yielded to
ACCELERATIONS = (-8.0, -5.5, -3.0, -1.5, 0.0, 2.5)
CALM_SHIFTS = 6  # the rest are for emergencies
SHIFTS = (-0.5, 0.5, -1.0, 1.0, -1.8, 1.8, -2.5, 2.5)


@jit
def _comes_in(facts, used, from_s, to_s):  # type: ignore[no-untyped-def]
    """Tell whether anybody comes into the path between two times."""
    for g in range(used):
        if from_s < facts[g, M_IN] * STEP_S <= to_s and facts[g, LIKELY] >= 0.45:
            return True
    return False


@jit
def _speeds(  # type: ignore[no-untyped-def]
    route, count, bends, bounds, ego, driver, ghosts, facts, used, caution, planned_mps,
    bend, go_on_m, r1, hard, extra, best, candidate, kept, active,
):  # fmt: skip
    """Try the ways to choose the speed on the path to ``r1``; write the best to ``kept``; return its cost and the length.

    Follow and yield, heeding everybody who will come into the path, smoothly or at once, or fewer and fewer of
    them; where contact threatens (``hard``) constant accelerations too.
    """
    length = shift_length(ego[E_R], ego[E_SLOPE], r1, ego[E_SPEED], HARD_LATERAL if hard else CALM_LATERAL)
    if go_on_m > 0.0:
        # A shift that is under way ends where it was going to end, as far as the car can.
        shortest = shift_length(ego[E_R], 0.0, r1, ego[E_SPEED], HARD_LATERAL)
        length = min(length, max(go_on_m, shortest))
    meetings(ego, bend, r1, length, ghosts, facts, used)
    heeded = ALL_S
    for number in range(len(HEED) + (len(ACCELERATIONS) if hard else 0)):
        mode, value, until_s, jerk = FOLLOW, HARD_BRAKING, 0.0, CALM_JERK
        if hard or number == 1:
            jerk = HARD_JERK
        if number < len(HEED):
            until_s = HEED[number]
            # Heeding fewer makes no difference unless somebody is left out by it.
            if number > 1 and not _comes_in(facts, used, until_s, heeded):
                continue
            heeded = until_s
        else:
            mode, value = ACCELERATE, ACCELERATIONS[number - len(HEED)]
        roll(
            route, count, bends, ego, bend, r1, length, mode, value, until_s, jerk, driver, ghosts, facts, used,
            candidate,
        )  # fmt: skip
        trust = BRAKE_TRUST if mode == ACCELERATE and value <= -HARD_BRAKING else 1.0
        cost = extra + trust * judge(
            route, count, bends, bounds, ego, candidate, ghosts, facts, used, caution, planned_mps,
            (best - extra) / trust, active,
        )  # fmt: skip
        if cost < best:
            best = cost
            copy_table(candidate, kept)
    return best, length


@jit
def _cuts_in(facts, used):  # type: ignore[no-untyped-def]
    """Tell whether somebody who drives the same way is about to come into the ego's path."""
    for g in range(used):
        if facts[g, KIND] == CHANGES_LANE and facts[g, R_MIN] < 1.0 and facts[g, R_MAX] > -1.0:
            return True
    return False


@jit
def _price(rooms, shift, half, lane_width, previous):  # type: ignore[no-untyped-def]
    """Return what going to offset ``shift`` costs as such."""
    price = SMALL_SHIFT * abs(shift)
    if abs(shift) + half > 0.5 * lane_width + 0.1:
        price += STRADDLE
    if abs(shift) > 0.6 * lane_width:
        oncoming = shift + half > rooms[3] + 0.3 or half - shift > rooms[2] + 0.3
        price = ONCOMING if oncoming else LANE_CHANGE
    return 0.5 * price - STAY if abs(shift - previous) < 0.3 else price


@jit
def _shift(number, lane_width, previous):  # type: ignore[no-untyped-def]
    """Return the offset of trial ``number``: the lane centre, the previous choice, lanes beside, small shifts."""
    if number == 0:
        return 0.0
    if number == 1:
        return previous
    if number < 4:
        return lane_width if number == 2 else -lane_width
    return SHIFTS[number - 4]


@jit
def choose(  # type: ignore[no-untyped-def]
    route, count, bends, bounds, ego, driver, ghosts, facts, used, caution, planned_mps,
    lane_width, previous, previous_end, bend, candidate, kept, active, rooms,
):  # fmt: skip
    """Write the best candidate to ``kept``; return (its cost, the offset it goes to, the place on
    the route where it gets there).

    Trials: the lane centre on a free road as the yardstick, the lane centre, then other offsets if calm driving in
    lane costs too much, then all of them with hard braking and steering if contact threatens.
    """
    half, offsets = 0.5 * ego[E_WIDTH], 4 + len(SHIFTS)
    free, best, goal, end = 0.0, 1e12, 0.0, ego[E_S]
    for trial in range(1 + 2 * offsets):
        number, hard = (trial - 1) % offsets if trial > 0 else 0, trial > offsets
        if trial == 1:
            if used == 0:
                return best, 0.0, end
            free, best = best, 1e12
        elif trial == 2:
            if best < free + GOOD_ENOUGH and abs(previous) < 0.3:
                return best, goal, end
            ahead = ego[E_S] + max(2.5 * ego[E_SPEED], 20.0)
            for side in range(4):
                rooms[side] = widest(route, count, bounds[side], ego[E_S] + 2.0, ahead)
            rooms[4] = sharpest(route, count, ego[E_S], ahead)
        elif trial == 1 + offsets and best <= free + DANGER:
            return best, goal, end
        shift = _shift(number, lane_width, previous)
        if number > 0:
            repeated = abs(shift) < 0.3 or (number > 1 and abs(shift - previous) < 0.05)
            if number >= 4 + CALM_SHIFTS and not hard:
                continue
            kerb = EVADE_EDGE_M if hard else 0.0
            if repeated or shift + half > rooms[1] + kerb or half - shift > rooms[0] + kerb:
                continue
            if abs(shift) > 0.6 * lane_width and rooms[4] > BEND:
                continue
        extra = 0.0
        if trial > 1:
            extra = 0.0 if hard else _price(rooms, shift, half, lane_width, previous)
            if abs(shift - previous) >= 0.3 and _cuts_in(facts, used):
                extra += STEER_LAST
            if hard:
                # Who comes towards the ego on its own side mostly turns back to where it belongs.
                oncoming = shift + half > rooms[3] + 0.3 or half - shift > rooms[2] + 0.3
                extra += abs(shift) + (EVADE_ONCOMING if oncoming else 0.0)
            if hard and abs(shift - previous) < 0.05:
                extra -= COMMITTED
        go_on = previous_end - ego[E_S] if abs(shift - previous) < 0.05 else 0.0
        cost, length = _speeds(
            route, count, bends, bounds, ego, driver, ghosts, facts, used if trial > 0 else 0, caution,
            planned_mps, bend, go_on, shift, hard, extra, best, candidate, kept, active,
        )  # fmt: skip
        if cost < best:
            best, goal, end = cost, shift, ego[E_S] + length
    return best, goal, end


@jit_allocating
def plan_rows(  # type: ignore[no-untyped-def]
    rows, memory, lanes, poses, following, routes, bounds, egos, actors, driver, bend_mps2, caution, plans, costs
):
    """Plan for every row of a batch; ``memory`` [slots, MEMORY] is updated, ``plans`` [N, 26, 5] and ``costs`` written."""
    ghosts, facts = np.zeros((GHOSTS, STEPS, TRACK)), np.zeros((GHOSTS, FACTS))
    candidate, kept = np.zeros((STEPS, COLUMNS)), np.zeros((STEPS, COLUMNS))
    active, bends, rooms = np.zeros(GHOSTS, np.int64), np.empty(routes.shape[1]), np.empty(5)
    for n in range(routes.shape[0]):
        costs[n] = _plan_row(
            memory[rows[n]], lanes, poses, following, routes[n], bounds[n], egos[n], actors[n], driver, bend_mps2,
            caution, plans[n], ghosts, facts, candidate, kept, active, bends, rooms,
        )  # fmt: skip


@jit
def _plan_row(  # type: ignore[no-untyped-def]
    known, lanes, poses, following, route, bounds, ego, actors, driver, bend_mps2, caution, plan,
    ghosts, facts, candidate, kept, active, bends, rooms,
):  # fmt: skip
    """Plan for one row; everything after ``plan`` is working memory. Return what the plan costs."""
    count = valid_points(route)
    bend_speeds(route, count, ego[E_FREE], bend_mps2, 1.5, bends)
    used = predict(lanes, poses, following, route, count, ego, actors, ghosts, facts)
    fresh = not math.isnan(known[PREVIOUS_T]) and ego[E_TIME] - known[PREVIOUS_T] < 1.5
    previous, previous_end, planned = 0.0, 0.0, math.nan
    if fresh:
        previous, previous_end = known[PREVIOUS_R], known[PREVIOUS_END]
        ahead = min(round((ego[E_TIME] - known[PREVIOUS_T] + 1.0) / STEP_S), PLAN_ROWS - 1)
        planned = known[PREVIOUS_V + ahead]
    bend = present_bend(route, ego[E_S], ego[E_CURVATURE], ego[E_SPEED])
    cost, goal, end = choose(
        route, count, bends, bounds, ego, driver, ghosts, facts, used, caution, planned,
        lanes[int(actors[0, LANE]), LANE_WIDTH], previous, previous_end, bend, candidate, kept, active, rooms,
    )  # fmt: skip
    known[PREVIOUS_R], known[PREVIOUS_T], known[PREVIOUS_END] = goal, ego[E_TIME], end
    for k in range(plan.shape[0]):
        known[PREVIOUS_V + k] = kept[k, C_SPEED]
        write_point(route, kept[k, C_S], kept[k, C_R], kept[k, C_SLOPE], kept[k, C_SPEED], k * STEP_S, plan[k])
    return cost
