"""A platoon ahead brakes from the front, every driver later and therefore harder than the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import draw_light, highway, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, ActorSpec, Trigger, WorldSpec

_START_M = 110.0
_JERK_MPS3 = 60.0
_HARDEST_MPS2 = 10.0
_REST_GAP_M = 1.5


class ChainBraking:
    """Dense platoon on a motorway: the last of the chain brakes hardest, and the ego sees only that one."""

    name = "chain_braking"
    description = (
        "Two or three vehicles ahead of the ego brake one after the other to standstill, each harder than the one "
        "before it, and drive on later."
    )
    tags = ("r157:deceleration", "nhtsa:25", "euro_ncap:CCRb", "bench2drive:HardBreakRoute")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(15.0, 32.0, "m/s"),
        "time_gap_s": Range(0.03, 0.8, "s"),  # from the ego to the last of the platoon
        "platoon_gap_s": Range(0.6, 1.1, "s"),  # inside the platoon
        "first_braking_mps2": Range(6.0, 9.0, "m/s2"),
        "reaction_s": Range(0.6, 1.2, "s"),  # of the drivers in the platoon
        "platoon": Choice((2, 3)),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed = params["ego_speed_mps"]
        road = highway(rng)
        lanes = road.lanes(("a", "b", 0))
        own = int(rng.integers(lanes))
        lane = ("a", "b", own)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        when, rest_s = 3.3 + float(rng.uniform(0.0, 2.0)), float(rng.uniform(2.0, 3.5))
        platoon = self._platoon(stage, rng, params)  # from the ego forwards
        row = -1
        if hazard:
            row = _brake(stage, platoon, params, when, rest_s)
        first = len(stage.actors) + 1
        for other in range(lanes):
            if other != own:
                here = road.beside(lane, _START_M, ("a", "b", other))
                pace = speed * float(rng.uniform(0.97, 1.02))
                flow(
                    stage, rng, ("a", "b", other), (here - 60.0, here + 150.0), pace,
                    gap_m=(10.0, 45.0), level_m=here,
                )  # fmt: skip
        jam, late = rng.random() < 0.75, rng.uniform(0.0, 0.5, size=40)
        if hazard and jam:
            for who, delay in zip(range(first, len(stage.actors) + 1), late, strict=False):
                _brake_along(stage, who, row, params, float(delay), rest_s)
        tail(stage, rng, lane, _START_M, speed)
        shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, 1000.0), 0.7)
        return stage.world(
            goal_m=speed * (when + 6.5), time_limit_s=30.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=platoon[:1], hazard_row=row,
        )  # fmt: skip

    def _platoon(self, stage: Stage, rng: np.random.Generator, params: Mapping[str, Any]) -> list[int]:
        speed, lane, rear, found = params["ego_speed_mps"], stage.route[0], 0.5 * stage.ego.length_m, []
        rear, gap_s = _START_M + rear, params["time_gap_s"]
        for _ in range(params["platoon"]):
            member = on_lane(rng, "platoon", draw_traffic_shape(rng), lane, 0.0, speed)
            middle = rear + gap_s * speed + 0.5 * member.length_m
            found.append(stage.add(replace(member, s_m=middle)))
            rear, gap_s = middle + 0.5 * member.length_m, params["platoon_gap_s"]
        return found


def _brake(stage: Stage, platoon: list[int], params: Mapping[str, Any], when: float, rest_s: float) -> int:
    """Add the braking from the front to the back; return the row of the last one, which the ego follows."""
    speed, braking = params["ego_speed_mps"], params["first_braking_mps2"]
    front = platoon[-1]
    row = stage.event(front, Action.STOP, braking, rate=_JERK_MPS3, trigger=Trigger.TIME, threshold=when)
    go = stage.event(front, Action.SPEED, speed, rate=2.5, after=row, delay_s=speed / braking + rest_s)
    for ahead, who in zip(platoon[:0:-1], platoon[-2::-1], strict=True):
        braking, delay = follow_braking(
            speed, _gap_m(stage.actors[ahead - 1], stage.actors[who - 1]), braking, params["reaction_s"]
        )
        row = stage.event(who, Action.STOP, braking, rate=_JERK_MPS3, after=row, delay_s=delay)
        go = stage.event(who, Action.SPEED, speed, rate=2.2, after=go, delay_s=0.8)
    return row


def _brake_along(stage: Stage, who: int, row: int, params: Mapping[str, Any], delay_s: float, rest_s: float) -> None:
    """Let traffic on another lane brake with the platoon: the jam reaches across the road."""
    speed, braking = params["ego_speed_mps"], 0.9 * params["first_braking_mps2"]
    first = stage.event(
        who, Action.ACCELERATE, -braking, rate=_JERK_MPS3, until=0.15 * speed, after=row, delay_s=delay_s
    )
    stage.event(who, Action.SPEED, speed, rate=2.2, after=first, delay_s=0.85 * speed / braking + rest_s)


def _gap_m(ahead: ActorSpec, behind: ActorSpec) -> float:
    return ahead.s_m - behind.s_m - 0.5 * (ahead.length_m + behind.length_m)


def follow_braking(speed_mps: float, gap_m: float, ahead_mps2: float, reaction_s: float) -> tuple[float, float]:
    """Return (braking, delay) of a driver who stops just short of the one ahead.

    The braking is the least that leaves the rest gap, but no more than tyres give; then the reaction is shorter.

    Args:
        speed_mps: common speed before.
        gap_m: bumper gap before.
        ahead_mps2: braking of the vehicle ahead.
        reaction_s: wanted delay behind its braking.
    """
    room = gap_m - _REST_GAP_M + 0.5 * speed_mps**2 / ahead_mps2
    left = room - speed_mps * reaction_s
    if left > 0.5 * speed_mps**2 / _HARDEST_MPS2:
        return max(0.5 * speed_mps**2 / left, min(ahead_mps2, _HARDEST_MPS2)), reaction_s
    delay = (room - 0.5 * speed_mps**2 / _HARDEST_MPS2) / speed_mps
    return _HARDEST_MPS2, max(delay, 0.0)
