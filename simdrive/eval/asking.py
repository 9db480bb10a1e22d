"""Asks an agent so that nothing it does can end a run: failures become rows with a status.

A batch that fails as a whole is asked again row by row, so that one bad row costs only itself. The car goes
on under its waiting policy, and the request costs what the agent says it used (unknown: the latency source's
median).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from simdrive.errors import AgentUnavailableError
from simdrive.sim.plans import plan_errors
from simdrive.types import Agent, Float, ObservationBatch, PlanBatch, RequestStatus, WorldView

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


def ask(agent: Agent, batch: ObservationBatch) -> list[Answer]:
    """Return the agent's answer to every row, failures included."""
    try:
        return _answers(batch, agent.plan(batch), len(agent.wants.cameras))
    except AgentUnavailableError:  # no answer at all: nothing that could be scored
        raise
    except Exception as error:  # an agent may raise anything
        if len(batch) > 1:
            return [answer for row in range(len(batch)) for answer in ask(agent, single(batch, row))]
        status = RequestStatus.TIMEOUT if isinstance(error, TimeoutError) else RequestStatus.EXCEPTION
        return [Answer(status, text=f"{type(error).__name__}: {error}")]


def _answers(batch: ObservationBatch, given: PlanBatch, cameras: int) -> list[Answer]:
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
    looked = None if given.looked is None else _shares(given.looked, len(batch), cameras)
    wrong = plan_faults(plans, batch.ego[:, :2]).tolist()
    tokens = [(prompt, image, output) for prompt, image, output in usage.tolist()]
    answers = [_answer(plans[row], errors[row], wrong[row], tokens[row], texts[row]) for row in range(len(batch))]
    if looked is None:
        return answers
    return [dataclasses.replace(answer, looked=share) for answer, share in zip(answers, looked, strict=True)]


def _shares(looked: Float, rows: int, cameras: int) -> np.ndarray:
    """Return where answers looked as a copy ``[N, C, R, W]`` that can be stored."""
    shares = np.array(looked, dtype=np.float32)
    if shares.ndim != 4 or shares.shape[:2] != (rows, cameras) or not shares.size:
        raise ValueError(f"looked has shape {shares.shape}; needed: ({rows}, {cameras}, rows, columns)")
    if not (np.isfinite(shares).all() and (shares >= 0.0).all()):
        raise ValueError("looked has shares below zero, infinite or NaN; needed: what part of the attention is where")
    return shares


def _answer(plan: Float, error: str | None, wrong: bool, tokens: tuple[int, int, int], text: str) -> Answer:
    if error is not None:
        return Answer(_STATUS.get(error, RequestStatus.INVALID), None, tokens, text)
    if wrong:
        return Answer(RequestStatus.INVALID, None, tokens, text)
    return Answer(RequestStatus.OK, _trimmed(plan) if np.isnan(plan[-1, 0]) else plan, tokens, text)


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
