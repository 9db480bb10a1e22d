"""Two vehicles ahead get into each other's way and block the lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, highway, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec

_START_M = 110.0
_JERK_MPS3 = 60.0
_BRAKING_MPS2 = 9.0


class AccidentAhead:
    """Motorway; a vehicle swerves in front of the one that the ego follows, and both stop across two lanes."""

    name = "accident_ahead"
    description = (
        "A vehicle swerves in front of the one that the ego follows; both brake to standstill and block its lane and "
        "half of the next one. They clear the road some seconds later."
    )
    tags = ("bench2drive:Accident", "nhtsa:26", "nhtsa:33", "r157:deceleration", "euro_ncap:CCRs")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(18.0, 33.0, "m/s"),
        "time_gap_s": Range(0.18, 1.0, "s"),  # from the ego to the vehicle ahead
        "swerve": Range(0.45, 0.7),  # share of a lane width by which the other one leaves its lane
        "side": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, left = params["ego_speed_mps"], params["side"] == "left"
        road = highway(rng, (3, 4))
        lanes = road.lanes(("a", "b", 0))
        own = int(rng.integers(1, lanes)) if left else int(rng.integers(0, lanes - 1))
        lane, beside = ("a", "b", own), ("a", "b", own - 1 if left else own + 1)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        when, rest_s = 3.3 + float(rng.uniform(0.0, 2.5)), float(rng.uniform(2.5, 4.0))

        lead = on_lane(rng, "lead", draw_traffic_shape(rng), lane, 0.0, speed)
        other = on_lane(rng, "swerving", draw_traffic_shape(rng), beside, 0.0, speed)
        lead_m = _START_M + 0.5 * (lead.length_m + stage.ego.length_m) + speed * params["time_gap_s"]
        ahead_m = 0.5 * (lead.length_m + other.length_m) + 0.25 * speed + float(rng.uniform(2.0, 4.0))
        who = stage.add(replace(lead, s_m=lead_m))
        second = stage.add(replace(other, s_m=road.beside(lane, lead_m + ahead_m, beside)))
        row = -1
        if hazard:
            aside = (1.0 if left else -1.0) * params["swerve"] * road.lane_width_m
            first = stage.event(second, Action.OFFSET, aside, rate=2.6, trigger=Trigger.TIME, threshold=when)
            stage.event(second, Action.STOP, _BRAKING_MPS2, rate=_JERK_MPS3, after=first, delay_s=0.1)
            row = stage.event(who, Action.STOP, _BRAKING_MPS2 + 0.4, rate=_JERK_MPS3, after=first, delay_s=0.25)
            again = speed / _BRAKING_MPS2 + rest_s
            stage.event(second, Action.SPEED, speed, rate=2.6, after=first, delay_s=again)
            stage.event(second, Action.OFFSET, 0.0, rate=1.5, after=first, delay_s=again + 1.0)
            stage.event(who, Action.SPEED, speed, rate=2.2, after=first, delay_s=again + 1.2)
        far_m = lead_m + ahead_m
        for number in range(lanes):
            if number != own:
                near = ("a", "b", number)
                here = road.beside(lane, _START_M, near)
                free = [(here - 35.0, here + far_m - _START_M + 60.0)] if near == beside else []
                pace = speed * float(rng.uniform(0.97, 1.02))
                level = None if near == beside else here  # who drives close behind the swerving one could not stop
                flow(stage, rng, near, (here - 60.0, here + 150.0), pace, keep_free=free, share=0.5, level_m=level)
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, 1000.0), 0.7)
        return stage.world(
            goal_m=speed * (when + 8.0), time_limit_s=30.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who, second), hazard_row=row,
        )  # fmt: skip
