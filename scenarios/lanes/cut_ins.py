"""Cut-ins on a motorway that differ from the plain one: from both sides at once, and after overtaking the ego."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, highway, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import shift_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 130.0
_SLOWEST_MPS = 4.0


class DoubleCutIn:
    """Three lanes, the ego on the middle one; its two neighbours want its lane in the same moment."""

    name = "double_cut_in"
    description = (
        "On a motorway the vehicles on both sides ahead of the ego change into its lane at the same time, one in front "
        "of the other, and brake."
    )
    tags = ("bench2drive:HighwayCutIn", "nhtsa:18", "r157:cut-in")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(18.0, 32.0, "m/s"),
        "slower_mps": Range(4.0, 14.0, "m/s"),  # the two others than the ego
        "ttc_s": Range(-0.9, 1.3, "s"),  # left when the nearer one begins to overlap the ego's path
        "lateral_speed_mps": Range(1.8, 4.0, "m/s"),
        "braking_mps2": Range(0.0, 6.0, "m/s2"),
        "nearer": Choice(("left", "right")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, slower, rate = params["ego_speed_mps"], params["slower_mps"], params["lateral_speed_mps"]
        road, lane = highway(rng, (3,)), ("a", "b", 1)
        sides = (0, 2) if params["nearer"] == "left" else (2, 0)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        pace = speed - slower
        pair = [on_lane(rng, "cutter", draw_traffic_shape(rng), ("a", "b", side), 0.0, pace) for side in sides]
        apart = road.lane_width_m - 0.5 * (pair[0].width_m + stage.ego.width_m)
        threshold = params["ttc_s"] + shift_time_s(apart, road.lane_width_m, rate)
        wait = 3.2 + float(rng.uniform(0.0, 1.8))
        gap = slower * (threshold + wait) + 0.5 * (pair[0].length_m + stage.ego.length_m)
        ahead = 0.5 * (pair[0].length_m + pair[1].length_m) + float(rng.uniform(3.0, 9.0))
        places = (_START_M + gap, _START_M + gap + ahead)
        who = [
            stage.add(replace(actor, s_m=road.beside(lane, s, ("a", "b", side))))
            for actor, s, side in zip(pair, places, sides, strict=True)
        ]
        row = self._cut_in(stage, who, sides, params, threshold) if hazard else -1
        for side, place in zip(sides, places, strict=True):
            near = ("a", "b", side)
            here, level = road.beside(lane, _START_M, near), road.beside(lane, place, near)
            span = (max(here - 60.0, 8.0), here + 170.0)
            flow(stage, rng, near, span, 0.97 * pace, keep_free=[(here - 15.0, level + 50.0)], share=0.8)
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, ("a", "b", 2), (_START_M - 40.0, 1000.0), 0.7)
        return stage.world(
            goal_m=speed * (wait + 9.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=who, hazard_row=row,
        )  # fmt: skip

    def _cut_in(
        self, stage: Stage, who: list[int], sides: tuple[int, int], params: Mapping[str, Any], threshold: float
    ) -> int:
        """Let both change lanes at once and brake, the one in front less long; return the hazard's row."""
        speed, rate, braking = params["ego_speed_mps"], params["lateral_speed_mps"], params["braking_mps2"]
        signs = [1.0 if side == 0 else -1.0 for side in sides]
        row = stage.event(
            who[0], Action.LANE_CHANGE, signs[0], rate=rate,
            trigger=Trigger.EGO_TTC, threshold=threshold, after=stage.lead_in(who[0]),
        )  # fmt: skip
        stage.event(who[1], Action.LANE_CHANGE, signs[1], rate=rate, after=row)
        end = max(_SLOWEST_MPS, speed - params["slower_mps"] - 2.0 * braking)
        for number, actor in enumerate(who):
            if braking > 0.5:
                stage.event(actor, Action.ACCELERATE, -braking, rate=20.0, until=end, after=row, delay_s=0.5)
            stage.event(actor, Action.SPEED, speed, rate=1.9 + 0.3 * number, after=row, delay_s=4.5 - 0.3 * number)
        return row


class OvertakenCutIn:
    """Somebody faster passes the ego, changes into its lane with its tail still close, and brakes."""

    name = "overtaken_cut_in"
    description = (
        "A faster vehicle overtakes the ego, cuts in as soon as it has drawn ahead, and brakes hard, as if it had "
        "nearly missed an exit."
    )
    tags = ("bench2drive:HighwayCutIn", "nhtsa:18", "nhtsa:25", "r157:cut-in")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(16.0, 31.0, "m/s"),
        "faster_mps": Range(1.0, 4.0, "m/s"),  # the other than the ego while it overtakes
        "ahead_m": Range(0.2, 4.0, "m"),  # bumper distance when it cuts in
        "lateral_speed_mps": Range(2.0, 4.5, "m/s"),
        "braking_mps2": Range(7.0, 10.0, "m/s2"),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, faster, rate = params["ego_speed_mps"], params["faster_mps"], params["lateral_speed_mps"]
        road = highway(rng, (2, 3))
        lanes = road.lanes(("a", "b", 0))
        own = int(rng.integers(1, lanes))
        lane, beside = ("a", "b", own), ("a", "b", own - 1)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        shape = Shape.VAN if rng.random() < 0.25 else Shape.CAR
        other = on_lane(rng, "overtaker", shape, beside, 0.0, speed + faster)
        wait = 3.3 + float(rng.uniform(0.0, 1.5))
        back = faster * wait - params["ahead_m"] - 0.5 * (other.length_m + stage.ego.length_m)
        who, row = stage.add(replace(other, s_m=road.beside(lane, _START_M - back, beside))), -1
        if hazard:
            ready = stage.lead_in(who)
            row = stage.event(
                who, Action.LANE_CHANGE, 1.0, rate=rate,
                trigger=Trigger.EGO_LEAD, threshold=params["ahead_m"], after=ready,
            )  # fmt: skip
            end = max(_SLOWEST_MPS, 0.25 * speed)
            braking = params["braking_mps2"]
            stage.event(who, Action.ACCELERATE, -braking, rate=40.0, until=end, after=row, delay_s=0.2)
            again = (speed + faster - end) / braking + 2.5
            stage.event(who, Action.SPEED, speed, rate=2.2, after=row, delay_s=0.2 + again)
        for number in range(lanes):
            if number != own:
                near = ("a", "b", number)
                here = road.beside(lane, _START_M, near)
                free = [(here - back - 25.0, here + 190.0)] if near == beside else []
                level = None if near == beside else here
                pace = (speed + faster) if near == beside else speed * float(rng.uniform(0.97, 1.0))
                span = (max(here - 120.0, 5.0), here + 200.0 if near != beside else here + 260.0)
                flow(stage, rng, near, span, pace, keep_free=free, share=0.6, level_m=level)
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, 1000.0), 0.7)
        return stage.world(
            goal_m=speed * (wait + 9.0), time_limit_s=28.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
