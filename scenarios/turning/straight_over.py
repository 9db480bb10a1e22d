"""Crossings at which somebody takes a right of way: the ego's, or his own where the ego has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import Generator, draw_traffic_shape, on_lane, standing
from simdrive.scenarios.corners import corner_house, houses, pavements, waiting
from simdrive.scenarios.junctions import ARM_M, Crossing, crossing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light
from simdrive.scenarios.stage import Stage
from simdrive.scenarios.traffic import flow
from simdrive.scenarios.turning.encounter import Entrance, Path, approach, enter, meeting, path_length_m
from simdrive.sim.spec import WorldSpec
from simdrive.sim.state import Shape
from simdrive.types import Command

_RED = (190, 28, 30)
_POST_M = 0.35


def straight(arm: int, lane: int = 0) -> Path:
    """Return the lanes straight over a crossing from an arm."""
    return ((f"in{arm}", f"stop{arm}", lane), (f"stop{arm}", f"leave{arm}", lane), (f"leave{arm}", f"out{arm}", lane))


def post(
    stage: Stage, rng: Generator, scene: Crossing, arm: int, colour: tuple[int, int, int], *, present: bool = True
) -> int:
    """Put a post of a colour to the right of the stop line of an arm: what stands for a sign or signal."""
    lane, half = (f"in{arm}", f"stop{arm}", scene.lanes_each - 1), 0.5 * scene.road.lane_width_m
    size = {"length_m": _POST_M, "width_m": _POST_M, "height_m": 3.2}
    pose = scene.road.pose(lane, ARM_M - 0.5, half + 0.9)
    return stage.add(standing(rng, "post", Shape.BUILDING, pose, **size, colour=colour, present=present))


def around(stage: Stage, rng: Generator, scene: Crossing, arm: int, corner: str, set_back_m: float) -> None:
    """Add what stands around a crossing; who comes on ``arm`` may be hidden by a house at its corner."""
    house = corner == "house"
    stage.drivable.append(scene.area)
    if house:
        corner_house(stage, rng, scene, left=arm == 1, from_ego_road_m=set_back_m, from_side_road_m=set_back_m)
    pavements(stage, rng, scene)
    houses(stage, rng, scene, near_left=not (house and arm == 1), near_right=not (house and arm == 3))
    for side in (1, 3):
        for lane in range(scene.lanes_each):
            if side != arm:
                waiting(stage, rng, (f"in{side}", f"stop{side}", lane), 0.35)
    for lane in range(scene.lanes_each):
        pace = float(rng.uniform(6.0, 11.0))
        flow(stage, rng, ("leave2", "out2", lane), (12.0, 60.0), pace, gap_m=(12.0, 50.0), share=0.5)


def finish(
    stage: Stage, rng: Generator, hazard: bool, who: int, row: int, command: Command, time_limit_s: float = 30.0
) -> WorldSpec:
    """Return the world of an ego that drives 30 m beyond the junction."""
    goal = path_length_m(stage.road, stage.route[:2]) + 30.0 - stage.ego.s_m
    return stage.world(
        goal_m=goal, time_limit_s=time_limit_s, lighting=draw_light(rng), hazard=hazard, hazard_actors=(who,),
        hazard_row=row, command=int(command),
    )  # fmt: skip


class PriorityTaken:
    """The ego goes straight on; somebody opposite turns left all the same."""

    name = "priority_taken"
    description = (
        "The ego goes straight over a crossing; an oncoming vehicle that waits to turn left does not let it pass and "
        "turns across its path."
    )
    tags = ("bench2drive:OppositeVehicleTakingPriority", "nhtsa:29", "nhtsa:27", "euro_ncap:CCFtap")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(9.0, 18.0, "m/s"),
        "other_speed_mps": Range(5.0, 9.0, "m/s"),
        "acceleration_mps2": Range(3.5, 6.0, "m/s2"),
        "offset_s": Range(-0.5, 0.5, "s"),  # ego front at the meeting point minus the other one's middle
        "nosed_in_m": Range(1.0, 6.0, "m"),  # how far beyond its stop line it waits
        "lanes_each": Choice((1, 2)),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        scene = crossing(params["lanes_each"])
        path = straight(0, int(rng.integers(scene.lanes_each)))
        turn: Path = (("in2", "stop2", 0), ("stop2", "leave1", 0), ("leave1", "out1", 0))
        shape = Shape.VAN if rng.random() < 0.3 else Shape.CAR
        other = on_lane(rng, "other", shape, turn[0], 0.0, route=turn[1:], indicator=-1)
        waits = ARM_M - 0.5 * other.length_m + params["nosed_in_m"]
        entrance = Entrance(
            params["other_speed_mps"], params["offset_s"], waits_m=waits, gain_mps2=params["acceleration_mps2"]
        )
        meet = meeting(scene.road, path, turn)
        stage = approach(rng, scene.road, path, meet, entrance, params["ego_speed_mps"])
        who, row = enter(stage, other, meet, entrance, hazard, True)
        around(stage, rng, scene, 2, "open", 3.0)
        return finish(stage, rng, hazard, who, row, Command.STRAIGHT)


class StopSign:
    """The ego comes to a main road and has to stop; a red post stands for the sign."""

    name = "stop_sign"
    description = (
        "The ego crosses a main road or turns left into it from a side road with a stop sign (a red post); somebody on "
        "the main road comes from the left or right."
    )
    tags = ("bench2drive:VanillaNonSignalizedTurnEncounterStopsign", "nhtsa:5", "nhtsa:30", "euro_ncap:CCCscp")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(6.0, 10.0, "m/s"),
        "other_speed_mps": Range(10.0, 19.0, "m/s"),
        "offset_s": Range(-0.55, 0.15, "s"),  # ego front at the meeting point minus the other one's middle
        "set_back_m": Range(2.7, 4.0, "m"),  # corner house from both roads
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
        lanes = straight(arm, int(rng.integers(2)) if not left or arm == 1 else 0)
        other = on_lane(rng, "other", draw_traffic_shape(rng), lanes[0], 0.0, route=lanes[1:])
        entrance = Entrance(params["other_speed_mps"], params["offset_s"], 3.4, ARM_M - 1.0 - 0.5 * other.length_m)
        meet = meeting(scene.road, path, lanes)
        stage = approach(rng, scene.road, path, meet, entrance, params["ego_speed_mps"])
        stage.ego = replace(stage.ego, indicator=-1 if left else 0)
        who, row = enter(stage, other, meet, entrance, hazard, rng.random() < 0.5)
        post(stage, rng, scene, 0, _RED)
        post(stage, rng, scene, 2, _RED)
        around(stage, rng, scene, arm, "house", params["set_back_m"])
        return finish(stage, rng, hazard, who, row, Command.LEFT if left else Command.STRAIGHT)


class RightBeforeLeft:
    """Narrow crossing without signs; the ego turns, and who comes from the right has priority."""

    name = "right_before_left"
    description = (
        "The ego turns at a narrow crossing without signs or signals; somebody who comes from the right behind a house "
        "has priority and takes it."
    )
    tags = ("bench2drive:VanillaNonSignalizedTurn", "nhtsa:31", "nhtsa:30", "euro_ncap:CCCscp")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(5.0, 8.5, "m/s"),
        "other_speed_mps": Range(6.0, 12.0, "m/s"),
        "offset_s": Range(-0.5, 0.35, "s"),  # ego front at the meeting point minus the other one's middle
        "set_back_m": Range(2.7, 4.0, "m"),  # corner house from both roads
        "goes": Choice(("straight", "left")),  # who comes from the right
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        scene = crossing(1, 8.0, 3.1)
        path: Path = (("in0", "stop0", 0), ("stop0", "leave3", 0), ("leave3", "out3", 0))
        goes = 2 if params["goes"] == "left" else 3
        lanes: Path = (("in3", "stop3", 0), ("stop3", f"leave{goes}", 0), (f"leave{goes}", f"out{goes}", 0))
        shape = Shape.VAN if rng.random() < 0.25 else Shape.CAR
        speed = params["other_speed_mps"] if goes == 3 else min(params["other_speed_mps"], 8.0)
        other = on_lane(rng, "other", shape, lanes[0], 0.0, route=lanes[1:], indicator=-1 if goes == 2 else 0)
        entrance = Entrance(speed, params["offset_s"], 3.2, ARM_M - 1.0 - 0.5 * other.length_m)
        meet = meeting(scene.road, path, lanes)
        stage = approach(rng, scene.road, path, meet, entrance, params["ego_speed_mps"])
        stage.ego = replace(stage.ego, indicator=-1)
        who, row = enter(stage, other, meet, entrance, hazard, rng.random() < 0.5)
        around(stage, rng, scene, 3, "house", params["set_back_m"])
        return finish(stage, rng, hazard, who, row, Command.LEFT)


class EmergencyCrossing:
    """An ambulance crosses where the ego has priority; everybody else has stopped for it."""

    name = "emergency_crossing"
    description = (
        "An emergency vehicle with its lamps on crosses the ego's road at speed, out from behind a house or past "
        "vehicles that wait for it."
    )
    tags = ("bench2drive:YieldToEmergencyVehicle", "nhtsa:30", "euro_ncap:CCCscp")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(9.0, 18.0, "m/s"),
        "emergency_speed_mps": Range(11.0, 20.0, "m/s"),
        "offset_s": Range(-0.5, 0.3, "s"),  # ego front at the meeting point minus the other one's middle
        "set_back_m": Range(2.7, 5.5, "m"),  # corner house from both roads
        "side": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        scene, arm = crossing(2), 1 if params["side"] == "left" else 3
        path, lanes = straight(0, int(rng.integers(2))), straight(arm, 0)
        other = on_lane(rng, "emergency", Shape.EMERGENCY, lanes[0], 0.0, route=lanes[1:], indicator=2)
        entrance = Entrance(params["emergency_speed_mps"], params["offset_s"], 3.4, ARM_M - 2.0 - 0.5 * other.length_m)
        meet = meeting(scene.road, path, lanes)
        stage = approach(rng, scene.road, path, meet, entrance, params["ego_speed_mps"])
        who, row = enter(stage, other, meet, entrance, hazard, rng.random() < 0.5)
        waiting(stage, rng, (f"in{arm}", f"stop{arm}", 1), 0.8)
        waiting(stage, rng, ("in2", "stop2", 0), 0.6)
        around(stage, rng, scene, arm, "house", params["set_back_m"])
        return finish(stage, rng, hazard, who, row, Command.STRAIGHT)
