"""A car comes towards the ego in the ego's own lane."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrive.scenarios.ncap.protocol import CAR, TICK_S, StatedImpact, across_m
from simdrive.scenarios.ncap.sync import impact_tick
from simdrive.scenarios.ncap.track import START_M, country_road, finish, light, on_track, t0_row, target_at
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.sim.spec import LaneIndex, WorldSpec

_LANE: LaneIndex = ("a", "b", 0)


class HeadOn:
    """CCFhos: both straight on, overlapping."""

    name = "ncap_ccfhos"
    description = "Euro NCAP CCFhos. A car comes straight towards the ego, partly or wholly in the ego's lane."
    tags = ("euro_ncap:CCFhos", "nhtsa:21")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_kph": Range(20.0, 100.0, "km/h"),
        "target_speed_kph": Range(20.0, 100.0, "km/h"),
        "impact_location_pct": Range(0.0, 125.0, "%"),
    }

    def impact(self, params: Mapping[str, Any], ego_length_m: float, ego_width_m: float) -> StatedImpact:
        """Return where an ego of this size hits the target if it does not react."""
        return StatedImpact("front", across_m(params["impact_location_pct"], ego_width_m), 0.5 * CAR.length_m, 0.0)

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, pace = params["ego_speed_kph"] / 3.6, params["target_speed_kph"] / 3.6
        stage = on_track(country_road(), _LANE, speed)
        impact = impact_tick(rng)
        gap = 0.5 * (stage.ego.length_m + CAR.length_m) + (speed + pace) * impact * TICK_S
        right = across_m(params["impact_location_pct"], stage.ego.width_m) if hazard else -stage.road.lane_width_m
        x, y, heading = stage.road.pose(_LANE, START_M + gap, right)
        who, row = stage.add(target_at(rng, CAR, (x, y, heading + math.pi), pace)), -1
        if hazard:
            row = t0_row(stage, who)
        return finish(stage, who, row, impact, hazard, light(rng))
