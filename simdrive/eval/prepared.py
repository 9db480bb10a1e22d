"""Worlds of cases at time zero, built once per process: the chunks of a grid come back to the same cases."""

from __future__ import annotations

import functools

from simdrive.scenarios.sampling import build_case
from simdrive.sim.spec import WorldSpec
from simdrive.sim.worlds import Worlds
from simdrive.types import Case


@functools.lru_cache(maxsize=1024)
def world_of(case: Case) -> WorldSpec:
    """Return the world of a case."""
    return build_case(case)


def started(cases: tuple[Case, ...], frequency_hz: int = 50) -> Worlds:
    """Return the worlds of some cases at time zero, to be used up."""
    return _started(cases, frequency_hz).select(range(len(cases)))


@functools.lru_cache(maxsize=8)
def _started(cases: tuple[Case, ...], frequency_hz: int) -> Worlds:
    return Worlds([world_of(case) for case in cases], frequency_hz)
