"""How a grid is laid out in its plan: one block of rows per agent, corruption and latency setting, cases innermost."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass

from simdrive.eval.corruptions import CLEAN, CorruptionConfig
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.keys import episode_key
from simdrive.eval.plan import PlannedEpisode
from simdrive.eval.reference import EXPERT, CaseReference
from simdrive.latency.deadline import build_deadline
from simdrive.latency.disturbed import build_source
from simdrive.latency.modes import LatencySetting, build_mode


@functools.lru_cache(maxsize=64)
def build_latency(config: LatencyConfig) -> LatencySetting:
    """Build the latency setting behind a resolved configuration; settings hold no state."""
    source, device = build_source(json.loads(config.source))
    return LatencySetting(
        source=source,
        mode=build_mode(json.loads(config.mode)),
        waiting=config.waiting,  # type: ignore[arg-type]  # checked by the setting itself
        aeb_monitor=config.aeb_monitor,
        deadline=build_deadline(json.loads(config.deadline)),
        device=device,
    )


@dataclass(frozen=True)
class Block:
    """The rows of one agent under one corruption and latency setting: all cases in order."""

    agent: AgentConfig
    latency: LatencyConfig
    first_row: int
    corruption: CorruptionConfig = CLEAN

    @property
    def group(self) -> tuple[str, str, str]:
        """Agent, latency setting and corruption by their names in tables."""
        return self.agent.name, self.latency.label, self.corruption.label

    def entry(self, place: int, reference: CaseReference) -> PlannedEpisode:
        """Return the row of the case at ``place`` among all cases."""
        agent = {"name": self.agent.name, "config": self.agent.config}
        return PlannedEpisode(
            row=self.first_row + place,
            key=episode_key(
                reference.case, agent, build_latency(self.latency).identity(), corruption=self.corruption.config
            ),
            case=reference.case,
            agent=self.agent.name,
            latency=self.latency.label,
            corruption=self.corruption.label,
            avoidable=reference.avoidable,
            hazard_us=reference.hazard_us,
            expert_progress_m=reference.expert_progress_m,
            valid=reference.valid,
        )


def blocks_of(
    agents: Sequence[AgentConfig],
    latencies: Sequence[LatencyConfig],
    cases: int,
    first_row: int = 0,
    corruptions: Sequence[CorruptionConfig] = (CLEAN,),
    sightless: Sequence[str] = (),
) -> list[Block]:
    """Return the blocks of a grid in the order of the plan: agents outermost, latency settings innermost.

    Agents named in ``sightless`` are shown no picture: no corruption changes anything for them, so they drive once.
    """
    settings = [
        (agent, latency, corruption)
        for agent in agents
        for corruption in ((CLEAN,) if agent.name in sightless else corruptions)
        for latency in latencies
    ]
    return [
        Block(agent, latency, first_row + number * cases, corruption)
        for number, (agent, latency, corruption) in enumerate(settings)
    ]


def reference_block(blocks: Sequence[Block]) -> Block | None:
    """Return the block that asks for the very episodes that references are made of, so that they are driven once."""
    expert = AgentConfig.named(EXPERT).config
    clean = (block for block in blocks if block.corruption == CLEAN)
    same = (block for block in clean if block.agent.config == expert and build_latency(block.latency).immediate)
    return next(same, None)
