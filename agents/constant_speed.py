"""Holds lane and speed whatever happens: the blind control that any driver must beat."""

from __future__ import annotations

from simdrive.agents.answers import answer, curvatures, rule_card, slopes
from simdrive.sim.plans import hold_plans, present_bends
from simdrive.types import Charge, Long, ObservationBatch, PlanBatch, Wants


class ConstantSpeed:
    """Control driver: sees nothing but its own route and speed."""

    def __init__(self, name: str = "constant_speed") -> None:
        self.card = rule_card(name, "holds lane and speed, sees nothing", kind="control")
        self.wants = Wants()
        self.charge = Charge()

    def reset(self, slots: Long) -> None:
        """Nothing to forget."""

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Answer with the present speed along the route."""
        speed = batch.ego[:, 3]
        bend = present_bends(batch.route, batch.route_s, curvatures(batch), speed)
        return answer(hold_plans(batch.route, batch.route_s, batch.route_r, slopes(batch), speed, bend))
