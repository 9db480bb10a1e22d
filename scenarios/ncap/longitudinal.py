"""A pedestrian walks or a cyclist rides ahead of the ego, in its direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrive.errors import ParameterError
from simdrive.scenarios.ncap.protocol import (
    ADULT,
    BICYCLE,
    TICK_S,
    StatedImpact,
    across_m,
    check_closing,
    known,
)
from simdrive.scenarios.ncap.sync import impact_tick
from simdrive.scenarios.ncap.track import (
    CLEAR_S,
    START_M,
    country_road,
    finish,
    light,
    on_track,
    road_clears,
    t0_row,
    target_on,
)
from simdrive.scenarios.parameters import Choice, Parameter, Range
from simdrive.sim.spec import Action, LaneIndex, WorldSpec

_LANE: LaneIndex = ("a", "b", 0)
_ASIDE_M = 0.6  # between the lane and the edge of who is not in the way
_STEP_ASIDE_MPS = 1.2
_TARGETS = {"CPLA": (ADULT, "nhtsa:12", "Somebody walks"), "CBLA": (BICYCLE, "nhtsa:14", "A cyclist rides")}
_APPROACH_M = 900.0  # how far ahead of the ego the track has room for a target


class Longitudinal:
    """CPLA and CBLA.

    Raises:
        UnknownNameError: if ``kind`` is none of them.
    """

    has_hazard = True

    def __init__(self, kind: str) -> None:
        self._target, tag, who = _TARGETS[known(kind, _TARGETS)]
        self.name = f"ncap_{kind.lower()}"
        self.description = f"Euro NCAP {kind}. {who} ahead of the ego in its lane and in its direction."
        self.tags = (f"euro_ncap:{kind}", tag)
        slow = Range(2.0, 12.0, "km/h") if self._target is ADULT else Range(5.0, 30.0, "km/h")
        self.parameters: Mapping[str, Parameter] = {
            "ego_speed_kph": Range(10.0, 100.0, "km/h"),
            "target_speed_kph": slow,
            "impact_location_pct": Range(0.0, 100.0, "%"),
            "steady_m": Range(5.0, 30.0, "m"),  # way of the target at steady speed before the impact, at least
            "light": Choice(("day", "night")),
        }

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse targets that are never reached, and tests for which the track is too short."""
        ego, target = params["ego_speed_kph"], params["target_speed_kph"]
        check_closing(self.name, ego, target)
        ahead_m = (ego - target) / target * params["steady_m"]
        if ahead_m > _APPROACH_M:
            raise ParameterError(
                f"{self.name}: while a target at {target:g} km/h goes {params['steady_m']:g} m, an ego at {ego:g} km/h "
                f"gains {ahead_m:.0f} m on it; the track has {_APPROACH_M:g} m, so choose a shorter steady_m"
            )

    def impact(self, params: Mapping[str, Any], ego_length_m: float, ego_width_m: float) -> StatedImpact:
        """Return where an ego of this size hits the target if it does not react."""
        return StatedImpact("front", across_m(params["impact_location_pct"], ego_width_m), 0.0, 0.0)

    def build(self, params: Mapping[str, Any], rng: np.random.Generator, hazard: bool) -> WorldSpec:
        """Return the world of one case."""
        target, speed, pace = self._target, params["ego_speed_kph"] / 3.6, params["target_speed_kph"] / 3.6
        stage = on_track(country_road(), _LANE, speed)
        impact = impact_tick(rng, params["steady_m"] / pace)
        s = START_M + 0.5 * (stage.ego.length_m + target.length_m) + (speed - pace) * impact * TICK_S
        aside = 0.5 * (stage.road.lane_width_m + target.width_m) + _ASIDE_M
        r = across_m(params["impact_location_pct"], stage.ego.width_m)
        who, row = stage.add(target_on(rng, target, _LANE, s, pace, r if hazard else aside)), -1
        if hazard:
            row = t0_row(stage, who)
            clear = road_clears(stage, who, impact * TICK_S + CLEAR_S)
            stage.event(who, Action.OFFSET, aside, rate=_STEP_ASIDE_MPS, after=clear)
        return finish(stage, who, row, impact, hazard, light(rng, params["light"] == "night"))
