"""The vehicle ahead brakes where the road is slick: who brakes as on a dry road cannot stop behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.scenery import buildings, draw_light, rural, shoulder, urban
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.grip import GRAVITY_MPS2
from simdrive.sim.spec import Action, Slick, Trigger, WorldSpec

_START_M = 110.0
_JERK_MPS3 = 60.0
_FULL_BRAKE_MPS2, _BUILD_UP_S = 8.0, 0.15  # of the ego on a dry road, and what it loses until it brakes in full
_MOST_ON_SLICK = 0.9  # of the way that the ego would need there alone: it meets the braking before the slick
_LEAST_GAP_S = 0.3
_URBAN_MPS = 15.0  # faster than this is no street


class ControlLoss:
    """Following on a street or a country road towards a slick that shows as a paler band across the road."""

    name = "control_loss"
    description = (
        "A stretch of the road ahead is slick (a paler band); the vehicle that the ego follows stops on it or just "
        "behind it, where the ego's tyres hold a part of what they do elsewhere, and drives on later."
    )
    tags = ("bench2drive:ControlLoss", "nhtsa:3", "nhtsa:25", "r157:deceleration")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(10.0, 20.0, "m/s"),
        "friction": Range(0.15, 0.45),
        "slick_m": Range(20.0, 60.0, "m"),
        "stop_share": Range(0.3, 1.05),  # of the slick's length, where at most the rear of the vehicle ahead stops
        "braking_mps2": Range(4.0, 7.5, "m/s2"),  # of the vehicle ahead
        "spare_m": Range(-8.0, 12.0, "m"),  # left behind it by a full brake from its first moment
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, braking = params["ego_speed_mps"], params["braking_mps2"]
        road = urban(rng) if speed < _URBAN_MPS else rural(rng)
        lane = ("a", "b", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        half = 0.5 * stage.ego.length_m
        lead_m = 0.5 * speed**2 / braking + 0.5 * speed * braking / _JERK_MPS3
        # Where the slick alone would stop the ego, the vehicle ahead does not get as far.
        alone_m = 0.5 * speed**2 / (params["friction"] * GRAVITY_MPS2)
        into_m = min(params["stop_share"] * params["slick_m"], half + _MOST_ON_SLICK * alone_m)
        needed_m = stopping_m(speed, params["friction"], min(into_m - half, params["slick_m"]))
        gap_m = max(needed_m + params["spare_m"] - lead_m, _LEAST_GAP_S * speed)
        lead = on_lane(rng, "lead", draw_traffic_shape(rng), lane, 0.0, speed)
        who = stage.add(replace(lead, s_m=_START_M + half + gap_m + 0.5 * lead.length_m))
        when, rest_s = 3.3 + float(rng.uniform(0.0, 2.0)), float(rng.uniform(2.0, 4.0))
        row = -1
        if hazard:
            row = stage.event(who, Action.STOP, braking, rate=_JERK_MPS3, trigger=Trigger.TIME, threshold=when)
            stage.event(who, Action.SPEED, speed, rate=2.2, after=row, delay_s=speed / braking + rest_s)
        begin_m = speed * when + half + gap_m + lead_m - into_m  # along the route from where the ego starts
        stage.slicks.append(Slick(begin_m, begin_m + params["slick_m"], params["friction"]))
        _surround(stage, rng, speed)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=speed * (when + 7.0), time_limit_s=32.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


def stopping_m(speed_mps: float, friction: float, on_m: float) -> float:
    """Return how far a full brake takes to a standstill if ``on_m`` metres of the way are slick and the rest is dry."""
    on_slick = friction * GRAVITY_MPS2 * on_m
    return on_m + (0.5 * speed_mps**2 - on_slick) / _FULL_BRAKE_MPS2 + speed_mps * _BUILD_UP_S


def _surround(stage: Stage, rng: np.random.Generator, speed: float) -> None:
    road, lane, facing = stage.road, stage.route[0], ("b", "a", 0)
    here = road.beside(lane, _START_M, facing)
    flow(stage, rng, facing, (here - 300.0, here - 20.0), speed * float(rng.uniform(0.8, 1.1)), share=0.6)
    if speed < _URBAN_MPS:
        edge = 0.5 * road.lane_width_m + 4.0
        buildings(stage, rng, lane, (_START_M, _START_M + 16.0 * speed), edge, share=0.45)
    shoulder(stage, lane, (_START_M - 40.0, min(_START_M + 20.0 * speed, 780.0)), 0.6)
