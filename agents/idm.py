"""A driver that only follows: highway-env's IDM along the route, no lane change, no foresight."""

from __future__ import annotations

import numpy as np

from simdrive.agents.answers import answer, rule_card, view_of
from simdrive.agents.following import bend_speeds, leader, valid_points, write_idm
from simdrive.agents.scene import E_FREE, pack_actors, pack_ego
from simdrive.jit import jit
from simdrive.sim.plans import PLAN_POINTS, PLAN_TIMES
from simdrive.types import Charge, Float, Long, ObservationBatch, PlanBatch, Wants


@jit
def _plan_rows(routes, egos, actors, bend_mps2, margin_m, driver, times, bends, plans):  # type: ignore[no-untyped-def]
    for n in range(routes.shape[0]):
        route, ego = routes[n], egos[n]
        count = valid_points(route)
        bend_speeds(route, count, ego[E_FREE], bend_mps2, 2.0, bends)
        gap, along = leader(route, count, ego, margin_m, actors[n])
        write_idm(route, count, ego, bends, gap, along, driver, times, plans[n])


class Idm:
    """Rule driver: keeps an IDM gap to the nearest visible actor in its corridor, whatever that actor is."""

    def __init__(
        self,
        name: str = "idm",
        comfort_acceleration_mps2: float = 3.0,
        comfort_braking_mps2: float = 5.0,
        jam_gap_m: float = 5.0,  # highway-env: 10 m centre to centre = 5 m between 5 m cars
        time_gap_s: float = 1.5,
        hardest_braking_mps2: float = 6.0,
        bend_acceleration_mps2: float = 2.5,
        corridor_margin_m: float = 0.2,
    ) -> None:
        parameters = {key: value for key, value in locals().items() if key not in ("self", "name")}
        self.card = rule_card(name, "intelligent driver model along the route, no lane change", **parameters)
        self.wants = Wants(world="visible")
        self.charge = Charge()
        self._driver = np.array(
            [comfort_acceleration_mps2, comfort_braking_mps2, jam_gap_m, time_gap_s, hardest_braking_mps2]
        )
        self._bend, self._margin = bend_acceleration_mps2, corridor_margin_m

    def reset(self, slots: Long) -> None:
        """Nothing to forget: the answer depends on the present observation alone."""

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Follow whoever is ahead."""
        actors = pack_actors(view_of(batch, self.card.name))
        plans: Float = np.empty((len(batch), PLAN_POINTS, 5))
        bends = np.empty(batch.route.shape[1])
        _plan_rows(
            batch.route, pack_ego(batch), actors, self._bend, self._margin, self._driver, PLAN_TIMES, bends, plans
        )
        return answer(plans)
