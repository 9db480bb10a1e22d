"""The competent and careful human driver of UN Regulation No. 157, Annex 4 Appendix 3, for any hazard ahead.

The regulation defines the driver for cut-in, cut-out and deceleration of a lead vehicle: risk is perceived 0.4 s
after another road user has wandered more than 0.375 m from its line, danger is a time to collision of 2.0 s in a
cut-in, the brake starts 0.75 s later (release deceleration 0.4 m/s2 until then) and builds up at 12.65 m/s3 to
0.774 g; the driver never steers and follows at 2.0 s. Here anybody who moves into the ego's path is treated as the
regulation treats a cutting-in vehicle. Between hazards it follows like a gentle IDM.
"""

from __future__ import annotations

import math

import numpy as np

from simdrive.agents.answers import answer, rule_card, view_of
from simdrive.agents.following import (
    FREE_M,
    TICK_S,
    bend_speeds,
    beside_route,
    valid_points,
)
from simdrive.agents.memory import SlotMemory
from simdrive.agents.reacting import CALM_BRAKING_MPS2, PLAN_TICKS, since_danger, write_reaction
from simdrive.agents.scene import (
    E_FREE,
    E_LENGTH,
    E_S,
    E_SPEED,
    E_TIME,
    E_WIDTH,
    LATERAL,
    SEEN,
    SPEED,
    pack_actors,
    pack_ego,
)
from simdrive.jit import jit
from simdrive.sim.plans import PLAN_POINTS, PLAN_TIMES
from simdrive.types import Charge, Float, Long, ObservationBatch, PlanBatch, Wants

_HOME, _WANDERED = 0, 1  # per actor: offset where its sideways motion began; time at which it had wandered, s

WANDER_M, PERCEPTION_S, REACTION_S = 0.375, 0.4, 0.75
RELEASE_MPS2, JERK_MPS3, BRAKE_MPS2 = 0.4, 12.65, 0.774 * 9.81
DANGER_TTC_S = 2.0
SIDEWAYS_MPS = 0.1


@jit
def braking(elapsed_s):  # type: ignore[no-untyped-def]
    """Return the deceleration (m/s2) of the regulation's driver ``elapsed_s`` after danger was recognised."""
    if elapsed_s < REACTION_S:
        return RELEASE_MPS2
    return min(RELEASE_MPS2 + JERK_MPS3 * (elapsed_s - REACTION_S), BRAKE_MPS2)


@jit
def _perceived(now_s, r, sideways, memory, a):  # type: ignore[no-untyped-def]
    """Update what is remembered of one actor; return whether its sideways motion counts as perceived."""
    towards = -sideways if r > 0.0 else sideways
    if math.isnan(memory[_HOME, a]) or towards < SIDEWAYS_MPS:
        memory[_HOME, a] = r
        memory[_WANDERED, a] = math.nan if towards < SIDEWAYS_MPS else memory[_WANDERED, a]
    if abs(r - memory[_HOME, a]) > WANDER_M and math.isnan(memory[_WANDERED, a]):
        memory[_WANDERED, a] = now_s
    return now_s - memory[_WANDERED, a] >= PERCEPTION_S - 1e-9  # False while NaN


@jit
def _scene(route, count, ego, memory, actors):  # type: ignore[no-untyped-def]
    """Return (gap, leader speed) for calm following and (unsafe, speed to brake down to)."""
    gap, along, unsafe, target = FREE_M, 0.0, False, 0.0
    for a in range(1, actors.shape[0]):
        if actors[a, SEEN] == 0.0:
            continue
        s, r, turn, half, side = beside_route(route, count, actors[a])
        cos, sin = math.cos(turn), math.sin(turn)
        sideways = actors[a, SPEED] * sin + actors[a, LATERAL] * cos
        ahead = actors[a, SPEED] * cos - actors[a, LATERAL] * sin
        perceived = _perceived(ego[E_TIME], r, sideways, memory, a)
        if s <= ego[E_S]:
            continue
        clearance = abs(r) - side - 0.5 * ego[E_WIDTH]
        closing = ego[E_SPEED] - ahead
        distance = max(s - ego[E_S] - half - 0.5 * ego[E_LENGTH], 0.0)
        ttc = distance / closing if closing > 1e-3 else math.inf
        towards = -sideways if r > 0.0 else sideways
        entering = towards >= SIDEWAYS_MPS
        if entering and not perceived:
            continue
        if clearance > 0.0:  # beside the path: a hazard only if it gets there before the ego has passed
            passed = ttc + (2.0 * half + ego[E_LENGTH]) / max(closing, 1.0)
            if not entering or clearance / towards > passed:
                continue
            dangerous = ttc <= DANGER_TTC_S
        else:
            need = closing * closing / (2.0 * max(distance, 0.1)) if closing > 0.0 else 0.0
            dangerous = ttc <= DANGER_TTC_S or need > CALM_BRAKING_MPS2
            if distance < gap:
                gap, along = distance, ahead
        if dangerous:
            target = min(target, ahead) if unsafe else ahead
            unsafe = True
    return gap, along, unsafe, max(target, 0.0)


@jit
def _plan_rows(  # type: ignore[no-untyped-def]
    rows, scalars, memory, routes, egos, actors, bend_mps2, driver, times, bends, brakes, plans
):
    for n in range(routes.shape[0]):
        route, ego, known, now_s = routes[n], egos[n], scalars[rows[n]], egos[n, E_TIME]
        count = valid_points(route)
        bend_speeds(route, count, ego[E_FREE], bend_mps2, 2.0, bends)
        gap, along, unsafe, target = _scene(route, count, ego, memory[rows[n]], actors[n])
        since = since_danger(known, unsafe, now_s)
        if unsafe:
            for tick in range(brakes.shape[0]):
                brakes[tick] = braking(since + tick * TICK_S)
        write_reaction(
            route, count, ego, bends, gap, along, since, unsafe, brakes, target, driver, times, plans[n]
        )  # fmt: skip


class R157Human:
    """Rule driver: the regulation's competent human, with its own perception and reaction times."""

    def __init__(self, name: str = "r157_human", time_gap_s: float = 2.0, bend_acceleration_mps2: float = 2.5) -> None:
        self.card = rule_card(
            name,
            "competent and careful human driver of UN R157 (0.4 s perception, 0.75 s reaction, 0.774 g)",
            time_gap_s=time_gap_s,
            bend_acceleration_mps2=bend_acceleration_mps2,
        )
        self.wants = Wants(world="visible")
        self.charge = Charge()
        self._driver = np.array([1.5, 2.0, 3.0, time_gap_s, CALM_BRAKING_MPS2])
        self._bend = bend_acceleration_mps2
        self._memory = SlotMemory(scalars=2, per_actor=2)

    def reset(self, slots: Long) -> None:
        """Forget perceived risks and reactions of ``slots``."""
        self._memory.forget(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Follow calmly, or brake as far as perception and reaction have come."""
        actors = pack_actors(view_of(batch, self.card.name))
        rows = self._memory.rows(batch.slot, actors.shape[1])
        plans: Float = np.empty((len(batch), PLAN_POINTS, 5))
        _plan_rows(
            rows, self._memory.scalars, self._memory.actors, batch.route, pack_ego(batch), actors, self._bend,
            self._driver, PLAN_TIMES, np.empty(batch.route.shape[1]),
            np.empty(PLAN_TICKS), plans,
        )  # fmt: skip
        return answer(plans)
