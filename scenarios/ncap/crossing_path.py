"""A car or a motorcycle crosses the ego's path at right angles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrive.scenarios.ncap.junction import MIDDLE_M, STRAIGHT_ON, on_crossing, plain
from simdrive.scenarios.ncap.protocol import (
    ARM_M,
    CAR,
    LANE_M,
    LARGE_CAR,
    MOTORCYCLE,
    PENETRATION_M,
    SMALL_CAR,
    TICK_S,
    StatedImpact,
    known,
)
from simdrive.scenarios.ncap.sync import impact_tick
from simdrive.scenarios.ncap.track import finish, light, obstruction, t0_row, target_at
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.stage import Stage
from simdrive.sim.spec import WorldSpec
from simdrive.types import Command

_TARGETS = {"CCCscp": (CAR, "A car"), "CMCscp": (MOTORCYCLE, "A motorcycle")}
_QUARTER = 0.25  # a car is hit a quarter of its length behind its front, by the middle of the ego [V]
_TENTH = 0.1  # a motorcycle hits the ego's side a tenth of the ego's length behind its front [V]
_CARS_BEFORE_M = {"farside": 21.0, "nearside": 24.0}  # first parked car to the target's path [V]
_CARS_BESIDE_M = 0.25  # parked cars to the edge of the road [V]
_CARS_GAP_M = 1.0
_LINE_M = 1.5  # a target that gives way stands this far before the crossing


class CrossingPath:
    """CCCscp and CMCscp.

    Raises:
        UnknownNameError: if ``kind`` is neither.
    """

    has_hazard = True

    def __init__(self, kind: str) -> None:
        self._kind = known(kind, _TARGETS)
        self._target, who = _TARGETS[kind]
        self.name = f"ncap_{kind.lower()}"
        self.description = f"Euro NCAP {kind}. {who} drives straight across a crossing, seen past parked cars."
        self.tags = (f"euro_ncap:{kind}", "nhtsa:30")
        self.parameters: Mapping[str, Parameter] = {
            "ego_speed_kph": Range(15.0, 80.0, "km/h"),
            "target_speed_kph": Range(15.0, 80.0, "km/h"),
            "side": Choice(("farside", "nearside")),
        }

    def impact(self, params: Mapping[str, Any], ego_length_m: float, ego_width_m: float) -> StatedImpact:
        """Return where an ego of this size hits the target if it does not react."""
        if self._target is CAR:
            return StatedImpact("front", 0.0, (0.5 - _QUARTER) * CAR.length_m, 0.0)
        return StatedImpact("side", _TENTH * ego_length_m, 0.5 * MOTORCYCLE.length_m, 0.0)

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, pace = params["ego_speed_kph"] / 3.6, params["target_speed_kph"] / 3.6
        side = -1.0 if params["side"] == "farside" else 1.0  # it comes from there, and drives on its right
        target, path_x, impact = self._target, side * MIDDLE_M, impact_tick(rng)
        scene = plain()
        ego = on_crossing(scene.road, STRAIGHT_ON, -ARM_M / 2.0, speed).ego
        if target is CAR:
            bumper = path_x - 0.5 * CAR.width_m + PENETRATION_M
            nose_y = MIDDLE_M - side * _QUARTER * CAR.length_m
        else:
            bumper = path_x + _TENTH * ego.length_m
            nose_y = MIDDLE_M + side * (0.5 * ego.width_m - PENETRATION_M)
        time_s = impact * TICK_S
        stage = on_crossing(scene.road, STRAIGHT_ON, bumper - 0.5 * ego.length_m - speed * time_s, speed)
        begin_y = nose_y + side * (0.5 * target.length_m + pace * time_s)
        waits_y = side * (scene.half_m + _LINE_M + 0.5 * target.length_m)
        place, moving = (begin_y, pace) if hazard else (waits_y, 0.0)
        who, row = stage.add(target_at(rng, target, (path_x, place, -side * math.pi / 2), moving)), -1
        if hazard:
            row = t0_row(stage, who, meet=stage.mark("meet", bumper, MIDDLE_M))
        _park(stage, rng, params["side"], side, path_x)
        return finish(stage, who, row, impact, hazard, light(rng), int(Command.STRAIGHT))


def _park(stage: Stage, rng: np.random.Generator, where: str, side: float, path_x: float) -> None:
    """Park a large and two small cars along the ego's road, on the side that the target comes from."""
    front, inner = path_x - _CARS_BEFORE_M[where], LANE_M + _CARS_BESIDE_M
    for car in (LARGE_CAR, SMALL_CAR, SMALL_CAR):
        pose = (front - 0.5 * car.length_m, side * (inner + 0.5 * car.width_m), 0.0)
        stage.add(obstruction(rng, car, pose))
        front -= car.length_m + _CARS_GAP_M
