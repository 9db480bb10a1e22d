"""Roads on which the ego changes lanes on its way: a lay-by, an exit, and a motorway in sections."""

from __future__ import annotations

import functools
import math

from highway_env.road.lane import LineType, SineLane, StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.scenarios.roads import HIGHWAY_LIMIT_MPS, HIGHWAY_WIDTH_M, URBAN_LIMIT_MPS, URBAN_WIDTH_M, Road
from simdrive.sim.roads import compile_network

LAYBY_M = 140.0  # length of the lay-by and of the street beside it
SECTION_M = 330.0
EXIT_FROM_M, EXIT_LANE_M = 400.0, 170.0  # from where to change to the outer lane, and how far it goes on

_STRIPED, _SOLID, _NONE = LineType.STRIPED, LineType.CONTINUOUS_LINE, LineType.NONE


def _straight(x: tuple[float, float], y: float, lines: tuple[int, int], width: float, limit: float) -> StraightLane:
    return StraightLane([x[0], y], [x[1], y], line_types=list(lines), width=width, speed_limit=limit)


@functools.cache
def layby_street() -> Road:
    """Return a street with one lane each way and a lay-by on the right: ``("a", "b", 1)`` beside ``("a", "b", 0)``.

    The street goes on as ``("b", "c", 0)``; oncoming traffic uses ``("c", "a", 0)``.
    """
    network, width, limit = RoadNetwork(), URBAN_WIDTH_M, URBAN_LIMIT_MPS
    end = LAYBY_M + 520.0
    network.add_lane("a", "b", _straight((0.0, LAYBY_M), 0.0, (_STRIPED, _STRIPED), width, limit))
    network.add_lane("a", "b", _straight((0.0, LAYBY_M), width, (_NONE, _SOLID), width, limit))
    network.add_lane("b", "c", _straight((LAYBY_M, end), 0.0, (_STRIPED, _SOLID), width, limit))
    network.add_lane("c", "a", _straight((end, 0.0), -width, (_NONE, _SOLID), width, limit))
    return Road(compile_network(network), network, width)


@functools.cache
def sections(lanes: int, count: int = 4) -> Road:
    """Return a straight motorway ``("n0", "n1", i)``, ``("n1", "n2", i)``, ... of sections of ``SECTION_M``."""
    network, width = RoadNetwork(), HIGHWAY_WIDTH_M
    for section in range(count):
        x = section * SECTION_M, (section + 1) * SECTION_M
        for lane in range(lanes):
            lines = (_SOLID if lane == 0 else _STRIPED, _SOLID if lane == lanes - 1 else _NONE)
            network.add_lane(
                f"n{section}", f"n{section + 1}", _straight(x, lane * width, lines, width, HIGHWAY_LIMIT_MPS)
            )
    return Road(compile_network(network), network, width)


@functools.cache
def exit_road(lanes: int) -> Road:
    """Return a motorway whose outer lane, number ``lanes``, leaves it: ``("a", "b", i)``, then ``("b", "c", i)``.

    The main road goes on as ``("c", "d", i)``, the outer lane as ``("c", "x", 0)`` and ``("x", "y", 0)``.
    """
    network, width, limit = RoadNetwork(), HIGHWAY_WIDTH_M, HIGHWAY_LIMIT_MPS
    leave = EXIT_FROM_M + EXIT_LANE_M
    for lane in range(lanes + 1):
        left, last = _SOLID if lane == 0 else _STRIPED, lane == lanes
        y, right = lane * width, _SOLID if last else _NONE
        network.add_lane("a", "b", _straight((0.0, EXIT_FROM_M), y, (left, right), width, limit))
        network.add_lane("b", "c", _straight((EXIT_FROM_M, leave), y, (left, right), width, limit))
        if not last:
            right = _SOLID if lane == lanes - 1 else _NONE
            network.add_lane("c", "d", _straight((leave, leave + 500.0), y, (left, right), width, limit))
    y, away, length = lanes * width, 9.0, 130.0
    network.add_lane(
        "c", "x",
        SineLane(
            [leave, y + 0.5 * away], [leave + length, y + 0.5 * away], -0.5 * away, math.pi / length, math.pi / 2,
            line_types=[_SOLID, _SOLID], width=width, speed_limit=limit,
        ),
    )  # fmt: skip
    network.add_lane(
        "x", "y", _straight((leave + length, leave + length + 260.0), y + away, (_SOLID, _SOLID), width, limit)
    )
    return Road(compile_network(network), network, width)
