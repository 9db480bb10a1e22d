"""One episode's requests on the clock: which frame becomes one, when it starts, when its answer counts.

Whole microseconds, no wall clock, no randomness: the same frames and the same stage times give the same time
stamps. At one time stamp the order is finish, publish, arrival, start, and again from the front until nothing
is left; the caller takes controls only after that, so an answer that takes no time acts at the time stamp of
its own frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from simdrive.latency.modes import Mode
from simdrive.types import STAGES, RequestStatus

NEVER = 2**62  # later than any time stamp
_FIRST_TOKEN = STAGES.index("decode")  # the first token is out once everything before decoding is done


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

    def __init__(self, mode: Mode, phase_us: int = 0) -> None:
        """Start an episode at time 0; ``phase_us`` is the first instant of the start grid of ``periodic``."""
        self.requests: list[Request] = []
        self.current: Request | None = None
        self.dropped_frames = 0
        self.next_us = NEVER
        self._pipelined, self._capacity = mode.pipelined, mode.capacity
        self._period_us, self._publish_us, self._phase_us = mode.period_us, mode.publish_us, phase_us
        self._queue, self._drop_newest = mode.name == "queue", mode.overflow == "drop_newest"
        self._now_us = 0
        self._arriving: deque[Request] = deque()
        self._waiting: deque[Request] = deque()
        self._flying: list[Request] = []  # started, not yet published
        self._busy_until_us = 0
        self._open: Request | None = None  # returned by poll, not yet committed
        self._started = 0

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
        if self._publish_us:
            instants = max(1, -(-total // self._publish_us))
            request.t_publish_us = request.t_start_us + instants * self._publish_us
        self._busy_until_us = request.t_finish_us
        self._flying.append(request)
        self._open = None
        self.next_us = self._due_us()

    def _due_us(self) -> int:
        due = self._arriving[0].t_obs_us if self._arriving else NEVER
        for request in self._flying:
            if request.t_publish_us < due:
                due = request.t_publish_us
        return min(due, self._next_start_us()) if self._waiting else due

    def close(self, end_us: int) -> list[Request]:
        """End the episode; return its requests in the order of ``t_obs_us`` with what never came set to
        -1."""
        unstarted = list(self._waiting) if self._queue else []
        for request in self._flying:
            if request.t_finish_us > end_us:
                request.t_finish_us = -1
                if request.status is RequestStatus.OK:
                    request.status = RequestStatus.UNFINISHED
            if request.t_first_token_us > end_us:
                request.t_first_token_us = -1
        return sorted(self.requests + unstarted, key=lambda request: request.t_obs_us)

    def _settle(self) -> None:
        """Publish what is finished, then queue what has arrived, at the present time stamp."""
        now = self._now_us
        for request in [flying for flying in self._flying if flying.t_publish_us <= now] if self._flying else ():
            self._flying.remove(request)
            # A late plan never overwrites one that answers a newer frame.
            newer = self.current is None or request.t_obs_us > self.current.t_obs_us
            if request.status is RequestStatus.OK and newer:
                self.current = request
        while self._arriving and self._arriving[0].t_obs_us <= now:
            self._waiting.append(self._arriving.popleft())
            if not self._pipelined and len(self._waiting) > self._capacity:
                self._overflow()

    def _overflow(self) -> None:
        """Drop a frame; a queue whose job ends at this very moment has room for one more."""
        if self._queue and self._next_start_us() == self._now_us:
            return
        dropped = self._waiting.pop() if self._queue and self._drop_newest else self._waiting.popleft()
        self.dropped_frames += 1
        if self._queue:
            dropped.status = RequestStatus.DROPPED
            self.requests.append(dropped)

    def _next_start_us(self) -> int:
        """The earliest instant from now on at which a waiting frame may start."""
        now = self._now_us
        earliest = now if self._pipelined or self._busy_until_us < now else self._busy_until_us
        return earliest + (self._phase_us - earliest) % self._period_us if self._period_us else earliest

    def _start(self) -> Request | None:
        if not self._waiting or self._next_start_us() != self._now_us:
            return None
        request = self._waiting.popleft()
        request.index, request.t_start_us = self._started, self._now_us
        self._started += 1
        self.requests.append(request)
        return request
