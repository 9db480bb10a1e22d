"""Collects the actors and events of one world by name order, so that scenarios read like a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from simdrive.scenarios.roads import Road
from simdrive.sim.spec import CHANNEL_OF, Action, ActorSpec, Event, LaneIndex, Lighting, Slick, Trigger, WorldSpec
from simdrive.sim.state import Behaviour
from simdrive.types import Float

LEAD_IN_S = 3.0
_MARKER_M = 0.5


@dataclass
class Stage:
    """One world while it is being put together; ``world`` hands it over."""

    road: Road
    ego: ActorSpec
    route: tuple[LaneIndex, ...]
    actors: list[ActorSpec] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    walkable: list[Float] = field(default_factory=list)
    drivable: list[Float] = field(default_factory=list)
    slicks: list[Slick] = field(default_factory=list)

    def add(self, actor: ActorSpec) -> int:
        """Add an actor and return its index; a name that is taken gets a number."""
        names = {other.name for other in self.actors} | {self.ego.name}
        name, number = actor.name, 2
        while name in names:
            name, number = f"{actor.name}_{number}", number + 1
        self.actors.append(replace(actor, name=name))
        return len(self.actors)

    def mark(self, name: str, x_m: float, y_m: float) -> int:
        """Add a place that triggers can refer to: an actor that is never there."""
        return self.add(
            ActorSpec(
                name, behaviour=Behaviour.OBSTACLE, x_m=x_m, y_m=y_m, present=False,
                length_m=_MARKER_M, width_m=_MARKER_M,
            )
        )  # fmt: skip

    def event(
        self,
        actor: int,
        action: Action,
        magnitude: float = 0.0,
        *,
        trigger: Trigger = Trigger.FIRED,
        threshold: float = 0.0,
        rate: float = 0.0,
        until: float = math.nan,
        subject: int = -1,
        after: int = -1,
        delay_s: float = 0.0,
    ) -> int:
        """Add an event row and return its index; without a trigger it follows row ``after``."""
        self.events.append(
            Event(
                actor, trigger, threshold, CHANNEL_OF[action], action, magnitude, rate, until,
                actor if subject < 0 else subject, after, delay_s,
            )
        )  # fmt: skip
        return len(self.events) - 1

    def lead_in(self, actor: int) -> int:
        """Add the row that others wait for, so that nothing happens in the hazard-free start; return its index."""
        keep = float(self.actors[actor - 1].indicator)
        return self.event(actor, Action.INDICATOR, keep, trigger=Trigger.TIME, threshold=LEAD_IN_S)

    def world(
        self,
        *,
        goal_m: float,
        time_limit_s: float,
        lighting: Lighting,
        hazard: bool,
        hazard_actors: Sequence[int] = (),
        hazard_row: int = -1,
        command: int = 0,
    ) -> WorldSpec:
        """Return the finished world; the hazard fields are left out when ``hazard`` is False."""
        return WorldSpec(
            road=self.road.map,
            ego=self.ego,
            actors=tuple(self.actors),
            events=tuple(self.events),
            ego_route=self.route,
            goal_m=goal_m,
            cruise_speed_mps=self.ego.speed_mps,
            time_limit_s=time_limit_s,
            hazard_actors=tuple(hazard_actors) if hazard else (),
            hazard_row=hazard_row if hazard else -1,
            lead_in_s=LEAD_IN_S,
            command=command,
            lighting=lighting,
            walkable=tuple(self.walkable),
            extra_drivable=tuple(self.drivable),
            slicks=tuple(self.slicks),
        )


def ego_on(lane: LaneIndex, s_m: float, speed_mps: float) -> ActorSpec:
    """Return the ego on a lane; it is the same car in every scenario."""
    return ActorSpec("ego", behaviour=Behaviour.KINEMATIC, lane=lane, s_m=s_m, speed_mps=speed_mps)
