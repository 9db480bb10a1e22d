"""Somebody from the side does not give way at a crossing where the ego has priority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.corners import corner_house, houses, pavements, waiting
from simdrive.scenarios.junctions import ARM_M, crossing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import start_up_time_s
from simdrive.scenarios.traffic import flow
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec
from simdrive.types import Command

_APPROACH_S = 3.6  # how long before the crossing the runner comes into being behind the corner house


class RedLightRunner:
    """Straight over a crossing; the runner comes out from behind a corner house, or starts from the stop line."""

    name = "red_light_runner"
    description = (
        "A vehicle from the left or right runs through a crossing where the ego has priority: at speed from behind a "
        "house at the corner, or from standstill at its stop line."
    )
    tags = ("euro_ncap:CCCscp", "nhtsa:4", "nhtsa:5", "nhtsa:30", "bench2drive:OppositeVehicleRunningRedLight")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(9.0, 20.0, "m/s"),
        "runner_speed_mps": Range(8.0, 20.0, "m/s"),
        "offset_s": Range(-0.65, 0.3, "s"),  # ego front at the runner's path minus runner at the ego's path
        "set_back_m": Range(2.3, 4.6, "m"),  # corner house from both roads
        "side": Choice(("left", "right")),
        "corner": Choice(("house", "open")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, left, house = params["ego_speed_mps"], params["side"] == "left", params["corner"] == "house"
        scene = crossing(1 + int(rng.integers(2)))
        road, lanes, width = scene.road, scene.lanes_each, scene.road.lane_width_m
        own, other, arm = int(rng.integers(lanes)), int(rng.integers(lanes)), 1 if left else 3
        lane: LaneIndex = ("in0", "stop0", own)
        y_ego, x_runner = (own + 0.5) * width, (other + 0.5) * width * (-1.0 if left else 1.0)
        runner = on_lane(
            rng, "runner", draw_traffic_shape(rng), (f"in{arm}", f"stop{arm}", other), 0.0,
            route=((f"stop{arm}", f"leave{arm}", other), (f"leave{arm}", f"out{arm}", other)),
        )  # fmt: skip
        meet_m = ARM_M + scene.half_m + (y_ego if left else -y_ego)  # along the runner's path
        gain, back, away = float(rng.uniform(3.5, 5.0)), float(rng.uniform(-2.0, 1.0)), rng.random() < 0.5
        line_m = ARM_M - back - 0.5 * runner.length_m
        drive_s = _APPROACH_S if house else start_up_time_s(meet_m - line_m, params["runner_speed_mps"], gain)
        reach_s = drive_s + params["offset_s"]
        wait = 3.3 + float(rng.uniform(0.0, 1.2))
        start_m = ARM_M + scene.half_m + x_runner - 2.3 - speed * (wait + reach_s)
        stage = Stage(road, ego_on(lane, start_m, speed), (lane, ("stop0", "leave0", own), ("leave0", "out0", own)))
        stage.drivable.append(scene.area)

        if house and hazard:
            hidden_m = meet_m - params["runner_speed_mps"] * drive_s
            runner = replace(runner, s_m=hidden_m, speed_mps=params["runner_speed_mps"], present=False)
        else:  # an empty side road is as common without the hazard as with it
            runner = replace(runner, s_m=line_m, present=not (house and away))
        who, row = stage.add(runner), -1
        if hazard:
            meet = stage.mark("meet", x_runner, y_ego)
            ready = stage.lead_in(who)
            action, goal, rate = (
                (Action.APPEAR, 0.0, 0.0) if house else (Action.SPEED, params["runner_speed_mps"], gain)
            )
            row = stage.event(
                who, action, goal, rate=rate, trigger=Trigger.EGO_TTA, threshold=reach_s, subject=meet, after=ready
            )
        if house:
            corner_house(
                stage,
                rng,
                scene,
                left=left,
                from_ego_road_m=params["set_back_m"],
                from_side_road_m=params["set_back_m"],
            )
        _bystanders(stage, rng, scene, arm, other, house)
        return stage.world(
            goal_m=ARM_M + 2.0 * scene.half_m + 35.0 - start_m, time_limit_s=26.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row, command=int(Command.STRAIGHT),
        )  # fmt: skip


def _bystanders(stage: Stage, rng: np.random.Generator, scene: Any, arm: int, taken: int, house: bool) -> None:
    """Add houses, people, waiting and oncoming vehicles that keep out of the runner's way."""
    pavements(stage, rng, scene)
    houses(stage, rng, scene, near_left=not (house and arm == 1), near_right=not (house and arm == 3))
    for side in (1, 3):
        for lane in range(scene.lanes_each):
            if (side, lane) != (arm, taken):
                waiting(stage, rng, (f"in{side}", f"stop{side}", lane), 0.3)
    # Oncoming traffic beyond the crossing has passed it: it drives away from it, behind the ego.
    for lane in range(scene.lanes_each):
        pace = float(rng.uniform(7.0, 12.0))
        flow(stage, rng, ("leave2", "out2", lane), (12.0, 60.0), pace, gap_m=(12.0, 50.0), share=0.5)
