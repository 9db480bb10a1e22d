"""Ordinary traffic around the ego: vehicles that keep their lane, their speed and their distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simdrive.scenarios.cast import Generator, Span, draw_traffic_shape, on_lane
from simdrive.scenarios.stage import Stage
from simdrive.sim.spec import LaneIndex
from simdrive.sim.state import Shape

_LENGTH_M = 13.0  # room for the longest vehicle
_BESIDE = (0.8, 0.7)  # chances of somebody level with the ego, and of somebody close behind that one
_BESIDE_M, _BESIDE_ROOM_M = (-4.0, 4.0), 18.0


def flow(
    stage: Stage,
    rng: Generator,
    lane: LaneIndex,
    span: Span,
    speed_mps: float,
    *,
    gap_m: Span = (14.0, 60.0),
    keep_free: Sequence[Span] = (),
    share: float = 0.75,
    level_m: float | None = None,
) -> None:
    """Fill a stretch of a lane with vehicles of about one speed that brake for whoever is ahead.

    Args:
        stage: the world; actors named ``traffic`` are added.
        rng: draws gaps, shapes, sizes, colours and speeds.
        lane: where; its own direction of travel.
        span: s from, to (m) along that lane.
        speed_mps: speed of the lane; single vehicles differ by up to 3 %.
        gap_m: distances between vehicles.
        keep_free: stretches of s where no vehicle's centre may start.
        share: probability that a place is taken.
        level_m: s level with the ego; somebody drives there more often than not, and blocks the way aside.
    """
    if level_m is not None:
        keep_free = (*keep_free, _block(stage, rng, lane, level_m, speed_mps))
    s = span[0] + float(rng.uniform(0.0, gap_m[1]))
    while s < span[1]:
        shape, taken = draw_traffic_shape(rng), rng.random() < share
        factor, gap = float(rng.uniform(0.97, 1.03)), float(rng.uniform(*gap_m))
        look = on_lane(rng, "traffic", shape, lane, s, factor * speed_mps, reactive=True, time_wanted_s=0.8)
        if taken and not any(low <= s <= high for low, high in keep_free):
            stage.add(look)
        s += _LENGTH_M + gap


def _block(stage: Stage, rng: Generator, lane: LaneIndex, level_m: float, speed_mps: float) -> Span:
    """Perhaps let one or two drive beside the ego, close together; return the stretch of s that they may take."""
    pair = [
        on_lane(rng, "beside", Shape.CAR if rng.random() < 0.8 else Shape.VAN, lane, 0.0, speed_mps) for _ in range(2)
    ]
    front = level_m + float(rng.uniform(*_BESIDE_M))
    rear = front - 0.5 * (pair[0].length_m + pair[1].length_m) - float(rng.uniform(2.5, 5.0))
    draws = rng.random(2)
    for actor, s, draw, chance in zip(pair, (front, rear), draws, _BESIDE, strict=True):
        if draw < chance and s > 0.0:
            stage.add(replace(actor, s_m=s, reactive=True, time_wanted_s=0.1, jam_gap_m=1.5))
    return rear - _BESIDE_ROOM_M, front + _BESIDE_ROOM_M


def tail(stage: Stage, rng: Generator, lane: LaneIndex, s_m: float, speed_mps: float, chance: float = 0.3) -> None:
    """Perhaps let somebody follow the ego at a distance that allows for its full braking."""
    gap, shape = float(rng.uniform(2.2, 3.5)) * speed_mps, Shape.CAR if rng.random() < 0.8 else Shape.VAN
    follower = on_lane(rng, "follower", shape, lane, s_m - gap - 5.0, speed_mps, reactive=True)
    if rng.random() < chance and s_m - gap - 5.0 > 3.0:
        stage.add(follower)
