"""Two paths over a junction that meet: where they do, and how somebody gets there together with the ego."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simdrive.errors import ParameterError
from simdrive.scenarios.cast import Generator
from simdrive.scenarios.roads import Road
from simdrive.scenarios.stage import Stage, ego_on
from simdrive.scenarios.timing import start_up_time_s
from simdrive.sim.spec import Action, ActorSpec, LaneIndex, Trigger
from simdrive.types import Float

Path = tuple[LaneIndex, ...]
_STEP_M = 0.5
_FAR_M = 40.0  # paths that meet do so before this far along a lane of the junction or behind it
_NEAR_M = 1.6  # centre lines this close are a conflict of two cars
_HALF_EGO_M = 2.3


@dataclass(frozen=True)
class Meeting:
    """The first place of the ego's path that somebody else's comes close to."""

    x_m: float
    y_m: float
    ego_m: float  # along the ego's path from the start of its first lane
    other_m: float  # along the other path


@dataclass(frozen=True)
class Entrance:
    """How the other one comes."""

    speed_mps: float
    offset_s: float  # ego front at the meeting point minus the other one's middle there
    hidden_s: float = 0.0  # comes into being this long before the meeting, where it cannot be seen; 0 = it waits
    waits_m: float = 0.0  # where it waits, along its path
    gain_mps2: float = 4.0  # how fast it gets going from there


def trace(road: Road, path: Path) -> Float:
    """Return ``[n, 3]`` x, y (m, world frame) and distance along a path, from its second lane on."""
    rows, done = [], float(road.lane(path[0]).length)
    for lane in path[1:]:
        length = float(road.lane(lane).length)
        for s in np.arange(0.0, min(length, _FAR_M), _STEP_M):
            x, y, _ = road.pose(lane, float(s))
            rows.append((x, y, done + float(s)))
        done += length
    return np.array(rows, dtype=np.float64)


def meeting(road: Road, ego: Path, other: Path, near_m: float = _NEAR_M) -> Meeting:
    """Return where two paths first come within ``near_m`` of each other, on or behind a junction.

    Raises:
        ParameterError: if they never do.
    """
    one, two = trace(road, ego), trace(road, other)
    apart = np.hypot(one[:, None, 0] - two[None, :, 0], one[:, None, 1] - two[None, :, 1])
    close = np.flatnonzero(apart.min(axis=1) < near_m)
    if not len(close):
        raise ParameterError(f"the paths {ego} and {other} do not meet; choose others")
    mine = int(close[0])
    theirs = int(apart[mine].argmin())
    return Meeting(float(one[mine, 0]), float(one[mine, 1]), float(one[mine, 2]), float(two[theirs, 2]))


def path_length_m(road: Road, path: Sequence[LaneIndex]) -> float:
    """Return the length of a row of lanes."""
    return float(sum(float(road.lane(lane).length) for lane in path))


def drive_s(meet: Meeting, entrance: Entrance) -> float:
    """Return how long the other one needs from its trigger to the meeting point."""
    if entrance.hidden_s > 0.0:
        return entrance.hidden_s
    return start_up_time_s(meet.other_m - entrance.waits_m, entrance.speed_mps, entrance.gain_mps2)


def approach(rng: Generator, road: Road, path: Path, meet: Meeting, entrance: Entrance, speed_mps: float) -> Stage:
    """Return a stage whose ego meets the other one after a drawn calm time if it holds its speed."""
    wait = 3.3 + float(rng.uniform(0.0, 1.2))
    reach_s = drive_s(meet, entrance) + entrance.offset_s
    start_m = meet.ego_m - _HALF_EGO_M - speed_mps * (wait + reach_s)
    return Stage(road, ego_on(path[0], start_m, speed_mps), path)


def enter(
    stage: Stage, other: ActorSpec, meet: Meeting, entrance: Entrance, hazard: bool, shows: bool
) -> tuple[int, int]:
    """Add the other one, waiting or hidden, and let it go when the ego comes near; return (actor, hazard's row).

    Args:
        stage: from ``approach``.
        other: an actor on its lane with its route.
        meet: where they meet.
        entrance: how it comes.
        hazard: whether it does.
        shows: where there is no hazard and it would have come out of hiding: whether it waits in sight instead.
    """
    hidden = entrance.hidden_s > 0.0
    if hidden and hazard:
        place = meet.other_m - entrance.speed_mps * entrance.hidden_s
        who = stage.add(replace(other, s_m=place, speed_mps=entrance.speed_mps, present=False))
    else:
        who = stage.add(replace(other, s_m=entrance.waits_m, present=shows or not hidden))
    if not hazard:
        return who, -1
    mark, ready = stage.mark("meet", meet.x_m, meet.y_m), stage.lead_in(who)
    action, goal, rate = (Action.APPEAR, 0.0, 0.0) if hidden else (Action.SPEED, entrance.speed_mps, entrance.gain_mps2)
    row = stage.event(
        who, action, goal, rate=rate, trigger=Trigger.EGO_TTA, threshold=drive_s(meet, entrance) + entrance.offset_s,
        subject=mark, after=ready,
    )  # fmt: skip
    return who, row
