"""What a driving model is asked, and the exact answers: driving, and the triad of perception, reasoning, planning.

Prompts are a few fixed phrasings after one line of numbers that any car knows of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simdrive.agents.language.codec import said, said_side, texts_of
from simdrive.agents.language.sights import KINDS, MOST, MOTIONS, NEAR_M, NOTHING, PLACES, Sights
from simdrive.agents.language.targets import SIDES_M, Targets, rounded
from simdrive.types import Bool, Command, Float, ObservationBatch

Style = Literal["plan", "reason_plan", "full"]
Topic = Literal["perception", "reasoning", "planning"]
STYLES: tuple[Style, ...] = ("plan", "reason_plan", "full")
TOPICS: tuple[Topic, ...] = ("perception", "reasoning", "planning")

DRIVING = {
    "plan": ("drive", "speeds and side", "where to go now"),
    "reason_plan": ("who decides, then drive", "give the reason, then drive", "why, then drive"),
    "full": ("look, reason and drive", "tell everything, then drive", "describe, explain, drive"),
}
ASKED = {
    "perception": ("what matters here", "who is around", "name the others"),
    "reasoning": ("who decides", "what will happen", "who must be heeded"),
    "planning": ("what to do and why", "what now", "which action is safe"),
}
PHRASINGS = 3
ACTIONS = ("stop", "brake-hard", "brake", "slow", "keep", "faster")
SIDEWARD = ("left", "straight", "right")


@dataclass(frozen=True)
class Answers:
    """The exact answers of N observations, one string per row and question."""

    drive: list[str]
    perception: list[str]
    reasoning: list[str]
    planning: list[str]

    def styled(self, style: Style) -> list[str]:
        """Return the driving answers in one of the three styles."""
        if style == "plan":
            return self.drive
        if style == "reason_plan":
            return [f"{why} ; {do}" for why, do in zip(self.reasoning, self.drive, strict=True)]
        parts = zip(self.perception, self.reasoning, self.planning, self.drive, strict=True)
        return [" ; ".join(part) for part in parts]


def own_state(batch: ObservationBatch) -> list[str]:
    """Return the line of numbers before every question: speed, wanted speed, place across the road, way."""
    speed = np.round(2.0 * np.maximum(batch.ego[:, 3], 0.0)) / 2.0
    wanted = np.round(np.fmin(batch.cruise_speed_mps, batch.speed_limit_mps))
    side = rounded(np.clip(batch.route_r, SIDES_M[0], SIDES_M[-1]), SIDES_M)
    return [
        f"at {said(v)} of {said(w)} side {said_side(r)} {Command(c).name.lower()}"
        for v, w, r, c in zip(speed.tolist(), wanted.tolist(), side.tolist(), batch.command.tolist(), strict=True)
    ]


def driving_question(batch: ObservationBatch, style: Style = "plan", phrasing: int = 0) -> list[str]:
    """Return the driving prompts of N observations."""
    asked = DRIVING[style][phrasing % PHRASINGS]
    return [f"{state} ; {asked} ?" for state in own_state(batch)]


def triad_question(batch: ObservationBatch, topic: Topic, phrasing: int = 0) -> list[str]:
    """Return the prompts of one topic of the triad."""
    asked = ASKED[topic][phrasing % PHRASINGS]
    return [f"{state} ; {asked} ?" for state in own_state(batch)]


def answers(batch: ObservationBatch, seen: Sights, targets: Targets) -> Answers:
    """Return the exact answers: what is seen, who decides, what to do, and the driving answer itself."""
    order = np.argsort(-seen.urgency, axis=1, kind="stable")[:, :MOST]
    near = np.array(NEAR_M)[np.abs(np.maximum(seen.ahead_m, 0.0)[..., None] - NEAR_M).argmin(axis=-1)]
    perception, reasoning, planning = [], [], []
    decides = _decides(seen, targets)
    actions, sideward = _actions(batch, targets)
    for row in range(len(batch)):
        heeded = [v for v in order[row].tolist() if seen.urgency[row, v] > 0.0]
        named = [(*_named(seen, row, v), int(near[row, v])) for v in heeded]
        perception.append(" , ".join(f"{k} {p} {d} {m}" for k, p, m, d in named) or NOTHING)
        why = named[0] if named and decides[row] else None
        reasoning.append(f"{why[0]} {why[1]} {why[2]}" if why else NOTHING)
        planning.append(f"{actions[row]} {sideward[row]} for {why[0] if why else NOTHING}")
    return Answers(texts_of(targets), perception, reasoning, planning)


def _named(seen: Sights, row: int, actor: int) -> tuple[str, str, str]:
    return (
        KINDS[seen.shape[row, actor]], PLACES[seen.place[row, actor]], MOTIONS[seen.motion[row, actor]],
    )  # fmt: skip


def _decides(seen: Sights, targets: Targets) -> Bool:
    """Tell for each row whether the most urgent actor is why the car does not simply go on."""
    urgent = seen.urgency.max(axis=1, initial=0.0)
    yields = (targets.change_mps[:, 2] <= -1.0) | (np.abs(targets.side_m[:, 1]) >= 0.5)
    decides: Bool = (urgent > 0.25) | ((urgent > 0.08) & yields)
    return decides


def _actions(batch: ObservationBatch, targets: Targets) -> tuple[list[str], list[str]]:
    """Return the words for what the targets do along the road and across it."""
    soon, late = targets.change_mps[:, 0], targets.change_mps[:, 2]
    stands = np.maximum(batch.ego[:, 3], 0.0) + late <= 0.3
    along = np.select([soon <= -4.0, stands, soon <= -1.5, late <= -1.0, late < 1.0], [1, 0, 2, 3, 4], 5)
    drift: Float = targets.side_m[:, 1] - batch.route_r
    across = np.select([drift < -0.6, drift > 0.6], [0, 2], 1)
    return [ACTIONS[k] for k in along], [SIDEWARD[k] for k in across]


def every_word() -> list[str]:
    """Return lines that hold every word of prompts and answers, for the tokenizer."""
    from simdrive.agents.language.codec import vocabulary

    speeds = [said(v) for v in np.arange(0.0, 45.01, 0.5).tolist()]
    ways = [command.name.lower() for command in Command]
    asked = [phrase for group in (*DRIVING.values(), *ASKED.values()) for phrase in group]
    words = [*(w for place in vocabulary() for w in place), *speeds, *ways, *map(str, NEAR_M)]
    words += [*KINDS.values(), *PLACES, *MOTIONS, *ACTIONS, *SIDEWARD, NOTHING, "for", ",", ";", "?", "of"]
    chat = ["user\n", "assistant\n", "at 1", "who", "speed"]
    firsts = [*KINDS.values(), *ACTIONS, NOTHING, "what", "where", "at"]
    return [*asked, *(f"a {word}" for word in words), *chat, *firsts]
