"""A queue stands behind the exit of a tunnel, in the glare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simdrive.scenarios.cast import draw_traffic_shape, on_lane
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.scenarios.roads import RURAL_LIMIT_MPS, one_way
from simdrive.scenarios.scenery import draw_light
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.traffic import flow
from simdrive.scenarios.traffic import tail as tail_behind
from simdrive.sim.lighting import GLARE_BLINDS, GLARE_HALF_M
from simdrive.sim.spec import Action, Trigger, WorldSpec

_START_M = 130.0
_ENTRY_M = 20.0
_BEFORE_S = 3.4  # driven before the exit no longer blinds


class TunnelQueue:
    """Straight motorway tunnel whose bright exit hides what stands behind it until the ego is near."""

    name = "tunnel_queue"
    description = (
        "The ego leaves a tunnel; a stopped queue on all lanes behind its exit is invisible in the glare until late. "
        "The queue moves on after some seconds."
    )
    tags = ("nhtsa:26", "euro_ncap:CCRs", "bench2drive:BlockedIntersection")
    has_hazard = True
    parameters: Mapping[str, Parameter] = {
        "ego_speed_mps": Range(15.0, 27.0, "m/s"),
        "exit_glare": Range(0.72, 1.0),  # 1 = strongest
        "queue_m": Range(3.0, 45.0, "m"),  # from the exit to the last vehicle
    }

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        speed, glare = params["ego_speed_mps"], params["exit_glare"]
        road = one_way(2 + int(rng.integers(2)), limit_mps=RURAL_LIMIT_MPS)
        lanes = road.lanes(("a", "b", 0))
        own = int(rng.integers(lanes))
        lane = ("a", "b", own)
        stage = Stage(road, ego_on(lane, _START_M, speed), (lane,))
        wait, rest_s = _BEFORE_S + float(rng.uniform(0.0, 1.2)), float(rng.uniform(3.0, 4.5))
        exit_m = _START_M + speed * wait + blinded_m(glare)
        standing = [rng.random() < 0.5 for _ in range(lanes)]  # without the hazard: other lanes only
        tail = -1
        for number in range(lanes):
            stands = hazard or (standing[number] and number != own)
            # What does not stand flows on, so far ahead that nobody has to brake for it.
            ahead_m, pace = (0.0, 0.0) if stands else (1.5 * speed, speed)
            column = _column(stage, rng, number, exit_m + params["queue_m"] + ahead_m, pace)
            tail = column[0] if number == own else tail
            if stands:
                _move_on(stage, column, 0.9 * speed, rest_s)
        for number in range(lanes):
            if number != own:
                near = (_START_M - 70.0, _START_M + 10.0)
                flow(stage, rng, ("a", "b", number), near, 0.97 * speed, share=0.4)
        tail_behind(stage, rng, lane, _START_M, speed)
        return stage.world(
            goal_m=exit_m - _START_M + params["queue_m"] + 60.0, time_limit_s=32.0,
            lighting=draw_light(rng, tunnel=(_ENTRY_M, exit_m), glare=glare),
            hazard=hazard, hazard_actors=(tail,), hazard_row=-1,
        )  # fmt: skip


def blinded_m(glare: float) -> float:
    """Return from how far before the exit one sees what stands behind it (rule: simdrive.sim.lighting)."""
    return GLARE_HALF_M * GLARE_BLINDS / (glare - GLARE_BLINDS)


def _column(stage: Stage, rng: np.random.Generator, lane: int, begin_m: float, pace: float) -> list[int]:
    """Add the queue of one lane from its end forwards; return its actors."""
    found, rear = [], begin_m + float(rng.uniform(0.0, 6.0)) * (lane != stage.route[0][2])
    for _ in range(int(rng.integers(2, 4))):
        member = on_lane(rng, "queue", draw_traffic_shape(rng), ("a", "b", lane), 0.0, pace)
        found.append(stage.add(replace(member, s_m=rear + 0.5 * member.length_m)))
        rear += member.length_m + float(rng.uniform(2.0, 4.0)) + 0.6 * pace
    return found


def _move_on(stage: Stage, column: list[int], speed: float, rest_s: float) -> None:
    """Let a queue start from its head some seconds after the ego has come near its end."""
    near = stage.event(
        column[-1], Action.INDICATOR, 0.0, trigger=Trigger.EGO_DISTANCE, threshold=70.0, subject=column[0]
    )
    for place, who in enumerate(reversed(column)):
        stage.event(who, Action.SPEED, speed, rate=2.2, after=near, delay_s=rest_s + 0.7 * place)
