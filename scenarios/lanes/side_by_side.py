"""Who shares the road with the ego at close quarters: a tailgater behind it, a cyclist at its side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.scenery import buildings, draw_light, highway, shoulder, urban
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import shift_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 110.0
_JERK_MPS3 = 60.0
_STRIP_M = 1.6  # beside the lane, for bicycles


class Tailgater:
    """Somebody sticks to the ego's bumper while the vehicle ahead brakes: braking too hard is no way out."""

    name = "tailgater"
    description = (
        "The vehicle ahead of the ego brakes while somebody follows the ego far too closely, so that the ego must "
        "brake no harder than it needs or use a free lane."
    )
    tags = ("bench2drive:HardBreakRoute", "nhtsa:25", "r157:deceleration", "euro_ncap:CCRb")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(18.0, 31.0, "m/s"),
        "time_gap_s": Range(0.3, 1.3, "s"),  # to the vehicle ahead
        "behind_s": Range(0.2, 0.6, "s"),  # from the tailgater to the ego
        "braking_mps2": Range(4.0, 9.0, "m/s2"),
        "end_speed_share": Range(0.1, 0.6),  # of the speed before
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed = params["ego_speed_mps"]
        road = highway(rng, (2, 3))
        lanes = road.lanes(("a", "b", 0))
        own = int(rng.integers(lanes))
        lane = ("a", "b", own)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        lead = on_lane(rng, "lead", draw_traffic_shape(rng), lane, 0.0, speed)
        at = _START_M + 0.5 * (lead.length_m + stage.ego.length_m) + speed * params["time_gap_s"]
        who = stage.add(replace(lead, s_m=at))
        close = on_lane(
            rng, "tailgater", Shape.VAN if rng.random() < 0.4 else Shape.CAR, lane, 0.0, speed,
            reactive=True, time_wanted_s=0.15, jam_gap_m=1.2,
        )  # fmt: skip
        back = 0.5 * (close.length_m + stage.ego.length_m) + speed * params["behind_s"]
        stage.add(replace(close, s_m=_START_M - back))
        when, rest_s = 3.3 + float(rng.uniform(0.0, 2.5)), float(rng.uniform(2.0, 4.0))
        row = -1
        if hazard:
            end, braking = speed * params["end_speed_share"], params["braking_mps2"]
            row = stage.event(
                who, Action.ACCELERATE, -braking, rate=_JERK_MPS3, until=end, trigger=Trigger.TIME, threshold=when
            )
            stage.event(who, Action.SPEED, speed, rate=2.2, after=row, delay_s=(speed - end) / braking + rest_s)
        for number in range(lanes):
            if number != own:
                near = ("a", "b", number)
                here = road.beside(lane, _START_M, near)
                pace = speed * float(rng.uniform(0.97, 1.02))
                flow(stage, rng, near, (here - 60.0, here + 130.0), pace, share=0.5, level_m=here)
        shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, 1000.0), 1.0)
        return stage.world(
            goal_m=speed * (when + 7.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


class CyclistSwerves:
    """A cyclist on the strip beside the lane comes out into it just before the ego passes."""

    name = "cyclist_swerves"
    description = (
        "A cyclist or moped on the strip beside the ego's lane swerves out into it as the ego is about to pass, and "
        "back some seconds later."
    )
    tags = (
        "bench2drive:HazardAtSideLane",
        "bench2drive:HazardAtSideLaneTwoWays",
        "nhtsa:14",
        "nhtsa:19",
        "euro_ncap:CBLA",
    )
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(9.0, 16.6, "m/s"),
        "cyclist_speed_mps": Range(3.0, 7.0, "m/s"),
        "late_s": Range(-0.3, 1.1, "s"),  # from when it is in the ego's way to when the ego gets there
        "lateral_speed_mps": Range(0.8, 1.8, "m/s"),
        "reach_m": Range(0.2, 1.2, "m"),  # from the lane centre to the right, where the swerve ends
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, ride, rate = params["ego_speed_mps"], params["cyclist_speed_mps"], params["lateral_speed_mps"]
        road = urban(rng)
        lane, facing = ("a", "b", 0), ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        half = 0.5 * road.lane_width_m
        beside_m = half + 0.5 * _STRIP_M + 0.15
        rider = on_lane(rng, "rider", Shape.CYCLIST if rng.random() < 0.7 else Shape.MOTORCYCLE, lane, 0.0, ride)
        apart = beside_m - 0.5 * (rider.width_m + stage.ego.width_m)
        way = max(beside_m - params["reach_m"], apart + 0.15)
        ttc = max(shift_time_s(apart, way, rate) + params["late_s"], 0.35)
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        gap = (speed - ride) * (wait + ttc) + 0.5 * (rider.length_m + stage.ego.length_m)
        who, row = stage.add(replace(rider, s_m=_START_M + gap, r_m=beside_m)), -1
        if hazard:
            row = stage.event(
                who, Action.OFFSET, beside_m - way, rate=rate,
                trigger=Trigger.EGO_TTC, threshold=ttc, after=stage.lead_in(who),
            )  # fmt: skip
            stage.event(who, Action.OFFSET, beside_m, rate=rate, after=row, delay_s=way / rate + 2.5)
        if rng.random() < 0.5:
            more = on_lane(rng, "rider", Shape.CYCLIST, lane, _START_M + gap + 12.0, ride, r_m=beside_m + 0.2)
            stage.add(more)
        shoulder(stage, lane, (_START_M - 40.0, 760.0), _STRIP_M)
        shoulder(stage, facing, (40.0, 760.0), _STRIP_M)
        # The oncoming lane is taken as often as not.
        meets_s = wait + ttc
        pace = speed * float(rng.uniform(0.8, 1.1))
        meets = road.beside(lane, _START_M + speed * meets_s, facing) - pace * meets_s
        flow(stage, rng, facing, (max(meets - 60.0, 4.0), meets + 60.0), pace, gap_m=(8.0, 45.0), share=0.5)
        buildings(stage, rng, lane, (_START_M, _START_M + 14.0 * speed), half + _STRIP_M + 3.0, share=0.5)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=speed * (wait + ttc + 6.0), time_limit_s=30.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
