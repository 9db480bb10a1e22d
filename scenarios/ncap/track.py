"""The proving ground: straight roads, light, and how a finished test is handed over."""

from __future__ import annotations

from typing import Any

import numpy as np

from simdrive.scenarios.cast import anywhere, on_lane, standing
from simdrive.scenarios.ncap.protocol import LANE_M, T0_S, TICK_S, Target
from simdrive.scenarios.ncap.sync import HALF_TICK_S
from simdrive.scenarios.roads import HIGHWAY_LIMIT_MPS, RURAL_LIMIT_MPS, URBAN_LIMIT_MPS, Road, one_way, two_way
from simdrive.scenarios.scenery import shoulder
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.sim.spec import Action, ActorSpec, LaneIndex, Lighting, Trigger, WorldSpec

START_M = 80.0
PAVED_M = 2.2  # beside the lanes: [P] asks for a surface free of obstacles beside the path of the car
CLEAR_S = 3.0  # how long after the impact that did not happen the road becomes free again
_MOVE_OFF_MPS2 = 2.5
_BEHIND_M = 0.3  # nobody moves off while the ego is beside it
_AFTER_S = 5.0  # driving on behind the place of the impact
_TIME_OVER_S = 25.0
_LENGTH_M = 1100.0


def carriageway() -> Road:
    """Return a one-way road with two lanes, for tests up to 130 km/h; the ego keeps to the right."""
    return one_way(2, "straight", length_m=_LENGTH_M, width_m=LANE_M, limit_mps=HIGHWAY_LIMIT_MPS)


def country_road() -> Road:
    """Return a road with one lane each way for 100 km/h."""
    return two_way(1, "straight", length_m=_LENGTH_M, width_m=LANE_M, limit_mps=RURAL_LIMIT_MPS)


def town_road() -> Road:
    """Return a road with one lane each way for 60 km/h."""
    return two_way(1, "straight", length_m=_LENGTH_M, width_m=LANE_M, limit_mps=URBAN_LIMIT_MPS)


def on_track(road: Road, lane: LaneIndex, speed_mps: float) -> Stage:
    """Put the ego on a lane of a straight road, with paved ground on both sides."""
    stage = Stage(road, ego_on(lane, START_M, speed_mps), (lane,))
    span = (0.0, _LENGTH_M - 100.0)
    shoulder(stage, ("a", "b", road.lanes(("a", "b", 0)) - 1), span, PAVED_M)
    if ("b", "a", 0) in road.map.lane_index:
        shoulder(stage, ("b", "a", 0), (100.0, _LENGTH_M), PAVED_M)
    else:
        shoulder(stage, ("a", "b", 0), span, PAVED_M, left=True)
    return stage


def _box(target: Target) -> dict[str, float]:
    return {"length_m": target.length_m, "width_m": target.width_m, "height_m": target.height_m}


def target_on(
    rng: np.random.Generator, target: Target, lane: LaneIndex, s_m: float, speed_mps: float, r_m: float
) -> ActorSpec:
    """Return the target on a lane, ``r_m`` right of its middle."""
    return on_lane(rng, "target", target.shape, lane, s_m, speed_mps, r_m=r_m, **_box(target))


def target_at(
    rng: np.random.Generator, target: Target, pose: tuple[float, float, float], speed_mps: float = 0.0, **more: Any
) -> ActorSpec:
    """Return the target at a world pose (x, y, heading), moving straight on."""
    return anywhere(rng, "target", target.shape, pose, speed_mps, **(_box(target) | more))


def obstruction(rng: np.random.Generator, car: Target, pose: tuple[float, float, float]) -> ActorSpec:
    """Return a parked car that hides the target."""
    return standing(rng, "obstruction", car.shape, pose, **_box(car))


def light(rng: np.random.Generator, night: bool = False, street_lights: bool = False) -> Lighting:
    """Return dry daylight with a sun that is not low, or a clear night."""
    elevation, azimuth = float(rng.uniform(25.0, 65.0)), float(rng.uniform(0.0, 360.0))
    cloud, dark = float(rng.uniform(0.0, 0.4)), float(rng.uniform(-30.0, -15.0))
    if night:
        return Lighting(dark, azimuth, cloud, street_lights=street_lights)
    return Lighting(elevation, azimuth, cloud)


def t0_row(stage: Stage, who: int, *, meet: int = -1) -> int:
    """Add the row from which the hazard counts: T0 before the ego reaches the target, or the place where they meet."""
    ready = stage.lead_in(who)
    trigger, subject = (Trigger.EGO_TTC, who) if meet < 0 else (Trigger.EGO_TTA, meet)
    keep = float(stage.actors[who - 1].indicator)
    return stage.event(
        who, Action.INDICATOR, keep, trigger=trigger, threshold=T0_S + HALF_TICK_S, subject=subject, after=ready
    )


def road_clears(stage: Stage, who: int, after_s: float) -> int:
    """Add the row from which a target gets out of the way: at a time, whether or not the ego came near."""
    keep = float(stage.actors[who - 1].indicator)
    return stage.event(who, Action.INDICATOR, keep, trigger=Trigger.TIME, threshold=after_s)


def moves_off(stage: Stage, who: int, after_s: float) -> None:
    """Let a target drive on at the ego's speed, once ``after_s`` is over and the ego is behind it."""
    row = road_clears(stage, who, after_s)
    stage.event(
        who, Action.SPEED, stage.ego.speed_mps, rate=_MOVE_OFF_MPS2, trigger=Trigger.EGO_LEAD, threshold=_BEHIND_M,
        after=row,
    )  # fmt: skip


def finish(
    stage: Stage, who: int, row: int, impact: int, hazard: bool, lighting: Lighting, command: int = 0
) -> WorldSpec:
    """Hand the world over; ``impact`` is the tick of the impact."""
    reach_s = impact * TICK_S
    return stage.world(
        goal_m=stage.ego.speed_mps * (reach_s + _AFTER_S), time_limit_s=reach_s + _TIME_OVER_S, lighting=lighting,
        hazard=hazard, hazard_actors=(who,), hazard_row=row, command=command,
    )  # fmt: skip
