"""The ego joins a main road while the traffic on it slows down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.roads import Road, merge_ramp
from simdrive.scenarios.scenery import draw_light, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.traffic import flow
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec
from simdrive.types import Command

_RAMP: tuple[LaneIndex, ...] = (("r", "s", 0), ("s", "t", 0), ("t", "u", 0), ("u", "m", 0))
_MAIN_M = 420.0  # length of the main road before the merge
_JERK_MPS3 = 60.0


class MergeSlow:
    """Entry ramp into a gap behind a vehicle that brakes together with the one before it."""

    name = "merge_slow"
    description = (
        "The ego merges from a ramp behind a vehicle on the main road, which brakes down to slow traffic as the ego "
        "comes over, and speeds up again later."
    )
    tags = ("bench2drive:MergerIntoSlowTraffic", "bench2drive:MergerIntoSlowTrafficV2", "nhtsa:25", "r157:deceleration")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(13.0, 23.0, "m/s"),
        "slow_speed_mps": Range(0.0, 4.0, "m/s"),
        "braking_mps2": Range(7.0, 10.0, "m/s2"),
        "time_gap_s": Range(0.02, 0.55, "s"),  # to the vehicle ahead when the ego has merged
        "before_merge_s": Range(0.0, 3.0, "s"),  # from the braking to the merge
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed = params["ego_speed_mps"]
        road = merge_ramp(2 + int(rng.integers(2)), (40.0, 70.0)[int(rng.integers(2))])
        lanes = road.lanes(("a", "m", 0))
        last, joined = ("a", "m", lanes - 1), ("m", "z", lanes - 1)
        wait, rest_s = 3.3 + float(rng.uniform(0.0, 1.5)), float(rng.uniform(2.0, 3.5))
        merge_s = wait + params["before_merge_s"]
        lane, start_m, ahead = _back_from_merge(road, speed * merge_s + 2.3)
        stage = Stage(road, ego_on(lane, start_m, speed), (lane, *ahead, joined))

        begin_m = _MAIN_M - speed * merge_s  # level with the ego
        pair = [
            on_lane(rng, name, draw_traffic_shape(rng), last, 0.0, speed, route=(joined,)) for name in ("lead", "front")
        ]
        lead_m = begin_m + speed * params["time_gap_s"] + 0.5 * pair[0].length_m
        front_m = lead_m + 0.5 * (pair[0].length_m + pair[1].length_m) + 0.8 * speed + 8.0
        who = stage.add(replace(pair[0], s_m=lead_m))
        front = stage.add(replace(pair[1], s_m=front_m))
        row, gap_s = -1, float(rng.uniform(2.2, 3.2))
        if hazard:
            row = _slow_down(stage, who, front, params, rest_s)
        follower = on_lane(
            rng, "behind", draw_traffic_shape(rng), last, begin_m - 4.6 - gap_s * speed, speed,
            route=(joined,), reactive=True,
        )  # fmt: skip
        if rng.random() < 0.7:
            stage.add(follower)
        for other in range(lanes - 1):
            pace = speed * float(rng.uniform(0.95, 1.1))
            first = (begin_m - 70.0, min(begin_m + 100.0, _MAIN_M - 10.0))
            flow(stage, rng, ("a", "m", other), first, pace, share=0.6)
        stage.actors = [
            replace(actor, route=(("m", "z", actor.lane[2]),)) if actor.lane and actor.lane[1] == "m" else actor
            for actor in stage.actors
        ]
        shoulder(stage, joined, (0.0, 620.0), 2.2)
        for ramp in _RAMP[2:]:
            shoulder(stage, ramp, (0.0, float(road.lane(ramp).length)), 2.2)
        return stage.world(
            goal_m=speed * (merge_s + 6.0), time_limit_s=30.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row, command=int(Command.FOLLOW),
        )  # fmt: skip


def _slow_down(stage: Stage, lead: int, front: int, params: Mapping[str, Any], rest_s: float) -> int:
    """Let the front vehicle brake, half a second later the one behind it; return the row of the latter."""
    speed, slow, braking = params["ego_speed_mps"], params["slow_speed_mps"], params["braking_mps2"]
    x, y, _ = stage.road.pose(("m", "z", stage.actors[lead - 1].lane[2]), 0.0)  # type: ignore[index]
    merge = stage.mark("merge", x, y)
    ready = stage.lead_in(front)
    first = stage.event(
        front, Action.ACCELERATE, -0.95 * braking, rate=_JERK_MPS3, until=slow,
        trigger=Trigger.EGO_TTA, threshold=params["before_merge_s"] + 0.02, subject=merge, after=ready,
    )  # fmt: skip
    row = stage.event(lead, Action.ACCELERATE, -braking, rate=_JERK_MPS3, until=slow, after=first, delay_s=0.5)
    again = (speed - slow) / braking + rest_s
    stage.event(front, Action.SPEED, speed, rate=2.5, after=first, delay_s=again)
    stage.event(lead, Action.SPEED, speed, rate=2.3, after=row, delay_s=again)
    return row


def _back_from_merge(road: Road, distance_m: float) -> tuple[LaneIndex, float, tuple[LaneIndex, ...]]:
    """Return (lane, s, lanes after it) of the place ``distance_m`` before the merge along the ramp."""
    left = distance_m
    for number in range(len(_RAMP) - 1, -1, -1):
        length = float(road.lane(_RAMP[number]).length)
        if left <= length or number == 0:
            return _RAMP[number], length - left, _RAMP[number + 1 :]
        left -= length
    raise AssertionError("unreachable: the loop returns at its last lane")
