"""Somebody who comes the other way swings out into the ego's lane to get round what blocks his own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import Generator, draw_traffic_shape, on_lane, standing
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.roads import RURAL_LIMIT_MPS, URBAN_LIMIT_MPS, two_way
from simdrive.scenarios.scenery import draw_light, pick, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import shift_time_s
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, ActorSpec, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 80.0
_LENGTH_M = 900.0
_LANE, _FACING = ("a", "b", 0), ("b", "a", 0)
_MARGIN_M = 4.0  # between the end of the swing and what it leads round


@dataclass(frozen=True)
class _Swing:
    """Where an oncoming vehicle is when, along its own lane, if the ego holds its speed."""

    wait_s: float  # until it swings out
    out_s: float  # from then until it is fully out
    ttc_s: float  # from then until the ego would meet it
    swing_m: float  # its s where it swings out
    out_m: float  # where it is fully out
    offset_m: float  # how far out, < 0 = towards the ego's lane


def _swing(
    stage: Stage, rng: Generator, other: ActorSpec, speed_mps: float, rate_mps: float, late_s: float, offset_m: float
) -> _Swing:
    """Lay out a swing so that the ego meets the vehicle ``late_s`` after it has begun to overlap the ego's path."""
    overlap_m = stage.road.lane_width_m - 0.5 * (other.width_m + stage.ego.width_m)
    ttc_s = shift_time_s(min(overlap_m, offset_m), offset_m, rate_mps) + late_s
    out_s = shift_time_s(offset_m, offset_m, rate_mps) + 0.5
    wait_s = 3.3 + float(rng.uniform(0.0, 1.2))
    gap = (stage.ego.speed_mps + speed_mps) * ttc_s + 0.5 * (other.length_m + stage.ego.length_m)
    swing_m = stage.road.beside(_LANE, _START_M + stage.ego.speed_mps * wait_s + gap, _FACING)
    return _Swing(wait_s, out_s, ttc_s, swing_m, swing_m + speed_mps * out_s, -offset_m)


def _stage(rng: Generator, speed_mps: float, width_m: float, *, rural: bool) -> Stage:
    shape = pick(rng, ("straight", "straight", "sine"))
    limit = RURAL_LIMIT_MPS if rural else URBAN_LIMIT_MPS
    road = two_way(1, shape, radius_m=900.0, length_m=_LENGTH_M, width_m=width_m, limit_mps=limit)
    stage = Stage(road, ego_on(_LANE, _START_M, speed_mps), (_LANE,))
    shoulder(stage, _LANE, (_START_M - 40.0, 600.0), 1.3)
    shoulder(stage, _FACING, (200.0, _LENGTH_M - 40.0), 1.5)
    return stage


def _go_round(stage: Stage, who: int, plan: _Swing, rate: float, back_m: float) -> int:
    """Let the oncoming vehicle swing out in front of the ego, and back beyond ``back_m``; return the hazard's row."""
    ready = stage.lead_in(who)
    row = stage.event(
        who, Action.OFFSET, plan.offset_m, rate=rate,
        trigger=Trigger.EGO_TTC, threshold=plan.ttc_s, after=ready,
    )  # fmt: skip
    stage.event(who, Action.OFFSET, 0.0, rate=rate + 0.4, trigger=Trigger.POSITION, threshold=back_m, after=row)
    return row


class RoadworksTwoWays:
    """Cones close the oncoming lane; who comes there does not wait."""

    name = "roadworks_two_ways"
    description = (
        "Roadworks close the oncoming lane of a narrow road; an oncoming vehicle does not wait before them and swings "
        "out into the ego's lane, and back behind them."
    )
    tags = ("bench2drive:ConstructionObstacleTwoWays", "nhtsa:20", "nhtsa:33", "euro_ncap:CCFhol")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(9.0, 17.0, "m/s"),
        "oncoming_speed_mps": Range(8.0, 15.0, "m/s"),
        "lateral_speed_mps": Range(1.4, 2.6, "m/s"),
        "late_s": Range(0.1, 2.2, "s"),  # until they would meet, from when it begins to overlap the ego's path
        "works_m": Range(4.0, 16.0, "m"),  # length of the roadworks
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, facing_speed, rate = params["ego_speed_mps"], params["oncoming_speed_mps"], params["lateral_speed_mps"]
        stage = _stage(rng, speed, float(rng.uniform(3.0, 3.4)), rural=False)
        other = on_lane(rng, "oncoming", draw_traffic_shape(rng), _FACING, 0.0, facing_speed)
        offset = float(rng.uniform(0.72, 0.95)) * stage.road.lane_width_m
        plan = _swing(stage, rng, other, facing_speed, rate, params["late_s"], offset)
        begin_m = plan.out_m + 0.5 * other.length_m + _MARGIN_M
        end_m = begin_m + params["works_m"]
        who, row = stage.add(replace(other, s_m=plan.swing_m - facing_speed * plan.wait_s)), -1
        if hazard:
            row = _go_round(stage, who, plan, rate, end_m + 0.5 * other.length_m - 1.0)
        else:
            stop_m = begin_m - 0.5 * other.length_m - 3.0 - facing_speed**2 / (2.0 * 3.5)
            stage.event(who, Action.STOP, 3.5, trigger=Trigger.POSITION, threshold=stop_m)
        self._works(stage, rng, (begin_m, end_m))
        here = stage.road.beside(_LANE, _START_M, _FACING)
        flow(stage, rng, _FACING, (end_m + 6.0, here - 15.0), facing_speed, share=0.4)
        tail(stage, rng, _LANE, _START_M, speed)
        return stage.world(
            goal_m=speed * (plan.wait_s + plan.ttc_s + 6.0), time_limit_s=32.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip

    def _works(self, stage: Stage, rng: Generator, span: tuple[float, float]) -> None:
        """Close the oncoming lane up to a little beyond its middle."""
        half = 0.5 * stage.road.lane_width_m
        for number in range(4):  # a slanting row that leads out of the lane, and one that leads back
            share = number / 3.0
            for s in (span[0] + 5.0 * share, span[1] - 5.0 * share):
                stage.add(
                    standing(rng, "cone", Shape.CONE, stage.road.pose(_FACING, s, half - 0.3 - 1.1 * half * share))
                )
        for number in range(1 + int((span[1] - span[0]) / 6.0)):
            pose = stage.road.pose(_FACING, span[0] + 6.0 + 5.0 * number, 0.35 * half)
            stage.add(standing(rng, "barrier", Shape.BARRIER, pose))


class OncomingOvertakes:
    """Somebody overtakes cyclists or a tractor on the other lane in spite of the ego."""

    name = "oncoming_overtakes"
    description = (
        "On a country road an oncoming vehicle overtakes somebody slow although the ego is near, and stays in the "
        "ego's lane until it has passed."
    )
    tags = ("nhtsa:20", "euro_ncap:CCFhol", "bench2drive:InvadingTurn")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(13.0, 20.0, "m/s"),
        "oncoming_speed_mps": Range(14.0, 21.0, "m/s"),
        "slow_speed_mps": Range(3.0, 7.0, "m/s"),
        "lateral_speed_mps": Range(1.6, 3.0, "m/s"),
        "late_s": Range(0.1, 2.0, "s"),  # until they would meet, from when it begins to overlap the ego's path
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, facing_speed, rate = params["ego_speed_mps"], params["oncoming_speed_mps"], params["lateral_speed_mps"]
        slow_speed = params["slow_speed_mps"]
        stage = _stage(rng, speed, float(rng.uniform(3.2, 3.6)), rural=True)
        other = on_lane(rng, "oncoming", draw_traffic_shape(rng), _FACING, 0.0, facing_speed)
        cyclist = rng.random() < 0.6
        look = {} if cyclist else {"length_m": 5.2}
        slow = on_lane(rng, "slow", Shape.CYCLIST if cyclist else Shape.VAN, _FACING, 0.0, slow_speed, **look)
        offset = float(rng.uniform(0.75, 0.95)) * stage.road.lane_width_m
        plan = _swing(stage, rng, other, facing_speed, rate, params["late_s"], offset)
        reach_m = plan.out_m + 0.5 * (other.length_m + slow.length_m)  # where it catches up
        time_s = plan.wait_s + plan.out_s + 0.2
        pass_s = (other.length_m + slow.length_m + 4.0) / (facing_speed - slow_speed)
        who, row = stage.add(replace(other, s_m=plan.swing_m - facing_speed * plan.wait_s)), -1
        stage.add(replace(slow, s_m=reach_m + 2.0 - slow_speed * time_s, r_m=0.5 if cyclist else 0.0))
        if hazard:
            row = _go_round(stage, who, plan, rate, plan.out_m + facing_speed * pass_s)
        else:
            stage.event(who, Action.SPEED, slow_speed, rate=6.0, trigger=Trigger.POSITION,
                        threshold=plan.swing_m - 0.3 * facing_speed - 6.0)  # fmt: skip
        here = stage.road.beside(_LANE, _START_M, _FACING)
        flow(stage, rng, _FACING, (reach_m + 30.0, here - 15.0), slow_speed + 6.0, share=0.4)
        tail(stage, rng, _LANE, _START_M, speed)
        return stage.world(
            goal_m=speed * (plan.wait_s + plan.ttc_s + 6.0), time_limit_s=32.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


class EmergencyOncoming:
    """An ambulance passes a column that has made room for it, in the ego's lane."""

    name = "emergency_oncoming"
    description = (
        "An emergency vehicle comes round a column of slow oncoming traffic in the ego's lane; the ego has to make "
        "room for it by braking or keeping right."
    )
    tags = ("bench2drive:YieldToEmergencyVehicle", "nhtsa:20", "euro_ncap:CCFhol")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(9.0, 17.0, "m/s"),
        "emergency_speed_mps": Range(12.0, 22.0, "m/s"),
        "lateral_speed_mps": Range(1.2, 2.6, "m/s"),
        "late_s": Range(0.2, 2.4, "s"),  # until they would meet, from when it begins to overlap the ego's path
        "room_m": Range(1.85, 2.6, "m"),  # how far it comes out of its lane
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, pace, rate = params["ego_speed_mps"], params["emergency_speed_mps"], params["lateral_speed_mps"]
        stage = _stage(rng, speed, 3.5, rural=False)
        ambulance = on_lane(rng, "emergency", Shape.EMERGENCY, _FACING, 0.0, pace, indicator=2)
        plan = _swing(stage, rng, ambulance, pace, rate, params["late_s"], params["room_m"])
        who, row = stage.add(replace(ambulance, s_m=plan.swing_m - pace * plan.wait_s)), -1
        # The column stands at the right edge of its lane, so that a part of the lane is enough to pass it.
        column, s = [], plan.out_m + 5.0
        for _ in range(int(rng.integers(2, 4))):
            member = on_lane(rng, "column", Shape.CAR, _FACING, 0.0, r_m=0.9)
            column.append(replace(member, s_m=s + 0.5 * member.length_m))
            s += member.length_m + float(rng.uniform(2.5, 6.0))
        for member in column:
            stage.add(member)
        if hazard:
            row = _go_round(stage, who, plan, rate, s + 0.5 * ambulance.length_m)
        else:  # it waits behind the column
            stop_m = plan.out_m - 0.5 * ambulance.length_m - pace**2 / (2.0 * 5.0)
            stage.event(who, Action.STOP, 5.0, trigger=Trigger.POSITION, threshold=stop_m)
        here = stage.road.beside(_LANE, _START_M, _FACING)
        flow(stage, rng, _FACING, (s + 12.0, here - 15.0), 8.0, share=0.3)
        tail(stage, rng, _LANE, _START_M, speed)
        return stage.world(
            goal_m=speed * (plan.wait_s + plan.ttc_s + 6.0), time_limit_s=32.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
