"""Finds the ego's first contact by exact box overlap: the contact that is scored."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import math

from simdrive.geometry import boxes_overlap
from simdrive.jit import jit
from simdrive.sim.batch import Record
from simdrive.sim.state import Actors, Traits


@jit
def touched_actor(actors: Actors, traits: Traits, w: int, count: int) -> int:
    """Return the first present, collidable actor of world ``w`` whose box overlaps the ego's, or -1."""
    for v in range(1, count):
        if actors.present[w, v] and traits.collidable[w, v]:
            if boxes_overlap(
                actors.x[w, 0], actors.y[w, 0], actors.heading[w, 0], traits.length[w, 0], traits.width[w, 0],
                actors.x[w, v], actors.y[w, v], actors.heading[w, v], traits.length[w, v], traits.width[w, v],
            ):  # fmt: skip
                return v
    return -1


@jit
def record_contact(actors: Actors, traits: Traits, record: Record, w: int, count: int) -> None:
    """Write down the ego's first contact in world ``w``; later ones are not looked for.

    Speeds are those of the state in which the boxes first overlap. If several actors are touched in one tick, the
    one with the lowest index counts.
    """
    if record.contact_tick[w] >= 0:
        return
    v = touched_actor(actors, traits, w, count)
    if v < 0:
        return
    ego_x, ego_y = velocity(actors, w, 0)
    other_x, other_y = velocity(actors, w, v)
    record.contact_tick[w], record.contact_actor[w] = record.tick[w], v
    record.contact_ego_speed[w] = actors.speed[w, 0]
    record.contact_actor_speed[w] = math.hypot(other_x, other_y)
    record.contact_impact_speed[w] = math.hypot(ego_x - other_x, ego_y - other_y)


@jit
def velocity(actors: Actors, w: int, v: int) -> tuple[float, float]:
    """Return the velocity of an actor in the world frame, m/s; sideways motion included."""
    cos, sin = math.cos(actors.heading[w, v]), math.sin(actors.heading[w, v])
    along, across = actors.speed[w, v], actors.lateral_speed[w, v]
    return along * cos - across * sin, along * sin + across * cos
