"""The door of a parked car opens into the lane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrive.scenarios.cast import anywhere
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.roads import URBAN_LIMIT_MPS, two_way
from simdrive.scenarios.scenery import draw_light, park, pick
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import street_side
from simdrive.scenarios.timing import shift_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 70.0
_DOOR_M, _THICKNESS_M = 1.1, 0.16
_RATE_MPS = 2.0


class DoorOpens:
    """Narrow street with parked cars; a door is a thin body that comes out of the side of one of them."""

    name = "door_opens"
    description = (
        "On a narrow street with parked cars a door opens into the lane, modelled as a thin body that comes out of "
        "the side of a car, and closes again after some seconds."
    )
    tags = ("bench2drive:VehicleOpensDoorTwoWays", "nhtsa:36")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(7.0, 15.0, "m/s"),
        "late_s": Range(-0.35, 1.1, "s"),  # from when the door is in the ego's way to when the ego gets there
        "parking_gap_m": Range(0.0, 0.3, "m"),  # from the lane to the parked cars
        "open_share": Range(0.8, 1.0),  # of the door that comes out
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, gap = params["ego_speed_mps"], params["parking_gap_m"]
        road = two_way(1, pick(rng, ("straight", "sine")), width_m=2.8, limit_mps=URBAN_LIMIT_MPS)
        lane, facing = ("a", "b", 0), ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        half = 0.5 * road.lane_width_m
        out_m = params["open_share"] * _DOOR_M
        in_way_m = half + gap - 0.5 * stage.ego.width_m  # from the car's side to the ego's
        open_s = shift_time_s(min(in_way_m, out_m), out_m, _RATE_MPS) + params["late_s"]
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        door_m = _START_M + 0.5 * stage.ego.length_m + speed * (wait + open_s)

        hinge_m = float(rng.uniform(0.2, 0.9))  # the door lies this far ahead of the middle of its car
        length = park(stage, rng, lane, door_m - hinge_m, half + gap, Shape.CAR)
        x, y, heading = road.pose(lane, door_m, half + gap + 0.5 * _DOOR_M + 0.02)
        who = stage.add(anywhere(
            rng, "door", Shape.DEBRIS, (x, y, heading), length_m=_THICKNESS_M, width_m=_DOOR_M, height_m=1.2,
            colour=stage.actors[-1].colour, present=False,
        ))  # fmt: skip
        row = -1
        if hazard:
            ready = stage.lead_in(who)
            row = stage.event(
                who, Action.APPEAR, trigger=Trigger.EGO_TTA, threshold=open_s, subject=who, after=ready,
            )  # fmt: skip
            stage.event(who, Action.OFFSET, -out_m, rate=_RATE_MPS, after=row)
            shut = stage.event(who, Action.OFFSET, 0.0, rate=1.5, after=row, delay_s=5.5)
            stage.event(who, Action.VANISH, after=shut, delay_s=1.3)
        rear, front = door_m - hinge_m - 0.5 * length, door_m - hinge_m + 0.5 * length
        rows = ((rear - 45.0, rear - 3.4), (front + 1.5, front + 40.0))
        street_side(stage, rng, lane, (_START_M - 40.0, door_m + 70.0), parking_gap_m=gap, parked=rows, share=0.75)
        span = (road.beside(lane, door_m + 70.0, facing), road.beside(lane, _START_M - 40.0, facing))
        street_side(stage, rng, facing, span, parking_gap_m=None, people=3)
        # Half of the time somebody comes the other way just then.
        opposite = road.beside(lane, door_m, facing)
        pace = speed * float(rng.uniform(0.8, 1.1))
        meets = opposite - pace * (wait + open_s)
        flow(stage, rng, facing, (max(meets - 40.0, 4.0), meets + 60.0), pace, gap_m=(8.0, 45.0), share=0.5)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=speed * (wait + open_s + 5.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
