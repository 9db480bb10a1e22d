"""What agents are told beside what they see: pending plans, a token limit, or their ego moved ahead in time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simdrive.eval.asking import Answer
from simdrive.eval.driving import Driving
from simdrive.eval.foresight import foreseen
from simdrive.latency.early_exit import tokens_within
from simdrive.latency.modes import LatencySetting
from simdrive.latency.scheduler import Request, Scheduler
from simdrive.latency.source import RequestBatch
from simdrive.types import Float, Long, ObservationBatch

Start = tuple[int, Request]  # world and what starts there


@dataclass(frozen=True)
class Starts:
    """Requests that start now: the worlds ``[N]`` and the frames ``[N]`` that they are made of."""

    slots: Long
    frames: Long
    each: tuple[Start, ...] = ()  # empty where nothing is scheduled

    def __len__(self) -> int:
        """Return how many start."""
        return len(self.slots)


def tells_nothing(latency: LatencySetting) -> bool:
    """Whether agents are told nothing under a setting."""
    limited = latency.deadline is not None and latency.deadline.miss == "early_exit"
    return not (latency.mode.shows_pending or latency.waiting == "extrapolate" or limited)


def with_pending(
    batch: ObservationBatch, starts: Sequence[Start], clocks: Sequence[Scheduler],
    answers: Sequence[dict[int, Answer]],
) -> ObservationBatch:  # fmt: skip
    """Add the plans that drive each car until its answer does: the one in use, then those in flight, oldest first.

    Shape ``[N, K, P, 5]``, times from the row's own observation; NaN where a row has fewer plans or points. How far K and P
    are padded depends on the batch, so it carries no meaning.
    """
    found: list[list[Float]] = []
    for world, request in starts:
        clock = clocks[world]
        before = [clock.current] if clock.current is not None else []
        plans = []
        for other in [*before, *clock.in_flight()]:
            plan = answers[world][other.index].plan
            if plan is not None:
                plan = plan.copy()
                plan[:, 0] += (other.t_obs_us - request.t_obs_us) * 1e-6
                plans.append(plan)
        found.append(plans)
    most = max(1, *(len(plans) for plans in found))
    longest = max([1, *(len(plan) for plans in found for plan in plans)])
    pending = np.full((len(starts), most, longest, 5), np.nan)
    for row, plans in zip(pending, found, strict=True):
        for place, plan in enumerate(plans):
            row[place, : len(plan)] = plan
    return dataclasses.replace(batch, pending=pending)


def with_limits(
    batch: ObservationBatch, starts: Sequence[Start], latency: LatencySetting, expected: Sequence[RequestBatch]
) -> ObservationBatch:
    """Add how many output tokens fit before each deadline (-1 = no limit), and note it on the requests.

    Args:
        batch: N observations.
        starts: the requests made of them.
        latency: source and deadline.
        expected: one row for each request, with the prompt of the request before.
    """
    if latency.deadline is None:
        return batch
    for (_, request), row in zip(starts, expected, strict=True):
        budget_us = request.t_obs_us + latency.deadline.us - request.t_start_us
        request.max_output_tokens = tokens_within(latency.source, row, budget_us)
    limits = np.array([request.max_output_tokens for _, request in starts], dtype=np.int64)
    return dataclasses.replace(batch, max_output_tokens=limits)


def with_foresight(
    batch: ObservationBatch, starts: Sequence[Start], clocks: Sequence[Scheduler], driving: Driving
) -> tuple[ObservationBatch, Long]:
    """Move the egos to where they are expected to be when the answers come; return also by how much time [N], us."""
    target_us = np.array([request.t_start_us + clocks[world].expected_us for world, request in starts], np.int64)
    known = np.array([clocks[world].expected_us > 0 for world, _ in starts])
    target_us = np.where(known, target_us, batch.t_obs_us)
    slots = np.array([world for world, _ in starts])
    moved = foreseen(batch, driving.plans[slots], driving.plan_t_us[slots], target_us)
    return moved, target_us - batch.t_obs_us
