"""Country road: what blocks the lane stands or creeps behind a bend, while others come the other way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.blocked.bend import bend_sight_m, hedge, hedged_bend
from simdrive.scenarios.cast import on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, ActorSpec, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 60.0
_VERGE_M = 3.2
_BEYOND_M = 2.0  # the hedge goes on this far behind what it hides


def _bend_stage(rng: np.random.Generator, params: Mapping[str, Any]) -> tuple[Stage, float, float]:
    """Return (stage, time until the danger may be seen, where along the lane one sees to by then)."""
    speed, gap = params["ego_speed_mps"], params["hedge_gap_m"]
    road, radius = hedged_bend(rng)
    lane = ("a", "b", 0)
    stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
    wait = 4.1 + float(rng.uniform(0.0, 1.2))
    return stage, wait, _START_M + speed * wait + bend_sight_m(road, radius, gap)


def _surround(stage: Stage, rng: np.random.Generator, until_m: float, wait: float, gap_m: float) -> None:
    """Add the hedge, the verge behind it, oncoming traffic and perhaps somebody behind the ego."""
    road, lane, facing, speed = stage.road, stage.route[0], ("b", "a", 0), stage.ego.speed_mps
    hedge(stage, rng, lane, (_START_M - 15.0, until_m + _BEYOND_M), gap_m)
    shoulder(stage, lane, (until_m + _BEYOND_M, until_m + 120.0), _VERGE_M)
    # The oncoming lane is taken when the ego gets there, and for some seconds after.
    pace = speed * float(rng.uniform(0.8, 1.0))
    there = road.beside(lane, until_m, facing) - pace * wait
    flow(stage, rng, facing, (max(there - 90.0, 4.0), there + 40.0), pace, gap_m=(8.0, 26.0), share=0.85)
    tail(stage, rng, lane, _START_M, speed)


class AccidentTwoWays:
    """Two vehicles that have run into each other stand in the lane behind a bend."""

    name = "accident_two_ways"
    description = (
        "Behind a bend with a hedge two crashed vehicles block the ego's lane while others come the other way; they "
        "limp off the road some seconds later."
    )
    tags = ("bench2drive:AccidentTwoWays", "nhtsa:26", "euro_ncap:CCRs")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(15.0, 22.0, "m/s"),
        "hedge_gap_m": Range(0.1, 0.9, "m"),  # from the lane to the hedge on its inside
        "turned_deg": Range(4.0, 20.0, "deg"),  # how far the crashed vehicles stand across the lane
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed = params["ego_speed_mps"]
        stage, wait, place_m = _bend_stage(rng, params)
        lane, turned = stage.route[0], math.radians(params["turned_deg"])
        rest_s = float(rng.uniform(2.5, 4.0))
        shape = Shape.VAN if rng.random() < 0.3 else Shape.CAR
        look: dict[str, Any] = {"r_m": -0.2, "indicator": 2}
        rear = on_lane(rng, "crashed", shape, lane, place_m, heading_rad=turned, **look)
        front = on_lane(rng, "crashed", Shape.CAR, lane, 0.0, heading_rad=-0.7 * turned, **look)
        reach_m = 0.5 * (rear.length_m + front.length_m) + 1.2
        pair = (rear, replace(front, s_m=place_m + reach_m))
        helper = on_lane(rng, "police", Shape.EMERGENCY, lane, place_m + 60.0, r_m=3.6, indicator=2)
        if hazard:
            who = [stage.add(actor) for actor in pair]
            near = stage.event(who[0], Action.INDICATOR, 2.0, trigger=Trigger.EGO_DISTANCE, threshold=2.2 * speed)
            for actor, delay in ((who[1], 0.0), (who[0], 1.0)):
                stage.event(actor, Action.SPEED, 0.8 * speed, rate=2.5, after=near, delay_s=rest_s + 1.5 + delay)
        else:
            who = [stage.add(_aside(actor, number)) for number, actor in enumerate(pair)]
        stage.add(helper)
        _surround(stage, rng, place_m, wait, params["hedge_gap_m"])
        return stage.world(
            goal_m=place_m - _START_M + 60.0, time_limit_s=34.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=who,
        )  # fmt: skip


def _aside(actor: ActorSpec, number: int) -> ActorSpec:
    """Return a crashed vehicle as it stands on the verge, behind the end of the hedge."""
    return replace(actor, s_m=actor.s_m + _BEYOND_M + 12.0 + 4.0 * number, r_m=3.6, heading_rad=0.0)


class SlowBehindBend:
    """A tractor, a limping vehicle or cyclists, seen late behind a bend."""

    name = "slow_behind_bend"
    description = (
        "Behind a bend with a hedge a tractor or two cyclists move slowly along the ego's lane while others come the "
        "other way; they leave the lane some seconds later."
    )
    tags = (
        "bench2drive:HazardAtSideLaneTwoWays", "bench2drive:HazardAtSideLane", "nhtsa:24", "nhtsa:14",
        "euro_ncap:CCRm", "euro_ncap:CBLA",
    )  # fmt: skip
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(16.0, 23.0, "m/s"),
        "slow_speed_mps": Range(1.0, 4.0, "m/s"),
        "hedge_gap_m": Range(0.1, 0.5, "m"),  # from the lane to the hedge on its inside
        "who": Choice(("tractor", "cyclists")),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, slow, tractor = params["ego_speed_mps"], params["slow_speed_mps"], params["who"] == "tractor"
        stage, wait, place_m = _bend_stage(rng, params)
        lane, rest_s = stage.route[0], float(rng.uniform(3.0, 4.5))
        shape = Shape.TRUCK if tractor else Shape.CYCLIST
        look: dict[str, Any] = {"length_m": round(float(rng.uniform(5.0, 6.5)), 2)} if tractor else {}
        aside = [0.2 if tractor else float(rng.uniform(0.3, 0.9)) for _ in range(2)]
        first = on_lane(rng, "slow", shape, lane, place_m - slow * wait, slow, r_m=aside[0], **look)
        second = on_lane(rng, "slow", shape, lane, first.s_m + (16.0 if tractor else 2.6), slow, r_m=aside[1], **look)
        group = (first,) if tractor else (first, second)
        away = 0.5 * stage.road.lane_width_m + 1.9
        if hazard:
            who = [stage.add(actor) for actor in group]
            near = stage.event(who[0], Action.INDICATOR, 0.0, trigger=Trigger.EGO_DISTANCE, threshold=2.2 * speed)
            for actor in who:
                stage.event(actor, Action.OFFSET, away, rate=1.2, after=near, delay_s=rest_s + 1.2)
        else:  # the same ones stand on the verge behind the hedge
            who = [
                stage.add(replace(actor, s_m=place_m + _BEYOND_M + 12.0 + 5.0 * k, r_m=away, speed_mps=0.0))
                for k, actor in enumerate(group)
            ]
        _surround(stage, rng, place_m, wait, params["hedge_gap_m"])
        return stage.world(
            goal_m=place_m - _START_M + 60.0, time_limit_s=34.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=who,
        )  # fmt: skip
