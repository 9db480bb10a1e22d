"""A car backs out of a driveway."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrive.scenarios.cast import anywhere, draw_size, standing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import PAVEMENT_M, draw_light, urban
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import VERGE_M, kerb_m, street_side
from simdrive.scenarios.timing import start_up_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 80.0
_GAIN_MPS2 = 2.2


class BackingOut:
    """Street with hedges beside the driveways; a car comes out of one of them backwards."""

    name = "backing_out"
    description = (
        "A car backs out of a driveway between hedges into the ego's lane, stops across it, and drives back in some "
        "seconds later."
    )
    tags = ("nhtsa:15", "nhtsa:30", "bench2drive:DynamicObjectCrossing")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(8.0, 16.0, "m/s"),
        "backing_mps": Range(2.0, 4.0, "m/s"),
        "late_s": Range(-0.4, 0.9, "s"),  # from when the car is in the ego's way to when the ego gets there
        "hedge_m": Range(0.2, 1.4, "m"),  # from the driveway to the hedge beside it
        "hidden": Choice((True, False)),  # by a hedge
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, backing, road = params["ego_speed_mps"], params["backing_mps"], urban(rng)
        lane, facing = ("a", "b", 0), ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        look = draw_size(rng, Shape.CAR)
        kerb = kerb_m(stage, None)
        rear_m = kerb + PAVEMENT_M + 0.3  # from the ego's path to the tail of the car
        in_way_s = start_up_time_s(rear_m - 0.5 * stage.ego.width_m, backing, _GAIN_MPS2)
        reach_s = max(in_way_s + params["late_s"], 0.4)
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        line_m = _START_M + 0.5 * (stage.ego.length_m + look["width_m"]) + speed * (wait + reach_s)
        x, y, heading = road.pose(lane, line_m, rear_m + 0.5 * look["length_m"])
        who = stage.add(anywhere(rng, "backing", Shape.CAR, (x, y, heading + 0.5 * math.pi), **look))
        row = -1
        if hazard:
            front_reach_s = reach_s + 0.5 * look["width_m"] / speed  # its middle is what the time to arrival counts
            row = stage.event(
                who, Action.SPEED, -backing, rate=_GAIN_MPS2,
                trigger=Trigger.EGO_TTA, threshold=front_reach_s, after=stage.lead_in(who),
            )  # fmt: skip
            # It stops with its tail over the middle of the lane, and leaves the way it came.
            out_s = start_up_time_s(rear_m - 0.2, backing, _GAIN_MPS2)
            halt = stage.event(who, Action.SPEED, 0.0, rate=4.0, after=row, delay_s=out_s)
            stage.event(who, Action.SPEED, backing, rate=1.5, after=halt, delay_s=4.0)
            stage.event(who, Action.STOP, 2.0, after=halt, delay_s=4.0 + out_s + 0.8)
        if params["hidden"]:
            for sign in (-1.0, 1.0):
                along = line_m + sign * (0.5 * look["width_m"] + params["hedge_m"] + 4.0)
                depth, height = 6.0, float(rng.uniform(1.7, 2.3))
                pose = road.pose(lane, along, kerb + PAVEMENT_M + 0.2 + 0.5 * depth)
                stage.add(standing(
                    rng, "hedge", Shape.BUILDING, pose, length_m=8.0, width_m=depth, height_m=height,
                    colour=(66, 98, 52),
                ))  # fmt: skip
        free = ((line_m - 30.0, line_m + 14.0),)
        _sides(stage, rng, line_m, free)
        here = road.beside(lane, line_m, facing)
        flow(stage, rng, facing, (here + 12.0, road.beside(lane, _START_M + 15.0, facing)), 0.9 * speed, share=0.6)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=speed * (wait + reach_s + 6.0), time_limit_s=32.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


def _sides(stage: Stage, rng: np.random.Generator, line_m: float, free: tuple[tuple[float, float], ...]) -> None:
    """Furnish both sides of the street; no house stands where the driveway is, and nobody walks over it."""
    road, lane, facing = stage.road, stage.route[0], ("b", "a", 0)
    before, after = (_START_M - 40.0, line_m - 16.0), (line_m + 16.0, line_m + 70.0)
    street_side(stage, rng, lane, before, parking_gap_m=None, people=2, keep_free=free)
    street_side(stage, rng, lane, (line_m - 16.0, line_m + 16.0), parking_gap_m=None, houses=0.0, people=0)
    street_side(stage, rng, lane, after, parking_gap_m=None, people=2)
    half = 0.5 * road.lane_width_m + VERGE_M
    stage.drivable.extend(road.strip(lane, (line_m - 1.6, line_m + 1.6), (half, half + PAVEMENT_M + 8.0)))
    span = (road.beside(lane, line_m + 70.0, facing), road.beside(lane, _START_M - 40.0, facing))
    street_side(stage, rng, facing, span, parking_gap_m=None, people=3)
