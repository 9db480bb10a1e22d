"""Somebody who stands beside the ego's lane pulls out of a row in front of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import Generator, on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.roads import RURAL_LIMIT_MPS, one_way
from simdrive.scenarios.scenery import draw_light, park, pick, shoulder, urban
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import street_side
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.scripted import LATERAL_SHARE
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 80.0
_RATE_MPS = 2.2


def _aside_s(distance_m: float, gain_mps2: float) -> float:
    """Return the time to come sideways from standstill: wheels roll aside by a share of their forward speed."""
    return math.sqrt(2.0 * distance_m / (LATERAL_SHARE * gain_mps2))


def _pull_out(stage: Stage, who: int, params: Mapping[str, Any], goal_r_m: float, reach_s: float) -> int:
    """Let somebody pull out when the ego is ``reach_s`` from it, and later get going; return the hazard's row."""
    ready = stage.lead_in(who)
    row = stage.event(
        who, Action.SPEED, params["end_speed_mps"], rate=params["acceleration_mps2"],
        trigger=Trigger.EGO_TTA, threshold=reach_s, after=ready,
    )  # fmt: skip
    stage.event(who, Action.OFFSET, goal_r_m, rate=_RATE_MPS, after=row)
    stage.event(who, Action.SPEED, stage.ego.speed_mps, rate=2.0, after=row, delay_s=6.0)
    return row


class ParkingCutIn:
    """Street with a row of parked cars; one of them leaves its place."""

    name = "parking_cut_in"
    description = "A car pulls out of a row of parked cars into the ego's lane when the ego is close, and drives on."
    tags = ("bench2drive:ParkingCutIn", "nhtsa:17", "nhtsa:18", "r157:cut-in")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(8.0, 16.0, "m/s"),
        "end_speed_mps": Range(3.0, 7.0, "m/s"),
        "acceleration_mps2": Range(2.0, 4.0, "m/s2"),
        "late_s": Range(-0.7, 0.7, "s"),  # from when the car is in the ego's way to when the ego gets to its rear
        "parking_gap_m": Range(0.2, 0.9, "m"),  # from the lane to the parked cars
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, gap = params["ego_speed_mps"], params["parking_gap_m"]
        road = urban(rng)
        lane, facing = ("a", "b", 0), ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        half = 0.5 * road.lane_width_m
        shape = Shape.VAN if rng.random() < 0.25 else Shape.CAR
        car = on_lane(rng, "leaving", shape, lane, 0.0)
        beside_m = half + gap + 0.5 * car.width_m
        apart = beside_m - 0.5 * (car.width_m + stage.ego.width_m)
        # The centre is what the time to arrival counts; its rear is half a length nearer.
        reach_s = _aside_s(apart, params["acceleration_mps2"]) + params["late_s"] + 0.5 * car.length_m / speed
        reach_s = max(reach_s, 0.3)
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        place_m = _START_M + 0.5 * stage.ego.length_m + speed * (wait + reach_s)
        who, row = stage.add(replace(car, s_m=place_m, r_m=beside_m)), -1
        if hazard:
            row = _pull_out(stage, who, params, 0.0, reach_s)
        rear, front = place_m - 0.5 * car.length_m, place_m + 0.5 * car.length_m
        park(stage, rng, lane, front + 6.0 + float(rng.uniform(0.0, 3.0)), half + gap, Shape.CAR, align=1)
        rows = ((rear - 45.0, rear - 3.6), (front + 14.5, front + 50.0))
        street_side(stage, rng, lane, (_START_M - 40.0, place_m + 80.0), parking_gap_m=gap, parked=rows)
        span = (road.beside(lane, place_m + 80.0, facing), road.beside(lane, _START_M - 40.0, facing))
        street_side(stage, rng, facing, span, parking_gap_m=0.4 if rng.random() < 0.5 else None, people=3)
        # The oncoming lane is taken as often as not.
        pace = speed * float(rng.uniform(0.8, 1.1))
        meets = road.beside(lane, place_m, facing) - pace * (wait + reach_s)
        flow(stage, rng, facing, (max(meets - 60.0, 4.0), meets + 50.0), pace, gap_m=(8.0, 45.0), share=0.5)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=speed * (wait + reach_s + 6.0), time_limit_s=30.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


class StaticCutIn:
    """Two lanes; on one of them a queue stands, and somebody in it loses patience."""

    name = "static_cut_in"
    description = (
        "A queue stands on the lane beside the ego's; a vehicle pulls out of it into the ego's lane when the ego is "
        "close behind it, and drives on."
    )
    tags = ("bench2drive:StaticCutIn", "nhtsa:18", "r157:cut-in")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(9.0, 19.0, "m/s"),
        "end_speed_mps": Range(3.0, 8.0, "m/s"),
        "acceleration_mps2": Range(2.0, 4.0, "m/s2"),
        "late_s": Range(-0.8, 0.8, "s"),  # from when the vehicle is in the ego's way to when the ego gets to its rear
        "queue": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, left = params["ego_speed_mps"], params["queue"] == "left"
        shape = pick(rng, ("straight", "sine", "left", "right"))
        road = one_way(2, shape, radius_m=600.0, width_m=3.4, limit_mps=RURAL_LIMIT_MPS)
        lane, beside = (("a", "b", 1), ("a", "b", 0)) if left else (("a", "b", 0), ("a", "b", 1))
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        car = on_lane(rng, "leaving", Shape.VAN if rng.random() < 0.25 else Shape.CAR, beside, 0.0)
        apart = road.lane_width_m - 0.5 * (car.width_m + stage.ego.width_m)
        reach_s = _aside_s(apart, params["acceleration_mps2"]) + params["late_s"] + 0.5 * car.length_m / speed
        reach_s = max(reach_s, 0.3)
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        place_m = _START_M + 0.5 * stage.ego.length_m + speed * (wait + reach_s)
        level = road.beside(lane, place_m, beside)
        who, row = stage.add(replace(car, s_m=level)), -1
        if hazard:
            row = _pull_out(stage, who, params, road.lane_width_m * (1.0 if left else -1.0), reach_s)
        self._queue(stage, rng, beside, (level - 0.5 * car.length_m, level + 0.5 * car.length_m))
        if rng.random() < 0.5:
            far_m = _START_M + 4.0 * speed + 40.0
            flow(stage, rng, lane, (far_m, far_m + 80.0), speed * float(rng.uniform(1.0, 1.08)), share=0.6)
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, ("a", "b", 1), (_START_M - 40.0, 700.0), 1.0)
        return stage.world(
            goal_m=speed * (wait + reach_s + 7.0), time_limit_s=30.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip

    def _queue(self, stage: Stage, rng: Generator, lane: Any, taken: tuple[float, float]) -> None:
        """Let vehicles stand before and behind the one that pulls out, which has room to do so."""
        s = taken[1] + float(rng.uniform(5.5, 8.0))
        for _ in range(int(rng.integers(2, 6))):
            shape = Shape.TRUCK if rng.random() < 0.12 else Shape.VAN if rng.random() < 0.2 else Shape.CAR
            member = on_lane(rng, "queue", shape, lane, 0.0)
            stage.add(replace(member, s_m=s + 0.5 * member.length_m))
            s += member.length_m + float(rng.uniform(1.8, 3.5))
        s = taken[0] - float(rng.uniform(1.8, 3.0))
        for _ in range(int(rng.integers(1, 6))):
            member = on_lane(rng, "queue", Shape.VAN if rng.random() < 0.2 else Shape.CAR, lane, 0.0)
            if s - member.length_m > 3.0:
                stage.add(replace(member, s_m=s - 0.5 * member.length_m))
            s -= member.length_m + float(rng.uniform(1.8, 3.5))
