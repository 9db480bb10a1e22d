"""From a finished world of a batch to its episode log: everything that metrics and the renderer need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrive.eval.recorder import Recorder
from simdrive.sim.spec import WorldSpec
from simdrive.sim.worlds import Worlds
from simdrive.types import (
    ActorTable,
    Case,
    Contact,
    EndReason,
    EpisodeLog,
    Int,
    RequestLog,
)

_ACTOR_COLUMNS = (
    "present", "x", "y", "heading", "speed", "acceleration", "visible", "brake_light", "indicator", "lane_s",
    "lane_r",
)  # fmt: skip
_EGO_COLUMNS = (
    "t_us", "steering", "lane_heading", "lane_width", "in_junction", "on_several_lanes", "off_road_m",
    "route_s", "route_r", "speed_limit_mps", "plan_age_us", "aeb_active",
)  # fmt: skip


@dataclass(frozen=True)
class EpisodeInput:
    """One case with what is known about it before any agent drives it (``simdrive.eval.reference``)."""

    case: Case
    spec: WorldSpec
    avoidable: bool = True
    hazard_us: int = -1
    expert_progress_m: float = float("nan")


def actor_table(worlds: Worlds, world: int) -> ActorTable:
    """Return the fixed facts of the actors of one world, padding left out."""
    spec, traits, count = worlds.specs[world], worlds.traits, int(worlds.actor_count[world])
    hazard = np.zeros(count, np.bool_)
    hazard[list(spec.hazard_actors)] = True
    return ActorTable(
        name=(spec.ego.name, *(actor.name for actor in spec.actors)),
        shape=traits.shape[world, :count].copy(),
        length=traits.length[world, :count].copy(),
        width=traits.width[world, :count].copy(),
        height=traits.height[world, :count].copy(),
        colour=traits.colour[world, :count].copy(),
        is_hazard=hazard,
    )


def _contact(worlds: Worlds, world: int) -> Contact | None:
    actor = int(worlds.contact_actor[world])
    if actor < 0:
        return None
    return Contact(
        t_us=int(worlds.contact_us[world]),
        actor=actor,
        shape=int(worlds.traits.shape[world, actor]),
        ego_speed_mps=float(worlds.contact_ego_speed[world]),
        actor_speed_mps=float(worlds.contact_actor_speed[world]),
        impact_speed_mps=float(worlds.contact_impact_speed[world]),
    )


def episode_log(
    episode: EpisodeInput, worlds: Worlds, world: int, book: Recorder, end: EndReason, saturated: bool,
    requests: RequestLog, places: Int,
) -> EpisodeLog:  # fmt: skip
    """Return the log of one finished world; ``places`` maps requests in start order to rows of
    ``requests``."""
    rows, count, actors = book.rows, int(book.count[world]), int(worlds.actor_count[world])
    columns = {name: getattr(rows, name)[world, :count, :actors].copy() for name in _ACTOR_COLUMNS}
    columns |= {name: getattr(rows, name)[world, :count].copy() for name in _EGO_COLUMNS}
    lane = rows.lane[world, :count, :actors]
    acted = requests.t_actuate_us[requests.t_actuate_us >= 0]
    hazard_us = episode.hazard_us
    return EpisodeLog(
        case=episode.case,
        actors=actor_table(worlds, world),
        map_key=episode.spec.road.key,
        lane=np.where(lane < 0, -1, lane - worlds.first_lane[world]).astype(np.int32),
        plan_request=places[rows.plan_request[world, :count]],
        requests=requests,
        contact=_contact(worlds, world),
        end=end,
        goal_m=episode.spec.goal_m,
        route_start_s=0.0,
        cruise_speed_mps=episode.spec.cruise_speed_mps,
        hazard_us=hazard_us,
        avoidable=episode.avoidable,
        expert_progress_m=episode.expert_progress_m,
        saturated=saturated,
        cold_start=hazard_us >= 0 and not bool((acted <= hazard_us).any()),
        lighting=episode.spec.lighting,
        **columns,
    )
