"""An agent in which two drivers answer every observation, one of them (or a third) drives, and differences are kept."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simdrive.compress.collect import part_of
from simdrive.compress.samples import Pictured
from simdrive.compress.shadow.differences import MEASURES, plan_differences
from simdrive.compress.shadow.slices import distance_name, nearest_ahead, speed_name
from simdrive.errors import ParameterError
from simdrive.eval.asking import Answers, ask
from simdrive.scenarios.lights import lighting_name
from simdrive.sim.spec import Lighting
from simdrive.types import (
    Agent,
    AgentCard,
    Bytes,
    Case,
    Charge,
    Float,
    Long,
    ObservationBatch,
    PlanBatch,
    RequestStatus,
    TokenUsage,
    Wants,
)


@dataclass(frozen=True)
class Roles:
    """Who answers, and who drives: ``driver`` is one of the two or another agent."""

    teacher: Agent
    student: Agent
    driver: Agent


def joint_wants(agents: Sequence[Agent]) -> Wants:
    """Return what several agents need together, and the view of what is visible that slices are made from.

    Raises:
        ParameterError: if one of them sees everything, or their cameras cannot be shown side by side.
    """
    seers = [agent.card.name for agent in agents if agent.wants.world == "clairvoyant"]
    if seers:
        raise ParameterError(f"{', '.join(seers)} sees what is hidden; shadow mode compares drivers that see the same")
    cameras = tuple(dict.fromkeys(camera for agent in agents for camera in agent.wants.cameras))
    offsets = {us for agent in agents if agent.wants.cameras for us in agent.wants.frame_offsets_us}
    if len({(camera.width, camera.height) for camera in cameras}) > 1:
        sizes = ", ".join(f"{camera.name} {camera.width} x {camera.height}" for camera in cameras)
        raise ParameterError(f"the cameras of the two drivers must be of one size to be shown together, got {sizes}")
    return Wants(cameras, tuple(sorted(offsets, reverse=True)) or (0,), "visible")


class Watching:
    """Keeps one row per observation, and the pictures of those in which the two differ most."""

    def __init__(
        self, roles: Roles, cases: Sequence[Case], lights: Sequence[Lighting], corruption: str, pictures: int, by: str
    ) -> None:
        """Prepare to watch the drive of ``cases``; ``pictures`` are kept of the rows with most of measure ``by``."""
        self._roles, self._cases = roles, tuple(cases)
        self._lights, self._corruption = [lighting_name(light) for light in lights], corruption
        self._agents = {id(agent): agent for agent in (roles.driver, roles.teacher, roles.student)}
        self.wants = joint_wants(list(self._agents.values()))
        self.card = AgentCard("shadow", "control", "asks two drivers and follows one")
        self.charge = Charge()
        self._pictured = Pictured.of(self.wants)
        self._most, self._by = pictures, MEASURES.index(by)
        self._kept: list[tuple[float, int, Bytes]] = []
        self.rows: list[dict[str, Any]] = []

    def reset(self, slots: Long) -> None:
        """Forget everything about ``slots``."""
        for agent in self._agents.values():
            agent.reset(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Ask everyone, keep the differences, and answer what the driver does."""
        answers = {key: ask(agent, self._shown(agent, batch)) for key, agent in self._agents.items()}
        self._keep(batch, answers[id(self._roles.teacher)], answers[id(self._roles.student)])
        return _plans(answers[id(self._roles.driver)])

    def pictures(self) -> dict[int, Bytes]:
        """Return the newest pictures ``[camera, H, W, 3]`` of the rows that differ most, by row."""
        return {row: frames for _, row, frames in self._kept}

    def _shown(self, agent: Agent, batch: ObservationBatch) -> ObservationBatch:
        if batch.frames is None:
            return batch
        part = part_of(self._pictured, agent.wants)
        if part is None:
            return replace(batch, frames=None)
        cameras, times = part
        return replace(batch, frames=batch.frames[:, cameras][:, :, times])

    def _keep(self, batch: ObservationBatch, teacher: Answers, student: Answers) -> None:
        speeds = batch.ego[:, 3]
        found = plan_differences([a.plan for a in teacher], [a.plan for a in student], speeds)
        ahead = nearest_ahead(batch)
        for row, slot in enumerate(batch.slot.tolist()):
            case, (kind, gap_m) = self._cases[slot], ahead[row]
            self._picture(len(self.rows), float(found[row, self._by]), batch, row)
            self.rows.append({
                "case_key": case.key, "scenario": case.scenario, "seed": case.seed, "t_us": int(batch.t_obs_us[row]),
                "lighting": self._lights[slot], "corruption": self._corruption or "none", "kind": kind,
                "distance": distance_name(gap_m), "speed": speed_name(float(speeds[row])),
                "gap_m": gap_m, "ego_speed_mps": float(speeds[row]),
                **dict(zip(MEASURES, found[row].tolist(), strict=True)),
                "teacher_status": teacher[row].status.name.lower(), "student_status": student[row].status.name.lower(),
                "teacher_text": teacher[row].text, "student_text": student[row].text,
            })  # fmt: skip

    def _picture(self, place: int, value: float, batch: ObservationBatch, row: int) -> None:
        """Keep the pictures of a row if it is among those that differ most so far."""
        if batch.frames is None or not self._most or np.isnan(value):
            return
        if len(self._kept) < self._most:
            heapq.heappush(self._kept, (value, place, batch.frames[row, :, 0].copy()))
        elif value > self._kept[0][0]:
            heapq.heapreplace(self._kept, (value, place, batch.frames[row, :, 0].copy()))


def _plans(answers: Answers) -> PlanBatch:
    """Return checked answers as the plans of a batch again."""
    points = max([len(answer.plan) for answer in answers if answer.plan is not None], default=2)
    plans: Float = np.full((len(answers), points, 5), np.nan)
    for row, answer in enumerate(answers):
        if answer.plan is not None:
            plans[row, : len(answer.plan)] = answer.plan
    errors = tuple(None if a.status == RequestStatus.OK else a.status.name.lower() for a in answers)
    return PlanBatch(plans, TokenUsage.zeros(len(answers)), tuple(a.text for a in answers), errors)
