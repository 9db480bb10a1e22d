"""Roadworks close the next lane and somebody squeezes in at the last moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane, standing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.roads import RURAL_LIMIT_MPS, one_way
from simdrive.scenarios.scenery import draw_light, pick
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import shift_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 110.0
_TAPER_M = 26.0
_CONES = 6
_SLOWEST_MPS = 3.0


class LaneDrop:
    """Two lanes become one; the vehicle on the closed lane does not wait for its turn."""

    name = "lane_drop"
    description = (
        "Cones and barriers close the lane beside the ego; a slower vehicle on it changes into the ego's lane shortly "
        "before them, and may brake."
    )
    tags = ("bench2drive:ConstructionObstacle", "bench2drive:StaticCutIn", "nhtsa:18", "r157:cut-in")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(15.0, 25.0, "m/s"),
        "speed_difference_mps": Range(4.0, 15.0, "m/s"),
        "ttc_s": Range(-1.2, 1.4, "s"),  # left when the vehicle begins to overlap the ego's path
        "lateral_speed_mps": Range(1.3, 3.2, "m/s"),
        "braking_mps2": Range(0.0, 8.0, "m/s2"),
        "closed": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, slower, rate = params["ego_speed_mps"], params["speed_difference_mps"], params["lateral_speed_mps"]
        left = params["closed"] == "left"
        road = one_way(2, pick(rng, ("straight", "sine", "left", "right")), limit_mps=RURAL_LIMIT_MPS)
        lane, closed = (("a", "b", 1), ("a", "b", 0)) if left else (("a", "b", 0), ("a", "b", 1))
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))

        other = on_lane(rng, "squeezer", draw_traffic_shape(rng), closed, 0.0, speed - slower)
        apart = road.lane_width_m - 0.5 * (other.width_m + stage.ego.width_m)
        threshold = params["ttc_s"] + shift_time_s(apart, road.lane_width_m, rate)
        wait = 3.2 + float(rng.uniform(0.0, 1.5))
        gap = slower * (threshold + wait) + 0.5 * (other.length_m + stage.ego.length_m)
        level = road.beside(lane, _START_M + gap, closed)
        # Where the cones begin: behind the place where the change of lane ends, whoever drives the ego.
        cones_m = level + (speed - slower) * (wait + 0.5 * threshold + road.lane_width_m / rate + 1.0) + 22.0
        who = stage.add(replace(other, s_m=level, indicator=1 if left else -1))
        row = _squeeze_in(stage, who, params, threshold, left) if hazard else -1
        # Who does not get in by then stops in front of the cones.
        stop_m = cones_m - 0.5 * other.length_m - 4.0 - (speed - slower) ** 2 / (2.0 * 2.6)
        if not hazard:
            stage.event(who, Action.STOP, 2.6, trigger=Trigger.POSITION, threshold=max(stop_m, level))
        _roadworks(stage, rng, closed, cones_m, params["closed"])
        far_m, pace = _START_M + speed * 4.0 + 30.0, speed * float(rng.uniform(1.0, 1.08))
        flow(stage, rng, lane, (far_m, far_m + 90.0), pace, share=0.5)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=max(speed * (wait + 8.0), cones_m - _START_M + 90.0), time_limit_s=30.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


def _squeeze_in(stage: Stage, who: int, params: Mapping[str, Any], threshold: float, left: bool) -> int:
    speed, slower = params["ego_speed_mps"], params["speed_difference_mps"]
    ready = stage.lead_in(who)
    row = stage.event(
        who, Action.LANE_CHANGE, 1.0 if left else -1.0, rate=params["lateral_speed_mps"],
        trigger=Trigger.EGO_TTC, threshold=threshold, after=ready,
    )  # fmt: skip
    if params["braking_mps2"] > 0.5:
        end = max(_SLOWEST_MPS, speed - slower - 2.5 * params["braking_mps2"])
        stage.event(who, Action.ACCELERATE, -params["braking_mps2"], rate=20.0, until=end, after=row, delay_s=0.6)
    stage.event(who, Action.SPEED, speed, rate=2.0, after=row, delay_s=4.5)
    return row


def _roadworks(stage: Stage, rng: np.random.Generator, closed: LaneIndex, begin_m: float, side: str) -> None:
    """Close a lane with a slanting row of cones and a row of barriers behind it."""
    half, sign = 0.5 * stage.road.lane_width_m, -1.0 if side == "left" else 1.0
    for number in range(_CONES):
        share = number / (_CONES - 1)
        offset = sign * (half - 0.4 - share * (2.0 * half - 0.9))
        pose = stage.road.pose(closed, begin_m + share * _TAPER_M, offset)
        stage.add(standing(rng, "cone", Shape.CONE, pose))
    for number in range(int(rng.integers(2, 5))):
        pose = stage.road.pose(closed, begin_m + _TAPER_M + 4.0 + 6.0 * number, -sign * (half - 0.6))
        stage.add(standing(rng, "barrier", Shape.BARRIER, pose))
    if rng.random() < 0.6:
        size = Shape.TRUCK if rng.random() < 0.5 else Shape.VAN
        pose = stage.road.pose(closed, begin_m + _TAPER_M + 42.0, 0.2 * sign)
        stage.add(standing(rng, "works", size, pose, indicator=2))
