"""Refuses worlds that make no sense before they run, naming the actor, row and field to change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise
from typing import TypeVar

import numpy as np

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.geometry import boxes_overlap
from simdrive.sim.grip import check_slicks
from simdrive.sim.lanes import table_position
from simdrive.sim.roads import RoadMap
from simdrive.sim.spec import CHANNEL_OF, Action, ActorSpec, Event, Trigger, WorldSpec
from simdrive.sim.state import Actors, Behaviour, Shape, Traits
from simdrive.sim.tracks import check_tracks, unhurt

ROW = TypeVar("ROW", bound=IntEnum)
_EGO_TRIGGERS = (Trigger.EGO_DISTANCE, Trigger.EGO_TTC, Trigger.EGO_TTA, Trigger.EGO_LEAD)
_LATERAL = (Action.OFFSET, Action.LATERAL_SPEED, Action.LANE_CHANGE, Action.HEADING)
_DRIVING = (Behaviour.IDM, Behaviour.CONTROLLED, Behaviour.LINEAR)
_PROPS = (Shape.DEBRIS, Shape.CONE, Shape.BARRIER, Shape.BUILDING)
_BEHAVIOURS = (*_DRIVING, Behaviour.OBSTACLE, Behaviour.SCRIPTED)
_OVERLAP_SLACK_M = 0.01  # boxes that touch are allowed
_LARGEST_JOINT_M = 1.0  # between the end of a lane and the start of the next one on a scripted path
_EGO_TOLERANCE = (2.0, math.radians(30.0))  # largest distance and angle of the ego's start to its route


def check_spec(spec: WorldSpec) -> None:
    """Check everything about one world that can be checked without laying it out.

    Raises:
        ParameterError: naming the actor, event row or field, what was given and what is allowed.
        UnknownNameError: if a lane is not on the map.
    """
    if spec.ego.behaviour not in (Behaviour.SCRIPTED, Behaviour.KINEMATIC):
        raise ParameterError(f"ego: behaviour {spec.ego.behaviour.name} is not allowed; leave it out")
    for index, actor in enumerate((spec.ego, *spec.actors)):
        _check_actor(spec.road, actor, f"actor {index} ({actor.name!r})", index == 0)
    names = [actor.name for actor in (spec.ego, *spec.actors)]
    if len(set(names)) != len(names):
        raise ParameterError(f"actor names must differ, got {names}")
    for name in ("goal_m", "cruise_speed_mps", "time_limit_s"):
        _check_number(f"{name}", getattr(spec, name), 0.0, open_low=True)
    _check_number("lead_in_s", spec.lead_in_s, 0.0)
    for index in spec.hazard_actors:
        if not 1 <= index <= len(spec.actors):
            raise ParameterError(f"hazard_actors: {index} is out of range; allowed 1 to {len(spec.actors)}")
    if not -1 <= spec.hazard_row < len(spec.events):
        raise ParameterError(f"hazard_row: {spec.hazard_row} is out of range; allowed -1 to {len(spec.events) - 1}")
    check_events(spec.events, (spec.ego, *spec.actors))
    check_tracks(spec)
    check_slicks(spec.slicks)


def _check_number(what: str, value: float, low: float = -math.inf, *, open_low: bool = False) -> None:
    bad = not math.isfinite(value) or value < low or (open_low and value == low)
    if bad:
        bound = "any finite number" if low == -math.inf else f"{'above' if open_low else 'at least'} {low:g}"
        raise ParameterError(f"{what} is {value}; allowed: {bound}")


def _check_actor(road: RoadMap, actor: ActorSpec, who: str, is_ego: bool) -> None:
    for name in ("s_m", "r_m", "x_m", "y_m", "heading_rad", "speed_mps"):
        _check_number(f"{who}: {name}", getattr(actor, name))
    for name in ("length_m", "width_m", "height_m", "time_wanted_s"):
        _check_number(f"{who}: {name}", getattr(actor, name), 0.0, open_low=True)
    _check_number(f"{who}: jam_gap_m", actor.jam_gap_m, 0.0)
    if actor.target_speed_mps is not None:
        _check_number(f"{who}: target_speed_mps", actor.target_speed_mps, 0.0)
    if actor.indicator not in (-1, 0, 1, 2):
        raise ParameterError(f"{who}: indicator is {actor.indicator}; allowed -1, 0, 1, 2")
    if not is_ego and actor.behaviour not in _BEHAVIOURS:
        allowed = ", ".join(behaviour.name for behaviour in _BEHAVIOURS)
        raise ParameterError(f"{who}: behaviour {actor.behaviour.name} is not allowed; use one of {allowed}")
    if is_ego and not actor.present:
        raise ParameterError(f"{who}: the ego must be present")
    if actor.lane is None:
        if actor.route or actor.reactive:
            raise ParameterError(f"{who}: route and reactive need a lane to start on; give `lane`")
        return
    rows = [_row(road, lane, who) for lane in (actor.lane, *actor.route)]
    if actor.behaviour == Behaviour.SCRIPTED and not is_ego:
        _check_joints(road, rows, who)


def _row(road: RoadMap, lane: tuple[str, str, int], who: str) -> int:
    try:
        return road.row(lane)
    except UnknownNameError as error:
        raise ParameterError(f"{who}: {error}") from error


def _check_joints(road: RoadMap, rows: Sequence[int], who: str) -> None:
    for before, after in pairwise(rows):
        tables = (road.tables.lane_geometry, road.tables.points)
        end = table_position(*tables, before, float(road.tables.lane_length[before]), 0.0)
        gap = math.dist(end, table_position(*tables, after, 0.0, 0.0))
        if gap > _LARGEST_JOINT_M:
            raise ParameterError(
                f"{who}: route lane {road.lane_index[after]} starts {gap:.1f} m from the end of "
                f"{road.lane_index[before]}; a scripted path allows {_LARGEST_JOINT_M:g} m"
            )


def check_events(events: Sequence[Event], actors: Sequence[ActorSpec]) -> None:
    """Check an event table against the actors it moves (ego first).

    Raises:
        ParameterError: naming the row and field, what was given and what is allowed.
    """
    for row, event in enumerate(events):
        _check_event(row, event, events, actors)
    for row in range(len(events)):
        seen, at = {row}, events[row].after_row
        while at >= 0:
            if at in seen:
                raise ParameterError(f"event {row}: after_row leads in a circle through row {at}; it can never fire")
            seen.add(at)
            at = events[at].after_row


def _check_event(row: int, event: Event, events: Sequence[Event], actors: Sequence[ActorSpec]) -> None:
    last = len(actors) - 1
    if not 1 <= event.actor <= last:
        raise ParameterError(
            f"event {row}: actor {event.actor} is out of range; allowed 1 to {last} (the ego is driven from outside)"
        )
    trigger = _member(Trigger, row, "trigger", event.trigger)
    action = _member(Action, row, "action", event.action)
    for name in ("threshold", "magnitude", "rate"):
        _check_number(f"event {row}: {name}", getattr(event, name))
    _check_number(f"event {row}: delay_s", event.delay_s, 0.0)
    if not -1 <= event.subject <= last:
        raise ParameterError(f"event {row}: subject {event.subject} is out of range; allowed -1 to {last}")
    if event.subject == 0 and trigger in _EGO_TRIGGERS:
        raise ParameterError(f"event {row}: subject 0 is the ego itself; {trigger.name} needs another actor")
    if event.channel != CHANNEL_OF[action]:
        wanted = CHANNEL_OF[action].name
        raise ParameterError(f"event {row}: channel {event.channel!r} does not fit {action.name}; use {wanted}")
    if not -1 <= event.after_row < len(events) or event.after_row == row:
        raise ParameterError(
            f"event {row}: after_row {event.after_row} is out of range; allowed -1 to {len(events) - 1}, not itself"
        )
    if trigger == Trigger.FIRED and event.after_row < 0:
        raise ParameterError(f"event {row}: after_row is missing; trigger FIRED waits for another row")
    _check_action(row, event, action, actors[event.actor])


def _member(kind: type[ROW], row: int, field: str, value: int) -> ROW:
    try:
        return kind(value)
    except ValueError as error:
        allowed = ", ".join(member.name for member in kind)
        raise ParameterError(f"event {row}: {field} {value!r} is unknown; use one of {allowed}") from error


def _check_action(row: int, event: Event, action: Action, actor: ActorSpec) -> None:
    here, magnitude = f"event {row}: ", event.magnitude
    scripted, driving = actor.behaviour == Behaviour.SCRIPTED, actor.behaviour in _DRIVING
    if action in (Action.ACCELERATE, Action.SPEED, Action.STOP, Action.RELEASE) and not (scripted or driving):
        raise ParameterError(f"{here}actor {event.actor} is {actor.behaviour.name} and cannot {action.name}")
    if action in _LATERAL and not scripted and not (driving and action == Action.LANE_CHANGE):
        raise ParameterError(f"{here}actor {event.actor} is {actor.behaviour.name}; {action.name} needs SCRIPTED")
    if action == Action.LANE_CHANGE and actor.lane is None:
        raise ParameterError(f"{here}actor {event.actor} is on no lane; LANE_CHANGE needs `lane`")
    if action == Action.HEADING and actor.lane is not None:
        raise ParameterError(f"{here}actor {event.actor} follows a lane; HEADING needs a free straight path")
    if action in (Action.SPEED, Action.OFFSET) or (action == Action.LANE_CHANGE and scripted):
        _check_number(f"{here}rate", event.rate, 0.0, open_low=True)
    else:
        _check_number(f"{here}rate", event.rate, 0.0)
    if action == Action.STOP:
        _check_number(f"{here}magnitude", magnitude, 0.0, open_low=True)
    if action in (Action.LATERAL_SPEED, Action.LANE_CHANGE) and magnitude == 0.0:
        raise ParameterError(f"{here}magnitude is 0; {action.name} needs a direction (< 0 left, > 0 right)")
    if action == Action.LANE_CHANGE and magnitude != round(magnitude):
        raise ParameterError(f"{here}magnitude is {magnitude}; LANE_CHANGE takes a whole number of lanes")
    if action == Action.INDICATOR and magnitude not in (-1, 0, 1, 2):
        raise ParameterError(f"{here}magnitude is {magnitude}; INDICATOR takes -1, 0, 1 or 2")
    if math.isinf(event.until):
        raise ParameterError(f"{here}until is {event.until}; allowed: a finite number, or NaN for none")
    if not math.isnan(event.until) and action not in (Action.ACCELERATE, Action.LATERAL_SPEED):
        raise ParameterError(f"{here}until is {event.until}; only ACCELERATE and LATERAL_SPEED have an end")


def check_layout(spec: WorldSpec, actors: Actors, traits: Traits, w: int, route_r: float, route_angle: float) -> None:
    """Check the world as laid out at time zero: nobody overlaps, and the ego stands on its route.

    Args:
        spec: the world.
        actors, traits: the batch that it was written to as world ``w``.
        route_r: distance of the ego from its route, m.
        route_angle: its heading against the route's, rad.

    Raises:
        ParameterError: naming the actors or the field.
    """
    if abs(route_r) > _EGO_TOLERANCE[0] or abs(route_angle) > _EGO_TOLERANCE[1]:
        raise ParameterError(
            f"ego_route: the ego starts {route_r:.1f} m beside its route and turned by "
            f"{math.degrees(route_angle):.0f} degrees; allowed are 2 m and 30 degrees"
        )
    specs, recorded = (spec.ego, *spec.actors), unhurt(spec)
    boxes = np.stack([actors.x[w], actors.y[w], actors.heading[w], traits.length[w], traits.width[w]], axis=1)
    boxes[:, 3:] -= _OVERLAP_SLACK_M
    for a, first in enumerate(specs):
        for b in range(a + 1, len(specs)):
            second = specs[b]
            apart = (first.shape in _PROPS and second.shape in _PROPS) or (a in recorded and b in recorded)
            if first.present and second.present and not apart and boxes_overlap(*boxes[a], *boxes[b]):
                raise ParameterError(
                    f"actors {a} ({first.name!r}) and {b} ({second.name!r}) overlap at the start; move one of them"
                )


def check_route_length(spec: WorldSpec, last_s: float) -> None:
    """Check that the ego route reaches the goal.

    Raises:
        ParameterError: if it ends before.
    """
    if last_s < spec.goal_m:
        raise ParameterError(
            f"goal_m is {spec.goal_m:g}, but the ego route ends {last_s:.1f} m after the start; "
            "move the goal or add lanes to ego_route"
        )
