"""A pedestrian crosses the road in front of the ego."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrive.scenarios.ncap.protocol import (
    ADULT,
    CHILD,
    LARGE_CAR,
    PENETRATION_M,
    SMALL_CAR,
    TICK_S,
    StatedImpact,
    Target,
    across_m,
    known,
)
from simdrive.scenarios.ncap.sync import HALF_TICK_S, impact_tick, start_up
from simdrive.scenarios.ncap.track import START_M, finish, light, obstruction, on_track, target_at, town_road
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.stage import Stage
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec

_LANE: LaneIndex = ("a", "b", 0)
_CAR_GAP_M = 1.0  # between the ego, the parked cars and the child [P]: distances I and J
_BEYOND_M = 2.5  # how far past the far edge of the road a walk ends
_STOP_MPS2 = 2.0


@dataclass(frozen=True)
class _Facts:
    target: Target
    farside: bool
    begin_m: float  # from the middle of the ego's path [V]
    accelerate_m: float
    parameters: tuple[float, float]  # walking speeds that make sense, km/h
    description: str


_FACTS = {
    "CPNA": _Facts(ADULT, False, 4.0, 1.0, (2.0, 10.0), "An adult walks across from the right."),
    "CPFA": _Facts(ADULT, True, 6.0, 1.5, (3.0, 14.0), "An adult runs across from the left."),
    "CPNCO": _Facts(
        CHILD, False, 4.0, 1.0, (2.0, 10.0), "A child runs across from behind two parked cars on the right."
    ),
}


class Pedestrian:
    """CPNA, CPFA and CPNCO.

    Raises:
        UnknownNameError: if ``kind`` is none of them.
    """

    has_hazard = True

    def __init__(self, kind: str) -> None:
        self._facts, self._kind = _FACTS[known(kind, _FACTS)], kind
        self.name = f"ncap_{kind.lower()}"
        self.description = f"Euro NCAP {kind}. {self._facts.description}"
        self.tags = (f"euro_ncap:{kind}", "nhtsa:12")
        self.parameters: Mapping[str, Parameter] = {
            "ego_speed_kph": Range(10.0, 60.0, "km/h"),
            "target_speed_kph": Range(*self._facts.parameters, "km/h"),
            "impact_location_pct": Range(0.0, 100.0, "%"),
            "light": Choice(("day", "night")),
        }

    def impact(self, params: Mapping[str, Any], ego_length_m: float, ego_width_m: float) -> StatedImpact:
        """Return where an ego of this size hits the target if it does not react."""
        at = across_m(params["impact_location_pct"], ego_width_m)
        return StatedImpact("front", at, self._facts.target.reference_m, 0.0)

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        facts, speed, walk = self._facts, params["ego_speed_kph"] / 3.6, params["target_speed_kph"] / 3.6
        target, side = facts.target, -1.0 if facts.farside else 1.0
        stage = on_track(town_road(), _LANE, speed)
        hit = across_m(params["impact_location_pct"], stage.ego.width_m)
        # The reference point is at the stated place; the middle of the body is as far ahead of it as it walks.
        travel = facts.begin_m - side * hit - target.reference_m
        begin = start_up(travel, facts.begin_m - facts.accelerate_m, walk)
        impact = impact_tick(rng, begin.seconds)
        bumper = START_M + 0.5 * stage.ego.length_m + speed * impact * TICK_S - PENETRATION_M
        line = bumper + 0.5 * target.width_m
        x, y, heading = stage.road.pose(_LANE, line, side * facts.begin_m)
        who, row = stage.add(target_at(rng, target, (x, y, heading - side * math.pi / 2))), -1
        if hazard:
            meet = stage.mark("meet", *stage.road.pose(_LANE, bumper)[:2])
            row = stage.event(
                who, Action.SPEED, walk, rate=begin.acceleration_mps2, trigger=Trigger.EGO_TTA,
                threshold=begin.seconds + HALF_TICK_S, subject=meet, after=stage.lead_in(who),
            )  # fmt: skip
            width = stage.road.lane_width_m
            over = facts.begin_m + (0.5 if facts.farside else 1.5) * width + _BEYOND_M
            stage.event(who, Action.STOP, _STOP_MPS2, trigger=Trigger.POSITION, threshold=over, after=row)
        if self._kind == "CPNCO":
            _hide(stage, rng, line, target)
        return finish(stage, who, row, impact, hazard, light(rng, params["light"] == "night", street_lights=True))


def _hide(stage: Stage, rng: np.random.Generator, line_m: float, target: Target) -> None:
    """Park a small and a large car before the line on which the child runs, as seen from the ego."""
    right = 0.5 * (stage.ego.width_m + LARGE_CAR.width_m) + _CAR_GAP_M
    front = line_m - 0.5 * target.width_m - _CAR_GAP_M
    for car in (SMALL_CAR, LARGE_CAR):
        stage.add(obstruction(rng, car, stage.road.pose(_LANE, front - 0.5 * car.length_m, right)))
        front -= car.length_m + _CAR_GAP_M
