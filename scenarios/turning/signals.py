"""Signalised crossings. The simulator knows no signals: a post beside the stop line is green or red, for the eye.

Nothing that is scored asks for the colour; who drives on at red meets the cross traffic that has green.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.corners import waiting
from simdrive.scenarios.junctions import ARM_M, crossing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.stage import Stage
from simdrive.scenarios.turning.encounter import Entrance, Path, approach, drive_s, enter, meeting
from simdrive.scenarios.turning.straight_over import around, finish, post, straight
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape
from simdrive.types import Command

_GREEN, _RED = (36, 150, 70), (196, 30, 32)
_RED_S = 8.0  # then it is green again


class RedLight:
    """The ego's post turns from green to red; the cross traffic starts as soon as it has green."""

    name = "red_light"
    description = (
        "The post beside the ego's stop line turns from green to red as the ego comes near; a moment later the cross "
        "traffic starts and drives over the ego's path."
    )
    tags = (
        "bench2drive:VanillaSignalizedTurnEncounterRedLight", "nhtsa:4", "nhtsa:30", "euro_ncap:CCCscp",
    )  # fmt: skip
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(8.0, 16.0, "m/s"),
        "other_speed_mps": Range(6.0, 12.0, "m/s"),
        "acceleration_mps2": Range(3.5, 6.0, "m/s2"),
        "all_red_s": Range(0.0, 0.6, "s"),  # from the ego's red to the start of the cross traffic
        "offset_s": Range(-0.4, 0.4, "s"),  # ego front at the meeting point minus the other one's middle
        "side": Choice(("left", "right")),
        "turn": Choice(("straight", "left")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        scene, arm = crossing(1 + int(rng.integers(2))), 1 if params["side"] == "left" else 3
        left = params["turn"] == "left"
        path: Path = straight(0)
        if left:
            path = (("in0", "stop0", 0), ("stop0", "leave3", 0), ("leave3", "out3", 0))
        # A left turn goes more slowly, and comes close to traffic from the right only in its own lane.
        speed = min(params["ego_speed_mps"], 8.5) if left else params["ego_speed_mps"]
        lanes = straight(arm, 0)
        other = on_lane(rng, "other", draw_traffic_shape(rng), lanes[0], 0.0, route=lanes[1:])
        back = float(rng.uniform(0.5, 2.0))
        entrance = Entrance(
            params["other_speed_mps"], params["offset_s"], waits_m=ARM_M - back - 0.5 * other.length_m,
            gain_mps2=params["acceleration_mps2"],
        )  # fmt: skip
        meet = meeting(scene.road, path, lanes)
        stage = approach(rng, scene.road, path, meet, entrance, speed)
        stage.ego = replace(stage.ego, indicator=-1 if left else 0)
        who, row = enter(stage, other, meet, entrance, hazard, True)
        green = post(stage, rng, scene, 0, _GREEN)
        red = post(stage, rng, scene, 0, _RED, present=False)
        if hazard:  # the posts change before the other one starts, but not in the calm start
            reach_s = drive_s(meet, entrance) + params["offset_s"] + params["all_red_s"]
            row = self._turn_red(stage, green, red, stage.events[row].subject, reach_s)
        around(stage, rng, scene, arm, "open", 3.0)
        world = finish(stage, rng, hazard, who, row, Command.LEFT if left else Command.STRAIGHT, 34.0)
        return replace(world, hazard_actors=(who, red)) if hazard else world

    def _turn_red(self, stage: Stage, green: int, red: int, meet: int, reach_s: float) -> int:
        """Let the red post take the place of the green one for some seconds; return the row at which it does."""
        turned = stage.event(
            red, Action.APPEAR, trigger=Trigger.EGO_TTA, threshold=reach_s, subject=meet, after=stage.lead_in(red)
        )
        stage.event(green, Action.VANISH, after=turned)
        stage.event(green, Action.APPEAR, after=turned, delay_s=_RED_S)
        stage.event(red, Action.VANISH, after=turned, delay_s=_RED_S)
        return turned


class GreenLightStraggler:
    """The ego has green; somebody from the side still comes over, hidden by a truck that waits."""

    name = "green_light_straggler"
    description = (
        "The ego comes to a crossing at green (a green post) and turns or goes straight on; a straggler from the side "
        "still drives over it, past a truck that waits on the lane beside."
    )
    tags = (
        "bench2drive:VanillaSignalizedTurnEncounterGreenLight", "bench2drive:OppositeVehicleRunningRedLight", "nhtsa:4",
        "euro_ncap:CCCscp",
    )  # fmt: skip
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(6.0, 14.0, "m/s"),
        "other_speed_mps": Range(9.0, 18.0, "m/s"),
        "offset_s": Range(-0.5, 0.35, "s"),  # ego front at the meeting point minus the other one's middle
        "set_back_m": Range(2.7, 4.5, "m"),  # corner house from both roads
        "side": Choice(("left", "right")),
        "turn": Choice(("straight", "left")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        scene, arm = crossing(2), 1 if params["side"] == "left" else 3
        left = params["turn"] == "left"
        path: Path = straight(0)
        if left:
            path = (("in0", "stop0", 0), ("stop0", "leave3", 0), ("leave3", "out3", 0))
        speed = min(params["ego_speed_mps"], 10.0) if left else params["ego_speed_mps"]
        lanes = straight(arm, 0)
        other = on_lane(rng, "straggler", draw_traffic_shape(rng), lanes[0], 0.0, route=lanes[1:])
        entrance = Entrance(params["other_speed_mps"], params["offset_s"], 3.4, ARM_M - 1.0 - 0.5 * other.length_m)
        meet = meeting(scene.road, path, lanes)
        stage = approach(rng, scene.road, path, meet, entrance, speed)
        stage.ego = replace(stage.ego, indicator=-1 if left else 0)
        who, row = enter(stage, other, meet, entrance, hazard, rng.random() < 0.5)
        post(stage, rng, scene, 0, _GREEN)
        truck = on_lane(rng, "waiting", Shape.TRUCK, (f"in{arm}", f"stop{arm}", 1), 0.0)
        stage.add(replace(truck, s_m=ARM_M - 0.8 - 0.5 * truck.length_m))
        for lane in (0, 1):
            waiting(stage, rng, ("in2", "stop2", lane), 0.3)
        around(stage, rng, scene, arm, "house", params["set_back_m"])
        return finish(stage, rng, hazard, who, row, Command.LEFT if left else Command.STRAIGHT)
