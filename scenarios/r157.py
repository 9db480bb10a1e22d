"""The three scenario types of UN R157 in the gym: somebody cuts in, the leader cuts out, the leader brakes.

The starting figures are those of ``simdrive verify r157``: bumper gaps at the moment at which the other begins to move
sideways or to brake. Until then a vehicle that holds its speed has come to just that gap; who slows down earlier has more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.scenarios.cast import on_lane
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.roads import HIGHWAY_LIMIT_MPS, one_way
from simdrive.scenarios.scenery import shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.sim.spec import Action, ActorSpec, LaneIndex, Lighting, Trigger, WorldSpec
from simdrive.sim.state import Shape

LANE_M = 3.5  # with cars 1.9 m wide: the 1.6 m between the bodies at which a cut-in begins
BEGIN_S = 3.2  # after the lead-in
CAR_M, STOPPED_M, WIDE_M = 4.3, 5.0, 1.9  # docs/r157.md
_LENGTH_M, _START_M = 1500.0, 60.0
_LANE: LaneIndex = ("a", "b", 1)
_LEFT: LaneIndex = ("a", "b", 0)
_RISE_MPS3 = 60.0  # of the leader's braking: at once, as far as a car can
_AFTER_S = 12.0
_CLEAR_S, _AWAY_MPS2 = 6.0, 2.0  # the road becomes free again, so that who stopped in time can go on
_SPEED = Range(10.0, 130.0, "km/h")
_SIDEWAYS = Range(0.0, 3.0, "m/s")


@dataclass(frozen=True)
class _Facts:
    tag: str
    description: str
    parameters: Mapping[str, Parameter]


_FACTS = {
    "cut_in": _Facts(
        "r157:cut-in", "A slower car on the next lane moves into the ego's lane at a stated gap and sideways speed.",
        {"ego_speed_kph": _SPEED, "other_speed_kph": Range(5.0, 125.0, "km/h"), "dx0_m": Range(1.0, 120.0, "m"),
         "lateral_speed_mps": _SIDEWAYS},
    ),
    "cut_out": _Facts(
        "r157:cut-out", "The leader leaves the lane at a stated distance from a car that stands in it.",
        {"ego_speed_kph": _SPEED, "dx0_m": Range(2.0, 160.0, "m"), "lateral_speed_mps": Range(0.1, 3.0, "m/s"),
         "time_gap_s": Range(0.5, 4.0, "s")},
    ),
    "deceleration": _Facts(
        "r157:deceleration", "The leader, as fast as the ego, brakes to standstill.",
        {"ego_speed_kph": _SPEED, "decel_mps2": Range(0.4, 10.0, "m/s2"), "time_gap_s": Range(0.5, 4.0, "s")},
    ),
}  # fmt: skip


class R157:
    """One scenario type of the regulation.

    Raises:
        UnknownNameError: if ``kind`` is none of them.
    """

    has_hazard = True

    def __init__(self, kind: str) -> None:
        if kind not in _FACTS:
            raise UnknownNameError("kind of R157 scenario", kind, _FACTS)
        facts = _FACTS[kind]
        self._kind, self.name, self.description = kind, f"r157_{kind}", f"UN R157. {facts.description}"
        self.tags, self.parameters = (facts.tag,), facts.parameters

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse a car that cuts in faster than the ego: the two would never meet."""
        if self._kind == "cut_in" and params["other_speed_kph"] >= params["ego_speed_kph"]:
            raise ParameterError(
                f"{self.name}: other_speed_kph must be below ego_speed_kph, got {params['other_speed_kph']:g} and "
                f"{params['ego_speed_kph']:g}"
            )

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed = params["ego_speed_kph"] / 3.6
        road = one_way(2, "straight", length_m=_LENGTH_M, width_m=LANE_M, limit_mps=HIGHWAY_LIMIT_MPS)
        stage = Stage(road, ego_on(_LANE, _START_M, speed), (_LANE,))
        shoulder(stage, _LANE, (0.0, _LENGTH_M - 100.0), 2.5)
        play = {"cut_in": _cut_in, "cut_out": _cut_out, "deceleration": _deceleration}[self._kind]
        actors, row = play(stage, params, rng, hazard, speed)
        sun = Lighting(float(rng.uniform(25.0, 65.0)), float(rng.uniform(0.0, 360.0)), float(rng.uniform(0.0, 0.4)))
        world = stage.world(
            goal_m=max(speed * (BEGIN_S + _AFTER_S), 30.0), time_limit_s=40.0, lighting=sun, hazard=hazard,
            hazard_actors=actors, hazard_row=row,
        )  # fmt: skip
        return replace(world, progress_asked=False)  # the regulation asks whether there is contact, and nothing else


def _car(stage: Stage, rng: np.random.Generator, name: str, lane: LaneIndex, gap_m: float, speed_mps: float,
         length_m: float = CAR_M) -> ActorSpec:  # fmt: skip
    """Return a car whose rear bumper is ``gap_m`` ahead of the ego's front bumper at time zero."""
    s = _START_M + 0.5 * (stage.ego.length_m + length_m) + gap_m
    return on_lane(rng, name, Shape.CAR, lane, s, speed_mps, length_m=length_m, width_m=WIDE_M)


def _cut_in(stage: Stage, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool, speed: float) -> Any:
    other = params["other_speed_kph"] / 3.6
    who = stage.add(_car(stage, rng, "cutter", _LEFT, params["dx0_m"] + (speed - other) * BEGIN_S, other))
    if not hazard or params["lateral_speed_mps"] < 0.05:  # slower than that is keeping the lane
        return (), -1
    row = stage.event(
        who, Action.LANE_CHANGE, 1.0, rate=params["lateral_speed_mps"], trigger=Trigger.TIME, threshold=BEGIN_S
    )
    stage.event(who, Action.SPEED, speed, rate=_AWAY_MPS2, after=row, delay_s=_CLEAR_S)
    return (who,), row


def _cut_out(stage: Stage, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool, speed: float) -> Any:
    gap_m = speed * params["time_gap_s"]
    lead = stage.add(_car(stage, rng, "lead", _LANE, gap_m, speed))
    ahead_m = gap_m + CAR_M + speed * BEGIN_S + params["dx0_m"]
    car = _car(stage, rng, "stopped", _LANE, ahead_m, 0.0, STOPPED_M)
    stopped = stage.add(car if hazard else replace(car, r_m=0.5 * (LANE_M + WIDE_M) + 0.2))
    if not hazard:
        return (), -1
    row = stage.event(
        lead, Action.LANE_CHANGE, -1.0, rate=params["lateral_speed_mps"], trigger=Trigger.TIME, threshold=BEGIN_S
    )
    stage.event(stopped, Action.SPEED, speed, rate=_AWAY_MPS2, after=row, delay_s=params["dx0_m"] / speed + _CLEAR_S)
    return (stopped,), row


def _deceleration(stage: Stage, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool, speed: float) -> Any:
    lead = stage.add(_car(stage, rng, "lead", _LANE, speed * params["time_gap_s"], speed))
    if not hazard:
        return (), -1
    braking = params["decel_mps2"]
    row = stage.event(lead, Action.STOP, braking, rate=_RISE_MPS3, trigger=Trigger.TIME, threshold=BEGIN_S)
    stage.event(lead, Action.SPEED, speed, rate=_AWAY_MPS2, after=row, delay_s=speed / braking + _CLEAR_S)
    return (lead,), row
