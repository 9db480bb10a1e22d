"""A truck that the ego overtakes drifts out of its lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, highway, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 120.0


class DriftingVehicle:
    """The other does not change lanes: it comes over the line by a part of its width, and back."""

    name = "drifting_vehicle"
    description = (
        "A truck or van that the ego is about to overtake drifts over the line into the ego's lane, and back some "
        "seconds later."
    )
    tags = ("nhtsa:19", "bench2drive:HazardAtSideLane", "r157:cut-in")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(18.0, 31.0, "m/s"),
        "slower_mps": Range(3.0, 9.0, "m/s"),  # the drifting one than the ego
        "distance_m": Range(-5.0, 6.0, "m"),  # from the ego's front to its rear when it begins to overlap the path
        "drift_mps": Range(0.9, 2.4, "m/s"),
        "drift_m": Range(1.5, 2.6, "m"),  # how far over
        "side": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, slower, left = params["ego_speed_mps"], params["slower_mps"], params["side"] == "left"
        road = highway(rng, (3, 4))
        lanes = road.lanes(("a", "b", 0))
        own = int(rng.integers(1, lanes)) if left else int(rng.integers(0, lanes - 1))
        lane, beside = ("a", "b", own), ("a", "b", own - 1 if left else own + 1)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        shape = Shape.TRUCK if rng.random() < 0.6 else Shape.VAN
        pace = speed - slower
        other = on_lane(rng, "drifting", shape, beside, 0.0, pace)
        apart = road.lane_width_m - 0.5 * (other.width_m + stage.ego.width_m)
        drift, rate = max(params["drift_m"], apart + 0.5), params["drift_mps"]
        over_s = apart / rate + 0.5 * rate / 2.0  # until it begins to overlap, its slow start included
        distance = max(params["distance_m"] + slower * over_s, 0.2)
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        ahead = distance + slower * wait + 0.5 * (other.length_m + stage.ego.length_m)
        level = road.beside(lane, _START_M + ahead, beside)
        who, row = stage.add(replace(other, s_m=level)), -1
        if hazard:
            ready, sign = stage.lead_in(who), 1.0 if left else -1.0
            row = stage.event(
                who, Action.OFFSET, sign * drift, rate=rate,
                trigger=Trigger.EGO_DISTANCE, threshold=distance, after=ready,
            )  # fmt: skip
            stage.event(who, Action.OFFSET, 0.0, rate=1.4, after=row, delay_s=over_s + drift / rate + 2.0)
        for number in range(lanes):
            if number != own:
                near = ("a", "b", number)
                here = road.beside(lane, _START_M, near)
                free = [(here - 10.0, level + 40.0)] if near == beside else []
                speed_there = 0.98 * pace if near == beside else speed * float(rng.uniform(0.97, 1.02))
                flow(stage, rng, near, (max(here - 70.0, 5.0), here + 170.0), speed_there, keep_free=free, share=0.6)
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, 1000.0), 1.2)
        return stage.world(
            goal_m=speed * (wait + 9.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
