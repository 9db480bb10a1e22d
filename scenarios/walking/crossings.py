"""Somebody comes out in front of the ego from behind what hides him: at a crossing, a bus, after a ball."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import Generator, anywhere, draw_colour, draw_size, on_lane, standing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.roads import URBAN_LIMIT_MPS, URBAN_WIDTH_M, Road, two_way
from simdrive.scenarios.scenery import draw_light, park, pick, urban
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import kerb_m, street_side
from simdrive.scenarios.timing import start_up_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 70.0
_START_MPS2 = 3.0  # how fast a walker gets going
_POST = (224, 206, 60)


@dataclass(frozen=True)
class _Walk:
    """A walk across the ego's lane."""

    begin_m: float  # to the right of the ego's lane centre; < 0 = from the left
    over_m: float  # how far it leads
    speed_mps: float
    offset_s: float  # ego front at the crossing line minus the walker at the lane centre

    @property
    def reach_s(self) -> float:
        """Time from setting off to when the ego's front would be at the line."""
        return max(start_up_time_s(abs(self.begin_m), self.speed_mps, _START_MPS2) + self.offset_s, 0.3)


def _line(stage: Stage, rng: Generator, walk: _Walk) -> tuple[float, float]:
    """Return (s of the crossing line on the ego's lane, calm time before)."""
    wait = 3.3 + float(rng.uniform(0.0, 1.5))
    return _START_M + 0.5 * stage.ego.length_m + stage.ego.speed_mps * (wait + walk.reach_s), wait


def _walker(
    stage: Stage, rng: Generator, name: str, line_m: float, walk: _Walk, hazard: bool, look: Mapping[str, Any]
) -> tuple[int, int]:
    """Add somebody who waits at the start of the walk, and goes when the ego comes; return (actor, row)."""
    x, y, heading = stage.road.pose(stage.route[0], line_m, walk.begin_m)
    turn = -0.5 * math.pi if walk.begin_m > 0.0 else 0.5 * math.pi
    who = stage.add(anywhere(rng, name, Shape.PEDESTRIAN, (x, y, heading + turn), **look))
    if not hazard:
        return who, -1
    row = stage.event(
        who, Action.SPEED, walk.speed_mps, rate=_START_MPS2,
        trigger=Trigger.EGO_TTA, threshold=walk.reach_s, after=stage.lead_in(who),
    )  # fmt: skip
    stage.event(who, Action.STOP, 2.0, trigger=Trigger.POSITION, threshold=walk.over_m, after=row)
    return who, row


def _finish(stage: Stage, rng: Generator, hazard: bool, who: tuple[int, ...], row: int, line_m: float) -> WorldSpec:
    return stage.world(
        goal_m=line_m - _START_M + 5.0 * stage.ego.speed_mps, time_limit_s=30.0, lighting=draw_light(rng),
        hazard=hazard, hazard_actors=who, hazard_row=row,
    )  # fmt: skip


class ZebraCrossing:
    """Two lanes each way; on the right one somebody has stopped before the crossing, and hides who walks."""

    name = "zebra_crossing"
    description = (
        "At a crossing for pedestrians (marked by posts) a vehicle on the next lane has stopped for people who walk "
        "out from behind it into the ego's lane."
    )
    tags = ("bench2drive:PedestrianCrossing", "nhtsa:12", "euro_ncap:CPNCO", "euro_ncap:CPNA")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(8.0, 16.0, "m/s"),
        "walk_speed_mps": Range(1.4, 3.4, "m/s"),
        "offset_s": Range(-0.6, 0.4, "s"),  # ego front at the crossing line minus the first one at the lane centre
        "people": Choice((1, 2, 3)),
        "stopped": Choice(("van", "truck", "bus")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed = params["ego_speed_mps"]
        road = two_way(2, pick(rng, ("straight", "sine")), width_m=3.3, limit_mps=URBAN_LIMIT_MPS)
        lane, right, facing = ("a", "b", 0), ("a", "b", 1), ("b", "a", 1)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        edge = 1.5 * road.lane_width_m
        walk = _Walk(edge + 0.7, 2.0 * edge + 3.5 * road.lane_width_m, params["walk_speed_mps"], params["offset_s"])
        line_m, _ = _line(stage, rng, walk)
        shape = {"van": Shape.VAN, "truck": Shape.TRUCK, "bus": Shape.BUS}[params["stopped"]]
        back = float(rng.uniform(1.6, 2.6))
        stopped = on_lane(rng, "stopped", shape, right, 0.0)
        level = road.beside(lane, line_m, right) - back - 0.5 * stopped.length_m
        stage.add(replace(stopped, s_m=level))
        who: list[int] = []
        rows: list[int] = []
        for number in range(3):
            look = draw_size(rng, Shape.PEDESTRIAN, child=bool(rng.random() < 0.25))
            beside, colour = float(rng.uniform(-0.9, 0.9)), draw_colour(rng, Shape.PEDESTRIAN)
            if number < params["people"]:  # one behind the other, all in step with the first
                one = replace(
                    walk, begin_m=walk.begin_m + 0.9 * number, offset_s=walk.offset_s - 0.9 * number / walk.speed_mps
                )
                actor, row = _walker(stage, rng, "walker", line_m + beside, one, hazard, {**look, "colour": colour})
                who.append(actor)
                rows.append(row)
        for s, offset in ((line_m - 2.4, edge + 0.5), (line_m + 2.4, edge + 0.5)):
            pose = road.pose(lane, s, offset)
            stage.add(
                standing(rng, "post", Shape.BUILDING, pose, length_m=0.2, width_m=0.2, height_m=2.4, colour=_POST)
            )
        until = line_m + 70.0
        free = ((road.beside(lane, line_m, right) - 4.0, road.beside(lane, line_m, right) + 4.0),)
        street_side(stage, rng, right, (_START_M - 40.0, until), parking_gap_m=None, people=3, keep_free=free)
        span = (road.beside(lane, until, facing), road.beside(lane, _START_M - 40.0, facing))
        street_side(stage, rng, facing, span, parking_gap_m=None, people=3)
        tail(stage, rng, lane, _START_M, speed)
        return _finish(stage, rng, hazard, tuple(who), rows[0], line_m)


class BallAndChild:
    """A ball rolls over the street, and a child runs after it."""

    name = "ball_and_child"
    description = "A ball rolls out from between parked cars across the street; a moment later a child runs after it."
    tags = ("bench2drive:DynamicObjectCrossing", "bench2drive:ParkingCrossingPedestrian", "nhtsa:12", "euro_ncap:CPNCO")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(7.0, 15.0, "m/s"),
        "run_speed_mps": Range(2.0, 4.0, "m/s"),
        "parking_gap_m": Range(0.2, 1.4, "m"),  # from the lane to the parked cars
        "ball_ahead_s": Range(0.5, 1.8, "s"),  # from the ball's start to the child's
        "offset_s": Range(-0.5, 0.35, "s"),  # ego front at the crossing line minus the child at the lane centre
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, gap, road = params["ego_speed_mps"], params["parking_gap_m"], urban(rng)
        lane, facing = ("a", "b", 0), ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        half = 0.5 * road.lane_width_m
        walk = _Walk(kerb_m(stage, gap) + 0.35, 0.0, params["run_speed_mps"], params["offset_s"])
        walk = replace(walk, over_m=walk.begin_m + 1.5 * road.lane_width_m + 1.2)
        wait = 3.3 + params["ball_ahead_s"] + float(rng.uniform(0.0, 1.2))
        line_m = _START_M + 0.5 * stage.ego.length_m + speed * (wait + walk.reach_s)
        look = draw_size(rng, Shape.PEDESTRIAN, child=True)
        child, row = _walker(stage, rng, "child", line_m, walk, hazard, look)
        x, y, heading = road.pose(lane, line_m + 0.1, walk.begin_m - 0.6)
        ball = stage.add(anywhere(
            rng, "ball", Shape.DEBRIS, (x, y, heading - 0.5 * math.pi),
            length_m=0.24, width_m=0.24, height_m=0.24, colour=(226, 86, 40),
        ))  # fmt: skip
        if hazard:  # over the lane before the ego is there
            roll = stage.event(
                ball, Action.SPEED, 6.5, rate=30.0, trigger=Trigger.EGO_TTA,
                threshold=walk.reach_s + params["ball_ahead_s"], subject=child, after=stage.lead_in(ball),
            )  # fmt: skip
            stage.event(ball, Action.STOP, 3.0, trigger=Trigger.POSITION, threshold=walk.over_m - 2.5, after=roll)
        near, far = line_m - 0.6, line_m + 0.7
        length = park(stage, rng, lane, near, half + gap, Shape.VAN if rng.random() < 0.4 else Shape.CAR, align=-1)
        length_after = park(stage, rng, lane, far, half + gap, Shape.CAR, align=1)
        rows = ((near - length - 40.0, near - length - 2.2), (far + length_after + 1.8, far + 30.0))
        street_side(
            stage, rng, lane, (_START_M - 40.0, line_m + 70.0), parking_gap_m=gap, parked=rows,
            keep_free=((line_m - 3.0, line_m + 3.0),),
        )  # fmt: skip
        span = (road.beside(lane, line_m + 70.0, facing), road.beside(lane, _START_M - 40.0, facing))
        street_side(stage, rng, facing, span, parking_gap_m=None, people=3)
        opposite = road.beside(lane, line_m, facing)
        flow(stage, rng, facing, (opposite + 14.0, road.beside(lane, _START_M + 15.0, facing)), 0.9 * speed, share=0.6)
        return _finish(stage, rng, hazard, (child,), row, line_m)


class BusStop:
    """A bus stands at a stop on the other side; somebody who got off runs across behind it."""

    name = "bus_stop"
    description = (
        "A bus stands at a stop on the oncoming lane; somebody runs out from behind it, across the ego's lane."
    )
    tags = ("bench2drive:DynamicObjectCrossing", "nhtsa:12", "euro_ncap:CPFA")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(8.0, 16.0, "m/s"),
        "walk_speed_mps": Range(1.5, 4.0, "m/s"),
        "behind_m": Range(0.4, 2.5, "m"),  # from the tail of the bus to the way of the walker
        "offset_s": Range(-0.5, 0.35, "s"),  # ego front at the crossing line minus the walker at the lane centre
        "walker": Choice(("adult", "child")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, road = params["ego_speed_mps"], _street(rng)
        lane: LaneIndex = ("a", "b", 0)
        facing: LaneIndex = ("b", "a", 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        width = road.lane_width_m
        walk = _Walk(-1.5 * width - 0.5, 2.0 * width + 1.6, params["walk_speed_mps"], params["offset_s"])
        line_m, _ = _line(stage, rng, walk)
        look = draw_size(rng, Shape.PEDESTRIAN, child=params["walker"] == "child")
        who, row = _walker(stage, rng, "walker", line_m, walk, hazard, look)
        bus = on_lane(rng, "bus", Shape.BUS, facing, 0.0, indicator=1)
        # The bus faces the ego: its tail is what the ego passes last.
        level = road.beside(lane, line_m, facing) + params["behind_m"] + 0.5 * bus.length_m
        stage.add(replace(bus, s_m=level, r_m=0.5 * (width - bus.width_m) - 0.15))
        until = line_m + 70.0
        free = ((line_m - 3.0, line_m + 3.0),)
        street_side(stage, rng, lane, (_START_M - 40.0, until), parking_gap_m=None, people=3, keep_free=free)
        span = (road.beside(lane, until, facing), road.beside(lane, _START_M - 40.0, facing))
        here = road.beside(lane, line_m, facing)
        street_side(stage, rng, facing, span, parking_gap_m=None, people=4, keep_free=((here - 4.0, here + 4.0),))
        flow(stage, rng, facing, (level + 14.0, road.beside(lane, _START_M + 12.0, facing)), 0.9 * speed, share=0.5)
        tail(stage, rng, lane, _START_M, speed)
        return _finish(stage, rng, hazard, (who,), row, line_m)


def _street(rng: Generator) -> Road:
    return two_way(1, pick(rng, ("straight", "sine")), width_m=URBAN_WIDTH_M, limit_mps=URBAN_LIMIT_MPS)
