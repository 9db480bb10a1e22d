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
    meetings,
    roll,
    widest,
)
from simdrive.agents.following import bend_speeds, valid_points
from simdrive.agents.judge import CONTACT, judge
from simdrive.agents.lanemap import WIDTH as LANE_WIDTH
from simdrive.agents.predict import FACTS, GHOSTS, LIKELY, M_IN, STEP_S, STEPS, TRACK, predict
from simdrive.agents.scene import E_FREE, E_R, E_S, E_SLOPE, E_SPEED, E_TIME, E_WIDTH, LANE
from simdrive.jit import jit
from simdrive.sim.plans import shift_length, write_point

PLAN_ROWS = 26  # 5 s in steps of STEP_S
PREVIOUS_R, PREVIOUS_S = 0, 1  # per slot: offset chosen last, time of that choice, s

CALM_JERK, HARD_JERK = 6.0, 25.0
CALM_BRAKING, HARD_BRAKING = 3.5, 8.0
GOOD_ENOUGH = 1.5  # what calm driving in lane may cost above a free road before anything else is looked at
SMALL_SHIFT, LANE_CHANGE, ONCOMING = 0.4, 4.0, 7.0  # what leaving the lane centre costs
STAY = 1.0  # what keeping to the offset chosen last is worth
DANGER = 0.05 * CONTACT
CALM_LATERAL, HARD_LATERAL = 1.5, 5.0
ALL_S = 7.0  # later than anybody can come into the path
SHIFTS = (-0.5, 0.5, -1.0, 1.0, -1.8, 1.8)


@jit
def _attempt(  # type: ignore[no-untyped-def]
    route, count, bends, bounds, ego, driver, ghosts, facts, used, caution,
    r1, length, mode, value, until_s, extra, best, candidate, kept, active,
):  # fmt: skip
    """Roll and judge one candidate; if it beats ``best``, copy it to ``kept``. Return the lower cost."""
    jerk = CALM_JERK if mode == FOLLOW and value <= CALM_BRAKING else HARD_JERK
    roll(route, count, bends, ego, r1, length, mode, value, until_s, jerk, driver, ghosts, facts, used, candidate)
    cost = extra + judge(
        route, count, bends, bounds, ego, candidate, ghosts, facts, used, caution, best - extra, active
    )
    if cost < best:
        kept[:, :] = candidate
        return cost
    return best


@jit
def _comes_in(facts, used, from_s, to_s):  # type: ignore[no-untyped-def]
    """Tell whether anybody comes into the path between two times."""
    for g in range(used):
        if from_s < facts[g, M_IN] * STEP_S <= to_s and facts[g, LIKELY] >= 0.45:
            return True
    return False


@jit
def _speeds(  # type: ignore[no-untyped-def]
    route, count, bends, bounds, ego, driver, ghosts, facts, used, caution,
    r1, lateral, extra, best, hard, candidate, kept, active,
):  # fmt: skip
    """Try the ways to choose the speed on the path to ``r1``; return the lowest cost."""
    length = shift_length(ego[E_R], ego[E_SLOPE], r1, ego[E_SPEED], lateral)
    meetings(ego, r1, length, ghosts, facts, used)
    heeded = ALL_S
    braking = HARD_BRAKING if hard else CALM_BRAKING
    for until_s in (ALL_S, 3.6, 2.1, 0.7):
        # Heeding fewer makes no difference unless somebody is left out by it.
        if until_s == ALL_S or _comes_in(facts, used, until_s, heeded):
            best = _attempt(
                route, count, bends, bounds, ego, driver, ghosts, facts, used, caution,
                r1, length, FOLLOW, braking, until_s, extra, best, candidate, kept, active,
            )  # fmt: skip
            heeded = until_s
    if hard:
        for value in (-8.0, -5.5, -3.0, -1.5, 0.0, 2.5):
            best = _attempt(
                route, count, bends, bounds, ego, driver, ghosts, facts, used, caution,
                r1, length, ACCELERATE, value, 0.0, extra, best, candidate, kept, active,
            )  # fmt: skip
    return best


@jit
def _fits(bounds, rooms, shift, half):  # type: ignore[no-untyped-def]
    return shift + half <= rooms[1] and half - shift <= rooms[0]


@jit
def _price(rooms, shift, half, lane_width, previous):  # type: ignore[no-untyped-def]
    """Return what going to offset ``shift`` costs as such."""
    price = SMALL_SHIFT * abs(shift)
    if abs(shift) > 0.6 * lane_width:
        oncoming = shift + half > rooms[3] + 0.3 or half - shift > rooms[2] + 0.3
        price = ONCOMING if oncoming else LANE_CHANGE
    return 0.5 * price - STAY if abs(shift - previous) < 0.3 else price


@jit
def choose(  # type: ignore[no-untyped-def]
    route, count, bends, bounds, ego, driver, ghosts, facts, used, caution, lane_width, previous,
    candidate, kept, active,
):  # fmt: skip
    """Write the best candidate to ``kept``; return (its cost, the offset it goes to)."""
    length = shift_length(ego[E_R], ego[E_SLOPE], 0.0, ego[E_SPEED], CALM_LATERAL)
    free = _attempt(
        route, count, bends, bounds, ego, driver, ghosts, facts, 0, 0.0,
        0.0, length, FOLLOW, CALM_BRAKING, 0.0, 0.0, 1e12, candidate, kept, active,
    )  # fmt: skip
    if used == 0:
        return free, 0.0
    moved = abs(previous) > 0.3
    best = _speeds(
        route, count, bends, bounds, ego, driver, ghosts, facts, used, caution,
        0.0, CALM_LATERAL, 0.0, 1e12, False, candidate, kept, active,
    )  # fmt: skip
    goal = 0.0
    if best < free + GOOD_ENOUGH and not moved:
        return best, goal
    half, rooms = 0.5 * ego[E_WIDTH], np.empty(4)
    for side in range(4):
        ahead = ego[E_S] + max(2.5 * ego[E_SPEED], 20.0)
        rooms[side] = widest(route, count, bounds[side], ego[E_S] + 2.0, ahead)
    for number in range(3 + len(SHIFTS)):
        if number == 0:
            shift = previous
        elif number < 3:
            shift = lane_width if number == 1 else -lane_width
        else:
            shift = SHIFTS[number - 3]
        repeated = number > 0 and abs(shift - previous) < 0.05
        if abs(shift) < 0.3 or repeated or not _fits(bounds, rooms, shift, half):
            continue
        cost = _speeds(
            route, count, bends, bounds, ego, driver, ghosts, facts, used, caution,
            shift, CALM_LATERAL, _price(rooms, shift, half, lane_width, previous), best, False,
            candidate, kept, active,
        )  # fmt: skip
        if cost < best:
            best, goal = cost, shift
    if best <= free + DANGER:
        return best, goal
    for number in range(3 + len(SHIFTS)):
        if number == 0:
            shift = 0.0
        elif number < 3:
            shift = lane_width if number == 1 else -lane_width
        else:
            shift = SHIFTS[number - 3]
        if not _fits(bounds, rooms, shift, half):
            continue
        cost = _speeds(
            route, count, bends, bounds, ego, driver, ghosts, facts, used, caution,
            shift, HARD_LATERAL, 2.0 * abs(shift), best, True, candidate, kept, active,
        )  # fmt: skip
        if cost < best:
            best, goal = cost, shift
    return best, goal


@jit
def plan_rows(  # type: ignore[no-untyped-def]
    rows, memory, lanes, poses, following, routes, bounds, egos, actors, driver, bend_mps2, caution, plans, costs
):
    """Plan for every row of a batch; ``memory`` [slots, 2] is updated, ``plans`` [N, 26, 5] and ``costs`` written."""
    ghosts, facts = np.zeros((GHOSTS, STEPS, TRACK)), np.zeros((GHOSTS, FACTS))
    candidate, kept = np.zeros((STEPS, COLUMNS)), np.zeros((STEPS, COLUMNS))
    active, bends = np.zeros(GHOSTS, np.int64), np.empty(routes.shape[1])
    for n in range(routes.shape[0]):
        route, ego, known = routes[n], egos[n], memory[rows[n]]
        count = valid_points(route)
        bend_speeds(route, count, ego[E_FREE], bend_mps2, 1.5, bends)
        used = predict(lanes, poses, following, route, count, ego, actors[n], ghosts, facts)
        fresh = not math.isnan(known[PREVIOUS_S]) and ego[E_TIME] - known[PREVIOUS_S] < 1.5
        previous = known[PREVIOUS_R] if fresh else 0.0
        costs[n], goal = choose(
            route, count, bends, bounds[n], ego, driver, ghosts, facts, used, caution,
            lanes[int(actors[n, 0, LANE]), LANE_WIDTH], previous, candidate, kept, active,
        )  # fmt: skip
        known[PREVIOUS_R], known[PREVIOUS_S] = goal, ego[E_TIME]
        for k in range(plans.shape[1]):
            write_point(
                route, kept[k, C_S], kept[k, C_R], kept[k, C_SLOPE], kept[k, C_SPEED], k * STEP_S, plans[n, k]
            )
