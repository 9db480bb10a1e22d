"""Somebody comes towards the ego in the ego's own lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.roads import RURAL_LIMIT_MPS, URBAN_WIDTH_M, two_way
from simdrive.scenarios.scenery import draw_light, pick, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import shift_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec

_START_M = 90.0
_LENGTH_M = 1200.0


class WrongWay:
    """Road without a median, one or two lanes each way; an oncoming vehicle crosses the centre line, some return."""

    name = "wrong_way"
    description = (
        "On a road with one or two lanes each way an oncoming vehicle crosses into the ego's lane and stays there for "
        "some seconds; where there is a lane on the right, it may be free."
    )
    tags = ("nhtsa:20", "nhtsa:21", "euro_ncap:CCFhos", "euro_ncap:CCFhol", "bench2drive:InvadingTurn")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(11.0, 20.0, "m/s"),
        "oncoming_speed_mps": Range(15.0, 30.0, "m/s"),
        "ttc_s": Range(0.0, 5.2, "s"),  # left when the vehicle begins to overlap the ego's path
        "lateral_speed_mps": Range(1.4, 4.0, "m/s"),
        "intrusion": Range(0.6, 1.2),  # how far into the lane, 1 = to its centre
        "return_s": Range(1.5, 6.0, "s"),  # from leaving its lane to turning back
        "lanes_each": Choice((1, 2)),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, facing_speed = params["ego_speed_mps"], params["oncoming_speed_mps"]
        shape = pick(rng, ("straight", "straight", "sine", "left", "right"))
        lanes = params["lanes_each"]
        wide = URBAN_WIDTH_M if lanes > 1 else float(rng.uniform(2.75, 3.1))
        road = two_way(lanes, shape, radius_m=900.0, length_m=_LENGTH_M, width_m=wide, limit_mps=RURAL_LIMIT_MPS)
        lane, right, facing = ("a", "b", 0), ("a", "b", lanes - 1), ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        width = road.lane_width_m

        other = on_lane(rng, "oncoming", draw_traffic_shape(rng), facing, 0.0, facing_speed)
        apart, goal = width - 0.5 * (other.width_m + stage.ego.width_m), params["intrusion"] * width
        crossing_s = shift_time_s(min(apart, goal), goal, params["lateral_speed_mps"])
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        threshold = params["ttc_s"] + crossing_s
        gap = (speed + facing_speed) * (wait + threshold) + 0.5 * (other.length_m + stage.ego.length_m)
        level = road.beside(lane, _START_M + gap, facing)
        who, row = stage.add(replace(other, s_m=level)), -1
        if hazard:
            ready = stage.lead_in(who)
            rate = params["lateral_speed_mps"]
            row = stage.event(
                who, Action.OFFSET, -goal, rate=rate, trigger=Trigger.EGO_TTC, threshold=threshold, after=ready
            )
            stage.event(who, Action.OFFSET, 0.0, rate=rate, after=row, delay_s=params["return_s"])
        pace = speed * float(rng.uniform(0.97, 1.02))
        here = road.beside(lane, _START_M, facing)
        if lanes > 1:
            flow(stage, rng, right, (_START_M - 50.0, _START_M + 130.0), pace, share=0.75, level_m=_START_M)
            span = (here - 330.0, here - 20.0)
            flow(stage, rng, ("b", "a", 1), span, facing_speed, share=0.5, gap_m=(25.0, 90.0))
        flow(stage, rng, facing, (level + 70.0, here - 25.0), facing_speed, share=0.5)  # have passed by then
        close = on_lane(
            rng,
            "behind",
            draw_traffic_shape(rng),
            facing,
            0.0,
            facing_speed,
            reactive=True,
            time_wanted_s=0.2,
            jam_gap_m=1.5,
        )
        apart = 0.5 * (close.length_m + other.length_m) + float(rng.uniform(4.0, 10.0))
        stage.add(replace(close, s_m=level - apart))
        flow(stage, rng, facing, (level - 190.0, level - apart - 20.0), facing_speed, share=0.8, gap_m=(10.0, 35.0))
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, right, (_START_M - 40.0, 900.0), 0.5)
        return stage.world(
            goal_m=speed * (wait + 9.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
