"""What every rule driver needs around its kernel: its card, its course, an answer that costs no tokens."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from simdrive.errors import SimdriveError
from simdrive.sim.plans import route_slopes
from simdrive.types import AgentCard, Float, ObservationBatch, PlanBatch, TokenUsage, WorldView


def rule_card(
    name: str, description: str, kind: Literal["rule", "reference", "control"] = "rule", **parameters: Any
) -> AgentCard:
    """Return the card of a driver without weights."""
    return AgentCard(name=name, kind=kind, description=description, parameters=parameters)


def answer(plan: Float) -> PlanBatch:
    """Wrap plans ``[N, P, 5]`` of a driver that generates no tokens; they are said to 0.1 mm (float32, times exact).

    Nobody can tell, and a run folder, most of which is plans, is half as large.
    """
    plan[:, :, 1:] = plan[:, :, 1:].astype(np.float32)
    return PlanBatch(plan=plan, usage=TokenUsage.zeros(len(plan)))


def slopes(batch: ObservationBatch) -> Float:
    """Return dr/ds ``[N]`` of the ego courses against their routes (slip included)."""
    return route_slopes(batch.route, batch.route_s, batch.ego[:, 2], batch.ego[:, 5])


def curvatures(batch: ObservationBatch) -> Float:
    """Return the curvature ``[N]`` (1/m) of the ego paths: that of the kinematic bicycle."""
    found: Float = 2.0 * np.sin(np.arctan(0.5 * np.tan(batch.ego[:, 5]))) / batch.ego_size[:, 0]
    return found


def view_of(batch: ObservationBatch, agent: str) -> WorldView:
    """Return the world view of a batch.

    Raises:
        SimdriveError: if the caller did not attach one although the agent wants it.
    """
    if batch.world is None:
        raise SimdriveError(f"agent {agent!r} wants the visible world, but the observation batch carries none")
    return batch.world
