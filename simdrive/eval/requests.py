"""The requests of a batch of episodes: schedules them, has their answers priced, and keeps the log of
each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simdrive.eval.asking import Answer
from simdrive.eval.driving import Driving, Emergency, Takeover
from simdrive.eval.foresight import counted_later
from simdrive.eval.recorder import Rows
from simdrive.eval.telling import Start, Starts, tells_nothing, with_foresight, with_limits, with_pending
from simdrive.latency.modes import LatencySetting
from simdrive.latency.scheduler import NEVER, Scheduler
from simdrive.latency.source import Conditioned, RequestBatch
from simdrive.types import (
    STAGES,
    Agent,
    CameraSpec,
    Float,
    Int,
    Long,
    Looked,
    ObservationBatch,
    RequestLog,
    RequestStatus,
    TokenUsage,
)

_STAMPS = (
    "t_obs_us", "t_start_us", "t_first_token_us", "t_finish_us", "t_publish_us", "t_actuate_us", "deadline_us",
    "max_output_tokens",
)  # fmt: skip
_NOT_ASKED = Answer(RequestStatus.UNFINISHED, tokens=(0, 0, 0))


class Requests:
    """Request clocks of B episodes of one agent under one latency setting.

    Attributes:
        in_use: ``[B]`` the request whose plan is in charge, counted in the order of starts; -1 = none.
    """

    def __init__(self, case_keys: Sequence[str], phase_us: Long, agent: Agent, latency: LatencySetting) -> None:
        """Start all clocks at time zero."""
        self._keys, self._agent, self._latency = tuple(case_keys), agent, latency
        self._clocks = [
            Scheduler(latency.mode, int(phase), deadline=latency.deadline, device=latency.device) for phase in phase_us
        ]
        self._due_us = np.full(len(self._clocks), NEVER, np.int64)
        self._answers: list[dict[int, Answer]] = [{} for _ in self._clocks]
        self._blind_m: list[dict[int, float]] = [{} for _ in self._clocks]
        self._state: list[dict[int, str]] = [{} for _ in self._clocks]
        self._settled: list[int] = []
        self.in_use = np.full(len(self._clocks), -1, np.int32)
        self._taken = [-1] * len(self._clocks)
        self._emergency = [""] * len(self._clocks)
        self._silent = tells_nothing(latency)
        self._later_us: Long | None = None  # [N] how much later than their observations the answers count
        wants = agent.wants
        self._images = len(wants.cameras) * len(wants.frame_offsets_us)
        self._pixels = sum(c.width * c.height for c in wants.cameras) * len(wants.frame_offsets_us)

    def offer(self, worlds: Long, frames: Long, now_us: int) -> None:
        """Announce the frames [N] that arrive now in some worlds [N]."""
        for world, frame in zip(worlds.tolist(), frames.tolist(), strict=True):
            self._clocks[world].offer(frame, now_us)
        self._due_us[worlds] = now_us

    def starting(self, now_us: int) -> Starts:
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
        slots, frames = [world for world, _ in starts], [request.frame for _, request in starts]
        return Starts(np.array(slots, dtype=np.int64), np.array(frames, dtype=np.int64), tuple(starts))

    def told(self, batch: ObservationBatch, starting: Starts, driving: Driving) -> ObservationBatch:
        """Return observations with what the agent is told beside them: pending plans, token limits, a later ego."""
        if self._silent:
            return batch
        latency, starts = self._latency, starting.each
        if latency.mode.shows_pending:
            batch = with_pending(batch, starts, self._clocks, self._answers)
        if latency.deadline is not None and latency.deadline.miss == "early_exit":
            expected = [self._batch([start], [self._last_answer(start)]) for start in starts]
            batch = with_limits(batch, starts, latency, expected)
        if latency.waiting == "extrapolate":
            batch, self._later_us = with_foresight(batch, starts, self._clocks, driving)
        return batch

    def _last_answer(self, start: Start) -> Answer:
        world, request = start
        return self._answers[world].get(request.index - 1, Answer(RequestStatus.UNFINISHED))

    def answer(self, starting: Starts, answers: Sequence[Answer]) -> None:
        """Price the answers to requests that just started, which sets when they count."""
        starts, answers = starting.each, list(answers)
        if self._later_us is not None:
            answers = [counted_later(a, us) for a, us in zip(answers, self._later_us.tolist(), strict=True)]
        stages = self._price(starts, answers).tolist()
        for (world, request), answer, times in zip(starts, answers, stages, strict=True):
            self._answers[world][request.index] = answer
            self._clocks[world].commit(times, answer.status)

    def _price(self, starts: Sequence[Start], answers: Sequence[Answer]) -> Long:
        if self._latency.mode.name == "zero":
            return np.zeros((len(starts), len(STAGES)), np.int64)
        batch, source = self._batch(starts, answers), self._latency.source
        if isinstance(source, Conditioned):
            for (world, request), state in zip(starts, source.conditions(batch), strict=True):
                self._state[world][request.index] = state
        return source.price(batch)

    def _batch(self, starts: Sequence[Start], answers: Sequence[Answer]) -> RequestBatch:
        count = len(starts)
        tokens = np.array([answer.tokens for answer in answers], dtype=np.int64)
        return RequestBatch(
            tuple(self._keys[world] for world, _ in starts),
            np.array([request.index for _, request in starts], dtype=np.int64),
            TokenUsage(tokens[:, 0], tokens[:, 1], tokens[:, 2]),
            np.full(count, self._images, np.int64),
            np.full(count, self._pixels, np.int64),
            self._agent.charge,
            np.array([request.t_start_us for _, request in starts], dtype=np.int64),
        )

    def settled(self, now_us: int, driven_m: Float, rows: Rows) -> tuple[list[Takeover], list[Emergency]]:
        """Return the plans that take over now, and where the car must do without one; call it once nothing starts any
        more.
        """
        taken, emergencies = [], []
        for world in self._settled:
            clock = self._clocks[world]
            if clock.emergency != self._emergency[world]:
                self._emergency[world] = clock.emergency
                if clock.emergency:
                    self.in_use[world] = -1
                    emergencies.append(Emergency(world, clock.emergency, self._braking(clock.emergency)))
            request = clock.current
            if clock.emergency or request is None or request.index == self._taken[world]:
                continue
            request.t_actuate_us = now_us
            self.in_use[world] = self._taken[world] = request.index
            self._blind_m[world][request.index] = float(driven_m[world] - rows.driven_m[world, request.frame])
            plan = self._answers[world][request.index].plan
            if plan is None:
                raise RuntimeError("a request without a plan was published")
            made_at = np.array([column[world, request.frame, 0] for column in (rows.x, rows.y, rows.heading)])
            taken.append(Takeover(world, plan, request.t_obs_us, made_at))
        self._settled = []
        return taken, emergencies

    def _braking(self, emergency: str) -> float:
        deadline = self._latency.deadline
        if deadline is None:
            raise RuntimeError("an emergency without a deadline")
        return deadline.mrm_braking_mps2 if emergency == "mrm" else deadline.fallback_braking_mps2

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
            plan=stacked([answer.plan for answer in answers]),
            text=tuple(answer.text for answer in answers),
            dropped_frames=self._clocks[world].dropped_frames,
            missed=np.array([r.missed for r in requests], dtype=np.bool_),
            branch=tuple(r.branch for r in requests),
            state=tuple(self._state[world].get(r.index, "") for r in requests),
            looked=looked_log([answer.looked for answer in answers], self._agent.wants.cameras),
        )
        places = np.full(len(requests) + 1, -1, np.int32)  # the last one answers index -1: no plan
        for place, request in enumerate(requests):
            if request.index >= 0:
                places[request.index] = place
        return log, places


def looked_log(shares: Sequence[Float | None], cameras: tuple[CameraSpec, ...]) -> Looked | None:
    """Return where answers looked, NaN where there is none; None if nothing was said about any.

    The first answer sets the grid; one with another grid counts as if it had said nothing.
    """
    shape = next((share.shape for share in shares if share is not None), None)
    if shape is None:
        return None
    stacked = np.full((len(shares), *shape), np.nan, np.float32)
    for row, share in zip(stacked, shares, strict=True):
        if share is not None and share.shape == shape:
            row[...] = share
    return Looked(cameras, stacked)


def stacked(plans: Sequence[Float | None]) -> Float:
    """Return plans ``[P, 5]`` as ``[K, P, 5]``, P that of the longest, NaN where there is none."""
    lengths = {0 if plan is None else len(plan) for plan in plans}
    if len(lengths) == 1 and 0 not in lengths:
        return np.stack([plan for plan in plans if plan is not None])
    longest = max(lengths, default=0)
    found = np.full((len(plans), longest, 5), np.nan)
    for row, plan in zip(found, plans, strict=True):
        if plan is not None:
            row[: len(plan)] = plan
    return found
