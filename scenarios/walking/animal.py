"""A deer runs out of the wood."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrive.scenarios.cast import Generator, anywhere, standing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, rural, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import start_up_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 100.0
_BROWN, _GREEN = (112, 82, 54), (48, 78, 42)
_WOOD_M = 5.0  # thickness of the edge of the wood
_GAIN_MPS2 = 8.0


class AnimalCrossing:
    """Country road along the edge of a wood, where an animal comes out of a gap."""

    name = "animal_crossing"
    description = "On a country road a large animal runs out of the wood at the roadside and over the ego's lane."
    tags = ("nhtsa:10", "bench2drive:DynamicObjectCrossing")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(13.0, 25.0, "m/s"),
        "run_speed_mps": Range(4.0, 11.0, "m/s"),
        "wood_m": Range(3.0, 9.0, "m"),  # from the edge of the road to the wood
        "offset_s": Range(-0.35, 0.3, "s"),  # ego front at the crossing line minus the animal at the lane centre
        "side": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, run, left = params["ego_speed_mps"], params["run_speed_mps"], params["side"] == "left"
        road = rural(rng)
        lane, facing = ("a", "b", 0), ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        sign = -1.0 if left else 1.0
        edge = (1.5 if left else 0.5) * road.lane_width_m
        begin = edge + params["wood_m"] + 1.5
        reach_s = max(start_up_time_s(begin, run, _GAIN_MPS2) + params["offset_s"], 0.3)
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        line_m = _START_M + 0.5 * stage.ego.length_m + speed * (wait + reach_s)
        length, height = round(float(rng.uniform(1.2, 1.8)), 2), round(float(rng.uniform(1.0, 1.5)), 2)
        x, y, heading = road.pose(lane, line_m, sign * begin)
        who = stage.add(anywhere(
            rng, "animal", Shape.DEBRIS, (x, y, heading - sign * 0.5 * math.pi),
            length_m=length, width_m=0.5, height_m=height, colour=_BROWN,
        ))  # fmt: skip
        row = -1
        if hazard:
            row = stage.event(
                who, Action.SPEED, run, rate=_GAIN_MPS2,
                trigger=Trigger.EGO_TTA, threshold=reach_s, after=stage.lead_in(who),
            )  # fmt: skip
        _wood(stage, rng, sign, edge + params["wood_m"], line_m)
        shoulder(stage, lane, (_START_M - 40.0, 700.0), 1.4)
        here = road.beside(lane, line_m, facing)
        flow(stage, rng, facing, (here + 20.0, road.beside(lane, _START_M + 20.0, facing)), 0.9 * speed, share=0.5)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=speed * (wait + reach_s + 5.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


def _wood(stage: Stage, rng: Generator, sign: float, inner_m: float, line_m: float) -> None:
    """Plant the edge of a wood in pieces, with a gap of a few metres where the animal comes out."""
    piece = 12.0
    height = float(rng.uniform(3.4, 4.4))  # taller blocks are drawn as houses
    for number in range(10):
        begin = line_m + 2.5 - (number + 1) * (piece + 0.4) - 5.0 if number < 7 else line_m + 2.5 + (number - 7) * piece
        back, taken = float(rng.uniform(0.0, 1.5)), number < 2 or rng.random() < 0.9
        if taken:
            pose = stage.road.pose(stage.route[0], begin + 0.5 * piece, sign * (inner_m + back + 0.5 * _WOOD_M))
            stage.add(standing(
                rng, "wood", Shape.BUILDING, pose, length_m=piece, width_m=_WOOD_M, height_m=height, colour=_GREEN,
            ))  # fmt: skip
