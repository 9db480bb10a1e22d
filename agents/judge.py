"""What a rolled-out candidate is worth to the expert: contact first, then the road, closeness, comfort, progress.

Costs are in arbitrary units; one second of standing still where one could drive costs ``PROGRESS``.
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.agents.candidates import C_ACCELERATION, C_R, C_S, C_SLOPE, C_SPEED
from simdrive.agents.following import speed_at
from simdrive.agents.predict import (
    ALONG,
    HALF,
    HEADING,
    LENGTH,
    LIKELY,
    R,
    S,
    SIDE,
    SPEED,
    STEP_S,
    STEPS,
    WIDTH,
    X,
    Y,
)
from simdrive.geometry import boxes_overlap
from simdrive.jit import jit
from simdrive.sim.plans import route_pose

CONTACT, OFF_ROAD = 3000.0, 1500.0
PROGRESS = 2.5
HARD_MARGIN_M, SIDE_MARGIN_M = 0.35, 0.2  # along, across: closer counts as contact
SOFT_SIDE_M = 0.7
PASSING_S = 0.7  # time between crossing paths below which it gets uncomfortable
FALLBACK_S = 0.6  # how long a candidate is driven before an unlikely event must be answered by a full brake


@jit
def contact(x, y, heading, length, width, ego_speed, track, other_length, other_width):  # type: ignore[no-untyped-def]
    """Return (hit, near): contact within the hard margins, and within the time margin of crossing paths."""
    cos, sin = math.cos(heading), math.sin(heading)
    turn = track[HEADING] - heading
    # Boxes are compared at steps: what moves past in between is covered by longer boxes.
    closing = abs(ego_speed - track[SPEED] * math.cos(turn))
    stretch = 2.0 * HARD_MARGIN_M + 0.5 * STEP_S * closing
    hit = boxes_overlap(
        x, y, heading, length + stretch, width + 2.0 * SIDE_MARGIN_M,
        track[X], track[Y], track[HEADING], other_length, other_width,
    )  # fmt: skip
    if hit:
        return True, True
    across = abs(math.sin(turn))
    if across < 0.35:
        return False, False
    longer = other_length + 2.0 * PASSING_S * abs(track[SPEED]) * across
    dx, dy = track[X] - x, track[Y] - y
    near = boxes_overlap(
        x, y, heading, length + stretch, width + 2.0 * SIDE_MARGIN_M,
        track[X], track[Y], track[HEADING], longer, other_width,
    )  # fmt: skip
    return False, near and dx * cos + dy * sin > -0.5 * length


@jit
def _pair(route, candidate, k, x, y, heading, ego_length, ego_width, track, fact):  # type: ignore[no-untyped-def]
    """Return (hit, cost of closeness per second) of the ego and one ghost at step ``k``."""
    v = candidate[k, C_SPEED]
    along = track[S] - candidate[k, C_S]
    across = track[R] - candidate[k, C_R]
    reach = track[HALF] + 0.5 * ego_length
    sides = track[SIDE] + 0.5 * ego_width
    closing = v - track[ALONG]
    # The gap that a second and a half of closing, or crossing, could use up.
    outlook = 1.0 + 1.6 * abs(closing) + PASSING_S * track[SPEED]
    if abs(along) > reach + outlook or abs(across) > sides + SOFT_SIDE_M + PASSING_S * track[SPEED] + 0.3:
        return False, 0.0
    hit, near = contact(x, y, heading, ego_length, ego_width, v, track, fact[LENGTH], fact[WIDTH])
    if hit:
        return True, 0.0
    cost = 25.0 if near else 0.0
    clear = abs(across) - sides
    gap = abs(along) - reach
    if clear < 0.1 and along > 0.0:
        gap = max(gap, 0.05)
        if closing > 0.5 and gap / closing < 1.6:
            short = (1.6 - gap / closing) / 1.6
            cost += 8.0 * short * short
        if track[ALONG] > 2.0 and v > 2.0 and gap / v < 0.7:
            cost += 3.0 * (0.7 - gap / v) / 0.7
    if clear < 0.1 and along < 0.0 and closing < -0.5 and gap / -closing < 1.8:
        short = (1.8 - gap / -closing) / 1.8  # cutting in before somebody faster
        cost += 12.0 * short * short
    if clear < SOFT_SIDE_M and gap < 1.0 and v > 1.0:
        near_side = (SOFT_SIDE_M - max(clear, 0.0)) / SOFT_SIDE_M
        cost += 1.5 * near_side * near_side * min(v / 10.0, 2.0)
    return False, cost


@jit
def _road(route, row, left, right, r, slope, ego_length, ego_width):  # type: ignore[no-untyped-def]
    """Return how far the car reaches over the edge of the carriageway, m, > 0 outside."""
    half = 0.5 * ego_width + 0.5 * ego_length * abs(slope)
    return max(r + half - right[row], -r + half - left[row])


@jit
def judge(  # type: ignore[no-untyped-def]
    route, count, bends, candidate, wish_r, a0, ego_length, ego_width, left, right, same_left, same_right,
    ghosts, facts, used, caution, best,
):  # fmt: skip
    """Return the cost of a candidate, or anything above ``best`` as soon as it is above.

    Args:
        candidate: ``[STEPS, COLUMNS]`` from ``roll``.
        wish_r: offset that counts as the lane centre.
        left, right: drivable width beside the route ``[R]``; ``same_left``, ``same_right``: lanes that lead the same way.
        caution: weight of hypotheses that are not the likeliest.
        best: cost of the best candidate so far.
    """
    cost, row, speed_row = 0.0, 0, 0
    before = a0
    for k in range(1, STEPS):
        s, r, v = candidate[k, C_S], candidate[k, C_R], candidate[k, C_SPEED]
        t = k * STEP_S
        fade = 1.0 - 0.1 * t
        a = candidate[k, C_ACCELERATION]
        allowed, speed_row = speed_at(route, count, bends, s, speed_row)
        rx, ry, direction, curvature = route_pose(route, s)
        while row < count - 2 and route[row + 1, 3] <= s:
            row += 1
        x, y = rx - r * math.sin(direction), ry + r * math.cos(direction)
        heading = direction + math.atan(candidate[k, C_SLOPE])
        cost += STEP_S * PROGRESS * max(allowed - v, 0.0) / max(allowed, 1.0)
        cost += STEP_S * 4.0 * max(v - allowed - 0.3, 0.0) / max(allowed, 1.0)
        cost += STEP_S * 0.08 * a * a + (0.012 * (a - before) ** 2 if k < 12 else 0.0)
        before = a
        cost += STEP_S * 0.35 * min(abs(r - wish_r), 3.5)
        if v > 1.0:
            over = _road(route, row, left, right, r, candidate[k, C_SLOPE], ego_length, ego_width)
            if over > 0.2:
                cost += OFF_ROAD * fade * STEP_S * min(over, 2.0)
            elif over > -0.15:
                cost += STEP_S * 2.0 * (over + 0.15)
            if _road(route, row, same_left, same_right, r, 0.0, ego_length, ego_width) > 0.1:
                cost += STEP_S * 1.2
        if k > 1:
            bend = (candidate[k, C_SLOPE] - candidate[k - 1, C_SLOPE]) / max(s - candidate[k - 1, C_S], 0.5)
            side = v * v * (bend + curvature)
            cost += STEP_S * 0.06 * side * side
        if cost >= best:
            return cost
        for g in range(used):
            likely = facts[g, LIKELY]
            if likely < 0.45:
                continue
            hit, close = _pair(route, candidate, k, x, y, heading, ego_length, ego_width, ghosts[g, k], facts[g])
            cost += STEP_S * close * likely * fade
            if hit:
                violence = 0.3 + 0.05 * math.hypot(
                    v - ghosts[g, k, ALONG], 0.5 * (ghosts[g, k, SPEED] - abs(ghosts[g, k, ALONG]))
                )
                return cost + CONTACT * likely * violence * (1.3 - t / 6.0)
        if cost >= best:
            return cost
    if caution > 0.0:
        for g in range(used):
            if facts[g, LIKELY] < 0.45:
                cost += caution * facts[g, LIKELY] * fallback(
                    route, candidate, ego_length, ego_width, ghosts[g], facts[g]
                )
                if cost >= best:
                    return cost
    return cost


@jit
def fallback(route, candidate, ego_length, ego_width, tracks, fact):  # type: ignore[no-untyped-def]
    """Return the cost of an unlikely hypothesis: contact although a full brake answers it after FALLBACK_S."""
    first = round(FALLBACK_S / STEP_S)
    s, v = 0.0, 0.0
    for k in range(1, STEPS):
        if k <= first:
            s, v = candidate[k, C_S], candidate[k, C_SPEED]
        else:
            drop = 4.0 if k == first + 1 else 7.5  # the brake builds up
            after = max(v - drop * STEP_S, 0.0)
            s += 0.5 * (v + after) * STEP_S
            v = after
            if v == 0.0 and k > first + 1:
                break  # whoever walks into a standing car is not its concern
        # The path stays: find the offset at that distance.
        j = k
        while j > 1 and candidate[j - 1, C_S] >= s:
            j -= 1
        r = candidate[j, C_R]
        track = tracks[k]
        if abs(track[S] - s) > track[HALF] + 0.5 * ego_length + 0.5:
            continue
        if abs(track[R] - r) > track[SIDE] + 0.5 * ego_width + SIDE_MARGIN_M:
            continue
        if v < 0.3:
            continue
        return CONTACT * (0.2 + 0.05 * v) * (1.3 - k * STEP_S / 6.0)
    return 0.0
