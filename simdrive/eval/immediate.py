"""The requests of a setting under which every frame is answered at once, kept as columns over all worlds.

There is nothing to schedule then: each frame is a request that starts, ends and counts at its own time stamp. The
logs are those of ``simdrive.eval.requests``, which could do this too, but clock by clock and answer by answer.
"""

from __future__ import annotations

import numpy as np

from simdrive.eval.asking import Answers
from simdrive.eval.driving import Driving, Emergency, Together
from simdrive.eval.recorder import Rows
from simdrive.eval.requests import looked_log, stacked
from simdrive.eval.telling import Starts
from simdrive.types import STAGES, Agent, Bool, Float, Int, Long, ObservationBatch, RequestLog, RequestStatus

_NONE = np.empty(0, np.int64)
_FIRST_ROOM = 64  # frames; doubled when it is used up


class Immediate:
    """Requests of B episodes of one agent that is answered at once.

    Attributes:
        in_use: ``[B]`` the request whose plan is in charge, counted in the order of starts; -1 = none.
    """

    def __init__(self, worlds: int, agent: Agent) -> None:
        """Start without requests."""
        self._cameras = agent.wants.cameras
        self.in_use = np.full(worlds, -1, np.int32)
        self._count = np.zeros(worlds, np.int64)
        self._arrived = Starts(_NONE, _NONE)
        self._now_us = 0
        self._given: Together | None = None
        self._t_us = np.empty((worlds, _FIRST_ROOM), np.int64)
        self._status = np.empty((worlds, _FIRST_ROOM), np.int8)
        self._tokens = np.empty((worlds, _FIRST_ROOM, 3), np.int64)
        self._plans: list[list[Float]] = [[] for _ in range(worlds)]  # [P, 5] each
        self._text: list[dict[int, str]] = [{} for _ in range(worlds)]
        self._looked: list[dict[int, Float]] = [{} for _ in range(worlds)]

    def offer(self, worlds: Long, frames: Long, now_us: int) -> None:
        """Announce the frames [N] that arrive now in some worlds [N]."""
        self._arrived, self._now_us = Starts(worlds, frames), now_us

    def starting(self, now_us: int) -> Starts:
        """Return what has arrived and is not answered yet."""
        starts, self._arrived = self._arrived, Starts(_NONE, _NONE)
        return starts

    def told(self, batch: ObservationBatch, starts: Starts, driving: Driving) -> ObservationBatch:
        """Return observations as they are: who is answered at once need not be told anything."""
        return batch

    def answer(self, starts: Starts, answers: Answers) -> None:
        """Write down the answers to requests that just started."""
        worlds = starts.slots
        places = self._count[worlds]
        self._make_room(int(places.max()) + 1)
        good = answers.status == RequestStatus.OK
        self._t_us[worlds, places], self._status[worlds, places] = self._now_us, answers.status
        self._tokens[worlds, places] = answers.tokens
        plans = answers.plans
        for world, plan, points in zip(worlds.tolist(), plans, _points(plans, good).tolist(), strict=True):
            self._plans[world].append(plan[:points])
        for row, text in enumerate(answers.text):
            if text:
                self._text[worlds[row]][int(places[row])] = text
        for row, share in enumerate(answers.looked or ()):
            if share is not None:
                self._looked[worlds[row]][int(places[row])] = share
        self._count[worlds] += 1
        self.in_use[worlds[good]] = places[good]
        if not good.all():
            worlds, plans = worlds[good], plans[good]
        if plans.size and np.isnan(plans[:, -1, 0]).any():  # behind its end a plan goes on as it ended
            last = np.minimum(np.arange(plans.shape[1]), _points(plans, np.ones(len(plans), np.bool_))[:, None] - 1)
            plans = np.take_along_axis(plans, last[:, :, None], axis=1)
        self._given = Together(worlds, plans, self._now_us)

    def settled(self, now_us: int, driven_m: Float, rows: Rows) -> tuple[Together | tuple[()], list[Emergency]]:
        """Return the plans that take over now."""
        given, self._given = self._given, None
        return () if given is None else given, []

    def close(self, world: int, end_us: int) -> tuple[RequestLog, Int]:
        """End an episode; return its log and, by start order, where each request stands in it."""
        count = int(self._count[world])
        t_us, status = self._t_us[world, :count].copy(), self._status[world, :count].copy()
        good, never = status == RequestStatus.OK, np.full(count, -1, np.int64)
        tokens = self._tokens[world, :count].copy()
        log = RequestLog(
            t_obs_us=t_us, t_start_us=t_us, t_first_token_us=t_us, t_finish_us=t_us, t_publish_us=t_us,
            t_actuate_us=np.where(good, t_us, -1),
            stages_us=np.zeros((count, len(STAGES)), np.int64),
            status=status,
            prompt_tokens=tokens[:, 0], image_tokens=tokens[:, 1], output_tokens=tokens[:, 2],
            blind_m=np.where(good, 0.0, np.nan),
            plan=stacked(self._plans[world]),
            text=tuple(self._text[world].get(place, "") for place in range(count)),
            dropped_frames=0,
            deadline_us=never, max_output_tokens=never,
            missed=np.zeros(count, np.bool_),
            branch=("",) * count, state=("",) * count,
            looked=looked_log([self._looked[world].get(place) for place in range(count)], self._cameras),
        )  # fmt: skip
        places = np.arange(count + 1, dtype=np.int32)
        places[-1] = -1  # the last one answers index -1: no plan
        return log, places

    def _make_room(self, frames: int) -> None:
        """Make the tables long enough for so many frames."""
        worlds, had = self._t_us.shape
        if frames <= had:
            return
        for name in ("_t_us", "_status", "_tokens"):
            old = getattr(self, name)
            new = np.empty((worlds, 2 * had, *old.shape[2:]), old.dtype)
            new[:, :had] = old
            setattr(self, name, new)


def _points(plans: Float, good: Bool) -> Long:
    """Return how many points ``[N]`` plans ``[N, P, 5]`` have before the NaN at their end; none that is not ``good``."""
    whole: Long = np.where(good, plans.shape[1], 0)
    if np.isnan(plans[good, -1]).any():
        empty = np.isnan(plans[:, ::-1]).all(axis=2)
        whole -= np.where(good, empty.argmin(axis=1), 0)
    return whole
