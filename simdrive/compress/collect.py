"""Drives cases and keeps what was seen with the expert's exact answers: expert and faulty drives, or a model's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simdrive.agents.language.questions import Answers, answers, own_state
from simdrive.agents.language.sights import KINDS, MOTIONS, PLACES, Sights, sights
from simdrive.agents.language.targets import Targets, targets_of
from simdrive.build import build
from simdrive.compress.columns import columns
from simdrive.compress.drivers import FaultyExpert, fault_of
from simdrive.compress.samples import Pictured, pack, split_of
from simdrive.errors import ParameterError
from simdrive.eval.episode import EpisodeInput
from simdrive.eval.prepared import started, world_of
from simdrive.eval.rollout import rollout
from simdrive.latency.modes import LatencySetting, Mode
from simdrive.latency.source import Constant
from simdrive.sim.search import search
from simdrive.sim.tracker import TrackerLimits
from simdrive.streams import stream
from simdrive.types import (
    Agent,
    AgentCard,
    Bool,
    Case,
    Charge,
    Float,
    Long,
    ObservationBatch,
    PlanBatch,
    TokenUsage,
    Wants,
)

ASKED = Mode("periodic", period_ms=200.0)  # often enough for any driver, and half the pictures of asking at every frame


@dataclass(frozen=True)
class Keeping:
    """Which of the frames asked about (five a second) are kept: every n-th, critical ones more often."""

    critical: int = 1
    calm: int = 3


class Collector:
    """An agent that drives as told, asks the expert at every frame, and keeps samples."""

    def __init__(
        self, cases: Sequence[Case], hazards_us: Sequence[int], pictured: Pictured, keeping: Keeping,
        model: Agent | None = None, model_share: float = 0.8, number: int = 0,
    ) -> None:  # fmt: skip
        """Prepare to drive ``cases``; ``model`` drives ``model_share`` of them if it is given, the rest is the expert's."""
        self._expert, self._model, self._cases = build("agent", "expert"), model, tuple(cases)
        self._pictured, self._keeping, self._number = pictured, keeping, number
        self._shown = None if model is None else part_of(pictured, model.wants)
        faults = [fault_of(case, us, number) for case, us in zip(cases, hazards_us, strict=True)]
        by_model = [model is not None and _share(case, "data.model", number) < model_share for case in cases]
        self._by_model = np.array(by_model, np.bool_)
        self._driver = ["model" if own else f"expert_{fault.kind}" for own, fault in zip(by_model, faults, strict=True)]
        self._faulty = FaultyExpert(faults)
        self.card = AgentCard("collector", "control", "drives to collect data")
        self.wants = Wants(cameras=pictured.cameras, frame_offsets_us=pictured.frame_offsets_us, world="visible")
        self.charge = Charge()
        self.rows: list[dict[str, Any]] = []

    def reset(self, slots: Long) -> None:
        """Forget everything about ``slots``."""
        self._expert.reset(slots)
        if self._model is not None:
            self._model.reset(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Label every row, keep some, and answer with what the drivers of their cases do."""
        labels = self._expert.plan(batch).plan
        self._keep(batch, labels)
        driven = self._faulty.plans(batch, labels)
        own = self._by_model[batch.slot]
        if self._model is None or not own.any():
            return PlanBatch(driven, TokenUsage.zeros(len(batch)))
        asked = rows_of(batch, np.flatnonzero(own))
        if self._shown is not None and asked.frames is not None:
            cameras, times = self._shown
            asked = replace(asked, frames=asked.frames[:, cameras][:, :, times])
        answer = self._model.plan(asked)
        return _merged(driven, answer, own)

    def _keep(self, batch: ObservationBatch, labels: Float) -> None:
        targets = targets_of(labels, batch)
        critical = _critical(targets)
        chosen = self._chosen(batch, critical)
        if not len(chosen):
            return
        part = rows_of(batch, chosen)
        told = Targets(targets.change_mps[chosen], targets.side_m[chosen])
        seen = sights(part, self._pictured.cameras)
        said, states = answers(part, seen, told), own_state(part)
        assert part.world is not None
        dense = columns(part.world, part.ego, self._pictured.cameras, seen).astype(np.float16)
        for row in range(len(part)):
            self.rows.append(
                self._row(part, row, seen, said, states[row], bool(critical[chosen[row]]))
                | {"columns": dense[row].tobytes()}
            )

    def _chosen(self, batch: ObservationBatch, critical: Bool) -> Long:
        every = np.where(critical, self._keeping.critical, self._keeping.calm)
        phase = np.array([int(self._cases[slot].key[:6], 16) for slot in batch.slot.tolist()])
        return np.flatnonzero((batch.t_obs_us // 200_000 + phase) % every == 0)

    def _row(
        self, batch: ObservationBatch, row: int, seen: Sights, said: Answers, state: str, critical: bool
    ) -> dict[str, Any]:
        slot = int(batch.slot[row])
        case = self._cases[slot]
        assert batch.frames is not None
        return {
            "case_key": case.key, "scenario": case.scenario, "seed": case.seed, "split": split_of(case.key),
            "t_us": int(batch.t_obs_us[row]), "driver": self._driver[slot], "ego": batch.ego[row].tolist(),
            "state": state, "drive": said.drive[row], "perception": said.perception[row],
            "reasoning": said.reasoning[row], "planning": said.planning[row], "visible": _visible(seen, row),
            "critical": critical, "frames": pack(batch.frames[row]),
        }  # fmt: skip


def collect(
    cases: Sequence[Case], pictured: Pictured, *, model: Agent | None = None, keeping: Keeping = Keeping(),
    model_share: float = 0.8, number: int = 0,
) -> list[dict[str, Any]]:  # fmt: skip
    """Drive cases and return the samples of all, in random order."""
    chosen = tuple(cases)
    found = search(started(chosen), TrackerLimits())
    hazards = [case.hazard_us for case in found]
    episodes = [
        EpisodeInput(case, world_of(case), ok.avoidable, ok.hazard_us) for case, ok in zip(chosen, found, strict=True)
    ]
    collector = Collector(chosen, hazards, pictured, keeping, model, model_share, number)
    rollout(episodes, collector, LatencySetting(Constant(0.0), ASKED), worlds=started(chosen))
    order = stream(chosen[0].key, "data.order", number).permutation(len(collector.rows))
    return [collector.rows[k] for k in order.tolist()]


def _critical(targets: Targets) -> Bool:
    """Tell for each row whether simply going on would be wrong."""
    change, side = targets.change_mps, targets.side_m
    found: Bool = (change[:, 0] <= -1.5) | (change[:, 2] <= -3.0) | (np.abs(side).max(axis=1) >= 0.5)
    return found


def _share(case: Case, name: str, number: int) -> float:
    return float(stream(case.key, name, number).random())


def part_of(pictured: Pictured, wants: Wants) -> tuple[list[int], list[int]] | None:
    """Return which cameras and times of the pictures of a data set a model wants; None if it wants no pictures.

    Raises:
        ParameterError: if it wants others.
    """
    if not wants.cameras:
        return None
    try:
        return (
            [pictured.cameras.index(camera) for camera in wants.cameras],
            [pictured.frame_offsets_us.index(offset) for offset in wants.frame_offsets_us],
        )
    except ValueError as error:
        raise ParameterError(
            f"the model wants cameras {[c.name for c in wants.cameras]} at {list(wants.frame_offsets_us)} us, which are not "
            f"all among {[c.name for c in pictured.cameras]} at {list(pictured.frame_offsets_us)} us; name them in the data"
        ) from error


def rows_of(batch: ObservationBatch, rows: Long) -> ObservationBatch:
    """Return some rows of a batch, everything per row included."""
    changes: dict[str, Any] = {}
    for name, value in vars(batch).items():
        if isinstance(value, np.ndarray):
            changes[name] = value[rows]
    if batch.world is not None:
        state = {
            name: value[rows]
            for name, value in vars(batch.world).items()
            if isinstance(value, np.ndarray)
        }  # fmt: skip
        changes["world"] = replace(batch.world, **state)
    return replace(batch, **changes)


def _merged(driven: Float, answer: PlanBatch, own: Bool) -> PlanBatch:
    """Put a model's plans in the place of others; where it said nothing useful the expert's stand."""
    rows = np.flatnonzero(own)
    errors = answer.error or (None,) * len(rows)
    points = max(driven.shape[1], answer.plan.shape[1])
    plans = np.full((len(driven), points, 5), np.nan)
    plans[:, : driven.shape[1]] = driven
    for place, row in enumerate(rows.tolist()):
        if errors[place] is None:
            plans[row] = np.nan
            plans[row, : answer.plan.shape[1]] = answer.plan[place]
    return PlanBatch(plans, TokenUsage.zeros(len(driven)))


def _visible(seen: Sights, row: int) -> str:
    listed = [
        {
            "kind": KINDS[seen.shape[row, v]], "place": PLACES[seen.place[row, v]], "motion": MOTIONS[seen.motion[row, v]],
            "ahead_m": round(float(seen.ahead_m[row, v]), 1), "offset_m": round(float(seen.offset_m[row, v]), 1),
        }
        for v in np.flatnonzero(seen.seen[row]).tolist()
    ]  # fmt: skip
    return json.dumps(listed, separators=(",", ":"))
