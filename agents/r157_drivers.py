"""The reference drivers Reg157, RSS and FSM of UN R157 as agents: they brake as their models say and never steer.

Judged at every observation against every visible actor ahead, with the formulas of ``simdrive.r157``. Reaction time and
jerk-limited brake run from the first unsafe observation; a plan brakes down to the speed of whoever is in the way. The
human driver of the regulation is ``agents/r157_human.py``. Between hazards all follow like a gentle IDM.
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
    E_ACCELERATION,
    E_FREE,
    E_LENGTH,
    E_R,
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
from simdrive.errors import UnknownNameError
from simdrive.jit import jit
from simdrive.r157 import fsm, reg157, rss
from simdrive.r157.parameters import FSM, FULL_BRAKE_MPS2, JERK_MPS3, MODELS, REG157, RSS, SAFE
from simdrive.sim.plans import PLAN_POINTS, PLAN_TIMES
from simdrive.types import Charge, Float, Long, ObservationBatch, PlanBatch, Wants

_REACTION_S = {REG157: reg157.REACTION_S, RSS: rss.REACTION_S, FSM: fsm.REACTION_S}
_AGENT_MODELS = tuple(MODELS[k] for k in _REACTION_S)


@jit
def wanted_brake(  # type: ignore[no-untyped-def]
    model, clearance_m, gap_m, speed_mps, other_mps, towards_mps, lengths_m, acceleration_mps2
):
    """Return the deceleration (m/s2) that a model asks for against one actor; 0 where it is safe."""
    closing = speed_mps - other_mps
    if model == REG157:
        if closing <= 0.0 or reg157.judge_cut_in(clearance_m, gap_m, closing) == SAFE:
            return 0.0
        return reg157.BRAKE_MPS2
    if model == RSS:
        return 0.0 if rss.judge(clearance_m, gap_m, speed_mps, other_mps, towards_mps) == SAFE else FULL_BRAKE_MPS2
    if fsm.passes_before(clearance_m, gap_m, lengths_m, closing, towards_mps):
        return 0.0
    cfs = fsm.critical(gap_m, speed_mps, other_mps, acceleration_mps2)
    pfs = fsm.proactive(gap_m, speed_mps, other_mps)
    return fsm.brake(FULL_BRAKE_MPS2, 1.0, pfs, cfs)


@jit
def _scene(model, route, count, ego, actors):  # type: ignore[no-untyped-def]
    """Return (gap, leader speed) for calm following and (wanted deceleration, speed to brake down to)."""
    gap, along, wanted, target = FREE_M, 0.0, 0.0, math.inf
    for a in range(1, actors.shape[0]):
        if actors[a, SEEN] == 0.0:
            continue
        s, r, turn, half, side = beside_route(route, count, actors[a])
        if s <= ego[E_S]:
            continue
        cos, sin = math.cos(turn), math.sin(turn)
        sideways = actors[a, SPEED] * sin + actors[a, LATERAL] * cos
        ahead = actors[a, SPEED] * cos - actors[a, LATERAL] * sin
        beside = r - ego[E_R]
        towards = -sideways if beside > 0.0 else sideways
        clearance = abs(beside) - side - 0.5 * ego[E_WIDTH]
        distance = max(s - ego[E_S] - half - 0.5 * ego[E_LENGTH], 0.0)
        if clearance <= 0.0 and distance < gap:
            gap, along = distance, ahead
        brake = wanted_brake(
            model, clearance, distance, ego[E_SPEED], ahead, towards, 2.0 * half + ego[E_LENGTH], ego[E_ACCELERATION]
        )
        if brake > 0.0:
            wanted, target = max(wanted, brake), min(target, max(ahead, 0.0))
    return gap, along, wanted, target


@jit
def _plan_rows(  # type: ignore[no-untyped-def]
    model, reaction_s, rows, scalars, routes, egos, actors, bend_mps2, driver, times, bends, brakes, plans
):
    for n in range(routes.shape[0]):
        route, ego, known, now_s = routes[n], egos[n], scalars[rows[n]], egos[n, E_TIME]
        count = valid_points(route)
        bend_speeds(route, count, ego[E_FREE], bend_mps2, 2.0, bends)
        gap, along, wanted, target = _scene(model, route, count, ego, actors[n])
        since = since_danger(known, wanted > 0.0, now_s)
        for tick in range(brakes.shape[0]):
            braked_s = since + tick * TICK_S - reaction_s
            sudden = model == REG157
            brakes[tick] = 0.0 if braked_s < 0.0 else wanted if sudden else min(JERK_MPS3 * braked_s, wanted)
        write_reaction(
            route, count, ego, bends, gap, along, since, wanted > 0.0, brakes, target, driver, times, plans[n]
        )  # fmt: skip


class R157Driver:
    """Rule driver: one of the regulation's reference models, with its own reaction time.

    Raises:
        UnknownNameError: if ``driver`` is not Reg157, RSS or FSM.
    """

    def __init__(self, name: str, driver: str, time_gap_s: float = 2.0, bend_acceleration_mps2: float = 2.5) -> None:
        if driver not in _AGENT_MODELS:
            raise UnknownNameError("driver", driver, _AGENT_MODELS)
        self._model = MODELS.index(driver)
        self.card = rule_card(
            name,
            f"reference driver {driver} of UN R157 ({_REACTION_S[self._model]:g} s reaction)",
            driver=driver,
            time_gap_s=time_gap_s,
            bend_acceleration_mps2=bend_acceleration_mps2,
        )
        self.wants = Wants(world="visible")
        self.charge = Charge()
        self._driver = np.array([1.5, 2.0, 3.0, time_gap_s, CALM_BRAKING_MPS2])
        self._bend = bend_acceleration_mps2
        self._memory = SlotMemory(scalars=2, per_actor=1)

    def reset(self, slots: Long) -> None:
        """Forget reactions of ``slots``."""
        self._memory.forget(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Follow calmly, or brake as far as the reaction has come."""
        actors = pack_actors(view_of(batch, self.card.name))
        rows = self._memory.rows(batch.slot, actors.shape[1])
        plans: Float = np.empty((len(batch), PLAN_POINTS, 5))
        _plan_rows(
            self._model, _REACTION_S[self._model], rows, self._memory.scalars, batch.route, pack_ego(batch), actors,
            self._bend, self._driver, PLAN_TIMES, np.empty(batch.route.shape[1]), np.empty(PLAN_TICKS), plans,
        )  # fmt: skip
        return answer(plans)
