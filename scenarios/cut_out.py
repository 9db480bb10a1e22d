"""The vehicle ahead swerves out of the lane and uncovers one that stands still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, highway, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import shift_rate_mps, shortest_shift_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 110.0
_SHOULDER_M = 0.7
_SHAPES = {"car": Shape.CAR, "van": Shape.VAN, "truck": Shape.TRUCK}


class CutOut:
    """Motorway cut-out to a stopped vehicle, which drives on some seconds later."""

    name = "cut_out"
    description = (
        "The vehicle ahead of the ego changes lanes just before a stopped vehicle that it had hidden; "
        "that one drives on after some seconds."
    )
    tags = ("r157:cut-out", "nhtsa:22", "nhtsa:26", "euro_ncap:CCRs")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(20.0, 34.0, "m/s"),
        "time_gap_s": Range(0.2, 0.9, "s"),  # from the ego to the vehicle ahead
        "reveal_s": Range(1.82, 2.2, "s"),  # from the lane change to when its driver would have hit the stopped one
        "lead": Choice(("car", "van", "truck")),
        "side": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, reveal = params["ego_speed_mps"], params["reveal_s"]
        road = highway(rng)
        lanes, left = road.lanes(("a", "b", 0)), params["side"] == "left"
        own = int(rng.integers(1, lanes)) if left else int(rng.integers(0, lanes - 1))
        lane, beside = ("a", "b", own), own - 1 if left else own + 1
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))

        lead = on_lane(rng, "lead", _SHAPES[params["lead"]], lane, 0.0)
        wait, rest_s = 3.3 + float(rng.uniform(0.0, 2.0)), float(rng.uniform(2.0, 3.5))
        lead_m = _START_M + 0.5 * (lead.length_m + stage.ego.length_m) + speed * params["time_gap_s"]
        stopped = on_lane(rng, "stopped", draw_traffic_shape(rng), lane, 0.0)
        stopped_m = lead_m + speed * (wait + reveal) + 0.5 * (lead.length_m + stopped.length_m)
        aside_m = 0.5 * (lead.width_m + stopped.width_m) + 0.3
        rate = shift_rate_mps(aside_m, max(reveal - 0.15, shortest_shift_s(aside_m)))  # two broad ones need all of it
        who = stage.add(replace(lead, s_m=lead_m, speed_mps=speed))
        swerve = stage.event(
            who, Action.LANE_CHANGE, -1.0 if left else 1.0, rate=rate,
            trigger=Trigger.POSITION, threshold=lead_m + speed * wait,
        )  # fmt: skip
        if hazard:
            victim = stage.add(replace(stopped, s_m=stopped_m))
            stage.event(victim, Action.SPEED, 0.9 * speed, rate=2.5, after=swerve, delay_s=reveal + rest_s)
        else:  # the same vehicle flows with the traffic
            victim = stage.add(replace(stopped, s_m=lead_m + 2.0 * speed + 15.0, speed_mps=speed))

        for other in range(lanes):
            if other != own:
                near = ("a", "b", other)
                here = road.beside(lane, _START_M, near)
                free = [(here - 5.0, here + lead_m - _START_M + 90.0)] if other == beside else []
                pace = speed * float(rng.uniform(0.97, 1.01))
                flow(stage, rng, near, (here - 60.0, here + 160.0), pace, keep_free=free, share=0.5, level_m=here)
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, 1000.0), _SHOULDER_M)
        return stage.world(
            goal_m=speed * (wait + 9.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(victim,), hazard_row=swerve,
        )  # fmt: skip
