"""Why and when an episode ends; the same rules for every agent, looked at after every physics tick."""

from __future__ import annotations

import math

import numpy as np

from simdrive.jit import jit
from simdrive.sim.plans import fold, route_pose
from simdrive.sim.route import project
from simdrive.sim.state import Small
from simdrive.sim.worlds import Worlds
from simdrive.types import Bool, EndReason, Float, Int, Long

OFF_ROAD_M = 2.0  # a corner this far outside the drivable area: the car has left the road for good
STUCK_MPS = 0.1
STUCK_S = 10.0  # standing this long after the lead-in; longer than any wait that a scenario asks for
BLOCKED_AHEAD_M = 40.0  # a crash among others this near on the ego's way makes the case invalid
_MARGIN_M = 0.3
_RUNNING = -1
_GOAL, _CONTACT, _TIME_LIMIT = int(EndReason.GOAL), int(EndReason.CONTACT), int(EndReason.TIME_LIMIT)
_STUCK, _OFF_ROAD, _BLOCKED = int(EndReason.STUCK), int(EndReason.OFF_ROAD), int(EndReason.BLOCKED)


@jit
def _blocked(
    w: int, x: Float, y: Float, heading: Float, length: Float, width: Float, crashed: Bool, present: Bool,
    route: Float, count: int, route_s: float,
) -> bool:  # fmt: skip
    """Tell whether a crashed actor stands on the route of the ego, near ahead."""
    for v in range(1, x.shape[1]):
        if not (crashed[w, v] and present[w, v]):
            continue
        s, r, _ = project(route, count, x[w, v], y[w, v], -1)
        if not route_s < s < route_s + BLOCKED_AHEAD_M:
            continue
        turn = fold(heading[w, v] - route_pose(route, s)[2])
        side = 0.5 * (length[w, v] * abs(math.sin(turn)) + width[w, v] * abs(math.cos(turn)))
        if abs(r) < side + 0.5 * width[w, 0] + _MARGIN_M:
            return True
    return False


@jit
def _look(
    active: Bool, tick: int, x: Float, y: Float, heading: Float, speed: Float, length: Float, width: Float,
    crashed: Bool, present: Bool, route: Float, route_count: Int, route_s: Float, contact_tick: Long,
    outside_m: Float, goal_m: Float, lead_in: Long, limit: Long, patience: int, standing: Long, last: Float,
    driven_m: Float, reason: Small,
) -> None:  # fmt: skip
    """Measure the way driven and write the reason of every episode that ends at this tick."""
    for w in range(len(active)):
        if not active[w]:
            continue
        driven_m[w] += math.hypot(x[w, 0] - last[w, 0], y[w, 0] - last[w, 1])
        last[w, 0], last[w, 1] = x[w, 0], y[w, 0]
        stands = abs(speed[w, 0]) < STUCK_MPS and tick > lead_in[w]
        standing[w] = standing[w] + 1 if stands else 0
        if contact_tick[w] >= 0:
            reason[w] = _CONTACT
        elif outside_m[w] > OFF_ROAD_M:
            reason[w] = _OFF_ROAD
        elif _blocked(w, x, y, heading, length, width, crashed, present, route[w], route_count[w], route_s[w]):
            reason[w] = _BLOCKED
        elif route_s[w] >= goal_m[w]:
            reason[w] = _GOAL
        elif standing[w] >= patience:
            reason[w] = _STUCK
        elif tick >= limit[w]:
            reason[w] = _TIME_LIMIT


class Ending:
    """The end of each world of a batch.

    Attributes:
        reason: ``[B]`` EndReason, -1 while running.
        driven_m: ``[B]`` length of the ego's path so far.
    """

    def __init__(self, worlds: Worlds) -> None:
        """Take goals and limits from the specs."""
        rate = worlds.frequency_hz
        self.reason = np.full(worlds.size, _RUNNING, np.int8)
        self.driven_m = np.zeros(worlds.size)
        self._worlds = worlds
        self._goal_m = np.array([spec.goal_m for spec in worlds.specs])
        self._lead_in = np.array([round(spec.lead_in_s * rate) for spec in worlds.specs], dtype=np.int64)
        self._limit = np.array([round(spec.time_limit_s * rate) for spec in worlds.specs], dtype=np.int64)
        self._standing = np.zeros(worlds.size, np.int64)
        self._last = np.stack([worlds.actors.x[:, 0], worlds.actors.y[:, 0]], axis=1)

    def look(self, tick: int, active: Bool) -> Long:
        """Look at the ``active`` worlds after tick number ``tick``; return those that end now."""
        worlds, state, traits = self._worlds, self._worlds.actors, self._worlds.traits
        _look(
            active, tick, state.x, state.y, state.heading, state.speed, traits.length, traits.width,
            state.crashed, state.present, worlds.route, worlds.route_count, worlds.route_s,
            worlds.contact_tick, worlds.outside_m, self._goal_m, self._lead_in, self._limit, round(STUCK_S *
            worlds.frequency_hz), self._standing, self._last, self.driven_m, self.reason,
        )  # fmt: skip
        return np.flatnonzero(active & (self.reason != _RUNNING))
