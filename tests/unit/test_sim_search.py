"""The avoidability search by hand: a full brake needs its stopping distance, and nothing less will do."""

from __future__ import annotations

import dataclasses

from straight_worlds import straight_road, straight_world

from simdrive.sim.search import HOLD, Avoidability, search
from simdrive.sim.spec import WorldSpec
from simdrive.sim.tracker import TrackerLimits
from simdrive.sim.worlds import Worlds

SPEED_MPS = 20.0
# Build-up of 8 m/s2 at 27 m/s3 takes 0.296 s and 5.8 m and leaves 18.8 m/s, which needs 22.1 m more.
STOPPING_M = 27.9
BEFORE_M = SPEED_MPS * 1.0  # driven until the hazard exists, 1 s after the start


def standing(left_m: float, lanes: int = 1) -> WorldSpec:
    """Return a world with a standing car, ``left_m`` ahead when it becomes the hazard."""
    world = straight_world(speed_mps=SPEED_MPS, gap_m=BEFORE_M + left_m, lead_mps=0.0, brake_at_s=1.0)
    if lanes == 2:
        return world
    road, lane = straight_road(lanes=1), ("0", "1", 0)
    ego, lead = (dataclasses.replace(actor, lane=lane) for actor in (world.ego, world.actors[0]))
    return dataclasses.replace(world, road=road, ego=ego, actors=(lead,), ego_route=(lane,))


def found(*specs: WorldSpec) -> list[Avoidability]:
    return search(Worlds(specs), TrackerLimits())


def test_a_full_brake_decides_where_there_is_no_room_to_steer() -> None:
    enough, short = found(standing(STOPPING_M + 2.0), standing(STOPPING_M - 2.0))
    assert (enough.avoidable, enough.survivor) == (True, "brake 8")
    assert (short.avoidable, short.survivor) == (False, None)
    assert abs(enough.hazard_us - 1_000_000) <= 20_000


def test_steering_saves_what_braking_does_not() -> None:
    (wide,) = found(standing(STOPPING_M - 2.0, lanes=2))
    assert wide.avoidable
    assert wide.survivor is not None
    assert "shift -" in wide.survivor


def test_without_a_hazard_holding_lane_and_speed_decides() -> None:
    (calm,) = found(straight_world(speed_mps=SPEED_MPS, gap_m=None))
    assert calm == Avoidability(avoidable=True, hazard_us=-1, survivor=HOLD, tried=0)


def test_results_do_not_depend_on_the_batch() -> None:
    specs = [standing(STOPPING_M + 2.0), standing(STOPPING_M - 2.0), straight_world(gap_m=None)]
    assert found(*specs) == [found(spec)[0] for spec in specs]
