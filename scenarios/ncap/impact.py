"""Where a target is hit when nobody reacts: measured by driving, beside what the protocol states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simdrive.errors import ParameterError
from simdrive.scenarios.ncap.protocol import StatedImpact
from simdrive.scenarios.sampling import HAZARD, build_case, scenario
from simdrive.sim.follow import Follower, hold_of
from simdrive.sim.worlds import Worlds
from simdrive.types import Case, Float

BATCH = 256
_RENEW_TICKS = 10  # as often as frames arrive


@dataclass(frozen=True)
class Impact:
    """What an ego that holds lane and speed hits in one case."""

    case: Case
    stated: StatedImpact
    hit: bool  # the target, and before anything else
    at_m: float  # where the stated point of the target lies on the stated face; NaN without a hit
    time_s: float  # of first contact; NaN without one

    @property
    def error_m(self) -> float:
        """How far the impact is from the stated location, m; NaN without a hit."""
        return abs(self.at_m - self.stated.at_m)


def stated_impact(case: Case, ego_length_m: float, ego_width_m: float) -> StatedImpact:
    """Return where the protocol wants the target of a case to be hit.

    Raises:
        ParameterError: if the scenario of the case states none.
    """
    kind = scenario(case.scenario)
    stated = getattr(kind, "impact", None)
    if stated is None or not case.param(HAZARD):
        raise ParameterError(f"{case.scenario} states no impact; only Euro NCAP cases with their hazard do")
    found: StatedImpact = stated(dict(case.params), ego_length_m, ego_width_m)
    return found


def impacts(cases: Sequence[Case]) -> list[Impact]:
    """Drive every case without reacting and return where its target is hit.

    Raises:
        ParameterError: if a case states no impact.
    """
    found: list[Impact] = []
    for start in range(0, len(cases), BATCH):
        found += _batch(cases[start : start + BATCH])
    return found


def _batch(cases: Sequence[Case]) -> list[Impact]:
    worlds = Worlds([build_case(case) for case in cases])
    state, traits = worlds.actors, worlds.traits
    stated = [
        stated_impact(case, float(traits.length[row, 0]), float(traits.width[row, 0])) for row, case in enumerate(cases)
    ]
    speed = np.array([spec.ego.speed_mps for spec in worlds.specs])
    last_us = np.array([round(spec.time_limit_s * 1e6) for spec in worlds.specs])
    goal_m = np.array([spec.goal_m for spec in worlds.specs])
    follower, active, ticks = (
        Follower(worlds, hold_of(worlds, speed), worlds.t_us.copy()),
        np.ones(worlds.size, bool),
        0,
    )
    while active.any():
        if ticks % _RENEW_TICKS == 0:
            follower.plans[:], follower.t_obs_us[:] = hold_of(worlds, speed), worlds.t_us
        follower.step(active)
        ticks += 1
        active &= (worlds.contact_tick < 0) & (worlds.t_us < last_us) & (worlds.route_s < goal_m)
    results = []
    for row, (case, wanted) in enumerate(zip(cases, stated, strict=True)):
        who = int(worlds.contact_actor[row])
        hit, touched = who in worlds.specs[row].hazard_actors, worlds.contact_tick[row] >= 0
        poses = state.x[row], state.y[row], state.heading[row]
        at = place_on_ego(*poses, who, wanted, float(traits.length[row, 0])) if hit else math.nan
        time_s = float(worlds.contact_us[row]) / 1e6 if touched else math.nan
        results.append(Impact(case, wanted, bool(hit and touched), at, time_s))
    return results


def place_on_ego(x: Float, y: Float, heading: Float, who: int, stated: StatedImpact, ego_length_m: float) -> float:
    """Return where the stated point of actor ``who`` lies on the stated face of the ego (actor 0), m.

    Args:
        x, y, heading: poses of the actors of one world ``[V]``, m and rad.
        who: the target.
        stated: the point and the face.
        ego_length_m: length of the ego.
    """
    cos, sin = math.cos(heading[who]), math.sin(heading[who])
    dx = x[who] + stated.ahead_m * cos - stated.right_m * sin - x[0]
    dy = y[who] + stated.ahead_m * sin + stated.right_m * cos - y[0]
    cos, sin = math.cos(heading[0]), math.sin(heading[0])
    if stated.face == "front":
        return float(dy * cos - dx * sin)
    return float(0.5 * ego_length_m - (dx * cos + dy * sin))
