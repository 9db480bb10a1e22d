"""Distances outside the drivable area: by hand, and against sampled lanes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from highway_env.road.lane import CircularLane, StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.errors import ParameterError
from simdrive.sim.drivable import corners_outside_m, outside_distance_m, pack_polygons, polygon_outside_m
from simdrive.sim.lanes import lane_position
from simdrive.sim.roads import compile_network
from simdrive.sim.state import RoadTables

NOTHING = pack_polygons([])


def quarter_turn() -> RoadTables:
    net = RoadNetwork()
    net.add_lane("a", "b", StraightLane([0, 0], [50, 0], width=4))
    net.add_lane("b", "c", CircularLane([50, 20], 20, -math.pi / 2, 0, width=4))
    return compile_network(net).tables


def outside(roads: RoadTables, x: float, y: float) -> float:
    return outside_distance_m(roads, 0, len(roads.lane_kind), *NOTHING, 0, 0, x, y)


def test_beside_behind_and_at_the_corner_of_a_lane() -> None:
    roads = quarter_turn()
    assert outside(roads, 25.0, 1.9) == 0.0
    assert outside(roads, 25.0, 3.5) == pytest.approx(1.5)
    assert outside(roads, -3.0, 0.0) == pytest.approx(3.0)
    assert outside(roads, -3.0, 6.0) == pytest.approx(5.0)  # 3-4-5
    assert outside(roads, 50.0 + 20.0 / math.sqrt(2), 20.0 - 20.0 / math.sqrt(2)) == 0.0
    assert outside(roads, 50.0, 20.0) == pytest.approx(18.0)


def test_a_box_is_as_far_out_as_its_worst_corner() -> None:
    roads = quarter_turn()
    box = (25.0, 0.5, 0.0, 4.6, 1.8)
    assert corners_outside_m(roads, 0, 2, *NOTHING, 0, 0, *box) == 0.0
    assert corners_outside_m(roads, 0, 2, *NOTHING, 0, 0, 25.0, 2.0, 0.0, 4.6, 1.8) == pytest.approx(0.9)
    turned = corners_outside_m(roads, 0, 2, *NOTHING, 0, 0, 25.0, 0.0, math.pi / 2, 4.6, 1.8)
    assert turned == pytest.approx(0.3)


def test_extra_polygons_extend_the_area() -> None:
    roads = quarter_turn()
    apron = np.array([[20.0, 2.0], [30.0, 2.0], [30.0, 6.0], [20.0, 6.0]])
    points, starts = pack_polygons([apron, apron + 100.0])
    assert corners_outside_m(roads, 0, 2, points, starts, 0, 1, 25.0, 3.0, 0.0, 4.0, 2.0) == 0.0
    assert corners_outside_m(roads, 0, 2, points, starts, 1, 2, 25.0, 3.0, 0.0, 4.0, 2.0) == pytest.approx(2.0)
    notch = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 1.0], [0.0, 4.0]])
    assert polygon_outside_m(notch, 0, 5, 2.0, 0.5) == 0.0
    assert polygon_outside_m(notch, 0, 5, 2.0, 4.0) == pytest.approx(3.0 * 2.0 / math.hypot(2.0, 3.0))


def test_it_agrees_with_sampled_lanes() -> None:
    roads = quarter_turn()
    samples = np.array(
        [
            lane_position(roads, lane, float(s), float(r))
            for lane in range(2)
            for s in np.linspace(0.0, roads.lane_length[lane], 120)
            for r in np.linspace(-2.0, 2.0, 17)
        ]
    )
    rng = np.random.default_rng(2)
    for x, y in rng.uniform((-10, -12), (85, 40), (200, 2)):
        nearest = np.hypot(*(samples - (x, y)).T).min()
        found = outside(roads, float(x), float(y))
        if found < 5.0:
            # The nearest sample lies within half a sampling step of the nearest point.
            assert nearest - 0.25 < found <= nearest + 1e-9


def test_malformed_polygons_are_refused() -> None:
    with pytest.raises(ParameterError, match="polygon 0"):
        pack_polygons([np.zeros((2, 2))])
    with pytest.raises(ParameterError, match="polygon 1"):
        pack_polygons([np.zeros((3, 2)), np.full((3, 2), np.nan)])
