"""Asks an agent so that nothing it does can end a run: failures become rows with a status.

A batch that fails as a whole is asked again row by row, so that one bad row costs only itself. The car goes
on under its waiting policy, and the request costs what the agent says it used (unknown: the latency source's
median).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from simdrive.errors import AgentUnavailableError
from simdrive.sim.plans import plan_errors
from simdrive.types import Agent, Float, Long, ObservationBatch, PlanBatch, RequestStatus, WorldView

JUMP_M = 5.0  # a plan starts no farther than this from the ego
FASTEST_MPS = 90.0  # beyond that, no two points are farther apart than this speed allows
_STATUS = {
    "exception": RequestStatus.EXCEPTION,
    "timeout": RequestStatus.TIMEOUT,
    "unparsable": RequestStatus.UNPARSABLE,
    "invalid": RequestStatus.INVALID,
}


@dataclass(frozen=True)
class Answer:
    """The answer to one request; no plan unless the status is OK."""

    status: RequestStatus
    plan: Float | None = None  # [P, 5]
    tokens: tuple[int, int, int] = (-1, -1, -1)  # prompt, image, output; -1 = unknown
    text: str = ""
    looked: Float | None = None  # [C, R, W] attention to the agent's cameras


@dataclass(frozen=True)
class Answers(Sequence[Answer]):
    """The answers to N requests as columns; each of them, taken by its number, is an ``Answer``."""

    status: npt.NDArray[np.int8]  # [N] RequestStatus
    plans: Float  # [N, P, 5]; without meaning where the status is not OK, NaN behind the end of a shorter plan
    tokens: Long  # [N, 3] prompt, image, output; -1 = unknown
    text: Sequence[str]
    looked: Sequence[Float | None] | None = None  # [C, R, W] each; None = nothing was said about any

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.status)

    @overload
    def __getitem__(self, row: int) -> Answer: ...
    @overload
    def __getitem__(self, row: slice) -> list[Answer]: ...
    def __getitem__(self, row: int | slice) -> Answer | list[Answer]:
        """Return one answer, its plan without padding."""
        if isinstance(row, slice):
            return [self[place] for place in range(*row.indices(len(self)))]
        status = RequestStatus(self.status[row])
        plan = self.plans[row] if status is RequestStatus.OK else None
        if plan is not None and np.isnan(plan[-1, 0]):
            plan = _trimmed(plan)
        prompt, image, output = self.tokens[row].tolist()
        return Answer(
            status, plan, (prompt, image, output), self.text[row], None if self.looked is None else self.looked[row]
        )


def ask(agent: Agent, batch: ObservationBatch) -> Answers:
    """Return the agent's answer to every row, failures included."""
    try:
        return _answers(batch, agent.plan(batch), len(agent.wants.cameras))
    except AgentUnavailableError:  # no answer at all: nothing that could be scored
        raise
    except Exception as error:  # an agent may raise anything
        if len(batch) > 1:
            return _joined([ask(agent, single(batch, row)) for row in range(len(batch))])
        status = RequestStatus.TIMEOUT if isinstance(error, TimeoutError) else RequestStatus.EXCEPTION
        return Answers(
            np.array([status], np.int8), np.full((1, 1, 5), np.nan), np.full((1, 3), -1),
            (f"{type(error).__name__}: {error}",),
        )  # fmt: skip


def _joined(parts: Sequence[Answers]) -> Answers:
    """Return answers one after the other, shorter plans padded."""
    longest = max(part.plans.shape[1] for part in parts)
    plans = np.full((sum(map(len, parts)), longest, 5), np.nan)
    first = 0
    for part in parts:
        plans[first : first + len(part), : part.plans.shape[1]] = part.plans
        first += len(part)
    said = any(part.looked is not None for part in parts)
    return Answers(
        np.concatenate([part.status for part in parts]),
        plans,
        np.concatenate([part.tokens for part in parts]),
        [text for part in parts for text in part.text],
        [share for part in parts for share in part.looked or (None,) * len(part)] if said else None,
    )


def _answers(batch: ObservationBatch, given: PlanBatch, cameras: int) -> Answers:
    """Return the rows of a plan batch, each checked.

    Raises:
        ValueError: if the batch does not have one row per observation, or looked at other than its cameras.
    """
    plans = np.array(given.plan, dtype=np.float64)  # a copy: the agent may use its own array again
    if plans.ndim != 3 or plans.shape[0] != len(batch) or plans.shape[2] != 5:
        raise ValueError(f"plans have shape {plans.shape}; needed: ({len(batch)}, P, 5)")
    usage = np.stack([given.usage.prompt, given.usage.image, given.usage.output], axis=1).astype(np.int64)
    texts = given.text if given.text is not None else ("",) * len(batch)
    errors = given.error if given.error is not None else (None,) * len(batch)
    if not len(usage) == len(texts) == len(errors) == len(batch):
        raise ValueError(f"usage, text and error need {len(batch)} rows, like the observations")
    looked = None if given.looked is None else list(_shares(given.looked, len(batch), cameras))
    status = np.where(plan_faults(plans, batch.ego[:, :2]), RequestStatus.INVALID, RequestStatus.OK).astype(np.int8)
    for row, error in enumerate(errors):
        if error is not None:
            status[row] = _STATUS.get(error, RequestStatus.INVALID)
    return Answers(status, plans, usage, texts, looked)


def _shares(looked: Float, rows: int, cameras: int) -> np.ndarray:
    """Return where answers looked as a copy ``[N, C, R, W]`` that can be stored."""
    shares = np.array(looked, dtype=np.float32)
    if shares.ndim != 4 or shares.shape[:2] != (rows, cameras) or not shares.size:
        raise ValueError(f"looked has shape {shares.shape}; needed: ({rows}, {cameras}, rows, columns)")
    if not (np.isfinite(shares).all() and (shares >= 0.0).all()):
        raise ValueError("looked has shares below zero, infinite or NaN; needed: what part of the attention is where")
    return shares


def plan_faults(plans: Float, ego_xy: Float) -> np.ndarray:
    """Return ``[N]`` whether a plan ``[N, P, 5]`` cannot be followed by an ego at ``ego_xy`` [N, 2].

    Not finite, time not ascending, horizon below 4 s, backwards, or a jump: away from the ego or between
    points. Rows of NaN at the end of a plan are padding.
    """
    faults = np.zeros(len(plans), dtype=np.bool_)
    whole = np.isfinite(plans).all(axis=(1, 2))
    faults[whole] = plan_errors(plans[whole])
    for row in np.flatnonzero(~whole):
        trimmed = _trimmed(plans[row])
        faults[row] = len(trimmed) < 2 or bool(plan_errors(trimmed[None])[0])
    with np.errstate(invalid="ignore"):
        first = np.hypot(plans[:, 0, 1] - ego_xy[:, 0], plans[:, 0, 2] - ego_xy[:, 1])
        far = first > JUMP_M + FASTEST_MPS * np.abs(plans[:, 0, 0])
        steps = np.diff(plans[:, :, :3], axis=1)
        leap = np.hypot(steps[:, :, 1], steps[:, :, 2]) > JUMP_M + FASTEST_MPS * steps[:, :, 0]
    return faults | far | leap.any(axis=1)


def _trimmed(plan: Float) -> Float:
    """Return a plan without the rows of NaN at its end."""
    used = np.flatnonzero(~np.isnan(plan).all(axis=1))
    return plan[: used[-1] + 1] if len(used) else plan[:0]


def single(batch: ObservationBatch, row: int) -> ObservationBatch:
    """Return one row of a batch as a batch of its own."""
    part = slice(row, row + 1)
    fields = {
        field.name: getattr(batch, field.name)[part]
        for field in dataclasses.fields(batch)
        if field.name != "world" and getattr(batch, field.name) is not None
    }
    view = batch.world
    if view is not None:
        shared = ("roads", "simulator")
        names = [field.name for field in dataclasses.fields(WorldView) if field.name not in shared]
        columns = {name: getattr(view, name) for name in names}
        view = dataclasses.replace(
            view, **{name: column[part] for name, column in columns.items() if column is not None}
        )
    return dataclasses.replace(batch, **fields, world=view)
