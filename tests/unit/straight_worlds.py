"""Small worlds for tests of the loop: a straight two-lane road, an ego, and a lead car that may brake."""

from __future__ import annotations

import functools

from highway_env.road.road import RoadNetwork

from simdrive.sim.roads import RoadMap, compile_network
from simdrive.sim.spec import Action, ActorSpec, Channel, Event, Trigger, WorldSpec
from simdrive.sim.state import Behaviour
from simdrive.types import Case

LANE = ("0", "1", 1)


@functools.cache
def straight_road(length_m: float = 600.0, lanes: int = 2) -> RoadMap:
    """Return a straight road along +x, lane 0 at y = 0 and lane 1 at y = 4."""
    return compile_network(RoadNetwork.straight_road_network(lanes, length=length_m, speed_limit=25.0))


def straight_world(
    *,
    speed_mps: float = 15.0,
    gap_m: float | None = 40.0,
    lead_mps: float | None = None,
    brake_at_s: float | None = None,
    braking_mps2: float = 6.0,
    goal_m: float = 150.0,
    time_limit_s: float = 12.0,
    lead_in_s: float = 1.0,
) -> WorldSpec:
    """Return a world; without ``gap_m`` the road is empty, without ``brake_at_s`` the lead car keeps its
    speed."""
    actors: tuple[ActorSpec, ...] = ()
    events: tuple[Event, ...] = ()
    if gap_m is not None:
        lead_speed = speed_mps if lead_mps is None else lead_mps
        actors = (ActorSpec("lead", lane=LANE, s_m=60.0 + gap_m + 4.6, speed_mps=lead_speed),)
        if brake_at_s is not None:
            events = (Event(1, Trigger.TIME, brake_at_s, Channel.LONGITUDINAL, Action.STOP, braking_mps2),)
    return WorldSpec(
        road=straight_road(),
        ego=ActorSpec("ego", behaviour=Behaviour.KINEMATIC, lane=LANE, s_m=60.0, speed_mps=speed_mps),
        actors=actors,
        events=events,
        ego_route=(LANE,),
        goal_m=goal_m,
        cruise_speed_mps=speed_mps,
        time_limit_s=time_limit_s,
        hazard_actors=(1,) if events else (),
        hazard_row=0 if events else -1,
        lead_in_s=lead_in_s,
    )


def case(seed: int) -> Case:
    """Return a case that exists for its key alone."""
    return Case("straight", (("number", seed),), seed)
