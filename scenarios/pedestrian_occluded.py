"""Somebody steps onto the road from between parked cars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrive.scenarios.cast import anywhere, draw_size
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, park, urban
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import kerb_m, street_side
from simdrive.scenarios.timing import start_up_time_s
from simdrive.scenarios.traffic import flow
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 60.0
_START_MPS2 = 3.0  # how fast a walker gets going
_HALF_GAP_M = 0.65


class PedestrianOccluded:
    """Street with a parking strip on the right; an adult or a child crosses from behind a parked vehicle."""

    name = "pedestrian_occluded"
    description = (
        "A pedestrian walks or runs onto the street from between parked cars so that an ego that does not react "
        "hits them, and walks on to the other side."
    )
    tags = (
        "euro_ncap:CPNCO", "euro_ncap:CPNA", "nhtsa:12",
        "bench2drive:ParkingCrossingPedestrian", "bench2drive:DynamicObjectCrossing",
    )  # fmt: skip
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(7.0, 16.5, "m/s"),
        "walk_speed_mps": Range(1.0, 3.8, "m/s"),
        "parking_gap_m": Range(0.2, 1.6, "m"),  # from the lane to the parked cars
        "offset_s": Range(-0.6, 0.4, "s"),  # ego front at the crossing line minus walker at the lane centre
        "walker": Choice(("adult", "child")),
        "occluder": Choice(("car", "van")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, walk, gap = params["ego_speed_mps"], params["walk_speed_mps"], params["parking_gap_m"]
        road = urban(rng)
        lane, facing = ("a", "b", 0), ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        half = 0.5 * road.lane_width_m
        begin_m = kerb_m(stage, gap) + 0.35  # to the right of the ego's path
        reach_s = start_up_time_s(begin_m, walk, _START_MPS2) + params["offset_s"]
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        line_m = _START_M + 0.5 * stage.ego.length_m + speed * (wait + reach_s)

        look = draw_size(rng, Shape.PEDESTRIAN, child=params["walker"] == "child")
        x, y, heading = road.pose(lane, line_m, begin_m)
        who = stage.add(anywhere(rng, "pedestrian", Shape.PEDESTRIAN, (x, y, heading - math.pi / 2), **look))
        row = -1
        if hazard:
            ready = stage.lead_in(who)
            row = stage.event(
                who, Action.SPEED, walk, rate=_START_MPS2,
                trigger=Trigger.EGO_TTA, threshold=reach_s, after=ready,
            )  # fmt: skip
            over_m = begin_m + 1.5 * road.lane_width_m + 1.2
            stage.event(who, Action.STOP, 2.0, trigger=Trigger.POSITION, threshold=over_m, after=row)

        occluder = Shape.VAN if params["occluder"] == "van" else Shape.CAR
        near_m, far_m = line_m - _HALF_GAP_M, line_m + _HALF_GAP_M
        length = park(stage, rng, lane, near_m, half + gap, occluder, align=-1)
        length_after = park(stage, rng, lane, far_m, half + gap, Shape.CAR, align=1)
        rows = ((near_m - length - 36.0, near_m - length - 2.2), (far_m + length_after + 1.8, far_m + 24.0))
        street_side(
            stage, rng, lane, (_START_M - 40.0, line_m + 70.0), parking_gap_m=gap, parked=rows,
            keep_free=((line_m - 3.0, line_m + 3.0),),
        )  # fmt: skip
        opposite = road.beside(lane, line_m, facing)
        parked_left = ((opposite - 30.0, opposite - 5.0), (opposite + 5.0, opposite + 25.0))
        left_gap = 0.4 if rng.random() < 0.5 else None
        left = (opposite - 70.0, road.beside(lane, _START_M - 40.0, facing))
        street_side(stage, rng, facing, left, parking_gap_m=left_gap, parked=parked_left, share=0.5)
        # Oncoming traffic has passed the crossing line before anybody steps out.
        flow(stage, rng, facing, (opposite + 12.0, road.beside(lane, _START_M + 15.0, facing)), 0.9 * speed, share=0.6)
        return stage.world(
            goal_m=speed * (wait + reach_s + 5.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
