"""The requests of a batch of episodes: schedules them, has their answers priced, and keeps the log of
each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simdrive.eval.asking import Answer
from simdrive.eval.recorder import Rows
from simdrive.latency.modes import LatencySetting
from simdrive.latency.scheduler import NEVER, Request, Scheduler
from simdrive.latency.source import RequestBatch
from simdrive.types import STAGES, Agent, Float, Int, Long, RequestLog, RequestStatus, TokenUsage

_STAMPS = ("t_obs_us", "t_start_us", "t_first_token_us", "t_finish_us", "t_actuate_us")
_NOT_ASKED = Answer(RequestStatus.UNFINISHED, tokens=(0, 0, 0))
Start = tuple[int, Request]  # world and what starts there


class Requests:
    """Request clocks of B episodes of one agent under one latency setting.

    Attributes:
        in_use: ``[B]`` the request whose plan is in charge, counted in the order of starts; -1 = none yet.
    """

    def __init__(self, case_keys: Sequence[str], phase_us: Long, agent: Agent, latency: LatencySetting) -> None:
        """Start all clocks at time zero."""
        self._keys, self._agent, self._latency = tuple(case_keys), agent, latency
        self._clocks = [Scheduler(latency.mode, int(phase)) for phase in phase_us]
        self._due_us = np.full(len(self._clocks), NEVER, np.int64)
        self._answers: list[dict[int, Answer]] = [{} for _ in self._clocks]
        self._blind_m: list[dict[int, float]] = [{} for _ in self._clocks]
        self._settled: list[int] = []
        self.in_use = np.full(len(self._clocks), -1, np.int32)
        wants = agent.wants
        self._images = len(wants.cameras) * len(wants.frame_offsets_us)
        self._pixels = sum(c.width * c.height for c in wants.cameras) * len(wants.frame_offsets_us)

    def offer(self, worlds: Long, frames: Long, now_us: int) -> None:
        """Announce the frames [N] that arrive now in some worlds [N]."""
        for world, frame in zip(worlds.tolist(), frames.tolist(), strict=True):
            self._clocks[world].offer(frame, now_us)
        self._due_us[worlds] = now_us

    def starting(self, now_us: int) -> list[Start]:
        """Return the requests that start up to now, at most one per world; answer them, then call again."""
        starts: list[Start] = []
        for world in np.flatnonzero(self._due_us <= now_us).tolist():
            clock = self._clocks[world]
            request = clock.poll(now_us)
            if request is None:
                self._due_us[world] = clock.next_us
                self._settled.append(world)
            else:
                starts.append((world, request))
        return starts

    def answer(self, starts: Sequence[Start], answers: Sequence[Answer]) -> None:
        """Price the answers to requests that just started, which sets when they count."""
        stages = self._price(starts, answers).tolist()
        for (world, request), answer, times in zip(starts, answers, stages, strict=True):
            self._answers[world][request.index] = answer
            self._clocks[world].commit(times, answer.status)

    def _price(self, starts: Sequence[Start], answers: Sequence[Answer]) -> Long:
        count = len(starts)
        if self._latency.mode.name == "zero":
            return np.zeros((count, len(STAGES)), np.int64)
        tokens = np.array([answer.tokens for answer in answers], dtype=np.int64)
        batch = RequestBatch(
            tuple(self._keys[world] for world, _ in starts),
            np.array([request.index for _, request in starts], dtype=np.int64),
            TokenUsage(tokens[:, 0], tokens[:, 1], tokens[:, 2]),
            np.full(count, self._images, np.int64),
            np.full(count, self._pixels, np.int64),
            self._agent.charge,
        )
        return self._latency.source.price(batch)

    def adopted(self, now_us: int, driven_m: Float, rows: Rows) -> list[tuple[int, Float, int]]:
        """Return (world, plan, t_obs_us) of the plans that take over now; call it once nothing starts any
        more."""
        taken = []
        for world in self._settled:
            request = self._clocks[world].current
            if request is None or request.index == self.in_use[world]:
                continue
            request.t_actuate_us = now_us
            self.in_use[world] = request.index
            self._blind_m[world][request.index] = float(driven_m[world] - rows.driven_m[world, request.frame])
            plan = self._answers[world][request.index].plan
            if plan is None:
                raise RuntimeError("a request without a plan was published")
            taken.append((world, plan, request.t_obs_us))
        self._settled = []
        return taken

    def close(self, world: int, end_us: int) -> tuple[RequestLog, Int]:
        """End an episode; return its log and, by start order, where each request stands in it."""
        self._due_us[world] = NEVER
        requests = self._clocks[world].close(end_us)
        answers = [self._answers[world].get(request.index, _NOT_ASKED) for request in requests]
        tokens = np.array([answer.tokens for answer in answers], dtype=np.int64).reshape(-1, 3)
        stamps = {name: np.array([getattr(r, name) for r in requests], dtype=np.int64) for name in _STAMPS}
        blind = self._blind_m[world]
        log = RequestLog(
            **stamps,
            stages_us=np.array([r.stages_us for r in requests], dtype=np.int64).reshape(-1, len(STAGES)),
            status=np.array([r.status for r in requests], dtype=np.int8),
            prompt_tokens=tokens[:, 0],
            image_tokens=tokens[:, 1],
            output_tokens=tokens[:, 2],
            blind_m=np.array([blind.get(r.index, np.nan) for r in requests], dtype=np.float64),
            plan=_stacked([answer.plan for answer in answers]),
            text=tuple(answer.text for answer in answers),
            dropped_frames=self._clocks[world].dropped_frames,
        )
        places = np.full(len(requests) + 1, -1, np.int32)  # the last one answers index -1: no plan
        for place, request in enumerate(requests):
            if request.index >= 0:
                places[request.index] = place
        return log, places


def _stacked(plans: Sequence[Float | None]) -> Float:
    """Return plans as ``[K, P, 5]``, P that of the longest, NaN where there is none."""
    longest = max((len(plan) for plan in plans if plan is not None), default=0)
    stacked = np.full((len(plans), longest, 5), np.nan)
    for row, plan in zip(stacked, plans, strict=True):
        if plan is not None:
            row[: len(plan)] = plan
    return stacked
