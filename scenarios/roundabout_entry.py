"""The ego enters a roundabout and somebody takes the space that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.errors import ParameterError
from simdrive.scenarios.cast import draw_traffic_shape, on_lane, standing
from simdrive.scenarios.junctions import ARM_M, Roundabout, roundabout
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.scenarios.scenery import PAVEMENT_M, buildings, draw_light, pavement
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import start_up_time_s
from simdrive.scenarios.traffic import flow
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec
from simdrive.sim.state import Shape
from simdrive.types import Command

_CIRCULATING, _FORCES_IN = "circulating", "forces_in"


class RoundaboutEntry:
    """Single-lane roundabout; the other vehicle has priority in one conflict and takes it in the other."""

    name = "roundabout_entry"
    description = (
        "The ego enters a roundabout while a vehicle from the left comes round to its entry, or, once it is inside, "
        "a vehicle at the next entry pulls out in front of it."
    )
    tags = ("nhtsa:31", "bench2drive:EnterActorFlow", "bench2drive:InterurbanActorFlow", "euro_ncap:CCCscp")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(4.6, 8.2, "m/s"),
        "other_speed_mps": Range(5.5, 11.0, "m/s"),
        "acceleration_mps2": Range(3.0, 7.5, "m/s2"),
        "offset_s": Range(-1.0, 0.2, "s"),  # ego front at the meeting point minus the other's middle
        "nosed_in_m": Range(0.0, 8.6, "m"),  # how far beyond the yield line the other waits
        "conflict": Choice((_CIRCULATING, _FORCES_IN)),
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, circulating = params["ego_speed_mps"], params["conflict"] == _CIRCULATING
        scene = roundabout((20.0, 23.0)[int(rng.integers(2))])
        near, onward = rng.random() < 0.3, rng.random() < 0.5
        if circulating:  # past the ego's entry, and off at one of the next two exits
            arm, node, leave, other_leave = 1, "e0", 1 if near else 0, 0 if onward else 1
        else:  # the ego passes the entry of the other on its way straight on
            arm, node, leave, other_leave = 3, "e3", 0, 0 if onward else 3
        route, path = scene.path(0, leave), scene.path(arm, other_leave)
        ego_m, other_m = _length_to(scene, route, node), _length_to(scene, path, node)
        other = on_lane(rng, "other", draw_traffic_shape(rng), path[0], 0.0, route=path[1:])
        begin_m = ARM_M - 0.5 * other.length_m - 0.3 + params["nosed_in_m"]
        drive_s = start_up_time_s(other_m - begin_m, params["other_speed_mps"], params["acceleration_mps2"])
        reach_s = max(drive_s + params["offset_s"], 0.2)
        wait = 3.3 + float(rng.uniform(0.0, 1.2))
        start_m = min(ego_m - 2.3 - speed * (wait + reach_s), ARM_M - 12.0)  # never beyond the yield line
        stage = Stage(scene.road, ego_on(route[0], start_m, speed), route)

        who, row = stage.add(replace(other, s_m=begin_m)), -1
        if hazard:
            x, y, _ = scene.road.pose((scene.ring[scene.ring.index(node)], _after(scene, node), 0), 0.0)
            meet = stage.mark("meet", x, y)
            ready = stage.lead_in(who)
            row = stage.event(
                who, Action.SPEED, params["other_speed_mps"], rate=params["acceleration_mps2"],
                trigger=Trigger.EGO_TTA, threshold=reach_s, subject=meet, after=ready,
            )  # fmt: skip
        _surroundings(stage, rng, scene, arm)
        total = sum(float(scene.road.lane(lane).length) for lane in route[:-1])
        return stage.world(
            goal_m=total - start_m + 25.0, time_limit_s=40.0, lighting=draw_light(rng),
            hazard=hazard, hazard_actors=(who,), hazard_row=row,
            command=int(Command.STRAIGHT if leave == 0 else Command.RIGHT),
        )  # fmt: skip


def _after(scene: Roundabout, node: str) -> str:
    return scene.ring[(scene.ring.index(node) + 1) % len(scene.ring)]


def _length_to(scene: Roundabout, path: tuple[LaneIndex, ...], node: str) -> float:
    """Return the distance along a path from its start to a node of the ring, m."""
    total = 0.0
    for lane in path:
        if lane[0] == node:
            return total
        total += float(scene.road.lane(lane).length)
    raise ParameterError(f"path {path} does not pass node {node!r}")


def _surroundings(stage: Stage, rng: np.random.Generator, scene: Roundabout, taken: int) -> None:
    """Add the island, pavements, houses, and vehicles that wait or drive away on other arms."""
    side = scene.radius_m * float(rng.uniform(0.7, 0.95))
    height, green = float(rng.uniform(0.6, 2.4)), (70 + int(rng.integers(30)), 110 + int(rng.integers(30)), 64)
    stage.add(standing(
        rng, "island", Shape.BUILDING, (0.0, 0.0, float(rng.uniform(0.0, 1.5))),
        length_m=side, width_m=side, height_m=height, colour=green,
    ))  # fmt: skip
    kerb = 0.5 * scene.road.lane_width_m + 0.4
    for lane in (("in0", "yield0", 0), ("leave0", "out0", 0), ("leave2", "out2", 0), ("in2", "yield2", 0)):
        end = 90.0 if lane[0].startswith("leave") else ARM_M - 8.0
        span = (end - 80.0, end)
        pavement(stage, lane, span, kerb)
        buildings(stage, rng, lane, span, kerb + PAVEMENT_M + 2.5, 0.5)
    for arm in (1, 2, 3):
        shape, present = draw_traffic_shape(rng), rng.random() < 0.4
        actor = on_lane(
            rng, "waiting", shape, (f"in{arm}", f"yield{arm}", 0), ARM_M - 8.0 - float(rng.uniform(0.0, 4.0))
        )
        if arm != taken and present:
            stage.add(actor)
    for arm in (1, 2):
        pace = float(rng.uniform(6.0, 11.0))
        flow(stage, rng, (f"leave{arm}", f"out{arm}", 0), (15.0, 70.0), pace, gap_m=(15.0, 60.0), share=0.5)
