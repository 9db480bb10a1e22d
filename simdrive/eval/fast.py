"""The fast half of mode ``dual_rate``: a rule driver that plans at every frame, led by what a slow agent answered last.

The contract: the guidance says where to drive and how fast at most, the fast driver how fast. While guidance is in use,
the car follows its path at the lower of both speeds (each taken at the same moment); before the first guidance, and once
less than a second of it is left, the fast driver drives alone. Its answers take no time. It is shown the guidance
(``pending``) and its age (``age_us``), so a driver that knows how to weigh stale guidance can do so.

Where guidance misses its deadline, ``fallback_plan`` is the fast driver alone; the minimum-risk brake overrules it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from simdrive.build import build
from simdrive.errors import ParameterError
from simdrive.eval.adopting import plan_at
from simdrive.eval.asking import ask
from simdrive.eval.driving import Driving, Emergency, Takeover
from simdrive.eval.observe import observe
from simdrive.eval.recorder import Rows
from simdrive.sim.plans import PLAN_TIMES
from simdrive.sim.worlds import Worlds
from simdrive.types import Agent, Float, Long, RequestStatus

LEAST_LEFT_S = 1.0  # of guidance: about what a car looks ahead along its path


class FastPlanner:
    """Drives a batch of worlds at frame rate beside the slow agent."""

    def __init__(self, name: str, worlds: Worlds) -> None:
        """Start without guidance.

        Raises:
            UnknownNameError: if the agent does not exist.
            ParameterError: if it needs pictures or sees the future.
        """
        self._agent: Agent = build("agent", name)
        wants = self._agent.wants
        if wants.cameras or wants.world == "clairvoyant":
            raise ParameterError(
                f"mode.fast={name} needs {'cameras' if wants.cameras else 'the future'}; the fast agent must be a rule driver "
                "such as idm or r157_human"
            )
        self._agent.reset(np.arange(worlds.size))
        self._worlds = worlds
        self._guidance: list[Takeover | None] = [None] * worlds.size
        self._fast: list[tuple[Float, int] | None] = [None] * worlds.size
        self._braking = np.zeros(worlds.size, np.bool_)

    def drive(
        self, now_us: int, seen: Long, frames: Long, rows: Rows, taken: Sequence[Takeover],
        emergencies: Sequence[Emergency], driving: Driving,
    ) -> None:  # fmt: skip
        """Take over new guidance, look at new frames, and put what follows in charge.

        Args:
            now_us: present time.
            seen, frames: ``[N]`` worlds in which a frame arrives now, and its row.
            rows: recorded frames.
            taken: guidance that is published now.
            emergencies: worlds whose guidance has missed its deadline.
            driving: gets the plans.

        Raises:
            RuntimeError: if the fast driver fails: it is part of the set-up, not what is judged.
        """
        for guidance in taken:
            self._guidance[guidance.world] = guidance
            self._braking[guidance.world] = False
        for emergency in emergencies:
            self._guidance[emergency.world] = None
            self._braking[emergency.world] = emergency.kind == "mrm"
            if emergency.kind == "mrm":
                driving.slow_down(emergency, now_us)
        if len(seen):
            self._look(now_us, seen, frames, rows)
        changed = {one.world for one in taken} | {one.world for one in emergencies}
        for world in sorted({*seen.tolist(), *changed}):
            if not self._braking[world]:
                self._put(world, now_us, driving)

    def _look(self, now_us: int, seen: Long, frames: Long, rows: Rows) -> None:
        given = [self._guidance[world] for world in seen.tolist()]
        age_us = np.array([-1 if one is None else now_us - one.t_obs_us for one in given], dtype=np.int64)
        batch = observe(self._worlds, rows, self._agent.wants, None, seen, frames, age_us)
        batch = dataclasses.replace(batch, pending=_shown(given, now_us))
        for world, answer in zip(seen.tolist(), ask(self._agent, batch), strict=True):
            if answer.status is not RequestStatus.OK or answer.plan is None:
                raise RuntimeError(f"the fast agent {self._agent.card.name} failed: {answer.status.name} {answer.text}")
            self._fast[world] = (answer.plan, now_us)

    def _put(self, world: int, now_us: int, driving: Driving) -> None:
        fast, guidance = self._fast[world], self._guidance[world]
        if fast is None:  # before the first frame there is no guidance either
            return
        plan, t_zero_us = fast
        if guidance is None or (now_us - guidance.t_obs_us) * 1e-6 > guidance.plan[-1, 0] - LEAST_LEFT_S:
            driving.follow(world, plan, -1, t_zero_us)
            return
        state = self._worlds.actors
        place = np.array([state.x[world, 0], state.y[world, 0]])
        led = guided_plan(place, plan, t_zero_us, guidance.plan, guidance.t_obs_us, now_us)
        driving.follow(world, led, guidance.t_obs_us, now_us)


def guided_plan(place: Float, fast: Float, fast_us: int, guidance: Float, guidance_us: int, now_us: int) -> Float:
    """Return the plan ``[P, 5]`` from now on along the path of the guidance, at the lower of both speeds.

    Args:
        place: x, y of the ego.
        fast, guidance: plans in the world frame.
        fast_us, guidance_us: their times zero.
        now_us: time zero of the result.
    """
    fast_s, times_s = (np.asarray(PLAN_TIMES + (now_us - t_us) * 1e-6, np.float64) for t_us in (fast_us, guidance_us))
    of_fast = plan_at(fast, fast_s)[:, 4]
    limit = np.where(times_s <= guidance[-1, 0], plan_at(guidance, times_s)[:, 4], np.inf)
    speed = np.minimum(of_fast, limit)
    driven = np.concatenate([[0.0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * np.diff(PLAN_TIMES))])
    return _along(guidance, _distance(guidance, place) + driven, speed)


def _arc(plan: Float) -> Float:
    steps = np.hypot(np.diff(plan[:, 1]), np.diff(plan[:, 2]))
    arc: Float = np.concatenate([[0.0], np.cumsum(steps)])
    return arc


def _distance(plan: Float, place: Float) -> float:
    """Return how far along the path of a plan a place is, from before its start to past its end."""
    start, step = plan[:-1, 1:3], np.diff(plan[:, 1:3], axis=0)
    length = np.hypot(step[:, 0], step[:, 1])
    kept = length > 1e-3
    if not kept.any():
        return 0.0
    start, step, length, arc = start[kept], step[kept], length[kept], _arc(plan)[:-1][kept]
    along = ((place - start) * step).sum(axis=1) / length
    inside = np.clip(along, 0.0, length)
    near = int(np.argmin(np.hypot(*(start + step * (inside / length)[:, None] - place).T)))
    at_end = (near == 0 and along[0] < 0.0) or (near == len(length) - 1 and along[-1] > length[-1])
    return float(arc[near] + (along[near] if at_end else inside[near]))


def _along(plan: Float, distance: Float, speed: Float) -> Float:
    """Return points at distances along the path of a plan, straight on beyond its ends, with given speeds."""
    arc, points = _arc(plan), np.empty((len(distance), 5))
    moving = np.concatenate([[True], np.diff(arc) > 1e-9])
    arc, plan = arc[moving], plan[moving]
    points[:, 0], points[:, 4] = PLAN_TIMES, speed
    for column in (1, 2):
        points[:, column] = np.interp(distance, arc, plan[:, column])
    points[:, 3] = np.interp(distance, arc, np.unwrap(plan[:, 3]))
    beyond = distance - np.clip(distance, 0.0, arc[-1])
    points[:, 1] += beyond * np.cos(points[:, 3])
    points[:, 2] += beyond * np.sin(points[:, 3])
    return points


def _shown(given: Sequence[Takeover | None], now_us: int) -> Float:
    """Return the guidance ``[N, 1, P, 5]`` with times from now, NaN where there is none."""
    longest = max([1, *(len(one.plan) for one in given if one is not None)])
    pending = np.full((len(given), 1, longest, 5), np.nan)
    for row, one in zip(pending, given, strict=True):
        if one is not None:
            row[0, : len(one.plan)] = one.plan
            row[0, : len(one.plan), 0] -= (now_us - one.t_obs_us) * 1e-6
    return pending
