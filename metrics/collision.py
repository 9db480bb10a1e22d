"""Who hit whom and how hard: contacts, nuPlan's rules of fault, impact speed and ego delta-v.

Fault follows nuPlan's order of tests (nuplan-devkit, no_ego_at_fault_collisions): stopped ego, stopped
track, active rear, active front, active lateral. An episode ends at the ego's first contact, so each actor
is touched once at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from simdrive.geometry import boxes_overlap, segment_hits_box
from simdrive.metrics.base import Scored, per_log
from simdrive.metrics.trace import REAR_AXLE_SHARE, is_object, is_vulnerable
from simdrive.types import EpisodeLog

STOPPED_MPS = 0.05
BEHIND_RAD = math.radians(150.0)


class Rule(IntEnum):
    """Which of nuPlan's tests decided about a contact, in their order."""

    STOPPED_EGO = 1
    STOPPED_TRACK = 2
    ACTIVE_REAR = 3
    ACTIVE_FRONT = 4
    ACTIVE_LATERAL = 5


@dataclass(frozen=True)
class Touch:
    """One actor that the ego touched."""

    actor: int
    shape: int
    rule: Rule
    at_fault: bool


def bearing_from_rear_axle(log: EpisodeLog, row: int, actor: int) -> float:
    """Return the angle in [0, pi] between the ego's heading and the actor's centre, seen from the ego's
    rear axle.
    """
    heading = float(log.heading[row, 0])
    back = REAR_AXLE_SHARE * float(log.actors.length[0])
    dx = float(log.x[row, actor] - log.x[row, 0]) + back * math.cos(heading)
    dy = float(log.y[row, actor] - log.y[row, 0]) + back * math.sin(heading)
    return abs(math.remainder(math.atan2(dy, dx) - heading, 2.0 * math.pi))


def _front_hits(log: EpisodeLog, row: int, actor: int) -> bool:
    x, y, heading = float(log.x[row, 0]), float(log.y[row, 0]), float(log.heading[row, 0])
    ahead, side = 0.5 * float(log.actors.length[0]), 0.5 * float(log.actors.width[0])
    front_x, front_y = x + ahead * math.cos(heading), y + ahead * math.sin(heading)
    across_x, across_y = -side * math.sin(heading), side * math.cos(heading)
    return segment_hits_box(
        front_x - across_x,
        front_y - across_y,
        front_x + across_x,
        front_y + across_y,
        float(log.x[row, actor]),
        float(log.y[row, actor]),
        float(log.heading[row, actor]),
        float(log.actors.length[actor]),
        float(log.actors.width[actor]),
    )


def _judge(log: EpisodeLog, row: int, actor: int, ego_mps: float, actor_mps: float) -> Touch:
    shape = int(log.actors.shape[actor])
    if abs(ego_mps) <= STOPPED_MPS:
        return Touch(actor, shape, Rule.STOPPED_EGO, at_fault=False)
    if is_object(shape) or abs(actor_mps) <= STOPPED_MPS:
        return Touch(actor, shape, Rule.STOPPED_TRACK, at_fault=True)
    if bearing_from_rear_axle(log, row, actor) > BEHIND_RAD:
        return Touch(actor, shape, Rule.ACTIVE_REAR, at_fault=False)
    if _front_hits(log, row, actor):
        return Touch(actor, shape, Rule.ACTIVE_FRONT, at_fault=True)
    elsewhere = bool(log.on_several_lanes[row]) or float(log.off_road_m[row]) > 0.0
    return Touch(actor, shape, Rule.ACTIVE_LATERAL, at_fault=elsewhere)


def _also_touched(log: EpisodeLog, row: int, actor: int) -> bool:
    x, y, heading, length, width = (
        log.x[row],
        log.y[row],
        log.heading[row],
        log.actors.length,
        log.actors.width,
    )
    return bool(log.present[row, actor]) and boxes_overlap(
        x[0],
        y[0],
        heading[0],
        length[0],
        width[0],
        x[actor],
        y[actor],
        heading[actor],
        length[actor],
        width[actor],
    )


@per_log
def touches(log: EpisodeLog) -> tuple[Touch, ...]:
    """Return everybody that the ego touched: the recorded contact first, then who overlaps it in the same
    instant.
    """
    contact = log.contact
    if contact is None:
        return ()
    row = int(np.searchsorted(log.t_us, contact.t_us, side="right")) - 1
    if row < 0:
        raise ValueError(f"contact at {contact.t_us} us is earlier than the log, which starts at {log.t_us[:1]} us")
    found = [_judge(log, row, contact.actor, contact.ego_speed_mps, contact.actor_speed_mps)]
    for actor in range(1, log.x.shape[1]):
        if actor != contact.actor and _also_touched(log, row, actor):
            found.append(_judge(log, row, actor, contact.ego_speed_mps, float(log.speed[row, actor])))
    return tuple(found)


def contacts(name: str = "contacts") -> Scored:
    """How many actors the ego touched, at fault or not; the episode ends there, so it is rarely more than
    one.
    """
    return Scored(name, "actors", "lower", lambda log: float(len(touches(log))))


def contact(name: str = "contact") -> Scored:
    """Whether the ego touched anybody, at fault or not."""
    return Scored(name, "", "lower", lambda log: float(bool(touches(log))))


def vulnerable_contact(name: str = "vulnerable_contact") -> Scored:
    """Whether the ego touched a pedestrian or a cyclist, at fault or not."""
    return Scored(name, "", "lower", lambda log: float(any(is_vulnerable(touch.shape) for touch in touches(log))))


def at_fault_contact(name: str = "at_fault_contact") -> Scored:
    """Whether a contact is the ego's fault by nuPlan's rules."""
    return Scored(name, "", "lower", lambda log: float(any(touch.at_fault for touch in touches(log))))


def fault_rule(name: str = "fault_rule") -> Scored:
    """Which rule (1 stopped ego .. 5 active lateral) decided about the first contact; unscored without
    one.
    """
    return Scored(name, "", "none", lambda log: float(touches(log)[0].rule) if touches(log) else math.nan)


def impact_speed(name: str = "impact_speed_mps") -> Scored:
    """Length of the relative velocity at the first contact; unscored without one."""
    return Scored(name, "m/s", "lower", lambda log: log.contact.impact_speed_mps if log.contact else math.nan)


def delta_v(name: str = "delta_v_mps", ego_mass_kg: float = 2000.0, other_mass_kg: float = 2000.0) -> Scored:
    """Change of the ego's velocity in a plastic impact; nuPlan gives both bodies 2000 kg. Unscored without
    contact.
    """
    share = other_mass_kg / (ego_mass_kg + other_mass_kg)
    return Scored(name, "m/s", "lower", lambda log: share * log.contact.impact_speed_mps if log.contact else math.nan)


def no_at_fault_value(log: EpisodeLog) -> float:
    """Return nuPlan's multiplier: 0 for a road user hit at fault, half for one static object."""
    guilty = [touch.shape for touch in touches(log) if touch.at_fault]
    objects = sum(is_object(shape) for shape in guilty)
    return max(0.0, 1.0 - 0.5 * objects) if objects == len(guilty) else 0.0


def no_at_fault_score(name: str = "no_at_fault_score") -> Scored:
    """nuPlan's no-at-fault-collision multiplier: 1 none, 0.5 one static object, 0 any road user."""
    return Scored(name, "", "higher", no_at_fault_value)
