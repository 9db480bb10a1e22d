"""What stands around a crossing: houses at its corners, pavements, vehicles that wait at the other arms."""

from __future__ import annotations

from simdrive.scenarios.cast import Generator, on_lane, standing
from simdrive.scenarios.junctions import ARM_M, Crossing
from simdrive.scenarios.scenery import PAVEMENT_M, buildings, rectangle, walkers
from simdrive.scenarios.stage import Stage
from simdrive.scenarios.street import VERGE_M
from simdrive.sim.spec import LaneIndex
from simdrive.sim.state import Shape

_LEAST_SETBACK_M = 2.7  # a corner house this far from both kerbs stands clear of the right-turn lane


def corner_house(
    stage: Stage, rng: Generator, crossing: Crossing, *, left: bool, from_ego_road_m: float, from_side_road_m: float
) -> None:
    """Build a large house at the near corner on one side of the ego, ``_LEAST_SETBACK_M`` or more from both roads."""
    side = crossing.lanes_each * crossing.road.lane_width_m
    length, depth = float(rng.uniform(24.0, 34.0)), float(rng.uniform(38.0, 48.0))
    x = -(side + max(from_side_road_m, _LEAST_SETBACK_M) + 0.5 * length)
    y = side + max(from_ego_road_m, _LEAST_SETBACK_M) + 0.5 * depth
    pose = (x, -y if left else y, 0.0)
    stage.add(standing(rng, "corner_house", Shape.BUILDING, pose, length_m=length, width_m=depth))


def pavements(stage: Stage, rng: Generator, crossing: Crossing, people: int = 2) -> None:
    """Lay pavements along all arms up to the corners, with people on the two along the ego's road."""
    side = crossing.lanes_each * crossing.road.lane_width_m
    near, far, end = side + VERGE_M, side + VERGE_M + PAVEMENT_M, 75.0
    for x in ((-end, -far), (far, end)):
        for y in ((-far, -near), (near, far)):
            stage.walkable.append(rectangle(x, y))
            stage.walkable.append(rectangle(y, x))
    last = crossing.lanes_each - 1
    middle = 0.5 * crossing.road.lane_width_m + VERGE_M + 0.5 * PAVEMENT_M
    begin = ARM_M - 60.0
    walkers(stage, rng, ("in0", "stop0", last), (begin, begin + 20.0), middle, people)
    walkers(stage, rng, ("leave2", "out2", last), (20.0, 50.0), middle, people)


def houses(stage: Stage, rng: Generator, crossing: Crossing, *, near_left: bool, near_right: bool) -> None:
    """Line the arms with houses; the near corners only where asked, well back from the side road."""
    last = crossing.lanes_each - 1
    inner = 0.5 * crossing.road.lane_width_m + VERGE_M + PAVEMENT_M + 2.5
    if near_right:
        buildings(stage, rng, ("in0", "stop0", last), (ARM_M - 70.0, ARM_M - 14.0), inner, 0.5)
    if near_left:
        buildings(stage, rng, ("leave2", "out2", last), (14.0, 70.0), inner, 0.5)
    buildings(stage, rng, ("leave0", "out0", last), (6.0, 60.0), inner, 0.6)
    buildings(stage, rng, ("in2", "stop2", last), (ARM_M - 60.0, ARM_M - 6.0), inner, 0.6)


def waiting(stage: Stage, rng: Generator, lane: LaneIndex, chance: float) -> None:
    """Perhaps let somebody wait at the stop line of a lane of another arm."""
    shape = Shape.CAR if rng.random() < 0.7 else Shape.VAN
    back = float(rng.uniform(0.6, 1.8))
    actor = on_lane(rng, "waiting", shape, lane, 0.0)
    if rng.random() < chance:
        s = float(stage.road.lane(lane).length) - back - 0.5 * actor.length_m
        x, y, heading = stage.road.pose(lane, s)
        stage.add(standing(
            rng, "waiting", shape, (x, y, heading), length_m=actor.length_m, width_m=actor.width_m,
            height_m=actor.height_m, colour=actor.colour,
        ))  # fmt: skip
