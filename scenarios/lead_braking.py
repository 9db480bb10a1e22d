"""The vehicle ahead brakes hard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.roads import Road
from simdrive.scenarios.scenery import buildings, draw_light, highway, rural, shoulder, urban
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec

_START_M = 110.0
_JERK_MPS3 = 60.0
_URBAN_MPS, _RURAL_MPS = 16.0, 23.0  # faster than this is no street, no country road


class LeadBraking:
    """Following on a street, a country road or a motorway."""

    name = "lead_braking"
    description = "The vehicle that the ego follows brakes hard, down to standstill or nearly, and drives on later."
    tags = ("r157:deceleration", "nhtsa:25", "euro_ncap:CCRb", "bench2drive:HardBreakRoute")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(11.0, 33.0, "m/s"),
        "time_gap_s": Range(0.03, 0.8, "s"),
        "braking_mps2": Range(7.0, 10.5, "m/s2"),
        "end_speed_share": Range(0.0, 0.5),  # of the speed before
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed = params["ego_speed_mps"]
        road, own = _road(rng, speed)
        lane = ("a", "b", own)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        lead = on_lane(rng, "lead", draw_traffic_shape(rng), lane, 0.0, speed)
        at = _START_M + 0.5 * (lead.length_m + stage.ego.length_m) + speed * params["time_gap_s"]
        who = stage.add(replace(lead, s_m=at))
        when, rest_s = 3.3 + float(rng.uniform(0.0, 3.0)), float(rng.uniform(2.0, 4.0))
        row = -1
        if hazard:
            end = speed * params["end_speed_share"]
            row = stage.event(
                who, Action.ACCELERATE, -params["braking_mps2"], rate=_JERK_MPS3, until=end,
                trigger=Trigger.TIME, threshold=when,
            )  # fmt: skip
            braking_s = (speed - end) / params["braking_mps2"]
            stage.event(who, Action.SPEED, speed, rate=2.2, after=row, delay_s=braking_s + rest_s)
        _surround(stage, rng, own, speed)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=speed * (when + 7.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


def _road(rng: np.random.Generator, speed_mps: float) -> tuple[Road, int]:
    draw = rng.random()
    if speed_mps < _URBAN_MPS:
        return urban(rng), 0
    if speed_mps < _RURAL_MPS and draw < 0.6:
        return rural(rng), 0
    road = highway(rng)
    return road, int(rng.integers(road.lanes(("a", "b", 0))))


def _surround(stage: Stage, rng: np.random.Generator, own: int, speed: float) -> None:
    road, lane = stage.road, ("a", "b", own)
    lanes = road.lanes(lane)
    for other in range(lanes):
        if other != own:
            here = road.beside(lane, _START_M, ("a", "b", other))
            pace = speed * float(rng.uniform(0.97, 1.02))
            flow(stage, rng, ("a", "b", other), (here - 60.0, here + 130.0), pace, share=0.6, level_m=here)
    if ("b", "a", 0) in road.map.lane_index:
        facing = ("b", "a", 0)
        here = road.beside(lane, _START_M, facing)
        flow(stage, rng, facing, (here - 300.0, here - 20.0), speed * float(rng.uniform(0.8, 1.1)), share=0.6)
    if speed < _URBAN_MPS:
        edge = 0.5 * road.lane_width_m + 4.0
        buildings(stage, rng, lane, (_START_M, _START_M + 16.0 * speed), edge, share=0.45)
    shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, min(_START_M + 20.0 * speed, 780.0)), 0.6)
