"""One chip shared in time: the planner's requests beside jobs that come periodically, in exact whole microseconds.

The chip does one thing at a time (or, partitioned, one thing per partition). What a request costs is the work alone; the
chip says when that work is done. Nothing here is random.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any, Literal, get_args

from simdrive.errors import ParameterError, UnknownNameError

Policy = Literal["nonpreemptive", "preemptive", "partitioned"]
PLANNER = "planner"
_NEVER = 2**62


@dataclass(frozen=True)
class Job:
    """A task that comes back every period.

    Args:
        name: for tables.
        period_ms, cost_ms: every ``period_ms`` it brings ``cost_ms`` of work for the whole chip.
        priority: the larger, the more urgent.
        phase_ms: when it comes for the first time.
    """

    name: str
    period_ms: float
    cost_ms: float
    priority: int = 0
    phase_ms: float = 0.0

    def __post_init__(self) -> None:
        for field in ("period_ms", "cost_ms"):
            value = getattr(self, field)
            if isinstance(value, bool) or not (math.isfinite(value) and value >= 0.001):
                raise ParameterError(f"{field} of job {self.name!r} must be a finite time above 0, got {value}")
        if not (math.isfinite(self.phase_ms) and self.phase_ms >= 0.0):
            raise ParameterError(f"phase_ms of job {self.name!r} must be at least 0, got {self.phase_ms}")

    @property
    def period_us(self) -> int:
        """Time between two releases."""
        return round(self.period_ms * 1000.0)

    @property
    def cost_us(self) -> int:
        """Work of one release."""
        return round(self.cost_ms * 1000.0)

    @property
    def phase_us(self) -> int:
        """First release."""
        return round(self.phase_ms * 1000.0)


@dataclass(frozen=True)
class DeviceSpec:
    """How the planner shares the chip.

    ============= ==========================================================================================
    nonpreemptive a running job runs to its end; then the most urgent waiting one, first come first served
    preemptive    a more urgent job interrupts at once and at no cost; equal priorities do not interrupt each other
    partitioned   the planner has ``planner_share`` of the chip to itself, so its work takes 1 / share as long;
                  the others share the rest, preemptively
    ============= ==========================================================================================

    Args:
        policy: one of these.
        jobs: what else runs.
        priority: of the planner; the larger, the more urgent.
        planner_share: of ``partitioned``, above 0 and below 1.
    """

    policy: Policy
    jobs: tuple[Job, ...] = ()
    priority: int = 0
    planner_share: float = 0.5

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise UnknownNameError("device policy", self.policy, get_args(Policy))
        if not 0.0 < self.planner_share < 1.0:
            raise ParameterError(f"planner_share must be above 0 and below 1, got {self.planner_share}")
        names = [PLANNER, *(job.name for job in self.jobs)]
        if len(set(names)) != len(names):
            raise ParameterError(f"jobs of a device need names of their own other than {PLANNER!r}, got {names[1:]}")
        load = sum((Fraction(job.cost_us, job.period_us) for job in self.jobs), Fraction(0))
        left = 1.0 - self.planner_share if self.policy == "partitioned" else 1.0
        if load >= left:
            raise ParameterError(
                f"the jobs beside the planner need {float(load):.2f} of the chip and {left:.2f} is there, so work would "
                "pile up without end; lower cost_ms or raise period_ms"
            )

    def identity(self) -> dict[str, Any]:
        """Return plain data that is equal for equal devices."""
        return asdict(self)


@dataclass(slots=True)
class Work:
    """One release of a task."""

    task: str
    release_us: int
    left_us: int
    priority: int
    order: int  # of release
    spans: list[tuple[int, int]]  # when it ran


class Processor:
    """One resource with one running job at a time; the clock only moves forward.

    At one time stamp: end of work, releases (those of the planner first), then the choice of what runs.
    """

    def __init__(self, jobs: Sequence[Job], preemptive: bool, slowness: Fraction = Fraction(1)) -> None:
        """Start idle at time 0; all work takes ``slowness`` times as long."""
        self.now_us = 0
        self.kept: list[Work] | None = None  # a list to have all work kept
        self._jobs, self._preemptive, self._slowness = tuple(jobs), preemptive, slowness
        self._next = [job.phase_us for job in jobs]
        self._ready: list[Work] = []
        self._running: Work | None = None
        self._orders = 0

    def submit(self, task: str, cost_us: int, priority: int, release_us: int) -> Work:
        """Release work; it counts from the present time on."""
        work = Work(task, release_us, math.ceil(cost_us * self._slowness), priority, self._orders, [])
        self._orders += 1
        self._ready.append(work)
        if self.kept is not None:
            self.kept.append(work)
        return work

    def run(self, until_us: int, work: Work | None = None) -> None:
        """Advance to ``until_us``, or instead to the end of some submitted ``work``."""
        while work.left_us > 0 if work is not None else self.now_us < until_us:
            self._release_due()
            current = self._pick()
            horizon_us = min([until_us, *self._next])
            if current is None:
                self.now_us = horizon_us
            else:
                self._work_on(current, min(self.now_us + current.left_us, horizon_us))

    def _release_due(self) -> None:
        """Release the jobs whose time has come, in the order of time, then of the list."""
        while self._next and min(self._next) <= self.now_us:
            number = self._next.index(min(self._next))
            job = self._jobs[number]
            self.submit(job.name, job.cost_us, job.priority, self._next[number])
            self._next[number] += job.period_us

    def _pick(self) -> Work | None:
        """Return what runs next: what runs already unless something more urgent may interrupt it."""
        running = self._running
        best = min(self._ready, key=lambda work: (-work.priority, work.release_us, work.order), default=None)
        if best is None or (running is not None and not (self._preemptive and best.priority > running.priority)):
            return running
        self._ready.remove(best)
        if running is not None:
            self._ready.append(running)
        self._running = best
        return best

    def _work_on(self, work: Work, stop_us: int) -> None:
        if work.spans and work.spans[-1][1] == self.now_us:
            work.spans[-1] = (work.spans[-1][0], stop_us)
        else:
            work.spans.append((self.now_us, stop_us))
        work.left_us -= stop_us - self.now_us
        self.now_us = stop_us
        if work.left_us == 0:
            self._running = None


class Device:
    """The chip of one episode: tells when the planner's work is done. One request at a time, in the order of time."""

    def __init__(self, spec: DeviceSpec) -> None:
        """Start at time 0 with the first releases to come."""
        self._priority = spec.priority
        if spec.policy == "partitioned":
            share = Fraction(spec.planner_share).limit_denominator(10_000)
            self.planner = Processor((), True, 1 / share)
            self.others = Processor(spec.jobs, True, 1 / (1 - share))
        else:
            self.planner = self.others = Processor(spec.jobs, spec.policy == "preemptive")

    def run(self, start_us: int, cost_us: int, first_us: int = 0) -> tuple[int, int]:
        """Return when the first ``first_us`` of some work are done, and when all ``cost_us`` are.

        Raises:
            ValueError: if work before it ended after ``start_us``.
        """
        chip = self.planner
        if start_us < chip.now_us:
            raise ValueError(f"work starts at {start_us} us, but the chip is at {chip.now_us} us already")
        chip.run(start_us)
        if cost_us <= 0:
            return start_us, start_us
        work = chip.submit(PLANNER, cost_us, self._priority, start_us)
        part_us = math.ceil(Fraction(work.left_us * first_us, cost_us))
        chip.run(_NEVER, work)
        return _reached(work.spans, part_us), chip.now_us


def _reached(spans: Sequence[tuple[int, int]], work_us: int) -> int:
    """Return when ``work_us`` of a job that ran in ``spans`` were done."""
    for begin, end in spans:
        if work_us <= end - begin:
            return begin + work_us
        work_us -= end - begin
    return spans[-1][1]


def build_device(value: str | Mapping[str, Any] | None, jobs: Sequence[Job], priority: int = 0) -> DeviceSpec | None:
    """Return the device behind a policy name or a mapping with ``policy``; None where nothing is shared in time.

    Raises:
        ParameterError: if there are periodic jobs but no policy, or the policy is missing.
        UnknownNameError: if a field or the policy does not exist.
    """
    if value is None:
        if jobs:
            raise ParameterError(
                f"the job {jobs[0].name!r} takes turns with the planner: say how, latency.device=nonpreemptive, preemptive or "
                "partitioned"
            )
        return None
    given = {"policy": value} if isinstance(value, str) else {str(key): item for key, item in value.items()}
    allowed = [field.name for field in fields(DeviceSpec) if field.name != "jobs"]
    for key in given:
        if key not in allowed:
            raise UnknownNameError("field of latency.device", key, allowed)
    if "policy" not in given:
        raise ParameterError("latency.device needs policy: nonpreemptive, preemptive or partitioned")
    return DeviceSpec(jobs=tuple(jobs), **({"priority": priority} | given))
