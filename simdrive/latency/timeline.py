"""A planner that runs periodically on a shared chip: when each of its requests is done, and who is late, per policy.

Besides the policies of a device there is ``let``, logical execution time: scheduled as under ``preemptive``, but published
at a fixed time after the release (the deadline), so that when a plan counts does not depend on what else runs. Work that
overruns it is published at the next multiple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.latency.device import Device, DeviceSpec, Job, Work

TimelinePolicy = Literal["nonpreemptive", "preemptive", "partitioned", "let"]
TIMELINE_POLICIES: tuple[TimelinePolicy, ...] = get_args(TimelinePolicy)


@dataclass(frozen=True)
class PlannerRun:
    """One request; times in microseconds."""

    release_us: int
    finish_us: int
    publish_us: int
    deadline_us: int

    @property
    def missed(self) -> bool:
        """Whether it was published after its deadline."""
        return self.publish_us > self.deadline_us


@dataclass(frozen=True)
class Timeline:
    """What one policy makes of a set of tasks until a horizon."""

    policy: str
    planner: tuple[PlannerRun, ...]
    others_late: dict[str, tuple[int, int]]  # name -> releases that ended after the next one, all with a known end
    work: tuple[tuple[Work, ...], ...]  # of the chip, or of the planner's partition and of the rest


def timeline(
    policy: str, planner: Job, jobs: Sequence[Job], deadline_us: int, horizon_us: int, planner_share: float = 0.5
) -> Timeline:
    """Simulate until ``horizon_us``.

    Args:
        policy: one of ``TIMELINE_POLICIES``.
        planner: its period, work, priority and phase; a request that is not done when the next comes makes that wait.
        jobs: what else runs.
        deadline_us: from release to publication.
        horizon_us: releases before it are simulated.
        planner_share: of ``partitioned``.

    Raises:
        UnknownNameError: if the policy does not exist.
        ParameterError: if a task is impossible, or the deadline or horizon is not above 0.
    """
    if policy not in TIMELINE_POLICIES:
        raise UnknownNameError("policy", policy, TIMELINE_POLICIES)
    if deadline_us < 1 or horizon_us < 1:
        raise ParameterError(f"deadline and horizon must be above 0, got {deadline_us} and {horizon_us} us")
    shared = "preemptive" if policy == "let" else policy
    device = Device(DeviceSpec(shared, tuple(jobs), planner.priority, planner_share))
    chips = [device.planner] if device.planner is device.others else [device.planner, device.others]
    for chip in chips:
        chip.kept = []
    runs: list[PlannerRun] = []
    for release_us in range(planner.phase_us, horizon_us, planner.period_us):
        _, finish_us = device.run(max(release_us, device.planner.now_us), planner.cost_us)
        publish_us = finish_us
        if policy == "let":
            publish_us = release_us + deadline_us * max(1, -(-(finish_us - release_us) // deadline_us))
        runs.append(PlannerRun(release_us, finish_us, publish_us, release_us + deadline_us))
    for chip in chips:
        chip.run(max(horizon_us, chip.now_us))
    work = tuple(tuple(chip.kept or ()) for chip in chips)
    return Timeline(policy, tuple(runs), {job.name: _late(job, work[-1]) for job in jobs}, work)


def _late(job: Job, work: Sequence[Work]) -> tuple[int, int]:
    ended = [one for one in work if one.task == job.name and not one.left_us]
    return sum(one.spans[-1][1] > one.release_us + job.period_us for one in ended), len(ended)


def drawn(work: Sequence[Work], step_us: int, until_us: int, letters: Mapping[str, str]) -> str:
    """Return a line of text, one letter per ``step_us``: the task that has most of that stretch, a dot where idle."""
    shares: list[dict[str, int]] = [{} for _ in range(0, until_us, step_us)]
    for one in work:
        for begin, end in one.spans:
            for cell in range(begin // step_us, min(-(-end // step_us), len(shares))):
                overlap = min(end, (cell + 1) * step_us) - max(begin, cell * step_us)
                shares[cell][one.task] = shares[cell].get(one.task, 0) + overlap
    return "".join(letters[max(cell, key=lambda task: cell[task])] if cell else "." for cell in shares)
