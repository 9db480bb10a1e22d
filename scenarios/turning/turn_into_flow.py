"""The ego turns into or across traffic that has priority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import Generator, draw_traffic_shape, on_lane, standing
from simdrive.scenarios.corners import corner_house, houses, pavements, waiting
from simdrive.scenarios.junctions import ARM_M, Crossing, crossing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.roads import RURAL_LIMIT_MPS
from simdrive.scenarios.scenery import buildings, draw_light
from simdrive.scenarios.stage import Stage
from simdrive.scenarios.traffic import flow
from simdrive.scenarios.turning.encounter import Entrance, Path, approach, enter, meeting, path_length_m
from simdrive.scenarios.turning.tee import tee, tee_area
from simdrive.sim.spec import LaneIndex, WorldSpec
from simdrive.sim.state import Shape
from simdrive.types import Command

_TURNS = {"left": 3, "right": 1}  # arm that the ego leaves on


def _turn(turn: str) -> Path:
    away = _TURNS[turn]
    return (("in0", "stop0", 0), ("stop0", f"leave{away}", 0), (f"leave{away}", f"out{away}", 0))


def _straight(arm: int) -> Path:
    return ((f"in{arm}", f"stop{arm}", 0), (f"stop{arm}", f"leave{arm}", 0), (f"leave{arm}", f"out{arm}", 0))


def _meet_flow(
    rng: Generator, scene: Crossing, params: Mapping[str, Any], turn: str, arm: int, hazard: bool
) -> tuple[Stage, int, int]:
    """Let somebody on arm ``arm`` meet the turning ego; return (stage, actor, hazard's row)."""
    path, other_path = _turn(turn), _straight(arm)
    other = on_lane(rng, "other", draw_traffic_shape(rng), other_path[0], 0.0, route=other_path[1:])
    gain, back = float(rng.uniform(3.0, 4.5)), float(rng.uniform(-1.5, 1.0))
    entrance = Entrance(
        params["other_speed_mps"], params["offset_s"], 3.4 if params["corner"] == "house" else 0.0,
        ARM_M - back - 0.5 * other.length_m, gain,
    )  # fmt: skip
    meet = meeting(scene.road, path, other_path)
    stage = approach(rng, scene.road, path, meet, entrance, params["ego_speed_mps"])
    stage.ego = replace(stage.ego, indicator=-1 if turn == "left" else 1)
    who, row = enter(stage, other, meet, entrance, hazard, rng.random() < 0.5)
    return stage, who, row


def _finish(stage: Stage, rng: Generator, scene: Crossing, turn: str, hazard: bool, who: int, row: int) -> WorldSpec:
    goal = path_length_m(scene.road, stage.route[:2]) + 30.0 - stage.ego.s_m
    return stage.world(
        goal_m=goal, time_limit_s=32.0, lighting=draw_light(rng), hazard=hazard, hazard_actors=(who,), hazard_row=row,
        command=int(Command.LEFT if turn == "left" else Command.RIGHT),
    )  # fmt: skip


def _corner(stage: Stage, rng: Generator, scene: Crossing, params: Mapping[str, Any], arm: int) -> None:
    """Build a house that hides who comes on arm 1 (from the left) or 3 (from the right)."""
    if params["corner"] == "house":
        gap = params["set_back_m"]
        corner_house(stage, rng, scene, left=arm == 1, from_ego_road_m=gap, from_side_road_m=gap)


def _town(stage: Stage, rng: Generator, scene: Crossing, params: Mapping[str, Any], arm: int) -> None:
    """Add what stands around: pavements, houses, others who wait or have passed."""
    stage.drivable.append(scene.area)
    house = params["corner"] == "house"
    _corner(stage, rng, scene, params, arm)
    pavements(stage, rng, scene)
    houses(stage, rng, scene, near_left=not (house and arm == 1), near_right=not (house and arm == 3))
    for side in (1, 2, 3):
        if side != arm:
            waiting(stage, rng, (f"in{side}", f"stop{side}", 0), 0.4)
    pace = float(rng.uniform(6.0, 11.0))
    flow(stage, rng, ("leave2", "out2", 0), (12.0, 60.0), pace, gap_m=(12.0, 50.0), share=0.5)


class RightTurnFlow:
    """Right turn into a road on which somebody comes from the left."""

    name = "right_turn_flow"
    description = (
        "The ego turns right into a road on which somebody comes from the left: at speed from behind a house, or "
        "starting from the stop line."
    )
    tags = (
        "bench2drive:NonSignalizedJunctionRightTurn",
        "bench2drive:SignalizedJunctionRightTurn",
        "nhtsa:31",
        "nhtsa:28",
    )
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(5.0, 8.0, "m/s"),
        "other_speed_mps": Range(7.0, 14.0, "m/s"),
        "offset_s": Range(-0.5, 0.3, "s"),  # ego front at the meeting point minus the other one's middle
        "set_back_m": Range(2.7, 4.6, "m"),  # corner house from both roads
        "corner": Choice(("house", "open")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        scene = crossing(1, 9.0)
        stage, who, row = _meet_flow(rng, scene, params, "right", 1, hazard)
        _town(stage, rng, scene, params, 1)
        return _finish(stage, rng, scene, "right", hazard, who, row)


class LeftTurnFlow:
    """Left turn from a side road: across the traffic from the left, into the traffic from the right."""

    name = "left_turn_flow"
    description = (
        "The ego turns left out of a side road, across somebody who comes from the left or in front of somebody who "
        "comes from the right."
    )
    tags = (
        "bench2drive:NonSignalizedJunctionLeftTurnEnterFlow", "bench2drive:SignalizedJunctionLeftTurnEnterFlow",
        "nhtsa:31", "euro_ncap:CCCscp",
    )  # fmt: skip
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(5.5, 9.0, "m/s"),
        "other_speed_mps": Range(7.0, 15.0, "m/s"),
        "offset_s": Range(-0.5, 0.3, "s"),  # ego front at the meeting point minus the other one's middle
        "set_back_m": Range(2.7, 4.6, "m"),  # corner house from both roads
        "corner": Choice(("house", "open")),
        "side": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        scene, arm = crossing(1, 9.0), 1 if params["side"] == "left" else 3
        stage, who, row = _meet_flow(rng, scene, params, "left", arm, hazard)
        _town(stage, rng, scene, params, arm)
        return _finish(stage, rng, scene, "left", hazard, who, row)


class TJunction:
    """The ego's road ends at another one."""

    name = "t_junction"
    description = (
        "The ego's road ends at a T-junction, where it turns right or left; somebody on the other road comes from "
        "the left or right."
    )
    tags = ("bench2drive:T_Junction", "nhtsa:31", "euro_ncap:CCCscp")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(5.0, 7.6, "m/s"),
        "other_speed_mps": Range(7.0, 14.0, "m/s"),
        "offset_s": Range(-0.5, 0.3, "s"),  # ego front at the meeting point minus the other one's middle
        "set_back_m": Range(2.7, 4.6, "m"),  # corner house from both roads
        "corner": Choice(("house", "open")),
        "conflict": Choice(("right_turn", "left_turn_from_left", "left_turn_from_right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        scene = tee((8.0, 10.0)[int(rng.integers(2))])
        turn = "right" if params["conflict"] == "right_turn" else "left"
        arm = 3 if params["conflict"] == "left_turn_from_right" else 1
        stage, who, row = _meet_flow(rng, scene, params, turn, arm, hazard)
        stage.drivable.append(tee_area(scene))
        _corner(stage, rng, scene, params, arm)
        wall = scene.road.lane_width_m + float(rng.uniform(6.0, 14.0))
        for number in range(3):  # what faces the end of the ego's road
            length, depth = float(rng.uniform(12.0, 20.0)), float(rng.uniform(8.0, 12.0))
            pose = (wall + 0.5 * depth, 24.0 * (number - 1) + float(rng.uniform(-3.0, 3.0)), 0.0)
            stage.add(standing(rng, "building", Shape.BUILDING, pose, length_m=depth, width_m=length))
        waiting(stage, rng, (f"in{4 - arm}", f"stop{4 - arm}", 0), 0.4)
        flow(stage, rng, ("leave2", "out2", 0), (12.0, 60.0), 8.0, gap_m=(12.0, 50.0), share=0.5)
        return _finish(stage, rng, scene, turn, hazard, who, row)


class InterurbanFlow:
    """Left turn into a fast road: two vehicles come, and only the first one has passed."""

    name = "interurban_flow"
    description = (
        "Out in the country the ego turns left into a fast road; one vehicle has just passed from the left, the one "
        "that it hid comes a moment later."
    )
    tags = (
        "bench2drive:InterurbanAdvancedActorFlow",
        "bench2drive:InterurbanActorFlow",
        "nhtsa:31",
        "euro_ncap:CCCscp",
    )
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(6.0, 10.0, "m/s"),
        "other_speed_mps": Range(15.0, 25.0, "m/s"),
        "offset_s": Range(-0.4, 0.3, "s"),  # ego front at the meeting point minus the second one's middle
        "apart_s": Range(1.0, 2.2, "s"),  # between the two
        "set_back_m": Range(3.0, 7.0, "m"),  # wood at the corner, from both roads
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        scene = crossing(1, 12.0, limit_mps=RURAL_LIMIT_MPS)
        full = {**params, "corner": "house"}
        stage, who, row = _meet_flow(rng, scene, full, "left", 1, hazard)
        stage.drivable.append(scene.area)
        second = stage.actors[who - 1]
        lanes: tuple[LaneIndex, ...] = _straight(1)
        first = on_lane(rng, "first", draw_traffic_shape(rng), lanes[0], 0.0, route=lanes[1:])
        ahead = params["other_speed_mps"] * params["apart_s"] + 0.5 * (first.length_m + second.length_m)
        passed = float(rng.uniform(20.0, 50.0))
        if hazard:
            lead = stage.add(replace(first, s_m=second.s_m + ahead, speed_mps=params["other_speed_mps"], present=False))
            event = stage.events[row]
            stage.event(
                lead, event.action, trigger=event.trigger, threshold=event.threshold, subject=event.subject,
                after=event.after_row,
            )  # fmt: skip
        else:  # both have long passed
            stage.add(replace(first, lane=lanes[2], route=(), s_m=passed, speed_mps=params["other_speed_mps"]))
        _countryside(stage, rng)
        gap = params["set_back_m"]
        corner_house(stage, rng, scene, left=True, from_ego_road_m=gap, from_side_road_m=gap)
        return _finish(stage, rng, scene, "left", hazard, who, row)


def _countryside(stage: Stage, rng: Generator) -> None:
    """Add farm buildings along the fast road, vehicles that wait and ones that have passed."""
    waiting(stage, rng, ("in2", "stop2", 0), 0.6)
    for arm in (2, 3):
        pace = float(rng.uniform(9.0, 16.0))
        flow(stage, rng, (f"leave{arm}", f"out{arm}", 0), (70.0, 150.0), pace, gap_m=(14.0, 50.0), share=0.6)
    for lane in (("leave0", "out0", 0), ("in2", "stop2", 0)):
        buildings(stage, rng, lane, (30.0, 130.0), 9.0, 0.6)
