"""The ego runs into the back of a car or a motorcycle: standing, slower, or braking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrive.scenarios.ncap.protocol import (
    CAR,
    MOTORCYCLE,
    T0_S,
    TICK_S,
    StatedImpact,
    Target,
    across_m,
    check_closing,
    known,
)
from simdrive.scenarios.ncap.sync import impact_tick
from simdrive.scenarios.ncap.track import (
    CLEAR_S,
    START_M,
    carriageway,
    finish,
    light,
    moves_off,
    on_track,
    t0_row,
    target_on,
)
from simdrive.scenarios.parameters import Parameter, Range
from simdrive.sim.spec import Action, LaneIndex, Trigger, WorldSpec

_LANE: LaneIndex = ("a", "b", 1)
_END_KPH = 2.0  # braking targets end at this speed
_ASIDE_M = 0.2  # between the lane and a target that is not in the way


@dataclass(frozen=True)
class _Facts:
    target: Target
    tag: str
    description: str
    parameters: Mapping[str, Parameter]


def _ranges(target: Target, slowest_kph: float = 10.0, **more: Parameter) -> dict[str, Parameter]:
    location = Range(-25.0, 125.0, "%") if target is CAR else Range(0.0, 100.0, "%")
    return {"ego_speed_kph": Range(slowest_kph, 130.0, "km/h"), "impact_location_pct": location, **more}


_BRAKING: dict[str, Parameter] = {
    "time_headway_s": Range(0.6, 3.0, "s"),
    "braking_mps2": Range(2.0, 9.0, "m/s2"),
}
_FACTS = {
    "CCRs": _Facts(CAR, "nhtsa:26", "The ego approaches a car that stands in its lane.", _ranges(CAR)),
    "CCRm": _Facts(
        CAR, "nhtsa:24", "The ego approaches a slower car in its lane.",
        _ranges(CAR, target_speed_kph=Range(5.0, 100.0, "km/h")),
    ),
    "CCRb": _Facts(
        CAR, "nhtsa:25", "The car that the ego follows at its own speed brakes down to 2 km/h.",
        _ranges(CAR, 30.0, **_BRAKING),
    ),
    "CMRs": _Facts(
        MOTORCYCLE, "nhtsa:26", "The ego approaches a motorcycle that stands in its lane.", _ranges(MOTORCYCLE)
    ),
    "CMRb": _Facts(
        MOTORCYCLE, "nhtsa:25", "The motorcycle that the ego follows at its own speed brakes down to 2 km/h.",
        _ranges(MOTORCYCLE, 30.0, **_BRAKING),
    ),
}  # fmt: skip


class Rear:
    """CCRs, CCRm, CCRb, CMRs and CMRb.

    Raises:
        UnknownNameError: if ``kind`` is none of them.
    """

    has_hazard = True

    def __init__(self, kind: str) -> None:
        self._facts = _FACTS[known(kind, _FACTS)]
        self._kind = kind
        self.name = f"ncap_{kind.lower()}"
        self.description = f"Euro NCAP {kind}. {self._facts.description}"
        self.tags = (f"euro_ncap:{kind}", self._facts.tag)
        self.parameters = self._facts.parameters

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse targets that are never reached."""
        check_closing(self.name, params["ego_speed_kph"], params.get("target_speed_kph", 0.0))

    def impact(self, params: Mapping[str, Any], ego_length_m: float, ego_width_m: float) -> StatedImpact:
        """Return where an ego of this size hits the target if it does not react."""
        return StatedImpact("front", across_m(params["impact_location_pct"], ego_width_m), 0.0, 0.0)

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        target, speed = self._facts.target, params["ego_speed_kph"] / 3.6
        braking = params.get("braking_mps2")
        pace = speed if braking else params.get("target_speed_kph", 0.0) / 3.6
        stage = on_track(carriageway(), _LANE, speed)
        impact = impact_tick(rng)
        gap = speed * params["time_headway_s"] if braking else (speed - pace) * impact * TICK_S
        s = START_M + 0.5 * (stage.ego.length_m + target.length_m) + gap
        lane, r = _LANE, across_m(params["impact_location_pct"], stage.ego.width_m)
        if not hazard and not braking:  # out of the way: on the other lane, or off the road
            lane, r = (
                (("a", "b", 0), 0.0) if pace else (lane, 0.5 * (stage.road.lane_width_m + target.width_m) + _ASIDE_M)
            )
        who, row = stage.add(target_on(rng, target, lane, s, pace, r)), -1
        begin_s, over_s = impact * TICK_S - T0_S, impact * TICK_S
        if hazard and braking:
            end = _END_KPH / 3.6
            row = stage.event(who, Action.ACCELERATE, -braking, until=end, trigger=Trigger.TIME, threshold=begin_s)
            over_s = max(over_s, begin_s + (speed - end) / braking)
        elif hazard:
            row = t0_row(stage, who)
        if hazard:
            moves_off(stage, who, over_s + CLEAR_S)
        return finish(stage, who, row, impact, hazard, light(rng))
