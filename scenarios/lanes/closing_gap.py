"""The ego moves over in front of somebody who closes the gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.lanes.layouts import LAYBY_M, layby_street
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.roads import merge_ramp
from simdrive.scenarios.scenery import draw_light, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import street_side
from simdrive.scenarios.traffic import flow
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec
from simdrive.types import Command

_BLEND_M = 42.0  # over which the route leaves the lay-by
_LEAST_GAP_M = 3.0  # behind the ego, as long as nobody speeds up
_AUXILIARY_M, _TAPER_M, _MAIN_M = 70.0, 60.0, 420.0
_RAMP: tuple[LaneIndex, ...] = (("r", "s", 0), ("s", "t", 0), ("t", "u", 0), ("u", "m", 0))


def _gain_m(time_s: float, faster_mps: float, gain_mps2: float) -> float:
    """Return how far somebody gets ahead within a time who accelerates by ``faster_mps``."""
    ramp_s = min(time_s, faster_mps / gain_mps2)
    return 0.5 * gain_mps2 * ramp_s**2 + faster_mps * (time_s - ramp_s)


def _close_up(stage: Stage, who: int, params: Mapping[str, Any], meet: tuple[float, float], reach_s: float) -> int:
    """Let somebody behind accelerate when the ego is ``reach_s`` from where it moves over; return the hazard's row."""
    mark = stage.mark("meet", *meet)
    pace = stage.ego.speed_mps + params["faster_mps"]
    return stage.event(
        who, Action.SPEED, pace, rate=params["acceleration_mps2"],
        trigger=Trigger.EGO_TTA, threshold=reach_s, subject=mark, after=stage.lead_in(who),
    )  # fmt: skip


class ParkingExit:
    """The ego leaves a lay-by beside a street while somebody comes up from behind."""

    name = "parking_exit"
    description = (
        "The ego leaves a lay-by for the street beside it; somebody behind it on the street does not let it in but "
        "speeds up."
    )
    tags = ("bench2drive:ParkingExit", "nhtsa:17", "nhtsa:18")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(5.0, 9.5, "m/s"),
        "faster_mps": Range(5.0, 10.0, "m/s"),  # than the ego, in the end
        "acceleration_mps2": Range(3.0, 5.5, "m/s2"),
        "closing_s": Range(1.9, 3.2, "s"),  # from when it speeds up to when the ego comes into its way
        "ahead_m": Range(0.5, 6.5, "m"),  # how far its front is beyond the ego's tail by then
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, closing = params["ego_speed_mps"], params["closing_s"]
        road = layby_street()
        street, bay, onward, facing = ("a", "b", 0), ("a", "b", 1), ("b", "c", 0), ("c", "a", 0)
        wait = 3.3 + float(rng.uniform(0.0, 1.2))
        over_m = LAYBY_M - 0.52 * _BLEND_M  # where it comes over the line
        start_m = over_m - speed * (wait + closing) - 2.3
        stage = Stage(road, ego_on(bay, start_m, speed), (bay, onward))
        stage.ego = replace(stage.ego, indicator=-1)
        other = on_lane(rng, "behind", draw_traffic_shape(rng), street, 0.0, speed, route=(onward,))
        gained = _gain_m(closing, params["faster_mps"], params["acceleration_mps2"])
        # Fronts count: its front is `ahead_m` beyond the ego's tail when the ego comes over.
        level = start_m - 0.5 * (stage.ego.length_m + other.length_m) - max(gained - params["ahead_m"], _LEAST_GAP_M)
        who, row = stage.add(replace(other, s_m=level)), -1
        if hazard:
            x, y, _ = road.pose(bay, over_m)
            row = _close_up(stage, who, params, (x, y), closing)
        here = road.beside(street, start_m, facing)
        pace = float(rng.uniform(8.0, 14.0))
        flow(stage, rng, facing, (max(here - 250.0, 5.0), here - 10.0), pace, share=0.5)
        street_side(stage, rng, onward, (6.0, 140.0), parking_gap_m=None, people=3)
        return stage.world(
            goal_m=LAYBY_M - start_m + 45.0, time_limit_s=40.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row, command=int(Command.FOLLOW),
        )  # fmt: skip


class MergeGapCloses:
    """Entry ramp; the gap that the ego aims for closes from behind."""

    name = "merge_gap_closes"
    description = (
        "The ego merges from a ramp in front of somebody on the main road, who does not let it in but speeds up and "
        "comes level with it."
    )
    tags = ("bench2drive:EnterActorFlow", "bench2drive:InterurbanActorFlow", "nhtsa:18")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(14.0, 24.0, "m/s"),
        "faster_mps": Range(5.0, 9.0, "m/s"),  # than the ego, in the end
        "acceleration_mps2": Range(3.0, 5.0, "m/s2"),
        "closing_s": Range(1.9, 3.2, "s"),  # from when it speeds up to when the ego comes into its way
        "ahead_m": Range(0.5, 7.5, "m"),  # how far its front is beyond the ego's tail by then
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, closing = params["ego_speed_mps"], params["closing_s"]
        road = merge_ramp(2 + int(rng.integers(2)), _AUXILIARY_M)
        lanes = road.lanes(("a", "m", 0))
        last, joined = ("a", "m", lanes - 1), ("m", "z", lanes - 1)
        wait = 3.3 + float(rng.uniform(0.0, 1.0))
        over_m = 0.5 * _TAPER_M  # before the merge it comes over the line
        lane, start_m, ahead = _back_along(road, speed * (wait + closing) + 2.3 + over_m)
        stage = Stage(road, ego_on(lane, start_m, speed), (lane, *ahead, joined))
        other = on_lane(rng, "behind", draw_traffic_shape(rng), last, 0.0, speed, route=(joined,))
        begin_m = _MAIN_M - over_m - speed * (wait + closing) - 2.3  # level with the ego
        gained = _gain_m(closing, params["faster_mps"], params["acceleration_mps2"])
        level = begin_m - 0.5 * (stage.ego.length_m + other.length_m) - max(gained - params["ahead_m"], _LEAST_GAP_M)
        who, row = stage.add(replace(other, s_m=level)), -1
        if hazard:
            x, y, _ = road.pose(("u", "m", 0), float(road.lane(("u", "m", 0)).length) - over_m)
            row = _close_up(stage, who, params, (x, y), closing)
        for number in range(lanes - 1):
            near = ("a", "m", number)
            first, before = (begin_m - 60.0, min(begin_m + 100.0, _MAIN_M - 10.0)), len(stage.actors)
            flow(stage, rng, near, first, speed * float(rng.uniform(0.97, 1.1)), share=0.6)
            stage.actors[before:] = [replace(actor, route=(("m", "z", number),)) for actor in stage.actors[before:]]
        shoulder(stage, joined, (0.0, 620.0), 2.4)
        for ramp in _RAMP[2:]:
            shoulder(stage, ramp, (0.0, float(road.lane(ramp).length)), 2.4)
        return stage.world(
            goal_m=speed * (wait + closing + 5.0), time_limit_s=32.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row, command=int(Command.FOLLOW),
        )  # fmt: skip


def _back_along(road: Any, distance_m: float) -> tuple[LaneIndex, float, tuple[LaneIndex, ...]]:
    """Return (lane, s, lanes after it) of the place ``distance_m`` before the merge along the ramp."""
    left = distance_m
    for number in range(len(_RAMP) - 1, 0, -1):
        length = float(road.lane(_RAMP[number]).length)
        if left <= length:
            return _RAMP[number], length - left, _RAMP[number + 1 :]
        left -= length
    return _RAMP[0], float(road.lane(_RAMP[0]).length) - left, _RAMP[1:]
