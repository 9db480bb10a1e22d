"""The ego turns, and somebody on foot or on a bicycle crosses the road that it turns into."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import Generator, anywhere, draw_size, standing
from simdrive.scenarios.corners import houses, pavements, waiting
from simdrive.scenarios.junctions import ARM_M, Crossing, crossing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import VERGE_M
from simdrive.scenarios.timing import start_up_time_s
from simdrive.scenarios.traffic import flow
from simdrive.scenarios.turning.encounter import Path, path_length_m
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape
from simdrive.types import Command

_TURNS = {"left": 3, "right": 1}


def _cross(
    rng: Generator, params: Mapping[str, Any], turn: str, shape: Shape, look: Mapping[str, Any], gain: float,
    behind_m: float, hazard: bool,
) -> tuple[Stage, Crossing, int, int]:  # fmt: skip
    """Let somebody beside the ego's road go straight on over the arm that it turns into.

    ``behind_m`` is how far beyond the corner they cross. Returns (stage, crossing, actor, hazard's row).
    """
    scene, speed, pace = crossing(1, 9.0), params["ego_speed_mps"], params["crossing_speed_mps"]
    away, sign = _TURNS[turn], 1.0 if turn == "right" else -1.0
    path: Path = (("in0", "stop0", 0), ("stop0", f"leave{away}", 0), (f"leave{away}", f"out{away}", 0))
    width, half = scene.road.lane_width_m, scene.half_m
    # Both cross the arm along x, in the ego's direction (same) or against it.
    y = sign * (half + behind_m)
    x_lane = (-0.5 if turn == "right" else 0.5) * width  # centre of the lane that the ego turns into
    same = params["direction"] == "same"
    edge = width + VERGE_M + 0.4
    start_x = -edge - params["start_distance_m"] if same else edge + params["start_distance_m"]
    distance = abs(x_lane - start_x)
    reach_s = start_up_time_s(distance, pace, gain) + params["offset_s"]
    turn_m = float(scene.road.lane(path[1]).length)
    meet_m = ARM_M + turn_m + behind_m
    wait = 3.3 + float(rng.uniform(0.0, 1.2))
    start_m = meet_m - 2.3 - speed * (wait + max(reach_s, 0.2))
    stage = Stage(scene.road, ego_on(path[0], start_m, speed), path)
    stage.ego = replace(stage.ego, indicator=-1 if turn == "left" else 1)
    stage.drivable.append(scene.area)
    who = stage.add(anywhere(rng, "crossing", shape, (start_x, y, 0.0 if same else math.pi), **look))
    row = -1
    if hazard:
        meet = stage.mark("meet", x_lane, y)
        row = stage.event(
            who, Action.SPEED, pace, rate=gain, trigger=Trigger.EGO_TTA, threshold=max(reach_s, 0.2), subject=meet,
            after=stage.lead_in(who),
        )  # fmt: skip
    return stage, scene, who, row


def _finish(stage: Stage, rng: Generator, scene: Crossing, turn: str, hazard: bool, who: int, row: int) -> WorldSpec:
    """Add what stands around and return the world."""
    pavements(stage, rng, scene, 1)
    houses(stage, rng, scene, near_left=True, near_right=True)
    for arm in (1, 2, 3):
        waiting(stage, rng, (f"in{arm}", f"stop{arm}", 0), 0.35 if arm != _TURNS[turn] else 0.0)
    pace = float(rng.uniform(6.0, 11.0))
    flow(stage, rng, ("leave2", "out2", 0), (12.0, 60.0), pace, gap_m=(12.0, 50.0), share=0.5)
    goal = path_length_m(scene.road, stage.route[:2]) + 30.0 - stage.ego.s_m
    return stage.world(
        goal_m=goal, time_limit_s=34.0, lighting=draw_light(rng), hazard=hazard, hazard_actors=(who,), hazard_row=row,
        command=int(Command.LEFT if turn == "left" else Command.RIGHT),
    )  # fmt: skip


class TurningCyclist:
    """Right turn across a cycle path that runs along the ego's road."""

    name = "turning_cyclist"
    description = (
        "The ego turns right; a cyclist beside its road sets off straight on over the arm that it turns into, perhaps "
        "from behind a parked van."
    )
    tags = ("bench2drive:VehicleTurningRoute", "bench2drive:CrossingBicycleFlow", "nhtsa:13", "euro_ncap:CBTA")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(5.0, 8.0, "m/s"),
        "crossing_speed_mps": Range(3.0, 6.5, "m/s"),
        "start_distance_m": Range(0.3, 6.0, "m"),  # from the edge of the arm
        "offset_s": Range(-0.5, 0.3, "s"),  # ego front at the crossing line minus the cyclist at the lane centre
        "direction": Choice(("same", "against")),
        "van": Choice((True, False)),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        gain, beyond = float(rng.uniform(2.5, 4.0)), float(rng.uniform(0.6, 1.8))
        stage, scene, who, row = _cross(rng, params, "right", Shape.CYCLIST, {}, gain, beyond, hazard)
        van = standing(rng, "parked", Shape.VAN, (0.0, 0.0, 0.0))
        if params["van"] and params["direction"] == "same":
            back = -scene.road.lane_width_m - VERGE_M - 2.2 - float(rng.uniform(0.0, 2.0)) - 0.5 * van.length_m
            lateral = scene.road.lane_width_m + VERGE_M + 0.4 + 0.5 * van.width_m
            stage.add(replace(van, x_m=min(back, -scene.half_m - 0.5 * van.length_m), y_m=lateral))
        return _finish(stage, rng, scene, "right", hazard, who, row)


class TurningPedestrian:
    """Left or right turn; somebody crosses on foot behind the corner."""

    name = "turning_pedestrian"
    description = "The ego turns left or right; somebody walks or runs over the arm that it turns into."
    tags = ("bench2drive:VehicleTurningRoutePedestrian", "nhtsa:11", "euro_ncap:CPTA")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(5.0, 8.0, "m/s"),
        "crossing_speed_mps": Range(1.4, 3.4, "m/s"),
        "start_distance_m": Range(0.0, 1.5, "m"),  # from the edge of the arm
        "offset_s": Range(-0.5, 0.3, "s"),  # ego front at the crossing line minus the walker at the lane centre
        "direction": Choice(("same", "against")),
        "turn": Choice(("left", "right")),
        "walker": Choice(("adult", "child")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        look = draw_size(rng, Shape.PEDESTRIAN, child=params["walker"] == "child")
        beyond = float(rng.uniform(1.0, 3.5))
        stage, scene, who, row = _cross(rng, params, params["turn"], Shape.PEDESTRIAN, look, 3.0, beyond, hazard)
        if hazard:
            over = 2.0 * scene.road.lane_width_m + 2.0 + params["start_distance_m"]
            stage.event(who, Action.STOP, 2.0, trigger=Trigger.POSITION, threshold=over, after=row)
        return _finish(stage, rng, scene, params["turn"], hazard, who, row)
