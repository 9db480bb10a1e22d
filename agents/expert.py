"""The reference driver and labeller: sees the world state, but only actors in line of sight and never the events.

It predicts the visible actors under a few hypotheses each, rolls out candidates (shifts across the road times ways to
choose the speed) and takes the cheapest: contact, road edge, closeness, comfort, progress, lane keeping.
"""

from __future__ import annotations

import numpy as np

from simdrive.agents.answers import answer, rule_card, view_of
from simdrive.agents.choose import MEMORY, PLAN_ROWS, plan_rows
from simdrive.agents.lanemap import lane_map
from simdrive.agents.memory import SlotMemory
from simdrive.agents.scene import E_FREE, pack_actors, pack_ego
from simdrive.agents.slippery import careful_speeds
from simdrive.types import Charge, Float, Long, ObservationBatch, PlanBatch, Wants


class Expert:
    """Planner on the visible world state."""

    def __init__(
        self,
        name: str = "expert",
        comfort_acceleration_mps2: float = 1.8,
        comfort_braking_mps2: float = 2.2,
        jam_gap_m: float = 2.5,
        time_gap_s: float = 1.3,
        bend_acceleration_mps2: float = 2.5,
        caution: float = 0.6,
    ) -> None:
        parameters = {key: value for key, value in locals().items() if key not in ("self", "name")}
        self.card = rule_card(
            name, "candidate planner on the visible world state; labeller and reference", kind="reference", **parameters
        )
        self.wants = Wants(world="visible")
        self.charge = Charge()
        self._driver = np.array([comfort_acceleration_mps2, comfort_braking_mps2, jam_gap_m, time_gap_s, 8.0])
        self._bend, self._caution = bend_acceleration_mps2, caution
        self._memory = SlotMemory(scalars=MEMORY, per_actor=0)
        self.costs: Float = np.empty(0)

    def reset(self, slots: Long) -> None:
        """Forget which way ``slots`` were going to pass."""
        self._memory.forget(slots)

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Choose a candidate for each row."""
        view = view_of(batch, self.card.name)
        roads = lane_map(view.roads)
        same_left = batch.lane_left_m if batch.same_left_m is None else batch.same_left_m
        same_right = batch.lane_right_m if batch.same_right_m is None else batch.same_right_m
        bounds = np.stack([batch.lane_left_m, batch.lane_right_m, same_left, same_right], axis=1)
        egos = pack_ego(batch)
        egos[:, E_FREE] = careful_speeds(egos[:, E_FREE], view.slicks, batch.route_s)
        plans: Float = np.empty((len(batch), PLAN_ROWS, 5))
        self.costs = np.empty(len(batch))
        plan_rows(
            self._memory.rows(batch.slot, 0), self._memory.scalars, roads.lanes, roads.poses, roads.following,
            batch.route, bounds, egos, pack_actors(view), self._driver, self._bend, self._caution,
            plans, self.costs,
        )  # fmt: skip
        return answer(plans)
