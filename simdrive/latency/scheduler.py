"""One episode's requests on the clock: which frame becomes one, when it starts, when its answer counts.

Whole microseconds, no wall clock, no randomness: the same frames and the same stage times give the same time
stamps. At one time stamp the order is finish, publish, deadline, arrival, start, and again from the front until nothing
is left; the caller takes controls only after that, so an answer that takes no time acts at the time stamp of
its own frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from simdrive.latency.deadline import Deadline, Emergency, Watch
from simdrive.latency.device import Device, DeviceSpec
from simdrive.latency.modes import Mode
from simdrive.types import FRAME_PERIOD_US, STAGES, RequestStatus

NEVER = 2**62  # later than any time stamp
_FIRST_TOKEN = STAGES.index("decode")  # the first token is out once everything before decoding is done
_ON_CHIP = STAGES.index("vision")  # sensor and preprocessing need no chip


@dataclass(slots=True)
class Request:
    """One frame on its way to becoming a plan; -1 marks a time stamp that has not come."""

    frame: int  # index on the episode's frame clock
    t_obs_us: int
    index: int = -1  # position among the started requests of the episode
    t_start_us: int = -1
    t_first_token_us: int = -1
    t_finish_us: int = -1
    t_publish_us: int = -1
    t_actuate_us: int = -1
    stages_us: tuple[int, ...] = (0,) * len(STAGES)
    status: RequestStatus = RequestStatus.UNFINISHED
    deadline_us: int = -1
    missed: bool = False
    branch: str = ""  # what a missed deadline led to
    max_output_tokens: int = -1  # what the agent was told


class Scheduler:
    """The request clock of one episode.

    Use: ``offer`` each frame when it arrives; then ``poll(now)`` until it returns None, answering every
    request that it returns with ``commit``; then ``current`` is the request whose plan drives the car.

    Attributes:
        requests: started and overflowed requests; in the order in which that happened.
        current: the newest published request with a plan, None before the first.
        dropped_frames: frames that gave way to newer ones (or, in a full queue, to older ones) and were never
            used.
        next_us: the earliest time from the polled one on at which something is due, ``NEVER`` if nothing is; it does
            not count between ``poll`` and ``commit``.
    """

    def __init__(
        self,
        mode: Mode,
        phase_us: int = 0,
        *,
        frame_us: int = FRAME_PERIOD_US,
        deadline: Deadline | None = None,
        device: DeviceSpec | None = None,
    ) -> None:
        """Start an episode at time 0.

        Args:
            mode: how requests are scheduled.
            phase_us: first instant of the start grid of ``periodic``, and when the first frame arrives.
            frame_us: time between two frames.
            deadline: when answers are due.
            device: what the requests share the chip with.
        """
        self.requests: list[Request] = []
        self.current: Request | None = None
        self.dropped_frames = 0
        self.next_us = NEVER
        self._pipelined, self._capacity = mode.pipelined, mode.capacity
        self._publish_us, self._frozen_us = mode.publish_us, mode.frozen_us
        self._queue, self._drop_newest = mode.name == "queue", mode.overflow == "drop_newest"
        self._gate = {"periodic": self._on_grid, "dynamic": self._on_tail, "chunk_async": self._on_chunk}.get(mode.name)
        self._mode, self._phase_us, self._frame_us, self._period_us = mode, phase_us, frame_us, mode.period_us
        self._watch = Watch(deadline) if deadline is not None and mode.name != "zero" else None
        self._device = Device(device) if device is not None and mode.name != "zero" else None
        self._now_us = 0
        self._arriving: deque[Request] = deque()
        self._waiting: deque[Request] = deque()
        self._flying: list[Request] = []  # started, not yet published
        self._busy_until_us = 0
        self._open: Request | None = None  # returned by poll, not yet committed
        self._started = 0
        self._published, self._taken_us = 0, 0  # requests published so far and what they took together

    @property
    def emergency(self) -> Emergency:
        """What the car does for want of a plan."""
        return self._watch.emergency if self._watch is not None else ""

    @property
    def expected_us(self) -> int:
        """What the next request is expected to take: as configured, or the mean so far, 0 before the first."""
        if self._mode.expected_ms:
            return round(self._mode.expected_ms * 1000.0)
        return self._taken_us // self._published if self._published else 0

    def in_flight(self) -> list[Request]:
        """Return the requests that have started and may still take over, in the order of their observations."""
        newest_us = -1 if self.current is None else self.current.t_obs_us
        flying = (request for request in self._flying if request.t_obs_us > newest_us)
        return sorted(flying, key=lambda request: request.t_obs_us)

    def offer(self, frame: int, t_us: int) -> None:
        """Announce the frame that arrives at ``t_us``.

        Raises:
            ValueError: if that is before what was already polled.
        """
        if t_us < self._now_us:
            raise ValueError(f"frame {frame} arrives at {t_us} us, but the clock already stands at {self._now_us} us")
        self._arriving.append(Request(frame, t_us))
        if t_us < self.next_us:
            self.next_us = t_us

    def poll(self, now_us: int) -> Request | None:
        """Process what is due up to ``now_us`` in order; return the request that starts next, None when all
        is done.

        Raises:
            RuntimeError: if the request returned before was not committed.
        """
        if self._open is not None:
            raise RuntimeError("commit the request that poll returned before polling again")
        while True:
            if self.next_us > now_us:
                return None
            self._now_us = self.next_us
            self._settle()
            self._open = self._start()
            if self._open is not None:
                return self._open
            self.next_us = self._due_us()

    def commit(self, stages_us: Sequence[int], status: RequestStatus = RequestStatus.OK) -> None:
        """Set the stage times of the request that ``poll`` returned; a status other than OK gives no plan.

        Raises:
            RuntimeError: if there is no such request.
            ValueError: if a stage time is negative.
        """
        request = self._open
        if request is None:
            raise RuntimeError("there is no request to commit: poll returned None")
        if min(stages_us) < 0:
            raise ValueError(f"stage times must be at least 0 us, got {tuple(stages_us)}")
        total = sum(stages_us)
        request.stages_us, request.status = tuple(stages_us), status
        request.t_first_token_us = request.t_start_us + sum(stages_us[:_FIRST_TOKEN])
        request.t_finish_us = request.t_publish_us = request.t_start_us + total
        if self._device is not None:
            self._share_chip(request, self._device)
        if self._publish_us:
            instants = max(1, -(-(request.t_finish_us - request.t_start_us) // self._publish_us))
            request.t_publish_us = request.t_start_us + instants * self._publish_us
        if self._frozen_us:
            request.t_publish_us = max(request.t_finish_us, request.t_obs_us + self._frozen_us)
        self._busy_until_us = request.t_publish_us if self._mode.chunk_us else request.t_finish_us
        if self._watch is not None:
            self._watch.set(request)
        self._flying.append(request)
        self._open = None
        self.next_us = self._due_us()

    @staticmethod
    def _share_chip(request: Request, device: Device) -> None:
        before, stages = sum(request.stages_us[:_ON_CHIP]), request.stages_us
        prompt = sum(stages[_ON_CHIP:_FIRST_TOKEN])
        first, finish = device.run(request.t_start_us + before, sum(stages[_ON_CHIP:]), prompt)
        request.t_first_token_us, request.t_finish_us = first, finish
        request.t_publish_us = finish

    def _due_us(self) -> int:
        due = self._arriving[0].t_obs_us if self._arriving else NEVER
        for request in self._flying:
            if request.t_publish_us < due:
                due = request.t_publish_us
        if self._watch is not None and self._flying:
            due = min(due, self._watch.due_us(self._flying, NEVER))
        return min(due, self._next_start_us()) if self._waiting else due

    def close(self, end_us: int) -> list[Request]:
        """End the episode; return its requests in the order of ``t_obs_us`` with what never came set to
        -1."""
        unstarted = list(self._waiting) if self._queue else []
        for request in self._flying:
            request.missed |= self._watch is not None and request.deadline_us <= end_us < request.t_publish_us
            if request.t_finish_us > end_us:
                request.t_finish_us = -1
                if request.status is RequestStatus.OK:
                    request.status = RequestStatus.UNFINISHED
            if request.t_first_token_us > end_us:
                request.t_first_token_us = -1
            if request.t_publish_us > end_us:
                request.t_publish_us = -1
        return sorted(self.requests + unstarted, key=lambda request: request.t_obs_us)

    def _settle(self) -> None:
        """Publish what is finished, then queue what has arrived, at the present time stamp."""
        now = self._now_us
        for request in [flying for flying in self._flying if flying.t_publish_us <= now] if self._flying else ():
            self._flying.remove(request)
            self._published, self._taken_us = self._published + 1, self._taken_us + now - request.t_start_us
            # A late plan never overwrites one that answers a newer frame.
            newer = self.current is None or request.t_obs_us > self.current.t_obs_us
            if self._watch is not None:
                newer = self._watch.may_use(request, newer)
            if request.status is RequestStatus.OK and newer:
                self.current = request
        if self._watch is not None:
            self._watch.pass_until(self._flying, now)
        while self._arriving and self._arriving[0].t_obs_us <= now:
            self._waiting.append(self._arriving.popleft())
            if not self._pipelined and len(self._waiting) > self._capacity:
                self._overflow()

    def _overflow(self) -> None:
        """Drop a frame; a queue whose job ends at this very moment has room for one more."""
        if self._queue and self._next_start_us() == self._now_us:
            return
        self._drop(self._waiting.pop() if self._queue and self._drop_newest else self._waiting.popleft())

    def _drop(self, dropped: Request) -> None:
        self.dropped_frames += 1
        if self._queue:
            dropped.status = RequestStatus.DROPPED
            self.requests.append(dropped)

    def _next_start_us(self) -> int:
        """The earliest instant from now on at which a waiting frame may start."""
        now = self._now_us
        earliest = now if self._pipelined or self._busy_until_us < now else self._busy_until_us
        return earliest if self._gate is None else self._gate(earliest)

    def _on_grid(self, earliest_us: int) -> int:
        return earliest_us + (self._phase_us - earliest_us) % self._period_us

    def _on_tail(self, earliest_us: int) -> int:
        """Wait for the next frame if the job would end past it by less than the present frame is old."""
        old_us = (earliest_us - self._phase_us) % self._frame_us
        waits = old_us + self.expected_us % self._frame_us >= self._frame_us
        return earliest_us + self._frame_us - old_us if waits else earliest_us

    def _on_chunk(self, earliest_us: int) -> int:
        if self.current is None:
            return earliest_us
        used_us = round((1.0 - self._mode.threshold) * self._mode.chunk_us)
        return max(earliest_us, self.current.t_obs_us + used_us)

    def _start(self) -> Request | None:
        if not self._waiting or self._next_start_us() != self._now_us:
            return None
        while self._watch is not None and self._watch.to_skip:
            self._watch.to_skip -= 1
            self._drop(self._waiting.popleft())
            if not self._waiting:
                return None
        request = self._waiting.popleft()
        request.index, request.t_start_us = self._started, self._now_us
        self._started += 1
        self.requests.append(request)
        return request
