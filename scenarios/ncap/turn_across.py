"""The ego turns left across the path of a car or a motorcycle that comes the other way."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.ncap.junction import MIDDLE_M, TURN_LEFT, TurnPath, on_crossing, plain, with_turn
from simdrive.scenarios.ncap.protocol import CAR, MOTORCYCLE, TICK_S, StatedImpact, Target, known
from simdrive.scenarios.ncap.sync import impact_tick
from simdrive.scenarios.ncap.track import finish, light, t0_row, target_at
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.sim.follow import Follower, hold_of
from simdrive.sim.spec import Lighting, WorldSpec
from simdrive.sim.worlds import Worlds
from simdrive.types import Command, Float

_TARGETS = {"CCFtap": (CAR, "a car"), "CMFtap": (MOTORCYCLE, "a motorcycle")}
# Up to which ego speed (km/h) which path holds: R1, R2, alpha and beta of the protocol. [V] gives 10, 15, and 20 to 25.
_PATHS = (
    (12.5, TurnPath(1500.0, 9.0, 20.62, 48.76)),
    (17.5, TurnPath(1500.0, 11.75, 20.93, 48.14)),
    (math.inf, TurnPath(1500.0, 14.75, 21.79, 46.42)),
)
_RUN_UP_M = 30.0  # straight before the turn in which the reference drive settles
_RENEW_TICKS = 10
_LINE_M = 1.5
_DEEP_M = 0.01  # overlap on the tick of the impact: the drive round the bend is known to some millimetres only


def path_for(speed_kph: float) -> TurnPath:
    """Return the turn that the protocol prescribes at a speed."""
    return next(path for up_to, path in _PATHS if speed_kph <= up_to)


class TurnAcross:
    """CCFtap and CMFtap: the middle of the ego's front meets the near front corner of the target.

    Raises:
        UnknownNameError: if ``kind`` is neither.
    """

    has_hazard = True

    def __init__(self, kind: str) -> None:
        self._kind = known(kind, _TARGETS)
        self._target, who = _TARGETS[kind]
        self.name = f"ncap_{kind.lower()}"
        self.description = f"Euro NCAP {kind}. The ego turns left across the path of {who} that comes straight on."
        self.tags = (f"euro_ncap:{kind}", "nhtsa:29")
        self.parameters: Mapping[str, Parameter] = {
            "ego_speed_kph": Range(8.0, 25.0, "km/h"),
            "target_speed_kph": Range(20.0, 80.0, "km/h"),
        }

    def impact(self, params: Mapping[str, Any], ego_length_m: float, ego_width_m: float) -> StatedImpact:
        """Return where an ego of this size hits the target if it does not react."""
        return StatedImpact("front", 0.0, 0.5 * self._target.length_m, -0.5 * self._target.width_m)

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, pace, target = params["ego_speed_kph"] / 3.6, params["target_speed_kph"] / 3.6, self._target
        path = path_for(params["ego_speed_kph"])
        start_x, ticks, hit_x, route_m = reference_drive(path, speed, near_side_y(target))
        impact = impact_tick(rng)
        stage = on_crossing(with_turn(path), TURN_LEFT, start_x - (impact - ticks) * TICK_S * speed, speed)
        stage.ego = replace(stage.ego, indicator=-1)
        begin_x = hit_x - _DEEP_M + 0.5 * target.length_m + pace * impact * TICK_S
        waits_x = plain().half_m + _LINE_M + 0.5 * target.length_m
        place, moving = (begin_x, pace) if hazard else (waits_x, 0.0)
        who, row = stage.add(target_at(rng, target, (place, -MIDDLE_M, math.pi), moving)), -1
        if hazard:
            turned = stage.road.lane(TURN_LEFT[1])
            along = float(np.clip(route_m, 0.0, float(turned.length)))
            x, y = turned.position(along, 0.0)
            row = t0_row(stage, who, meet=stage.mark("meet", float(x), float(y)))
        return finish(stage, who, row, impact, hazard, light(rng), int(Command.LEFT))


@functools.cache
def reference_drive(path: TurnPath, speed_mps: float, side_y_m: float) -> tuple[float, int, float, float]:
    """Drive the turn without reacting and return when the middle of the ego's front comes to the side of the target.

    A car does not follow a path to the millimetre, and its body does not point along it; so the impact is found by
    driving, not by geometry.

    Args:
        path: the turn.
        speed_mps: speed of the ego.
        side_y_m: world y of the target's near side.

    Returns:
        World x of a start from which it happens on a tick, that tick, the world x of the middle of the front then,
        and how far along the turn that lies, m.
    """
    begin_x = float(with_turn(path).lane(TURN_LEFT[1]).position(0.0, 0.0)[0])
    start_x = begin_x - _RUN_UP_M
    for _ in range(2):  # a start moved by part of a tick moves the impact onto one
        front = _fronts(path, speed_mps, start_x, side_y_m)
        before, after = front[-2], front[-1]
        share = (before[1] - side_y_m) / (before[1] - after[1])
        start_x -= (1.0 - share) * speed_mps * TICK_S
    front = _fronts(path, speed_mps, start_x, side_y_m)
    tick = len(front) - 1 if front[-1, 1] - side_y_m > side_y_m - front[-2, 1] else len(front) - 2
    hit = front[tick]
    lane = with_turn(path).lane(TURN_LEFT[1])
    return start_x, tick, float(hit[0]), float(lane.local_coordinates(hit[:2])[0])


def _fronts(path: TurnPath, speed_mps: float, start_x: float, side_y_m: float) -> Float:
    """Return where the middle of the ego's front is at every tick ``[T, 2]`` until it is past ``side_y_m``."""
    stage = on_crossing(with_turn(path), TURN_LEFT, start_x, speed_mps)
    goal = 4.0 * _RUN_UP_M
    spec = stage.world(goal_m=goal, time_limit_s=60.0, lighting=Lighting(), hazard=False)
    worlds, found = Worlds([spec]), []
    speed, active = np.array([speed_mps]), np.ones(1, np.bool_)
    follower = Follower(worlds, hold_of(worlds, speed), worlds.t_us.copy())
    while True:
        state = worlds.actors
        heading, reach = float(state.heading[0, 0]), 0.5 * stage.ego.length_m
        x, y = state.x[0, 0] + reach * math.cos(heading), state.y[0, 0] + reach * math.sin(heading)
        found.append((float(x), float(y)))
        if y < side_y_m:
            return np.array(found)
        if len(found) % _RENEW_TICKS == 0:
            follower.plans[:], follower.t_obs_us[:] = hold_of(worlds, speed), worlds.t_us
        follower.step(active)


def near_side_y(target: Target) -> float:
    """Return the world y of the side of an oncoming target that the turning ego comes from."""
    return -MIDDLE_M + 0.5 * target.width_m
