"""A driver that only follows: highway-env's IDM along the route, no lane change, no foresight."""

from __future__ import annotations

import numpy as np

from simdrive.agents.answers import answer, rule_card, slopes, view_of
from simdrive.agents.following import bend_speeds, leader, valid_points, write_idm
from simdrive.jit import jit
from simdrive.sim.plans import PLAN_POINTS, PLAN_TIMES
from simdrive.types import Charge, Float, Long, ObservationBatch, PlanBatch, Wants


@jit
def _plan_rows(  # type: ignore[no-untyped-def]
    routes, route_s, route_r, slope, ego_speed, ego_size, free, bend_mps2, margin_m, driver,
    seen, x, y, heading, speed, lateral, length, width, times, plans,
):  # fmt: skip
    bends = np.empty(routes.shape[1])
    for n in range(routes.shape[0]):
        route = routes[n]
        count = valid_points(route)
        bend_speeds(route, count, free[n], bend_mps2, 2.0, bends)
        gap, along, _ = leader(
            route, count, route_s[n], route_r[n], ego_size[n, 0], ego_size[n, 1], margin_m,
            seen[n], x[n], y[n], heading[n], speed[n], lateral[n], length[n], width[n],
        )  # fmt: skip
        write_idm(
            route, count, route_s[n], route_r[n], slope[n], ego_speed[n], bends, gap, along, driver, times, plans[n]
        )


class Idm:
    """Rule driver: keeps an IDM gap to the nearest visible actor in its corridor, whatever that actor is."""

    def __init__(
        self,
        name: str = "idm",
        comfort_acceleration_mps2: float = 3.0,
        comfort_braking_mps2: float = 5.0,
        jam_gap_m: float = 5.0,
        time_gap_s: float = 1.5,
        exponent: float = 4.0,
        hardest_braking_mps2: float = 6.0,
        bend_acceleration_mps2: float = 2.5,
        corridor_margin_m: float = 0.2,
    ) -> None:
        parameters = {key: value for key, value in locals().items() if key not in ("self", "name")}
        self.card = rule_card(name, "intelligent driver model along the route, no lane change", **parameters)
        self.wants = Wants(world="visible")
        self.charge = Charge()
        self._driver = np.array(
            [
                comfort_acceleration_mps2,
                comfort_braking_mps2,
                jam_gap_m,
                time_gap_s,
                exponent,
                hardest_braking_mps2,
            ]
        )
        self._bend, self._margin = bend_acceleration_mps2, corridor_margin_m

    def reset(self, slots: Long) -> None:
        """Nothing to forget: the answer depends on the present observation alone."""

    def plan(self, batch: ObservationBatch) -> PlanBatch:
        """Follow whoever is ahead."""
        view = view_of(batch, self.card.name)
        plans: Float = np.empty((len(batch), PLAN_POINTS, 5))
        free = np.fmin(batch.cruise_speed_mps, batch.speed_limit_mps)
        _plan_rows(
            batch.route, batch.route_s, batch.route_r, slopes(batch), np.maximum(batch.ego[:, 3], 0.0),
            batch.ego_size, free, self._bend, self._margin, self._driver,
            view.present & view.visible, view.x, view.y, view.heading, view.speed, view.lateral_speed,
            view.length, view.width, PLAN_TIMES, plans,
        )  # fmt: skip
        return answer(plans)
