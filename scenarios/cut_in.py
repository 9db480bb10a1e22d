"""Somebody slower moves into the ego's lane with little room to spare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, highway, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import shift_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec

_START_M = 110.0
_SLOWEST_MPS = 3.0


class CutIn:
    """Motorway cut-in from either side, with or without braking afterwards."""

    name = "cut_in"
    description = (
        "A slower vehicle on the next lane changes into the ego's lane when the ego is close behind it, and may brake."
    )
    tags = ("bench2drive:HighwayCutIn", "nhtsa:18", "r157:cut-in")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(17.0, 33.0, "m/s"),
        "speed_difference_mps": Range(5.0, 18.0, "m/s"),
        "ttc_s": Range(-0.6, 2.3, "s"),  # left when the vehicle begins to overlap the ego's path
        "lateral_speed_mps": Range(2.0, 5.4, "m/s"),
        "braking_mps2": Range(0.0, 6.0, "m/s2"),
        "side": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, slower, rate = params["ego_speed_mps"], params["speed_difference_mps"], params["lateral_speed_mps"]
        road = highway(rng)
        lanes, left = road.lanes(("a", "b", 0)), params["side"] == "left"
        own = int(rng.integers(1, lanes)) if left else int(rng.integers(0, lanes - 1))
        lane, beside = ("a", "b", own), ("a", "b", own - 1 if left else own + 1)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))

        cutter = on_lane(rng, "cutter", draw_traffic_shape(rng), beside, 0.0, speed - slower)
        apart = road.lane_width_m - 0.5 * (cutter.width_m + stage.ego.width_m)
        threshold = params["ttc_s"] + shift_time_s(apart, road.lane_width_m, rate)
        wait = 3.2 + float(rng.uniform(0.0, 2.0))
        gap = slower * (threshold + wait) + 0.5 * (cutter.length_m + stage.ego.length_m)
        level = road.beside(lane, _START_M + gap, beside)
        who = stage.add(replace(cutter, s_m=level, reactive=True, time_wanted_s=0.5))
        row = -1
        if hazard:
            ready = stage.lead_in(who)
            row = stage.event(
                who, Action.LANE_CHANGE, 1.0 if left else -1.0, rate=rate,
                trigger=Trigger.EGO_TTC, threshold=threshold, after=ready,
            )  # fmt: skip
            if params["braking_mps2"] > 0.5:
                end = max(_SLOWEST_MPS, speed - slower - 2.5 * params["braking_mps2"])
                stage.event(
                    who, Action.ACCELERATE, -params["braking_mps2"], rate=20.0, until=end, after=row, delay_s=0.4
                )
            stage.event(who, Action.SPEED, speed, rate=2.0, after=row, delay_s=4.5)

        for other in range(lanes):
            if other == own:
                continue
            near = ("a", "b", other)
            here = road.beside(lane, _START_M, near)
            free = [(here - 15.0, level + 45.0)] if other == beside[2] else []
            if other == beside[2]:
                pace, level_m = 0.97 * (speed - slower), None
            else:
                pace, level_m = speed * float(rng.uniform(0.97, 1.02)), here
            flow(
                stage, rng, near, (max(here - 60.0, 10.0), here + 150.0), pace,
                keep_free=free, share=0.85, level_m=level_m,
            )  # fmt: skip
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, 1000.0), 0.7)
        return stage.world(
            goal_m=speed * (wait + 9.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
