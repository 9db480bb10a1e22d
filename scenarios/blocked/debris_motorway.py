"""Load or a tyre comes off a truck on the next lane and slides into the ego's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, highway, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import shift_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 110.0
_JERK_MPS3 = 60.0


class DebrisMotorway:
    """The ego overtakes a truck that loses something at that moment."""

    name = "debris_motorway"
    description = (
        "The ego overtakes a truck on the next lane that loses a part of its load; it slides across into the ego's "
        "lane, lies there, and is blown off the road some seconds later."
    )
    tags = ("nhtsa:36", "nhtsa:35", "bench2drive:Accident")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(20.0, 34.0, "m/s"),
        "slower_mps": Range(3.0, 10.0, "m/s"),  # the truck than the ego
        "braking_mps2": Range(4.0, 8.0, "m/s2"),  # of the sliding load
        "lateral_speed_mps": Range(2.0, 4.0, "m/s"),
        "late_s": Range(-0.7, 1.0, "s"),  # from when the load is in the ego's way to when the ego gets there
        "side": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, slower, braking = params["ego_speed_mps"], params["slower_mps"], params["braking_mps2"]
        left, rate, pace = params["side"] == "left", params["lateral_speed_mps"], speed - slower
        road = highway(rng, (2, 3))
        lanes = road.lanes(("a", "b", 0))
        own = lanes - 1 if left else 0  # the load goes on over the edge of the road
        lane, beside = ("a", "b", own), ("a", "b", own - 1 if left else own + 1)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        wait, rest_s = 3.3 + float(rng.uniform(0.0, 1.5)), float(rng.uniform(3.0, 4.5))

        load = on_lane(rng, "load", Shape.DEBRIS, beside, 0.0, pace)
        truck = on_lane(rng, "truck", Shape.TRUCK, beside, 0.0, pace)
        way = road.lane_width_m + float(rng.uniform(-0.4, 0.4))
        apart = road.lane_width_m - 0.5 * (load.width_m + stage.ego.width_m)
        reach_s = shift_time_s(min(apart, way), way, rate) + params["late_s"]
        slide_s = min(reach_s, pace / braking)
        gap = speed * reach_s - (pace * slide_s - 0.5 * braking * slide_s**2)
        load_m = _START_M + 0.5 * (load.length_m + stage.ego.length_m) + gap + slower * wait
        here = road.beside(lane, _START_M, beside)
        load_m += here - _START_M
        who = stage.add(replace(load, s_m=load_m))
        stage.add(replace(truck, s_m=load_m + 0.5 * (load.length_m + truck.length_m) + 0.15))
        row = -1
        if hazard:
            ready, sign = stage.lead_in(who), 1.0 if left else -1.0
            row = stage.event(
                who, Action.STOP, braking, rate=_JERK_MPS3, trigger=Trigger.EGO_DISTANCE, threshold=gap, after=ready
            )
            stage.event(who, Action.OFFSET, sign * way, rate=rate, after=row)
            off = sign * (way + 0.5 * road.lane_width_m + 2.2)
            stage.event(who, Action.OFFSET, off, rate=1.6, after=row, delay_s=pace / braking + rest_s)
        for number in range(lanes):
            near = ("a", "b", number)
            level = road.beside(lane, _START_M, near)
            if near == beside:  # behind the load everybody keeps a distance
                span = (max(level - 100.0, 5.0), level + 10.0)
                flow(stage, rng, near, span, 0.94 * pace, share=0.4, gap_m=(25.0, 60.0))
            elif number != own:
                flow(stage, rng, near, (level - 60.0, level + 130.0), speed, share=0.5, level_m=level)
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, 1000.0), 1.0)
        return stage.world(
            goal_m=speed * (wait + 8.0), time_limit_s=30.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
