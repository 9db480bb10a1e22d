"""What a scenario hands to the simulator: one world, written down as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from simdrive.sim.state import Behaviour, Shape

if TYPE_CHECKING:
    from simdrive.sim.roads import RoadMap

LaneIndex = tuple[str, str, int]


class Trigger(IntEnum):
    """When an event row becomes true; once fired it stays fired.

    Triggers look at the state at the start of a physics tick, and what they fire acts on that same tick. Bumper
    distances run along the ego's heading from its front bumper to the nearest point of the subject's box in that
    direction; they exist only while the subject's centre is ahead of the ego's, and are 0 when side by side. An
    absent subject counts where it waits.
    """

    TIME = 0  # simulated time >= threshold (s)
    EGO_DISTANCE = 1  # bumper distance to the subject <= threshold (m)
    EGO_TTC = 2  # bumper distance over the closing speed along the ego's heading <= threshold (s); only if closing
    POSITION = 3  # the subject's own path_s (scripted) or its s on its closest lane (others) >= threshold (m)
    EGO_POSITION = 4  # distance travelled along the ego route since the start (route_s) >= threshold (m)
    FIRED = 5  # as soon as after_row has fired (with delay_s); the threshold is not used
    EGO_TTA = 6  # distance along the route from ego front to the subject's projection over ego speed <= threshold (s)
    EGO_LEAD = 7  # bumper distance to the subject >= threshold (m): it has drawn ahead


class Channel(IntEnum):
    """Which part of an actor an event takes over until a later row on the same channel replaces it."""

    LONGITUDINAL = 0
    LATERAL = 1
    PRESENCE = 2
    LIGHT = 3


class Action(IntEnum):
    """What an event does on its channel. Rows that fire in one tick act in the order of the table.

    LONGITUDINAL actions work on SCRIPTED actors (along their path) and replace the acceleration of IDM, CONTROLLED
    and LINEAR vehicles, which go on steering themselves. A reactive SCRIPTED actor still brakes for whoever is
    ahead. An action with an end (`until`) hands the actor back to its own behaviour there; a SCRIPTED actor's own
    behaviour is to hold its speed. Braking ends at standstill.
    LATERAL actions need a SCRIPTED actor; only LANE_CHANGE also works on IDM, CONTROLLED and LINEAR vehicles, whose
    target lane it sets. Wheeled shapes move sideways no faster than 0.6 of their forward speed.
    """

    ACCELERATE = 0  # LONGITUDINAL: acceleration magnitude (m/s2, signed), reached at rate (m/s3, 0 = at once)
    SPEED = 1  # LONGITUDINAL: go to speed magnitude (m/s) with at most rate (m/s2) and hold it
    STOP = 2  # LONGITUDINAL: brake with magnitude (> 0, m/s2) to standstill and stay; rate = jerk (m/s3) or 0
    RELEASE = 3  # LONGITUDINAL: back to the actor's own behaviour
    OFFSET = 4  # LATERAL: go to path_r = magnitude (m) at lateral speed rate (m/s), built up and taken off at 2 m/s2
    LATERAL_SPEED = 5  # LATERAL: constant lateral speed magnitude (m/s) until path_r reaches `until`
    LANE_CHANGE = 6  # LATERAL: like OFFSET, to the lane magnitude places to the right (< 0: left), indicator on
    APPEAR = 7  # PRESENCE
    VANISH = 8  # PRESENCE
    INDICATOR = 9  # LIGHT: indicator = magnitude (-1, 0, 1, 2)
    HEADING = 10  # LATERAL: turn a free straight path by magnitude (rad) at rate (rad/s, 0 = at once) where it stands


CHANNEL_OF: dict[Action, Channel] = {
    Action.ACCELERATE: Channel.LONGITUDINAL,
    Action.SPEED: Channel.LONGITUDINAL,
    Action.STOP: Channel.LONGITUDINAL,
    Action.RELEASE: Channel.LONGITUDINAL,
    Action.OFFSET: Channel.LATERAL,
    Action.LATERAL_SPEED: Channel.LATERAL,
    Action.LANE_CHANGE: Channel.LATERAL,
    Action.APPEAR: Channel.PRESENCE,
    Action.VANISH: Channel.PRESENCE,
    Action.INDICATOR: Channel.LIGHT,
    Action.HEADING: Channel.LATERAL,
}


class Event(NamedTuple):
    """One row of an event table: ``actor`` does ``action`` once ``trigger`` on ``subject`` crosses ``threshold``."""

    actor: int
    trigger: Trigger
    threshold: float
    channel: Channel
    action: Action
    magnitude: float = 0.0
    rate: float = 0.0
    until: float = float("nan")  # end speed (ACCELERATE) or end offset (LATERAL_SPEED); NaN = none
    subject: int = -1  # -1 = the actor itself
    after_row: int = -1  # this row may fire only after that row has fired
    delay_s: float = 0.0  # fires this long after its condition (and after_row) first held, whatever happens meanwhile


@dataclass(frozen=True)
class ActorSpec:
    """One actor at time zero. Give either ``lane`` with ``s_m`` / ``r_m``, or ``x_m`` / ``y_m`` / ``heading_rad``."""

    name: str
    shape: Shape = Shape.CAR
    behaviour: Behaviour = Behaviour.SCRIPTED
    lane: LaneIndex | None = None
    s_m: float = 0.0
    r_m: float = 0.0
    x_m: float = 0.0
    y_m: float = 0.0
    heading_rad: float = 0.0  # world heading of a free actor; offset to the lane heading for one on a lane
    speed_mps: float = 0.0
    target_speed_mps: float | None = None  # IDM / CONTROLLED; None = speed_mps
    length_m: float = 4.6
    width_m: float = 1.85
    height_m: float = 1.5
    colour: tuple[int, int, int] = (150, 150, 155)
    reactive: bool = False  # SCRIPTED on a lane: keeps an IDM gap to whoever is ahead
    route: tuple[LaneIndex, ...] = ()  # lanes to follow after `lane`; SCRIPTED: each starts where the last one ends
    lane_changes: bool = False  # IDM: MOBIL on
    time_wanted_s: float = 1.5
    present: bool = True
    indicator: int = 0
    jam_gap_m: float = 3.0  # bumper distance kept at standstill (IDM and reactive)


@dataclass(frozen=True)
class Lighting:
    """Light and weather of a world; positions along world x because a tunnel stands somewhere."""

    sun_elevation_deg: float = 45.0  # below 0 = night
    sun_azimuth_deg: float = 120.0  # world frame, from +x towards +y
    cloud: float = 0.3  # 0 clear .. 1 overcast
    fog_visibility_m: float = 2000.0  # distance at which contrast falls to 5 %
    rain: float = 0.0  # 0 .. 1
    street_lights: bool = False
    tunnel_start_x_m: float = float("nan")
    tunnel_end_x_m: float = float("nan")
    exit_glare: float = 0.0  # 0 .. 1: how much of the picture the bright exit of a tunnel washes out


@dataclass(frozen=True)
class Slick:
    """A stretch of the ego's route, over the whole width of the road, where its tyres find little hold.

    The ego is on it while its centre is; see ``simdrive.sim.grip`` for what that does to it. Others drive on unhindered.
    """

    start_m: float  # along the ego route from where the ego starts, as goal_m
    end_m: float
    friction: float  # tyres hold at most this times 9.81 m/s2; about 0.1 on ice, 0.3 on snow, 0.5 on a wet, worn road


@dataclass(frozen=True)
class WorldSpec:
    """One world: road, actors (ego first), events, route and goal of the ego, hazard, light."""

    road: RoadMap
    ego: ActorSpec
    actors: tuple[ActorSpec, ...]  # actor index = position + 1; the ego is 0
    events: tuple[Event, ...]
    ego_route: tuple[LaneIndex, ...]  # lanes that the ego follows, its own first
    goal_m: float  # distance along the ego route from its start that counts as arrived
    cruise_speed_mps: float  # what the ego should drive where nothing hinders it
    time_limit_s: float
    hazard_actors: tuple[int, ...] = ()  # empty = the hazard-free variant
    hazard_row: int = -1  # the hazard exists from the moment this event row fires; -1 = from the start
    lead_in_s: float = 3.0  # hazard-free start
    command: int = 0  # Command.FOLLOW etc. of simdrive.types
    lighting: Lighting = field(default_factory=Lighting)
    walkable: tuple[npt.NDArray[np.float64], ...] = ()  # extra polygons drawn as pavement, world frame [n, 2]
    extra_drivable: tuple[npt.NDArray[np.float64], ...] = ()  # e.g. junction area, world frame [n, 2]
    slicks: tuple[Slick, ...] = ()  # none overlaps another
    progress_asked: bool = (
        True  # False: only contact and the road count, so that the expert need not show how far one gets
    )
