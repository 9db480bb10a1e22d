"""The ego turns at a crossing and finds the road behind the corner blocked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.corners import corner_house, houses, pavements, waiting
from simdrive.scenarios.junctions import ARM_M, crossing
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.scenery import draw_light
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec
from simdrive.types import Command

_CORNERS_M = (8.5, 9.5)
_ROUTE: tuple[LaneIndex, ...] = (("in0", "stop0", 0), ("stop0", "leave1", 0), ("leave1", "out1", 0))


class BlockedExit:
    """Turn to the right; a vehicle stands in the lane that the ego turns into."""

    name = "blocked_exit"
    description = (
        "The ego turns at a crossing; behind a house at the corner somebody stands in the lane that it turns into, "
        "and drives on some seconds later."
    )
    tags = ("bench2drive:BlockedIntersection", "nhtsa:26", "euro_ncap:CCRs")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(5.5, 8.0, "m/s"),
        "behind_m": Range(0.0, 6.0, "m"),  # from the end of the turn to the rear of who stands there
        "set_back_m": Range(2.7, 3.6, "m"),  # corner house from both roads
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed = params["ego_speed_mps"]
        scene = crossing(1, _CORNERS_M[int(rng.integers(2))])
        wait = 3.4 + float(rng.uniform(0.0, 1.5))
        start_m = ARM_M - speed * wait
        stage = Stage(scene.road, ego_on(_ROUTE[0], start_m, speed), _ROUTE)
        stage.ego = replace(stage.ego, indicator=1)
        stage.drivable.append(scene.area)
        stands = on_lane(rng, "stands", draw_traffic_shape(rng), _ROUTE[2], 0.0, indicator=2)
        aside_m = 30.0 + float(rng.uniform(0.0, 10.0))
        rest_s = float(rng.uniform(2.0, 3.5))
        if hazard:
            who = stage.add(replace(stands, s_m=params["behind_m"] + 0.5 * stands.length_m + 1.0))
            near = stage.event(who, Action.INDICATOR, 2.0, trigger=Trigger.EGO_POSITION, threshold=ARM_M - start_m)
            stage.event(who, Action.SPEED, 9.0, rate=2.5, after=near, delay_s=rest_s + 2.0)
        else:  # it drives on well before the ego gets there
            who = stage.add(replace(stands, s_m=aside_m, speed_mps=9.0))
        corner_house(
            stage, rng, scene, left=False, from_ego_road_m=params["set_back_m"], from_side_road_m=params["set_back_m"]
        )
        pavements(stage, rng, scene)
        houses(stage, rng, scene, near_left=True, near_right=False)
        for arm in (1, 2, 3):
            waiting(stage, rng, (f"in{arm}", f"stop{arm}", 0), 0.4)
        turn_m = float(scene.road.lane(_ROUTE[1]).length)
        return stage.world(
            goal_m=ARM_M + turn_m + 30.0 - start_m, time_limit_s=32.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), command=int(Command.RIGHT),
        )  # fmt: skip
