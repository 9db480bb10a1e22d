"""A cyclist rides across the road in front of the ego."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrive.scenarios.cast import anywhere, standing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.roads import URBAN_WIDTH_M, two_way
from simdrive.scenarios.scenery import PAVEMENT_M, buildings, draw_light, pick, walkers
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import VERGE_M
from simdrive.scenarios.timing import start_up_time_s
from simdrive.scenarios.traffic import flow
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 80.0
_PATH_HALF_M = 1.4
_PATH_REACH_M = 60.0
_LIMIT_MPS = 19.44
_UNDER_WAY_MPS2 = 30.0


class CyclistCrossing:
    """Road with a cycle path across it, open or hidden by a house at its corner."""

    name = "cyclist_crossing"
    description = (
        "A cyclist on a path from the side sets off, or rides out from behind a house, and crosses the road so that "
        "an ego that does not react hits them."
    )
    tags = (
        "euro_ncap:CBNA", "euro_ncap:CBNAO", "euro_ncap:CBFA", "nhtsa:14", "bench2drive:CrossingBicycleFlow",
    )  # fmt: skip
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(10.0, 19.4, "m/s"),
        "cyclist_speed_mps": Range(3.0, 8.0, "m/s"),
        "start_distance_m": Range(0.2, 6.0, "m"),  # from the edge of the road, or from behind the house
        "offset_s": Range(-0.6, 0.3, "s"),  # ego front at the path minus cyclist at the lane centre
        "side": Choice(("left", "right")),
        "corner": Choice(("open", "house")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, ride, left = params["ego_speed_mps"], params["cyclist_speed_mps"], params["side"] == "left"
        road = two_way(1, pick(rng, ("straight", "sine")), width_m=URBAN_WIDTH_M, limit_mps=_LIMIT_MPS)
        lane, facing, width = ("a", "b", 0), ("b", "a", 0), road.lane_width_m
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        house, setback = params["corner"] == "house", float(rng.uniform(0.6, 2.2))
        edge_m = (1.5 if left else 0.5) * width
        begin_m = params["start_distance_m"] + edge_m
        gain = float(rng.uniform(2.5, 4.0))
        if house:  # out of sight the cyclist is already under way
            begin_m, gain = begin_m + VERGE_M + setback + 1.0, _UNDER_WAY_MPS2
        reach_s = start_up_time_s(begin_m, ride, gain) + params["offset_s"]
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        line_m = _START_M + 0.5 * stage.ego.length_m + speed * (wait + reach_s)

        side = -1.0 if left else 1.0
        x, y, heading = road.pose(lane, line_m, side * begin_m)
        who = stage.add(anywhere(rng, "cyclist", Shape.CYCLIST, (x, y, heading - side * math.pi / 2)))
        row = -1
        if hazard:
            ready = stage.lead_in(who)
            row = stage.event(
                who, Action.SPEED, ride, rate=gain, trigger=Trigger.EGO_TTA, threshold=reach_s, after=ready
            )
        _path(stage, line_m)
        _surroundings(stage, rng, line_m, left, house, setback)
        opposite = road.beside(lane, line_m, facing)
        near = road.beside(lane, _START_M + 15.0, facing)
        flow(stage, rng, facing, (opposite + 12.0, near), 0.9 * speed, share=0.6)
        return stage.world(
            goal_m=speed * (wait + reach_s + 5.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


def _path(stage: Stage, line_m: float) -> None:
    """Lay the cycle path on both sides of the road."""
    width = stage.road.lane_width_m
    along = (line_m - _PATH_HALF_M, line_m + _PATH_HALF_M)
    for edges in ((0.5 * width, _PATH_REACH_M), (-_PATH_REACH_M, -1.5 * width)):
        stage.walkable.extend(stage.road.strip(stage.route[0], along, edges))


def _surroundings(
    stage: Stage, rng: np.random.Generator, line_m: float, left: bool, house: bool, setback: float
) -> None:
    """Furnish both sides; ``house`` puts one where it hides the cyclist's side of the path."""
    road, lane, facing = stage.road, stage.route[0], ("b", "a", 0)
    width, length = road.lane_width_m, float(rng.uniform(12.0, 20.0))
    depth, beside = float(rng.uniform(9.0, 14.0)), float(rng.uniform(0.4, 1.4))
    inner = 0.5 * width + VERGE_M + setback
    if house:
        middle = line_m - _PATH_HALF_M - beside - 0.5 * length
        offset = -(width + inner + 0.5 * depth) if left else inner + 0.5 * depth
        stage.add(standing(
            rng, "house", Shape.BUILDING, road.pose(lane, middle, offset), length_m=length, width_m=depth
        ))  # fmt: skip
    outer = inner + PAVEMENT_M + 9.0
    span = (_START_M, line_m - 24.0)
    buildings(stage, rng, lane, span, outer, share=0.4)
    buildings(stage, rng, lane, (line_m + 8.0, line_m + 60.0), outer, share=0.4)
    opposite = road.beside(lane, line_m, facing)
    buildings(stage, rng, facing, (opposite + 24.0, opposite + 80.0), outer, share=0.4)
    buildings(stage, rng, facing, (opposite - 60.0, opposite - 8.0), outer, share=0.4)
    walkers(stage, rng, lane, (line_m + 4.0, line_m + 40.0), inner + 1.2, 2)
