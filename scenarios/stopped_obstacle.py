"""Something stands or lies in the lane where it is seen late: behind a bend, in fog, at night, off a truck."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane, standing
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.roads import Road, one_way
from simdrive.scenarios.scenery import draw_light, highway, shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.traffic import flow
from simdrive.sim.spec import Action, ActorSpec, Lighting, Trigger, WorldSpec
from simdrive.sim.state import Shape

_START_M = 110.0
_SHOULDER_M = 3.4
_WALL_PIECE_M = 22.0
_NIGHT_SIGHT_M = 65.0  # what the low beam reaches
_BEND, _FOG, _NIGHT, _LOAD = "car_behind_bend", "car_in_fog", "debris_at_night", "lost_load"


class StoppedObstacle:
    """Stopped car or debris on a motorway; the way becomes free again some seconds later."""

    name = "stopped_obstacle"
    description = (
        "A broken-down car or debris blocks the ego's lane where it is seen late: behind a bend with a wall, in fog, "
        "at night, or fallen off the truck ahead; some seconds later it is gone."
    )
    tags = ("nhtsa:26", "nhtsa:36", "euro_ncap:CCRs", "bench2drive:ParkedObstacle", "bench2drive:Accident")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(19.0, 36.0, "m/s"),
        "situation": Choice((_BEND, _FOG, _NIGHT, _LOAD)),
        "visibility_m": Range(16.0, 110.0, "m"),  # fog
        "wall_gap_m": Range(0.4, 1.2, "m"),  # bend: from the lane to the wall on its inside
        "time_gap_s": Range(0.15, 1.5, "s"),  # lost load: from the ego to the load
        "load_braking_mps2": Range(6.0, 10.0, "m/s2"),  # lost load: how hard it slides
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, situation = params["ego_speed_mps"], params["situation"]
        road, own = _road(rng, situation)
        lane, lanes = ("a", "b", own), road.lanes(("a", "b", 0))
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        wait, rest_s = 3.4 + float(rng.uniform(0.0, 2.0)), float(rng.uniform(2.5, 4.0))
        shoulder(stage, ("a", "b", lanes - 1), (_START_M - 40.0, 1000.0), _SHOULDER_M)
        if situation == _LOAD:
            who, row = _lost_load(stage, rng, params, wait, rest_s, hazard)
        else:
            sight_m = {_BEND: _bend_sight_m(road, params), _FOG: params["visibility_m"], _NIGHT: _NIGHT_SIGHT_M}
            place_m = _START_M + speed * wait + sight_m[situation]
            shape = Shape.DEBRIS if situation == _NIGHT else draw_traffic_shape(rng)
            thing = on_lane(rng, "obstacle", shape, lane, place_m)
            if situation == _BEND:
                _wall(stage, rng, lane, place_m, params["wall_gap_m"])
            who, row = _stand(stage, thing, speed, rest_s, hazard), -1
        for other in range(lanes):
            if other != own:
                here = road.beside(lane, _START_M, ("a", "b", other))
                flow(stage, rng, ("a", "b", other), (here - 60.0, here + 90.0), speed, share=0.5, level_m=here)
        return stage.world(
            goal_m=speed * (wait + 9.0), time_limit_s=30.0, lighting=_light(rng, params),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
        )  # fmt: skip


def _road(rng: np.random.Generator, situation: str) -> tuple[Road, int]:
    """Return the road and the ego's lane: an outer one, from which things can be swept aside."""
    if situation == _BEND:
        radius = (300.0, 400.0)[int(rng.integers(2))]
        return one_way(int(rng.integers(2, 4)), "left", radius_m=radius), 0
    road = highway(rng)
    return road, 0 if rng.random() < 0.7 else road.lanes(("a", "b", 0)) - 1


def _bend_sight_m(road: Road, params: Mapping[str, Any]) -> float:
    """Return how far one sees along the lane past the wall: the chord that touches it."""
    lane = road.lane(("a", "b", 0))
    room = 0.5 * road.lane_width_m + params["wall_gap_m"]
    return math.sqrt(8.0 * float(getattr(lane, "radius", math.inf)) * room)


def _wall(stage: Stage, rng: np.random.Generator, lane: Any, place_m: float, gap_m: float) -> None:
    """Build a noise barrier along the left of a lane, up to a little beyond the obstacle."""
    thickness, height = 0.5, float(rng.uniform(2.6, 4.0))
    offset = -(0.5 * stage.road.lane_width_m + gap_m + 0.5 * thickness)
    for piece in range(11):
        s = place_m + 10.0 - (piece + 0.5) * _WALL_PIECE_M
        if s > _START_M - 20.0:
            pose = stage.road.pose(lane, s, offset)
            stage.add(standing(
                rng, "wall", Shape.BUILDING, pose, length_m=_WALL_PIECE_M, width_m=thickness, height_m=height,
            ))  # fmt: skip
    stage.drivable.extend(
        stage.road.strip(lane, (_START_M - 40.0, 900.0), (offset + thickness, -0.5 * stage.road.lane_width_m))
    )


def _stand(stage: Stage, thing: ActorSpec, speed: float, rest_s: float, hazard: bool) -> int:
    """Put the obstacle into the lane, or onto the hard shoulder where there is no hazard; return its index."""
    if not hazard:
        return stage.add(_aside(stage, thing))
    who = stage.add(thing)
    near = stage.event(who, Action.INDICATOR, 2.0 if thing.shape != Shape.DEBRIS else 0.0,
                       trigger=Trigger.EGO_DISTANCE, threshold=max(40.0, 1.6 * speed))  # fmt: skip
    if thing.shape == Shape.DEBRIS:
        _sweep(stage, who, near, rest_s + 2.0)
    else:
        stage.event(who, Action.SPEED, 0.85 * speed, rate=2.5, after=near, delay_s=rest_s + 1.5)
    return who


def _aside(stage: Stage, thing: ActorSpec) -> ActorSpec:
    last = ("a", "b", stage.road.lanes(stage.route[0]) - 1)
    level = stage.road.beside(stage.route[0], thing.s_m, last)
    return replace(thing, lane=last, s_m=level, r_m=0.5 * (stage.road.lane_width_m + _SHOULDER_M))


def _sweep(stage: Stage, who: int, after: int, delay_s: float) -> None:
    """Let wind carry debris off the road on the near side."""
    half, own = 0.5 * stage.road.lane_width_m, stage.route[0][2]
    goal = -(half + 2.0) if own == 0 else half + _SHOULDER_M + 1.0
    stage.event(who, Action.OFFSET, goal, rate=1.6, after=after, delay_s=delay_s)


def _lost_load(
    stage: Stage, rng: np.random.Generator, params: Mapping[str, Any], wait: float, rest_s: float, hazard: bool
) -> tuple[int, int]:
    """Put a truck with a load at its tail ahead of the ego; return the load and the row that drops it."""
    speed, lane = params["ego_speed_mps"], stage.route[0]
    load = on_lane(rng, "load", Shape.DEBRIS, lane, 0.0, speed)
    truck = on_lane(rng, "truck", Shape.TRUCK, lane, 0.0, speed)
    load_m = _START_M + 0.5 * (stage.ego.length_m + load.length_m) + speed * params["time_gap_s"]
    truck_m = load_m + 0.5 * (load.length_m + truck.length_m) + 0.15
    stage.add(replace(truck, s_m=truck_m))
    who = stage.add(replace(load, s_m=load_m))
    if not hazard:
        return who, -1
    row = stage.event(who, Action.STOP, params["load_braking_mps2"], rate=40.0, trigger=Trigger.TIME, threshold=wait)
    _sweep(stage, who, row, speed / params["load_braking_mps2"] + rest_s)
    return who, row


def _light(rng: np.random.Generator, params: Mapping[str, Any]) -> Lighting:
    drawn = draw_light(rng)
    dark = float(rng.uniform(-30.0, -10.0))
    if params["situation"] == _FOG:
        return replace(
            drawn, fog_visibility_m=params["visibility_m"], cloud=1.0, rain=0.0, street_lights=False,
            sun_elevation_deg=abs(drawn.sun_elevation_deg),
        )  # fmt: skip
    if params["situation"] == _NIGHT:
        return replace(drawn, sun_elevation_deg=dark, street_lights=False, fog_visibility_m=2000.0, rain=0.0)
    return drawn
