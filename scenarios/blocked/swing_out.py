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
_MARGIN_M = 3.0  # before and behind what the swing leads round, together
_BACK_MPS = 0.6  # it comes back faster than it goes out
_BRAKING_MPS2 = 8.0


@dataclass(frozen=True)
class _Swing:
    """When and where an oncoming vehicle swings out and back; s along its own lane, times from its swing on."""

    wait_s: float  # before it
    ttc_s: float  # to the ego, if that holds its speed
    swing_m: float  # its s where it swings out
    out_m: float  # where it is fully out
    back_m: float  # where it begins to come back
    back_s: float  # when
    offset_m: float  # how far out, < 0 = towards the ego's lane


def _swing(
    stage: Stage, rng: Generator, other: ActorSpec, speed_mps: float, rate_mps: float, spare_s: float,
    offset_m: float, length_m: float, slow_mps: float = 0.0,
) -> _Swing:  # fmt: skip
    """Lay out a swing round something of a length that moves at ``slow_mps`` towards the ego.

    An ego that brakes fully ``spare_s`` after the swing begins stands where the vehicle is back in its lane; one
    that holds its speed meets it while it is coming back. Where that leaves no room to swing out before, all lies
    farther on.
    """
    ego, half = stage.ego.speed_mps, 0.5 * other.length_m
    overlap_m = min(stage.road.lane_width_m - 0.5 * (other.width_m + stage.ego.width_m), offset_m - 0.3)
    out_s = shift_time_s(offset_m, offset_m, rate_mps) + 0.3
    clear_m = speed_mps * (shift_time_s(offset_m - overlap_m + 0.15, offset_m, rate_mps + _BACK_MPS) + 0.2)
    # Metres from the ego's front, at the moment of the swing, to the middle of the other one when it comes back.
    back = ego**2 / (2.0 * _BRAKING_MPS2) + (0.2 + spare_s) * ego + 1.0 + clear_m + half
    while True:
        ttc_s = (back - half - 0.5 * clear_m) / ego
        gap = (ego + speed_mps) * ttc_s
        back_s = (gap + half - back) / speed_mps
        room = gap - speed_mps * out_s - (back + half) - slow_mps * (back_s - out_s)
        if room >= length_m + _MARGIN_M:
            break
        back += 1.0
    wait_s = 3.3 + float(rng.uniform(0.0, 1.2))
    front_m = _START_M + ego * wait_s + 0.5 * stage.ego.length_m
    swing_m = stage.road.beside(_LANE, front_m + gap + half, _FACING)
    return _Swing(wait_s, ttc_s, swing_m, swing_m + speed_mps * out_s, swing_m + speed_mps * back_s, back_s, -offset_m)


def _stage(rng: Generator, speed_mps: float, width_m: float, *, rural: bool) -> Stage:
    shape = pick(rng, ("straight", "straight", "sine"))
    limit = RURAL_LIMIT_MPS if rural else URBAN_LIMIT_MPS
    road = two_way(1, shape, radius_m=900.0, length_m=_LENGTH_M, width_m=width_m, limit_mps=limit)
    stage = Stage(road, ego_on(_LANE, _START_M, speed_mps), (_LANE,))
    shoulder(stage, _LANE, (_START_M - 40.0, 600.0), 1.3)
    shoulder(stage, _FACING, (200.0, _LENGTH_M - 40.0), 1.5)
    return stage


def _go_round(stage: Stage, who: int, plan: _Swing, rate: float) -> int:
    """Let the oncoming vehicle swing out in front of the ego, and back; return the hazard's row."""
    ready = stage.lead_in(who)
    row = stage.event(
        who, Action.OFFSET, plan.offset_m, rate=rate,
        trigger=Trigger.EGO_TTC, threshold=plan.ttc_s, after=ready,
    )  # fmt: skip
    back = rate + _BACK_MPS
    stage.event(who, Action.OFFSET, 0.0, rate=back, trigger=Trigger.POSITION, threshold=plan.back_m, after=row)
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
        "spare_s": Range(
            -0.4, 1.4, "s"
        ),  # for which an ego may wait before it brakes fully and still stops short of it
        "works_m": Range(3.0, 12.0, "m"),  # least length of the roadworks
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, facing_speed, rate = params["ego_speed_mps"], params["oncoming_speed_mps"], params["lateral_speed_mps"]
        stage = _stage(rng, speed, float(rng.uniform(3.0, 3.4)), rural=False)
        other = on_lane(rng, "oncoming", draw_traffic_shape(rng), _FACING, 0.0, facing_speed)
        offset = float(rng.uniform(0.72, 0.95)) * stage.road.lane_width_m
        plan = _swing(stage, rng, other, facing_speed, rate, params["spare_s"], offset, params["works_m"])
        begin_m = plan.out_m + 0.5 * other.length_m + 1.5
        end_m = plan.back_m - 0.5 * other.length_m - 0.5
        who, row = stage.add(replace(other, s_m=plan.swing_m - facing_speed * plan.wait_s)), -1
        if hazard:
            row = _go_round(stage, who, plan, rate)
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
        "spare_s": Range(
            -0.4, 1.4, "s"
        ),  # for which an ego may wait before it brakes fully and still stops short of it
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
        plan = _swing(stage, rng, other, facing_speed, rate, params["spare_s"], offset, slow.length_m, slow_speed)
        who, row = stage.add(replace(other, s_m=plan.swing_m - facing_speed * plan.wait_s)), -1
        # The front of the slow one is behind the other's tail when that comes back.
        passed_m = plan.back_m - 0.5 * (other.length_m + slow.length_m) - 1.0
        slow_m = passed_m - slow_speed * (plan.wait_s + plan.back_s)
        stage.add(replace(slow, s_m=slow_m, r_m=0.5 if cyclist else 0.0))
        if hazard:
            row = _go_round(stage, who, plan, rate)
        else:
            stage.event(who, Action.SPEED, slow_speed, rate=6.0, trigger=Trigger.POSITION,
                        threshold=plan.swing_m - 0.3 * facing_speed - 6.0)  # fmt: skip
        here = stage.road.beside(_LANE, _START_M, _FACING)
        flow(stage, rng, _FACING, (slow_m + 40.0, here - 15.0), slow_speed + 6.0, share=0.4)
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
        "spare_s": Range(
            -0.4, 1.4, "s"
        ),  # for which an ego may wait before it brakes fully and still stops short of it
        "room_m": Range(1.85, 2.6, "m"),  # how far it comes out of its lane
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, pace, rate = params["ego_speed_mps"], params["emergency_speed_mps"], params["lateral_speed_mps"]
        stage = _stage(rng, speed, 3.5, rural=False)
        ambulance = on_lane(rng, "emergency", Shape.EMERGENCY, _FACING, 0.0, pace, indicator=2)
        # The column stands at the right edge of its lane, so that a part of the lane is enough to pass it.
        column, gaps = (
            [on_lane(rng, "column", Shape.CAR, _FACING, 0.0, r_m=0.9) for _ in range(2)],
            float(rng.uniform(2.5, 5.0)),
        )
        length = sum(member.length_m for member in column) + gaps
        plan = _swing(stage, rng, ambulance, pace, rate, params["spare_s"], params["room_m"], length)
        who, row = stage.add(replace(ambulance, s_m=plan.swing_m - pace * plan.wait_s)), -1
        end_m = plan.back_m - 0.5 * ambulance.length_m - 0.5
        first_m = end_m - length + 0.5 * column[0].length_m
        column = [replace(column[0], s_m=first_m), replace(column[1], s_m=end_m - 0.5 * column[1].length_m)]
        for member in column:
            stage.add(member)
        if hazard:
            row = _go_round(stage, who, plan, rate)
        else:  # it waits behind the column
            stop_m = end_m - length - 0.5 * ambulance.length_m - 3.0 - pace**2 / (2.0 * 5.0)
            stage.event(who, Action.STOP, 5.0, trigger=Trigger.POSITION, threshold=stop_m)
        here = stage.road.beside(_LANE, _START_M, _FACING)
        flow(stage, rng, _FACING, (end_m + 12.0, here - 15.0), pace, share=0.3)
        tail(stage, rng, _LANE, _START_M, speed)
        return stage.world(
            goal_m=speed * (plan.wait_s + plan.ttc_s + 6.0), time_limit_s=32.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip
