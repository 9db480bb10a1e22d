"""What every rule driver needs around its kernel: its card, the slope of its course, an answer that costs nothing."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from simdrive.errors import SimdriveError
from simdrive.jit import jit
from simdrive.sim.plans import route_pose
from simdrive.types import AgentCard, Float, ObservationBatch, PlanBatch, TokenUsage, WorldView


def rule_card(
    name: str, description: str, kind: Literal["rule", "reference", "control"] = "rule", **parameters: Any
) -> AgentCard:
    """Return the card of a driver without weights."""
    return AgentCard(name=name, kind=kind, description=description, parameters=parameters)


def answer(plan: Float) -> PlanBatch:
    """Wrap plans ``[N, P, 5]`` of a driver that generates no tokens."""
    return PlanBatch(plan=plan, usage=TokenUsage.zeros(len(plan)))


@jit
def _route_headings(route, s, out):  # type: ignore[no-untyped-def]
    for n in range(route.shape[0]):
        out[n] = route_pose(route[n], s[n])[2]


def slopes(batch: ObservationBatch) -> Float:
    """Return dr/ds ``[N]`` of the ego courses against their routes (slip included)."""
    headings = np.empty(len(batch))
    _route_headings(batch.route, batch.route_s, headings)
    course = batch.ego[:, 2] + np.arctan(0.5 * np.tan(batch.ego[:, 5])) - headings
    course = (course + np.pi) % (2.0 * np.pi) - np.pi
    slope: Float = np.tan(np.clip(course, -0.8, 0.8))
    return slope


def view_of(batch: ObservationBatch, agent: str) -> WorldView:
    """Return the world view of a batch.

    Raises:
        SimdriveError: if the caller did not attach one although the agent wants it.
    """
    if batch.world is None:
        raise SimdriveError(f"agent {agent!r} wants the visible world, but the observation batch carries none")
    return batch.world
