"""The vehicle ahead swings out round a parked one that it had hidden, where others come the other way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.roads import URBAN_LIMIT_MPS, two_way
from simdrive.scenarios.scenery import draw_light, pick
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import street_side
from simdrive.scenarios.timing import shift_rate_mps
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 80.0
_SHAPES = {"car": Shape.CAR, "van": Shape.VAN, "truck": Shape.TRUCK}
_CLEAR_M = 0.3  # sideways, between the two as one passes the other
_RETURN_S = 2.4  # after it has passed, the vehicle ahead is back in its lane


class ParkedTwoWays:
    """Street with one lane each way; a vehicle stands half in the lane and drives on some seconds later."""

    name = "parked_two_ways"
    description = (
        "On a street with oncoming traffic the vehicle ahead swings out at the last moment round one that is parked "
        "in the lane; that one drives on after some seconds."
    )
    tags = ("bench2drive:ParkedObstacleTwoWays", "bench2drive:ParkedObstacle", "nhtsa:22", "nhtsa:26", "r157:cut-out")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(11.0, 18.0, "m/s"),
        "time_gap_s": Range(0.05, 0.6, "s"),  # from the ego to the vehicle ahead
        "reveal_s": Range(1.75, 2.1, "s"),  # from its swing to when its driver would have hit the parked one
        "in_lane_m": Range(-0.5, 0.5, "m"),  # place of the parked one, from the lane centre to the right
        "lead": Choice(("car", "van", "truck")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, reveal = params["ego_speed_mps"], params["reveal_s"]
        road = two_way(1, pick(rng, ("straight", "straight", "sine")), width_m=3.6, limit_mps=URBAN_LIMIT_MPS)
        lane, facing = ("a", "b", 0), ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        wait, rest_s = 3.3 + float(rng.uniform(0.0, 1.5)), float(rng.uniform(2.5, 4.0))
        lead = on_lane(rng, "lead", _SHAPES[params["lead"]], lane, 0.0, speed)
        shape = Shape.VAN if rng.random() < 0.4 else Shape.CAR
        parked = on_lane(rng, "parked", shape, lane, 0.0, r_m=params["in_lane_m"])
        lead_m = _START_M + 0.5 * (lead.length_m + stage.ego.length_m) + speed * params["time_gap_s"]
        parked_m = lead_m + speed * (wait + reveal) + 0.5 * (lead.length_m + parked.length_m)
        shift_m = 0.5 * (lead.width_m + parked.width_m) + _CLEAR_M - params["in_lane_m"]
        rate = shift_rate_mps(shift_m - _CLEAR_M + 0.1, reveal)
        who = stage.add(replace(lead, s_m=lead_m))
        threshold = lead_m + speed * wait
        swing = stage.event(
            who, Action.OFFSET, -shift_m, rate=rate, trigger=Trigger.POSITION, threshold=threshold
        )  # the same in the twin: there the lane is clear and the swing leads past one at the kerb
        back_m = parked_m + 0.5 * (lead.length_m + parked.length_m) + 1.0
        stage.event(who, Action.OFFSET, 0.0, rate=1.6, trigger=Trigger.POSITION, threshold=back_m, after=swing)
        kerb = 0.5 * (road.lane_width_m + parked.width_m) + 0.15
        if hazard:
            victim = stage.add(replace(parked, s_m=parked_m))
            stage.event(victim, Action.SPEED, 0.85 * speed, rate=2.5, after=swing, delay_s=reveal + rest_s)
        else:
            victim = stage.add(replace(parked, s_m=parked_m, r_m=kerb))

        until = parked_m + 90.0
        street_side(stage, rng, lane, (_START_M - 40.0, until), parking_gap_m=0.3, people=2)
        street_side(stage, rng, facing, (road.beside(lane, until, facing), road.beside(lane, _START_M, facing)),
                    parking_gap_m=None, people=2)  # fmt: skip
        # The first oncoming vehicle gets there when the vehicle ahead is back in its lane.
        pace = speed * float(rng.uniform(0.8, 1.05))
        there_s = wait + reveal + _RETURN_S * (1.0 + speed / pace) + 0.6
        first_m = road.beside(lane, parked_m, facing) - pace * there_s
        flow(stage, rng, facing, (max(first_m - 110.0, 4.0), first_m), pace, gap_m=(6.0, 24.0), share=0.85)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=parked_m - _START_M + 5.0 * speed, time_limit_s=34.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(victim,), hazard_row=swing,
        )  # fmt: skip
