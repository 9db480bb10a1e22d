"""Town streets: parked cars, pavements, houses and people on both sides of a road with one lane each way."""

from __future__ import annotations

from collections.abc import Sequence

from simdrive.scenarios.cast import Generator, Span
from simdrive.scenarios.scenery import PAVEMENT_M, buildings, parked_row, pavement, walkers
from simdrive.scenarios.stage import Stage
from simdrive.sim.spec import LaneIndex

PARKING_M = 2.25  # width of a parking strip
VERGE_M = 0.4  # kerb line


def kerb_m(stage: Stage, parking_gap_m: float | None) -> float:
    """Return how far to the right of the lane centre the pavement begins."""
    half = 0.5 * stage.road.lane_width_m
    return half + VERGE_M if parking_gap_m is None else half + parking_gap_m + PARKING_M


def street_side(
    stage: Stage,
    rng: Generator,
    lane: LaneIndex,
    span: Span,
    *,
    parking_gap_m: float | None,
    parked: Sequence[Span] = (),
    share: float = 0.8,
    houses: float = 0.5,
    people: int = 2,
    keep_free: Sequence[Span] = (),
) -> None:
    """Furnish the right side of a lane over a stretch of it.

    Args:
        stage: the world.
        rng: draws what stands where.
        lane: outermost lane of its direction.
        span: s from, to along that lane, m.
        parking_gap_m: from the lane to the parked cars; None = no parking strip.
        parked: stretches of s with parked cars.
        share: of parking places taken.
        houses: share of building plots that are built on.
        people: most people walking on the pavement.
        keep_free: stretches of s where nobody starts to walk.
    """
    half, kerb = 0.5 * stage.road.lane_width_m, kerb_m(stage, parking_gap_m)
    if parking_gap_m is not None:
        stage.drivable.extend(stage.road.strip(lane, span, (half, kerb)))
        for stretch in parked:
            parked_row(stage, rng, lane, stretch, half + parking_gap_m, share)
    pavement(stage, lane, span, kerb)
    walkers(stage, rng, lane, span, kerb + 0.5 * PAVEMENT_M, people, keep_free=keep_free)
    walkers(stage, rng, lane, span, kerb + 0.5 * PAVEMENT_M, people // 2, against=True, keep_free=keep_free)
    buildings(stage, rng, lane, span, kerb + PAVEMENT_M + 0.6, houses)
