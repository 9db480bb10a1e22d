"""Compiled lane geometry: hand-computed points, and highway-env's own lane classes as the reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from highway_env.road.lane import CircularLane, PolyLane, PolyLaneFixedWidth, SineLane, StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.sim.lanes import (
    BOUND_RADIUS,
    BOUND_X,
    BOUND_Y,
    circular_lateral,
    circular_longitudinal,
    closest_lane,
    lane_distance,
    lane_heading,
    lane_local,
    lane_position,
    lane_width,
    on_lane,
    reachable,
)
from simdrive.sim.roads import RoadMap, compile_network, join_maps

POINTS = [(0.0, 100.0), (10.5, 101.0), (20.0, 103.0), (41.0, 91.0)]


def network() -> RoadNetwork:
    result = RoadNetwork()
    result.add_lane("a", "b", StraightLane([0, 0], [100, 0]))
    result.add_lane("a", "b", StraightLane([0, 4], [100, 4], width=3.5, forbidden=True))
    result.add_lane("b", "c", SineLane([100, 0], [200, 30], 3.0, 0.1, 0.2))
    result.add_lane("b", "d", CircularLane([100, 50], 20, -np.pi / 2, np.pi / 2))
    result.add_lane("d", "a", CircularLane([100, 50], 24, np.pi / 2, -np.pi / 2, clockwise=False))
    result.add_lane("p", "q", PolyLaneFixedWidth(POINTS))
    borders = [[(x, y - 3.0) for x, y in POINTS], [(x, y + 2.5) for x, y in POINTS]]
    result.add_lane("p", "q", PolyLane(POINTS, *borders))
    return result


@pytest.fixture(scope="module")
def road_map() -> RoadMap:
    return compile_network(network())


def test_straight_lane_by_hand(road_map: RoadMap) -> None:
    tables, row = road_map.tables, road_map.row(("a", "b", 0))
    assert lane_local(tables, row, 30.0, 2.0) == (30.0, 2.0)  # 2 m to the right
    assert lane_position(tables, row, 30.0, -1.0) == (30.0, -1.0)
    assert lane_heading(tables, row, 30.0) == 0.0
    assert lane_distance(tables, row, 103.0, -2.0) == 5.0


def test_circular_lane_by_hand(road_map: RoadMap) -> None:
    tables, row = road_map.tables, road_map.row(("b", "d", 0))
    s, r = lane_local(tables, row, 120.0, 50.0)  # a quarter turn from the start at (100, 30)
    assert s == pytest.approx(10 * math.pi)
    assert r == pytest.approx(0.0)
    assert lane_heading(tables, row, s) == pytest.approx(math.pi / 2)
    assert lane_local(tables, row, 118.0, 50.0)[1] == pytest.approx(2.0)  # the inside of a right turn is right
    assert circular_longitudinal(tables, row, 120.0, 50.0) == s
    assert circular_lateral(tables, row, 120.0, 50.0) == r


def test_on_lane_and_reachable_edges(road_map: RoadMap) -> None:
    tables, row, forbidden = road_map.tables, road_map.row(("a", "b", 0)), road_map.row(("a", "b", 1))
    assert on_lane(tables, row, -5.0, 2.0, 0.0)
    assert not on_lane(tables, row, 105.0, 0.0, 0.0)
    assert not on_lane(tables, row, 50.0, 3.01, 1.0)
    assert reachable(tables, row, 0.0, 8.0)
    assert not reachable(tables, row, -0.1, 0.0)
    assert not reachable(tables, forbidden, 10.0, 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_every_lane_class_agrees_with_highway_env(road_map: RoadMap, seed: int) -> None:
    source, tables, rng = network(), join_maps([road_map, road_map]), np.random.default_rng(seed)
    shift = len(road_map.lane_index)
    for _ in range(60):
        point, s, r = rng.uniform([-60, -60], [260, 160]), rng.uniform(-20, 120), rng.uniform(-5, 5)
        for row, index in enumerate(road_map.lane_index):
            lane: Any = source.get_lane(index)
            lane_row = row + shift  # the second copy of the map
            assert lane_local(tables, lane_row, *point) == pytest.approx(lane.local_coordinates(point), abs=1e-9)
            assert lane_position(tables, lane_row, s, r) == pytest.approx(tuple(lane.position(s, r)), abs=1e-9)
            assert lane_heading(tables, lane_row, s) == pytest.approx(lane.heading_at(s), abs=1e-12)
            assert lane_width(tables, lane_row, s) == lane.width_at(s)
            assert lane_distance(tables, lane_row, *point) == pytest.approx(lane.distance(point), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_closest_lane_agrees_with_highway_env(road_map: RoadMap, seed: int) -> None:
    source, rng, count = network(), np.random.default_rng(seed), len(road_map.lane_index)
    for _ in range(100):
        point, heading = rng.uniform([-30, -30], [230, 140]), rng.uniform(-9, 9)
        found = closest_lane(road_map.tables, 0, count, *point, heading)
        assert road_map.lane_index[found] == source.get_closest_lane_index(point, heading)


def test_closest_lane_takes_the_first_of_equals(road_map: RoadMap) -> None:
    assert closest_lane(road_map.tables, 0, 2, 50.0, 2.0, 0.0) == 0  # midway between two lanes


@pytest.mark.parametrize("seed", range(4))
def test_bounding_circles_never_exceed_the_lane_distance(road_map: RoadMap, seed: int) -> None:
    tables, rng = road_map.tables, np.random.default_rng(seed)
    for _ in range(200):
        x, y = rng.uniform([-300, -300], [500, 400])
        for row in range(len(road_map.lane_index)):
            circle = tables.lane_geometry[row, [BOUND_X, BOUND_Y, BOUND_RADIUS]]
            bound = math.hypot(x - circle[0], y - circle[1]) - circle[2]
            assert bound <= lane_distance(tables, row, x, y)
