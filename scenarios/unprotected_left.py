"""The ego turns left across the lane of somebody who comes the other way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.corners import houses, pavements, waiting
from simdrive.scenarios.junctions import ARM_M, Crossing, crossing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import start_up_time_s
from simdrive.scenarios.traffic import flow
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec
from simdrive.sim.state import Shape
from simdrive.types import Command

_ROUTE: tuple[LaneIndex, ...] = (("in0", "stop0", 0), ("stop0", "leave3", 0), ("leave3", "out3", 0))
_APPROACH_S = 4.8  # how long before they would meet the oncoming vehicle comes into being behind the truck


class UnprotectedLeft:
    """Left turn with priority to oncoming traffic, open or hidden by a truck that waits to turn left as well."""

    name = "unprotected_left"
    description = (
        "The ego turns left while an oncoming vehicle goes straight on: at speed behind a truck that waits in the "
        "opposite turning lane, or starting from its stop line."
    )
    tags = (
        "euro_ncap:CCFtap", "nhtsa:29", "nhtsa:27",
        "bench2drive:NonSignalizedJunctionLeftTurn", "bench2drive:SignalizedJunctionLeftTurn",
    )  # fmt: skip
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(7.0, 12.0, "m/s"),
        "oncoming_speed_mps": Range(14.0, 28.0, "m/s"),
        "offset_s": Range(0.2, 0.85, "s"),  # oncoming vehicle at the ego's path minus ego front at its path
        "screen": Choice(("truck", "none")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, truck = params["ego_speed_mps"], params["screen"] == "truck"
        scene = crossing(2)
        own = 1 if truck or rng.random() < 0.5 else 0
        x_meet, y_meet, ego_m = meeting(scene, own)
        who_lane: LaneIndex = ("in2", "stop2", own)
        shape = draw_traffic_shape(rng)
        oncoming = on_lane(
            rng, "oncoming", shape, who_lane, 0.0, route=(("stop2", "leave2", own), ("leave2", "out2", own))
        )
        meet_m = ARM_M + scene.half_m - x_meet  # along the oncoming path
        gain, back, away = float(rng.uniform(3.5, 5.0)), float(rng.uniform(-6.0, 0.0)), rng.random() < 0.5
        line_m = ARM_M - back - 0.5 * oncoming.length_m
        drive_s = _APPROACH_S if truck else start_up_time_s(meet_m - line_m, params["oncoming_speed_mps"], gain)
        reach_s = drive_s - params["offset_s"]
        wait = 3.3 + float(rng.uniform(0.0, 1.2))
        start_m = ARM_M + ego_m - 2.3 - speed * (wait + reach_s)
        stage = Stage(scene.road, ego_on(_ROUTE[0], start_m, speed), _ROUTE)
        stage.ego = replace(stage.ego, indicator=-1)
        stage.drivable.append(scene.area)

        if truck and hazard:
            pace = params["oncoming_speed_mps"]
            oncoming = replace(oncoming, s_m=meet_m - pace * drive_s, speed_mps=pace, present=False)
        else:  # an empty lane is as common without the hazard as with it
            oncoming = replace(oncoming, s_m=line_m, present=not (truck and away))
        who, row = stage.add(oncoming), -1
        if hazard:
            meet = stage.mark("meet", x_meet, y_meet)
            ready = stage.lead_in(who)
            action, goal = (Action.APPEAR, 0.0) if truck else (Action.SPEED, params["oncoming_speed_mps"])
            row = stage.event(
                who, action, goal, rate=0.0 if truck else gain,
                trigger=Trigger.EGO_TTA, threshold=reach_s, subject=meet, after=ready,
            )  # fmt: skip
        _bystanders(stage, rng, scene, truck, own)
        return stage.world(
            goal_m=ARM_M + turn_m(scene) + 30.0 - start_m, time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row, command=int(Command.LEFT),
        )  # fmt: skip


def turn_m(scene: Crossing) -> float:
    """Return the length of the left turn."""
    return float(scene.road.lane(_ROUTE[1]).length)


def meeting(scene: Crossing, lane: int) -> tuple[float, float, float]:
    """Return (x, y, distance along the turn, m) where the left turn crosses oncoming lane ``lane``."""
    half, width = scene.half_m, scene.road.lane_width_m
    radius, y = half + 0.5 * width, -(lane + 0.5) * width
    phase = math.asin((half + y) / radius)  # about the centre of the turn, at (-half, -half)
    return -half + radius * math.cos(phase), y, radius * (math.pi / 2 - phase)


def _bystanders(stage: Stage, rng: np.random.Generator, scene: Crossing, truck: bool, own: int) -> None:
    pavements(stage, rng, scene)
    houses(stage, rng, scene, near_left=True, near_right=True)
    screen = on_lane(rng, "turning", Shape.TRUCK, ("in2", "stop2", 0), 0.0, indicator=-1)
    ahead = float(rng.uniform(-7.0, -1.0))
    if truck:
        stage.add(replace(screen, s_m=ARM_M - ahead - 0.5 * screen.length_m))
    elif own == 1 and rng.random() < 0.5:
        waiting(stage, rng, ("in2", "stop2", 0), 0.6)
    for side in (1, 3):
        for lane in (0, 1):
            waiting(stage, rng, (f"in{side}", f"stop{side}", lane), 0.35)
    # Oncoming traffic on the far side of the crossing has passed it already.
    for lane in (0, 1):
        pace = float(rng.uniform(6.0, 11.0))
        flow(stage, rng, ("leave2", "out2", lane), (12.0, 60.0), pace, gap_m=(12.0, 50.0), share=0.5)
