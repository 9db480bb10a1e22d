"""A cyclist rides out of a side road and straight across."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrive.scenarios.ncap.junction import MIDDLE_M, STRAIGHT_ON, on_crossing, plain
from simdrive.scenarios.ncap.protocol import (
    ARM_M,
    BICYCLE,
    LARGE_CAR,
    PENETRATION_M,
    SMALL_CAR,
    TICK_S,
    StatedImpact,
    across_m,
    known,
)
from simdrive.scenarios.ncap.sync import HALF_TICK_S, impact_tick, start_up
from simdrive.scenarios.ncap.track import finish, light, obstruction, target_at
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.types import Command

_START_M = 7.0  # a ride begins this far behind its steady part [V]
_CARS_GAP_M = 0.2  # between the parked cars [V]


@dataclass(frozen=True)
class _Facts:
    farside: bool
    steady_m: float  # way at steady speed before the middle of the ego's path [P]: D, H
    x_m: float  # of the ride, world frame
    cars_from_m: float  # nearest parked car, from the middle of the ego's path
    cars_gap_m: float  # between ride and parked cars [P]: 1 m, J
    description: str


# The cyclist of CBNA keeps 1 m from cars that stand in the middle of the opposite lane of the side road.
_BESIDE_CARS_M = -MIDDLE_M + 0.5 * LARGE_CAR.width_m + 1.0 + 0.5 * BICYCLE.width_m
_FACTS = {
    "CBNA": _Facts(False, 17.0, _BESIDE_CARS_M, 17.0, 1.0, "from the right, behind parked cars at first."),
    "CBNAO": _Facts(False, 4.5, MIDDLE_M, 3.55, 4.8, "from the right, hidden by parked cars until late."),
    "CBFA": _Facts(True, 22.0, -MIDDLE_M, 22.0, 1.0, "from the left, behind parked cars at first."),
}


class Cyclist:
    """CBNA, CBNAO and CBFA.

    Raises:
        UnknownNameError: if ``kind`` is none of them.
    """

    has_hazard = True

    def __init__(self, kind: str) -> None:
        self._facts = _FACTS[known(kind, _FACTS)]
        self.name = f"ncap_{kind.lower()}"
        self.description = f"Euro NCAP {kind}. A cyclist rides across {self._facts.description}"
        self.tags = (f"euro_ncap:{kind}", "nhtsa:14")
        self.parameters: Mapping[str, Parameter] = {
            "ego_speed_kph": Range(10.0, 60.0, "km/h"),
            "target_speed_kph": Range(8.0, 25.0, "km/h"),
            "impact_location_pct": Range(0.0, 100.0, "%"),
        }

    def impact(self, params: Mapping[str, Any], ego_length_m: float, ego_width_m: float) -> StatedImpact:
        """Return where an ego of this size hits the target if it does not react."""
        return StatedImpact("front", across_m(params["impact_location_pct"], ego_width_m), BICYCLE.reference_m, 0.0)

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        facts, speed, ride = self._facts, params["ego_speed_kph"] / 3.6, params["target_speed_kph"] / 3.6
        side = -1.0 if facts.farside else 1.0
        bumper = facts.x_m - 0.5 * BICYCLE.width_m + PENETRATION_M
        scene = plain()
        # Ego width and length are those of every ego; the stage that they come from needs its place first.
        away = facts.steady_m + _START_M
        probe = on_crossing(scene.road, STRAIGHT_ON, bumper - ARM_M / 2.0, speed).ego
        travel = away - side * across_m(params["impact_location_pct"], probe.width_m) - BICYCLE.reference_m
        begin = start_up(travel, facts.steady_m, ride)
        impact = impact_tick(rng, begin.seconds)
        x = bumper - 0.5 * probe.length_m - speed * impact * TICK_S
        stage = on_crossing(scene.road, STRAIGHT_ON, x, speed)
        place = (facts.x_m, MIDDLE_M + side * away, -side * math.pi / 2)
        who, row = stage.add(target_at(rng, BICYCLE, place)), -1
        if hazard:
            meet = stage.mark("meet", bumper - PENETRATION_M, MIDDLE_M)
            row = stage.event(
                who, Action.SPEED, ride, rate=begin.acceleration_mps2, trigger=Trigger.EGO_TTA,
                threshold=begin.seconds + HALF_TICK_S, subject=meet, after=stage.lead_in(who),
            )  # fmt: skip
        _park(stage, rng, facts, side)
        return finish(stage, who, row, impact, hazard, light(rng), int(Command.STRAIGHT))


def _park(stage: Any, rng: np.random.Generator, facts: _Facts, side: float) -> None:
    """Park a large and a small car beside the ride, on the side that the ego comes from."""
    near = facts.cars_from_m
    inner = facts.x_m - 0.5 * BICYCLE.width_m - facts.cars_gap_m
    for car in (LARGE_CAR, SMALL_CAR):
        pose = (inner - 0.5 * car.width_m, MIDDLE_M + side * (near + 0.5 * car.length_m), math.pi / 2)
        stage.add(obstruction(rng, car, pose))
        near += car.length_m + _CARS_GAP_M
