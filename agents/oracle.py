"""The clairvoyant planner: the expert, overruled at the last moment at which the true future leaves a way out.

It drives copies of the simulator. While the expert's plan survives the true future, that plan is the answer. If not,
it may still be followed for one more frame as long as some manoeuvre of the avoidability search survives from there;
only when none would, the answer is the last plan that survived, or the mildest manoeuvre that survives from now.
Reported apart, never a label.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from simdrive.agents.answers import answer, rule_card
from simdrive.agents.expert import Expert
from simdrive.errors import SimdriveError
from simdrive.sim.follow import Follower
from simdrive.sim.search import MANOEUVRES, Manoeuvre, drive, manoeuvre_plans
from simdrive.sim.tracker import TrackerLimits
from simdrive.sim.worlds import Worlds
from simdrive.types import FRAME_PERIOD_US, Bool, Charge, Float, Long, ObservationBatch, PlanBatch, Wants

PLAN_S = 5.0
KEEP_US = 2_000_000  # a plan is not held on to for longer than this unless nothing else survives


def _mild_first() -> tuple[Manoeuvre, ...]:
    return tuple(sorted(MANOEUVRES, key=lambda m: (abs(m.acceleration_mps2) + abs(m.shift_m), m.name)))


class Oracle:
    """Planner on the true future."""

    def __init__(self, name: str = "oracle", horizon_s: float = 5.0, expert: Expert | None = None) -> None:
        self.card = rule_card(
            name, "clairvoyant: the expert, overruled where the true future demands it", "reference",
            horizon_s=horizon_s,
        )  # fmt: skip
        self.wants = Wants(world="clairvoyant")
        self.charge = Charge()
        self._expert = expert or Expert()
        self._horizon_s = horizon_s
        self._limits = TrackerLimits()
        self._way_out: dict[int, tuple[Float, int]] = {}  # slot -> the newest plan known to survive, its start time

    def reset(self, slots: Long) -> None:
        """Forget all plans."""
        self._expert.reset(slots)
        for slot in slots.tolist():
            self._way_out.pop(slot, None)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Answer with the expert's plan, or with what survives."""
        if batch.world is None or batch.world.simulator is None:
            raise SimdriveError(f"agent {self.card.name!r} wants the simulator, but the observation batch carries none")
        worlds: Worlds = batch.world.simulator.select(batch.world.world)
        plans = self._expert.plan(_as_seen(batch)).plan
        survives = self._survives(worlds, np.arange(worlds.size), plans)
        for row in np.flatnonzero(survives):
            self._way_out[int(batch.slot[row])] = (plans[row].copy(), int(worlds.t_us[row]))
        doomed = np.flatnonzero(~survives)
        if len(doomed):
            doomed = doomed[~self._can_wait(worlds, doomed, plans)]
        if len(doomed):
            plans = plans.copy()
            self._overrule(worlds, doomed, batch.slot, plans)
        return answer(plans)

    def _survives(self, worlds: Worlds, rows: Long, plans: Float, start_us: Long | None = None) -> Bool:
        """Return for ``rows`` [n] whether ``plans`` [n, P, 5], stamped ``start_us`` (None = now), survive."""
        copies = worlds.select(rows)
        stamp = copies.t_us.copy() if start_us is None else start_us
        return drive(copies, Follower(copies, plans.copy(), stamp, self._limits), self._horizon_s)

    def _can_wait(self, worlds: Worlds, rows: Long, plans: Float) -> Bool:
        """Return whether some manoeuvre survives after one more frame of the expert's plan."""
        later = worlds.select(rows)
        follower = Follower(later, plans[rows].copy(), later.t_us.copy(), self._limits)
        drive(later, follower, FRAME_PERIOD_US * 1e-6)
        found = np.zeros(len(rows), np.bool_)
        for manoeuvre in MANOEUVRES:
            left = np.flatnonzero(~found)
            if not len(left):
                break
            found[left] = self._survives(later, left, manoeuvre_plans(later.select(left), manoeuvre))
        return found

    def _overrule(self, worlds: Worlds, rows: Long, slots: Long, plans: Float) -> None:
        """Write into ``plans`` what survives from now: the last plan that did, else the mildest manoeuvre."""
        left = [row for row in rows.tolist() if not self._held_on(worlds, row, int(slots[row]), plans, KEEP_US)]
        for manoeuvre in _mild_first():
            if not left:
                return
            rows_left = np.array(left)
            tried = manoeuvre_plans(worlds.select(rows_left), manoeuvre)
            good = self._survives(worlds, rows_left, tried)
            for row, plan in zip(rows_left[good], tried[good], strict=True):
                plans[row] = _resample(plan, plans.shape[1])
                self._way_out[int(slots[row])] = (plan, int(worlds.t_us[row]))
            left = rows_left[~good].tolist()
        for row in left:
            self._held_on(worlds, row, int(slots[row]), plans, round(PLAN_S * 1e6))

    def _held_on(self, worlds: Worlds, row: int, slot: int, plans: Float, longest_us: int) -> bool:
        """Go on with the last plan that survived if it is not too old and still does; tell whether that is so."""
        known = self._way_out.get(slot)
        if known is None:
            return False
        age_us = int(worlds.t_us[row]) - known[1]
        shifted = _renewed(known[0], age_us)
        if age_us > longest_us or not self._survives(worlds, np.array([row]), shifted[None])[0]:
            return False
        plans[row] = _resample(shifted, plans.shape[1])
        return True


def _as_seen(batch: ObservationBatch) -> ObservationBatch:
    """Hide from the expert what is not in line of sight."""
    assert batch.world is not None
    view = batch.world
    return dataclasses.replace(batch, world=dataclasses.replace(view, present=view.present & view.visible))


def _renewed(plan: Float, elapsed_us: int) -> Float:
    """Return a plan with its clock moved on, so that it is stamped with the present."""
    moved = plan.copy()
    moved[:, 0] -= elapsed_us * 1e-6
    return moved


def _resample(plan: Float, points: int) -> Float:
    """Return the plan on the grid of the expert's plans: ``points`` rows over PLAN_S."""
    t = np.linspace(0.0, PLAN_S, points)
    columns = [np.interp(t, plan[:, 0], plan[:, c]) for c in (1, 2)]
    columns.append(np.interp(t, plan[:, 0], np.unwrap(plan[:, 3])))
    columns.append(np.interp(t, plan[:, 0], plan[:, 4]))
    return np.column_stack([t, *columns])
