"""Nothing happens: the control that catches drivers who brake for what is no danger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import buildings, draw_light, highway, rural, shoulder, urban
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.street import street_side
from simdrive.scenarios.traffic import flow, tail
from simdrive.sim.spec import Action, Trigger, WorldSpec
from simdrive.sim.state import Behaviour, Shape

_START_M = 90.0
_PLACES = {"motorway": (22.0, 33.0), "country": (15.0, 24.0), "town": (7.0, 14.0)}  # cruise speeds, m/s


class FreeDrive:
    """Motorway, country road or street with everything that looks like a hazard and is none."""

    name = "free_drive"
    description = (
        "Hazard-free driving past braking traffic on other lanes, parked cars, people on the pavement, oncoming "
        "vehicles and broken-down ones on the shoulder."
    )
    tags = ()
    has_hazard = False
    parameters: Mapping[str, Parameter] = {
        "place": Choice(tuple(_PLACES)),
        "pace": Range(0.0, 1.0),  # from the slowest to the fastest cruise speed of the place
        "density": Range(0.2, 0.9),  # share of the places in traffic that are taken
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case; there is no hazard to leave out."""
        place = params["place"]
        low, high = _PLACES[place]
        speed = round(low + params["pace"] * (high - low), 3)
        builders: dict[str, Any] = {"motorway": highway, "country": rural, "town": urban}
        road = builders[place](rng)
        lanes = road.lanes(("a", "b", 0))
        lane = ("a", "b", int(rng.integers(lanes)))
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        bystanders: dict[str, Any] = {"motorway": _motorway, "country": _country, "town": _town}
        bystanders[place](stage, rng, params["density"])
        lead = on_lane(
            rng, "lead", draw_traffic_shape(rng), lane, _START_M + speed * float(rng.uniform(2.6, 4.5)) + 12.0,
            speed * float(rng.uniform(1.0, 1.08)),
        )  # fmt: skip
        if rng.random() < 0.5:
            stage.add(lead)
        tail(stage, rng, lane, _START_M, speed)
        return stage.world(goal_m=13.0 * speed, time_limit_s=24.0, lighting=draw_light(rng), hazard=False)


def _motorway(stage: Stage, rng: np.random.Generator, density: float) -> None:
    road, lane, speed = stage.road, stage.route[0], stage.ego.speed_mps
    lanes = road.lanes(lane)
    for other in range(lanes):
        if other == lane[2]:
            continue
        near = ("a", "b", other)
        here, first = road.beside(lane, _START_M, near), len(stage.actors) + 1
        pace = speed * float(rng.uniform(0.8, 1.1))
        flow(stage, rng, near, (here - 50.0, here + 170.0), pace, share=density)
        _brake_somebody(stage, rng, range(first, len(stage.actors) + 1), pace)
    last = ("a", "b", lanes - 1)
    shoulder(stage, last, (_START_M - 40.0, 1000.0), 3.4)
    _broken_down(stage, rng, 0.5 * road.lane_width_m + 1.9)


def _brake_somebody(stage: Stage, rng: np.random.Generator, who: range, pace: float) -> None:
    """Let one vehicle on another lane brake and pick up speed again; those behind it keep their distance."""
    when, braking, chosen = float(rng.uniform(3.0, 7.0)), float(rng.uniform(2.0, 4.5)), rng.random()
    if len(who) > 0:
        actor = who[int(chosen * len(who))]
        row = stage.event(
            actor, Action.ACCELERATE, -braking, rate=15.0, until=0.55 * pace, trigger=Trigger.TIME, threshold=when
        )
        stage.event(actor, Action.SPEED, pace, rate=1.5, after=row, delay_s=4.0)


def _broken_down(stage: Stage, rng: np.random.Generator, r_m: float) -> None:
    """Perhaps leave a vehicle or debris on the right shoulder, ``r_m`` from the centre of the last lane."""
    road, lane = stage.road, stage.route[0]
    last = ("a", "b", road.lanes(lane) - 1)
    s = road.beside(lane, _START_M + stage.ego.speed_mps * float(rng.uniform(4.0, 9.0)), last)
    shape = Shape.DEBRIS if rng.random() < 0.4 else draw_traffic_shape(rng)
    actor = on_lane(rng, "stranded", shape, last, s, r_m=r_m, indicator=0 if shape == Shape.DEBRIS else 2)
    if rng.random() < 0.6:
        stage.add(actor)


def _country(stage: Stage, rng: np.random.Generator, density: float) -> None:
    road, lane, speed, facing = stage.road, stage.route[0], stage.ego.speed_mps, ("b", "a", 0)
    here = road.beside(lane, _START_M, facing)
    pace = speed * float(rng.uniform(0.8, 1.1))
    first = max(here - 380.0, 10.0)
    s = first
    while s < here - 20.0:
        other = on_lane(
            rng, "oncoming", draw_traffic_shape(rng), facing, s, pace, behaviour=Behaviour.IDM, time_wanted_s=1.2
        )
        if rng.random() < density:
            stage.add(other)
        s += 13.0 + float(rng.uniform(20.0, 70.0))
    shoulder(stage, lane, (_START_M - 40.0, 700.0), 3.0)
    _broken_down(stage, rng, 0.5 * road.lane_width_m + 1.6)
    buildings(stage, rng, lane, (_START_M, _START_M + 8.0 * speed), 11.0, share=0.25)


def _town(stage: Stage, rng: np.random.Generator, density: float) -> None:
    road, lane, speed, facing = stage.road, stage.route[0], stage.ego.speed_mps, ("b", "a", 0)
    end = _START_M + 13.0 * speed
    middle, gap = _START_M + 0.5 * (end - _START_M), float(rng.uniform(0.35, 1.2))
    street_side(
        stage, rng, lane, (_START_M - 40.0, end + 40.0), parking_gap_m=gap, parked=((middle - 30.0, middle + 30.0),),
        share=density, people=4,
    )  # fmt: skip
    here = road.beside(lane, _START_M, facing)
    span = (road.beside(lane, end + 40.0, facing), here + 40.0)
    parking = 0.4 if rng.random() < 0.5 else None
    level = road.beside(lane, middle, facing)
    street_side(
        stage, rng, facing, span, parking_gap_m=parking, parked=((level - 20.0, level + 20.0),), share=density, people=3
    )
    flow(stage, rng, facing, (max(here - 200.0, 10.0), here - 15.0), speed, share=density)
