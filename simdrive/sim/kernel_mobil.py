"""Lane changes: when to decide, when to abort, and MOBIL's test, as in ``IDMVehicle.change_lane_policy``.

Kesting, Treiber, Helbing: General lane-changing model MOBIL for car-following models (2007).
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from simdrive.jit import jit, jit_inline
from simdrive.sim.kernel_idm import acceleration, desired_gap, lane_gap
from simdrive.sim.kernel_neighbours import front_of, lane_s, rear_of
from simdrive.sim.lanes import reachable
from simdrive.sim.state import Actors, Behaviour, Extras, RoadTables, Routes, Scratch, Traits, WorldInfo

_CONTROLLED, _IDM, _LINEAR = int(Behaviour.CONTROLLED), int(Behaviour.IDM), int(Behaviour.LINEAR)


@jit_inline
def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


@jit_inline
def has_target_lane(kind: int) -> bool:
    """Tell whether a behaviour is one of highway-env's ControlledVehicle classes."""
    return kind == _IDM or kind == _CONTROLLED or kind == _LINEAR


@jit
def mobil(
    b: int,
    i: int,
    candidate: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    info: WorldInfo,
    scratch: Scratch,
) -> bool:
    """Tell whether actor ``i`` should change to the lane ``candidate``."""
    s = lane_s(b, i, candidate, first_lane, actors, roads, scratch)
    new_front = front_of(b, i, candidate, s, first_lane, info, roads, scratch)
    new_rear = rear_of(b, i, candidate, s, first_lane, info, roads, scratch)
    imposed_limit = -traits.lane_change_max_braking[b, i]
    new_rear_then = acceleration(b, i, new_rear, i, first_lane, actors, traits, roads, extras, scratch)
    if new_rear_then < imposed_limit:
        return False
    then = acceleration(b, i, i, new_front, first_lane, actors, traits, roads, extras, scratch)
    owner = routes.owner[b, i]
    head = actors.route_head[b, owner]
    if head < routes.entries[b, owner] and routes.lane_id[b, owner, head] >= 0:
        target_id = roads.lane_id[actors.target_lane[b, i]]
        there = _sign(roads.lane_id[candidate] - target_id)
        return there == _sign(routes.lane_id[b, owner, head] - target_id) and not then < imposed_limit
    own = actors.lane[b, i]
    own_s = lane_s(b, i, own, first_lane, actors, roads, scratch)
    front = front_of(b, i, own, own_s, first_lane, info, roads, scratch)
    gain = then - acceleration(b, i, i, front, first_lane, actors, traits, roads, extras, scratch)
    politeness = traits.politeness[b, i]
    if politeness != 0.0:
        rear = rear_of(b, i, own, own_s, first_lane, info, roads, scratch)
        now = acceleration(b, i, new_rear, new_front, first_lane, actors, traits, roads, extras, scratch)
        rear_now = acceleration(b, i, rear, i, first_lane, actors, traits, roads, extras, scratch)
        rear_then = acceleration(b, i, rear, front, first_lane, actors, traits, roads, extras, scratch)
        gain += politeness * (new_rear_then - now + rear_then - rear_now)
    return not gain < traits.lane_change_min_gain[b, i]


@jit
def abort_change(
    b: int,
    i: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    roads: RoadTables,
    scratch: Scratch,
) -> None:
    """Return to the own lane if somebody closely ahead is already changing to the same target."""
    lane, target = actors.lane[b, i], actors.target_lane[b, i]
    if roads.lane_road[lane] != roads.lane_road[target]:
        return
    for other in range(actors.x.shape[1]):
        if other == i or not actors.present[b, other] or actors.target_lane[b, other] != target:
            continue
        if actors.lane[b, other] == target or not has_target_lane(traits.behaviour[b, other]):
            continue
        gap = lane_gap(b, i, other, first_lane, actors, roads, scratch)
        if 0 < gap < desired_gap(b, i, i, other, actors, traits, roads, scratch):
            actors.target_lane[b, i] = lane
            return


@jit
def decide_change(
    b: int,
    i: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    info: WorldInfo,
    scratch: Scratch,
) -> None:
    """Test the lane on the left, then the one on the right; the last that passes becomes the target."""
    lane = actors.lane[b, i]
    road = roads.lane_road[lane]
    for candidate in (lane - 1, lane + 1):
        if candidate < roads.road_lane_start[road] or candidate >= roads.road_lane_start[road + 1]:
            continue
        s = lane_s(b, i, candidate, first_lane, actors, roads, scratch)
        if not reachable(roads, candidate, s, scratch.r[b, i, candidate - first_lane]):
            continue
        if abs(actors.speed[b, i]) < 1:
            continue
        if mobil(b, i, candidate, first_lane, actors, traits, routes, roads, extras, info, scratch):
            actors.target_lane[b, i] = candidate


@jit_inline
def change_lane_policy(
    b: int,
    i: int,
    first_lane: int,
    actors: Actors,
    traits: Traits,
    routes: Routes,
    roads: RoadTables,
    extras: Extras,
    info: WorldInfo,
    scratch: Scratch,
) -> None:
    """Abort an ongoing change, or decide about a new one once the timer has run out."""
    if actors.lane[b, i] != actors.target_lane[b, i]:
        abort_change(b, i, first_lane, actors, traits, roads, scratch)
    elif traits.lane_change_delay[b, i] < actors.timer[b, i]:
        actors.timer[b, i] = 0.0
        decide_change(b, i, first_lane, actors, traits, routes, roads, extras, info, scratch)
