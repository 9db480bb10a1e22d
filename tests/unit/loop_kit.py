"""What tests of the loop share: agents made of functions, episodes on a straight road, equality of drives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from straight_worlds import case, straight_world

from simdrive.eval.episode import EpisodeInput
from simdrive.latency.lognormal import Lognormal
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.sim.plans import PLAN_TIMES
from simdrive.types import (
    AgentCard,
    Charge,
    EpisodeLog,
    Float,
    Long,
    ObservationBatch,
    PlanBatch,
    TokenUsage,
    Wants,
)

ZERO = LatencySetting(Constant(0), Mode("zero"))
SETTINGS = [
    LatencySetting(Lognormal(median_ms=230, sigma=0.4), Mode("streaming")),
    LatencySetting(Constant(330), Mode("queue", depth=2), "hold_control", aeb_monitor=True),
]


class Fake:
    """An agent made of a function from an observation batch to plans (or to a whole answer)."""

    card = AgentCard("fake", "control", "for tests")
    charge = Charge("tiny", "w16a16")

    def __init__(self, function: Callable[[ObservationBatch], Any], wants: Wants = Wants()) -> None:  # noqa: B008
        self._function, self.wants = function, wants

    def reset(self, slots: Long) -> None:
        """Nothing to forget."""

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        answer = self._function(batch)
        if isinstance(answer, PlanBatch):
            return answer
        return PlanBatch(answer, TokenUsage(*np.full((3, len(batch)), 7)))


def straight_plans(batch: ObservationBatch, braking_mps2: float = 0.0) -> Float:
    """Return plans along +x that brake to a stop, or keep their speed."""
    speed, t = batch.ego[:, 3:4], PLAN_TIMES[None]
    end = np.minimum(t, speed / braking_mps2) if braking_mps2 else t
    x = batch.ego[:, 0:1] + speed * end - 0.5 * braking_mps2 * end**2
    y = np.repeat(batch.ego[:, 1:2], len(PLAN_TIMES), axis=1)
    return np.stack([np.repeat(t, len(batch), 0), x, y, 0 * x, speed - braking_mps2 * end], axis=2)


def inputs(count: int = 1, start: int = 0, **fields: Any) -> list[EpisodeInput]:
    """Return episodes whose cases differ in number, and so in phase."""
    return [EpisodeInput(case(start + number), straight_world(**fields)) for number in range(count)]


def flat(value: Any) -> Any:
    """Return a log as nested plain data that compares bit for bit, NaN included."""
    if dataclasses.is_dataclass(value):
        return {field.name: flat(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    return repr(value)


def same_drive(first: EpisodeLog, second: EpisodeLog) -> bool:
    names = ("t_us", "x", "y", "heading", "speed", "acceleration", "steering", "plan_age_us", "plan_request")
    return all(flat(getattr(first, name)) == flat(getattr(second, name)) for name in names)
