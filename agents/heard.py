"""From what a model said to plans, for every agent that answers in text: targets, or way-points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from simdrive.agents.language.codec import targets_from
from simdrive.agents.language.targets import Targets, plans_of
from simdrive.agents.language.waypath import plans_of_waypoints
from simdrive.agents.language.waypoints import WaypointForm, waypoint_form, waypoints_from
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.types import Bool, Float, ObservationBatch, PlanBatch, TokenUsage

UNPARSABLE = "unparsable"
AnswerForm = Literal["targets", "waypoints"]
ANSWER_FORMS: tuple[AnswerForm, ...] = ("targets", "waypoints")


def answer_form(name: str, waypoints: Mapping[str, Any] | None) -> WaypointForm | None:
    """Return how answers are read: a form of way-points, or None for the targets of the driving language.

    Raises:
        UnknownNameError, ParameterError: if the form does not exist, or its settings are wrong.
    """
    if name not in ANSWER_FORMS:
        raise UnknownNameError("answer_form", str(name), ANSWER_FORMS)
    if name == "waypoints":
        return waypoint_form(waypoints)
    if waypoints:
        raise ParameterError("waypoints are settings of answer_form: waypoints; set that, or leave them out")
    return None


def heard(
    batch: ObservationBatch, texts: Sequence[str], usage: TokenUsage, errors: Sequence[str | None] | None = None,
    form: WaypointForm | None = None,
) -> PlanBatch:  # fmt: skip
    """Return the plans behind N answers; what is no driving answer keeps its text and usage, but gives no plan.

    Args:
        batch, texts, usage: what was asked, said and used.
        errors: ``[N]`` names of rows that have failed already.
        form: how way-points are read; None = answers are targets.
    """
    plans, good = _plans(batch, texts, form)
    plans[:, :, 1:] = plans[:, :, 1:].astype("float32")  # as all agents: nobody can tell, and logs are half as large
    known = errors if errors is not None else (None,) * len(texts)
    found = tuple(
        error if error is not None else None if parsed else UNPARSABLE
        for error, parsed in zip(known, good.tolist(), strict=True)
    )
    return PlanBatch(plans, usage, tuple(texts), found)


def _plans(batch: ObservationBatch, texts: Sequence[str], form: WaypointForm | None) -> tuple[Float, Bool]:
    if form is None:
        targets, good = targets_from(texts)
        return plans_of(targets, batch), good
    points, good = waypoints_from(texts, form)
    plans = plans_of_waypoints(points, batch, form)
    hold = plans_of(Targets(np.zeros((len(batch), 3)), np.zeros((len(batch), 2))), batch)
    plans[~good] = hold[~good]
    return plans, good
