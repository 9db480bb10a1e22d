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
    R_MAX,
    R_MIN,
    S_MAX,
    S_MIN,
    SIDE,
    SLACK,
    SPEED,
    STEP_S,
    STEPS,
    UNTIL,
    WIDTH,
    R,
    S,
    X,
    Y,
)
from simdrive.agents.scene import E_ACCELERATION, E_LENGTH, E_WIDTH
from simdrive.geometry import boxes_overlap
from simdrive.jit import jit
from simdrive.sim.plans import route_pose

CONTACT, OFF_ROAD = 3000.0, 1500.0
GRAZE = 0.25  # share of the harm of a contact that counts for coming closer than the hard margins
HIT_STANDING = 60.0  # somebody runs into the standing car
MET_STANDING = 400.0  # somebody may come head-on at the standing car: worse than room, better than any sure contact
PROGRESS, OVERSPEED = 2.5, 10.0
HARD_MARGIN_M, SIDE_MARGIN_M = 0.35, 0.2  # along, across: closer counts as contact
SOFT_SIDE_M = 0.7
CLOSE_S, PASSING_S = 0.4, 0.9  # time between crossing paths that is too close, and that is uncomfortable
NEAR_PASS = 250.0  # cost per second of crossing too close
FLICKER = 0.35  # cost per m/s of changing one's mind about the speed
BLUR_MPS = 0.25  # how fast predictions lose accuracy along the ego's path
FALLBACK_S = 0.6  # how long a candidate is driven before an unlikely event must be answered by a full brake


@jit
def contact(candidate, k, x, y, heading, ego, track, fact, slack):  # type: ignore[no-untyped-def]
    """Return 3 for contact, 2 within the hard margins, else how close paths that cross come in time (0 .. 1).

    ``slack`` scales the margins.
    """
    turn = track[HEADING] - heading
    # Boxes are compared at steps: what moves past in between is covered by longer boxes. Predictions blur with time.
    closing = abs(candidate[k, C_SPEED] - track[SPEED] * math.cos(turn))
    blur = min(BLUR_MPS * k * STEP_S, 1.2) if track[SPEED] > 0.1 else 0.0
    bare = ego[E_LENGTH] + min(slack, 1.0) * 0.5 * STEP_S * closing
    length = bare + slack * 2.0 * (HARD_MARGIN_M + blur)
    width = ego[E_WIDTH] + slack * 2.0 * SIDE_MARGIN_M
    across = abs(track[SPEED] * math.sin(turn))
    ahead = (track[X] - x) * math.cos(heading) + (track[Y] - y) * math.sin(heading) > -0.5 * ego[E_LENGTH]
    for level in range(3):
        margin_s = 0.0 if level == 0 else (CLOSE_S if level == 1 else PASSING_S)
        if level > 0 and (across < 0.5 or not ahead):
            return 0.0
        longer = fact[LENGTH] + 2.0 * margin_s * across
        if boxes_overlap(x, y, heading, length, width, track[X], track[Y], track[HEADING], longer, fact[WIDTH]):
            if level > 0:
                return 1.0 if level == 1 else 0.25
            touch = boxes_overlap(
                x, y, heading, bare, ego[E_WIDTH], track[X], track[Y], track[HEADING], fact[LENGTH], fact[WIDTH]
            )
            return 3.0 if touch else 2.0
    return 0.0


@jit
def _pair(candidate, k, x, y, heading, ego, track, fact, slack):  # type: ignore[no-untyped-def]
    """Return (2 for contact, 1 within the hard margins, else 0; cost of closeness per second) at step ``k``."""
    v, speed = candidate[k, C_SPEED], track[SPEED]
    along, across = track[S] - candidate[k, C_S], track[R] - candidate[k, C_R]
    reach, sides = track[HALF] + 0.5 * ego[E_LENGTH], track[SIDE] + 0.5 * ego[E_WIDTH]
    closing = v - track[ALONG]
    # The gap that a second and a half of closing could use up.
    outlook = 1.0 + 1.8 * abs(closing)
    aside = SOFT_SIDE_M if speed < 0.5 else 2.2
    crossing = 0.0
    if speed > 0.5:
        sine = math.sqrt(max(speed * speed - track[ALONG] * track[ALONG], 0.0))
        crossing = PASSING_S * sine
    if abs(along) > reach + max(outlook, crossing) or abs(across) > sides + max(aside, crossing):
        return 0, 0.0
    cost = 0.0
    if abs(along) < reach + 2.0 + 0.3 * abs(closing) + crossing and abs(across) < sides + 0.5 + crossing:
        near = contact(candidate, k, x, y, heading, ego, track, fact, slack)
        if near > 1.5:
            return 2 if near > 2.5 else 1, 0.0
        cost = NEAR_PASS * near
    clear, gap = abs(across) - sides, abs(along) - reach
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
    if gap < 1.0 and v > 1.0:
        # Who moves sideways may do so faster or slower than predicted.
        rate = abs(track[SPEED] * math.sin(track[HEADING] - heading)) if track[SPEED] > 0.5 else 0.0
        soft = SOFT_SIDE_M + min(rate, 1.5)
        if clear < soft:
            near_side = (soft - max(clear, 0.0)) / soft
            cost += (1.5 + 12.0 * min(rate, 1.5)) * near_side * near_side * min(v / 10.0, 2.0)
    return 0, cost


@jit
def _road(bounds, row, r, slope, ego):  # type: ignore[no-untyped-def]
    """Return the cost per second of being near or over the edge of the carriageway, or on oncoming lanes.

    ``bounds`` float64 ``[4, R]``: drivable width to the left and right, and the part that leads the same way.
    """
    half = 0.5 * ego[E_WIDTH]
    tilted = half + 0.5 * ego[E_LENGTH] * abs(slope)
    over = max(r + tilted - bounds[1, row], -r + tilted - bounds[0, row])
    cost = 1.2 if max(r + half - bounds[3, row], -r + half - bounds[2, row]) > 0.1 else 0.0
    if over > 0.2:
        return cost + OFF_ROAD * min(over, 2.0)
    return cost + 2.0 * max(over + 0.15, 0.0)


@jit
def _near(candidate, ego, facts, used, active):  # type: ignore[no-untyped-def]
    """List the ghosts that a candidate comes near to at any time; return their number."""
    low, high = 1e9, -1e9
    for k in range(STEPS):
        low, high = min(low, candidate[k, C_R]), max(high, candidate[k, C_R])
    margin = 0.5 * ego[E_WIDTH] + SOFT_SIDE_M + 0.3
    found = 0
    for g in range(used):
        passing = 0.0 if facts[g, R_MAX] - facts[g, R_MIN] < 4.0 else PASSING_S * 15.0
        if facts[g, R_MIN] > high + margin + passing or facts[g, R_MAX] < low - margin - passing:
            continue
        if facts[g, S_MAX] < candidate[0, C_S] - 60.0 or facts[g, S_MIN] > candidate[STEPS - 1, C_S] + 60.0:
            continue
        active[found] = g
        found += 1
    return found


@jit
def judge(  # type: ignore[no-untyped-def]
    route, count, bends, bounds, ego, candidate, ghosts, facts, used, caution, planned_mps, best, active
):
    """Return the cost of a candidate, or anything above ``best`` as soon as it is above.

    Args:
        route, count, bends: the route, its valid rows, the speed allowed on them.
        bounds: ``[4, R]``, see ``_road``.
        ego: packed ego (simdrive.agents.scene).
        candidate: ``[STEPS, COLUMNS]`` from ``roll``.
        ghosts, facts, used: predictions.
        planned_mps: speed that the plan before had for one second from now, NaN = none.
        caution: weight of hypotheses that are not the likeliest.
        best: cost of the best candidate so far.
        active: int64 ``[GHOSTS]`` scratch.
    """
    cost, row, speed_row, grazed = 0.0, 0, 0, 0.0
    before = ego[E_ACCELERATION]
    found = _near(candidate, ego, facts, used, active)
    if not math.isnan(planned_mps):
        cost += min(FLICKER * abs(candidate[round(1.0 / STEP_S), C_SPEED] - planned_mps), 2.0)
    for k in range(1, STEPS):
        s, r, v, a = candidate[k, C_S], candidate[k, C_R], candidate[k, C_SPEED], candidate[k, C_ACCELERATION]
        t = k * STEP_S
        fade = 1.0 - 0.1 * t
        allowed, speed_row = speed_at(route, count, bends, s, speed_row)
        while row < count - 2 and route[row + 1, 3] <= s:
            row += 1
        behind = max(allowed - v, 0.0) * PROGRESS + OVERSPEED * max(v - allowed - 0.3, 0.0)
        cost += STEP_S * (behind / max(allowed, 1.0) + 0.08 * a * a + 0.35 * min(abs(r), 3.5))
        if k < 12:
            cost += 0.012 * (a - before) * (a - before)
        before = a
        if v > 1.0:
            cost += STEP_S * fade * _road(bounds, row, r, candidate[k, C_SLOPE], ego)
            step = max(s - candidate[k - 1, C_S], 0.5)
            side = v * v * ((candidate[k, C_SLOPE] - candidate[k - 1, C_SLOPE]) / step + route[row, 4])
            cost += STEP_S * 0.06 * side * side
        if cost >= best:
            return cost
        if found == 0:
            continue
        rx, ry, direction, _ = route_pose(route, s)
        x, y = rx - r * math.sin(direction), ry + r * math.cos(direction)
        heading = direction + math.atan(candidate[k, C_SLOPE])
        for entry in range(found):
            g = active[entry]
            likely = facts[g, LIKELY]
            if likely < 0.45 or k >= facts[g, UNTIL]:
                continue
            hit, close = _pair(candidate, k, x, y, heading, ego, ghosts[g, k], facts[g], facts[g, SLACK])
            cost += STEP_S * close * likely * fade
            if hit > 0:
                other = ghosts[g, k]
                aside = 0.5 * (other[SPEED] - abs(other[ALONG]))
                violence = 0.4 + 0.035 * math.sqrt((v - other[ALONG]) ** 2 + aside * aside)
                # The less the boxes would overlap, the less it takes that there is no contact after all.
                depth = other[SIDE] + 0.5 * ego[E_WIDTH] - abs(other[R] - r)
                sure = 0.5 + 0.5 * min(max(depth / ego[E_WIDTH], 0.0), 1.0)
                harm = CONTACT * violence * sure * (1.3 - t / 6.0)
                if v < 0.05:
                    harm = HIT_STANDING if other[ALONG] > -3.0 else MET_STANDING
                crosses = other[SPEED] > 0.3 and abs(other[ALONG]) < 0.7 * other[SPEED]
                if hit > 1 or crosses:
                    return cost + harm * likely
                if GRAZE * harm * likely > grazed:  # too close once is as bad as too close for long
                    cost += GRAZE * harm * likely - grazed
                    grazed = GRAZE * harm * likely
    for entry in range(found):
        g = active[entry]
        if facts[g, LIKELY] < 0.45 and caution > 0.0 and cost < best:
            cost += caution * facts[g, LIKELY] * fallback(candidate, ego, ghosts[g])
    return cost


@jit
def fallback(candidate, ego, tracks):  # type: ignore[no-untyped-def]
    """Return the cost of an unlikely hypothesis: contact although a full brake answers it after FALLBACK_S."""
    first = round(FALLBACK_S / STEP_S)
    s, v, j = 0.0, 0.0, 1
    for k in range(1, STEPS):
        if k <= first:
            s, v = candidate[k, C_S], candidate[k, C_SPEED]
        else:
            drop = 4.0 if k == first + 1 else 7.5  # the brake builds up
            after = max(v - drop * STEP_S, 0.0)
            s += 0.5 * (v + after) * STEP_S
            v = after
        if v < 0.3:
            return 0.0  # whoever walks into a standing car is not its concern
        while j < STEPS - 1 and candidate[j, C_S] < s:
            j += 1
        track = tracks[k]
        if abs(track[S] - s) > track[HALF] + 0.5 * ego[E_LENGTH] + 0.5:
            continue
        if abs(track[R] - candidate[j, C_R]) <= track[SIDE] + 0.5 * ego[E_WIDTH] + SIDE_MARGIN_M:
            return CONTACT * (0.2 + 0.05 * v) * (1.3 - k * STEP_S / 6.0)
    return 0.0
