"""The ego route: laid along lanes, joined smoothly, and found again from a position."""

from __future__ import annotations

import math

import numpy as np
import pytest
from highway_env.road.lane import StraightLane
from highway_env.road.road import RoadNetwork
from hypothesis import given, settings
from hypothesis import strategies as st
from world_kit import bent_map, ego, merge_map, straight_map, world

from simdrive.errors import ParameterError, UnknownNameError
from simdrive.sim.roads import compile_network
from simdrive.sim.route import build_route, project
from simdrive.sim.worlds import Worlds


def test_straight_route_has_a_point_per_metre() -> None:
    route = build_route(straight_map(), [("a", "b", 1)], start_m=50.0, behind_m=10.0, ahead_m=100.0)
    assert route.shape == (111, 5)
    np.testing.assert_allclose(route[:, 0], np.arange(40.0, 151.0), atol=1e-9)
    np.testing.assert_allclose(route[:, 1], 4.0, atol=1e-12)
    np.testing.assert_allclose(route[:, 2], 0.0, atol=1e-12)
    np.testing.assert_array_equal(route[:, 3], np.arange(-10.0, 101.0))
    np.testing.assert_allclose(route[:, 4], 0.0, atol=1e-12)


def test_bent_route_turns_with_the_curvature_of_its_arc() -> None:
    route = build_route(bent_map(), [("a", "b", 1), ("b", "c", 1), ("c", "d", 1)])
    assert route[-1, 3] == pytest.approx(200.0 + 38.0 * math.pi / 2, abs=1.0)
    in_arc = (route[:, 3] > 105.0) & (route[:, 3] < 155.0)
    np.testing.assert_allclose(route[in_arc, 4], 1.0 / 38.0, rtol=0.01)
    np.testing.assert_allclose(np.hypot(*np.diff(route[:, :2], axis=0).T), 1.0, atol=2e-3)
    assert route[-1, 2] == pytest.approx(math.pi / 2, abs=1e-6)


def test_route_through_a_sine_lane_is_measured_along_the_curve() -> None:
    route = build_route(merge_map(), [("a", "b", 0), ("b", "c", 0), ("c", "d", 0)])
    assert route[0, 1] == pytest.approx(0.0, abs=1e-9)
    assert route[-1, 1] == pytest.approx(4.0, abs=1e-9)
    # Length of y = -2 cos(pi x / 80) over 80 m: about 80 + 80 * (2 pi / 80)^2 / 4.
    assert route[-1, 3] == pytest.approx(400.0 + 80.0 * (2.0 * math.pi / 80.0) ** 2 / 4.0, abs=1.0)


def two_roads(first: int, second: int, shift: int) -> RoadNetwork:
    """Return road a -> b of ``first`` lanes and b -> c of ``second`` lanes whose lane 0 lies at y = 4 shift."""
    network = RoadNetwork()
    for lane in range(first):
        network.add_lane("a", "b", StraightLane([0, 4 * lane], [200, 4 * lane]))
    for lane in range(second):
        network.add_lane("b", "c", StraightLane([200, 4 * (lane + shift)], [400, 4 * (lane + shift)]))
    return network


def test_a_dropped_lane_is_left_before_it_ends() -> None:
    road_map = compile_network(two_roads(3, 2, 0))
    route = build_route(road_map, [("a", "b", 2), ("b", "c", 1)])
    x, y = route[:, 0], route[:, 1]
    assert np.abs(y[x >= 200.0] - 4.0).max() < 1e-6
    assert np.abs(y[x < 150.0] - 8.0).max() < 1e-6
    assert (np.diff(y) <= 1e-9).all()
    assert np.abs(route[:, 4]).max() < 0.02


def test_a_lane_that_begins_is_entered_behind_its_start() -> None:
    road_map = compile_network(two_roads(2, 3, 0))
    route = build_route(road_map, [("a", "b", 1), ("b", "c", 2)])
    x, y = route[:, 0], route[:, 1]
    assert np.abs(y[x <= 200.0] - 4.0).max() < 1e-6
    assert np.abs(y[x > 250.0] - 8.0).max() < 1e-6


def test_bad_routes_are_refused() -> None:
    with pytest.raises(ParameterError, match="empty"):
        build_route(straight_map(), [])
    with pytest.raises(ParameterError, match="does not start at node 'c'"):
        build_route(bent_map(), [("b", "c", 0), ("a", "b", 0)])
    with pytest.raises(UnknownNameError):
        build_route(straight_map(), [("a", "b", 9)])
    with pytest.raises(ParameterError, match="should meet"):
        build_route(compile_network(two_roads(1, 1, 5)), [("a", "b", 0), ("b", "c", 0)])
    with pytest.raises(ParameterError, match="at least a metre ahead"):
        build_route(straight_map(), [("a", "b", 0)], start_m=700.0)


def test_project_on_and_beyond_a_straight_route() -> None:
    route = build_route(straight_map(), [("a", "b", 1)], start_m=100.0, behind_m=20.0, ahead_m=50.0)
    count = len(route)
    for hint in (-1, 0, 35, count - 1):
        s, r, index = project(route, count, 110.3, 5.5, hint)
        assert s == pytest.approx(10.3)
        assert r == pytest.approx(1.5)
        assert index == 30
    assert project(route, count, 70.0, 4.0, -1)[:2] == (pytest.approx(-30.0), pytest.approx(0.0))
    assert project(route, count, 160.0, 3.0, 5)[:2] == (pytest.approx(60.0), pytest.approx(-1.0))


def nearest_by_brute_force(route: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """Return (s, distance) of the nearest point of the polyline, extended straight at its ends."""
    best = (math.nan, math.inf)
    for row in range(len(route) - 1):
        a, b = route[row, :2], route[row + 1, :2]
        length = float(np.hypot(*(b - a)))
        share = float(np.dot([x, y] - a, b - a)) / length**2
        low = -math.inf if row == 0 else 0.0
        high = math.inf if row == len(route) - 2 else 1.0
        share = min(max(share, low), high)
        distance = float(np.hypot(*(a + share * (b - a) - [x, y])))
        if distance < best[1]:
            best = (float(route[row, 3]) + share, distance)
    return best


@given(s=st.floats(0.0, 250.0), r=st.floats(-6.0, 6.0), off=st.integers(-15, 15))
@settings(max_examples=60, deadline=None)
def test_project_agrees_with_brute_force_on_a_bend(s: float, r: float, off: int) -> None:
    route = build_route(bent_map(), [("a", "b", 0), ("b", "c", 0), ("c", "d", 0)])
    row = min(int(s), len(route) - 1)
    x = route[row, 0] - math.sin(route[row, 2]) * r
    y = route[row, 1] + math.cos(route[row, 2]) * r
    hint = min(max(row + off, 0), len(route) - 1)
    found_s, found_r, _ = project(route, len(route), x, y, hint)
    want_s, want_distance = nearest_by_brute_force(route, x, y)
    assert found_s == pytest.approx(want_s, abs=0.05)
    assert abs(found_r) == pytest.approx(want_distance, abs=0.02)
    assert found_r == pytest.approx(r, abs=0.05)


def test_free_width_beside_the_route() -> None:
    worlds = Worlds([world()])
    middle = 60
    # Three lanes of 4 m, the ego on the middle one.
    assert worlds.lane_left_m[0, middle] == pytest.approx(6.0, abs=0.06)
    assert worlds.lane_right_m[0, middle] == pytest.approx(6.0, abs=0.06)
    np.testing.assert_array_equal(worlds.same_left_m[0], worlds.lane_left_m[0])


def test_oncoming_lanes_count_as_drivable_but_not_as_same_way() -> None:
    network = RoadNetwork()
    network.add_lane("a", "b", StraightLane([0, 4], [600, 4]))
    network.add_lane("b", "a", StraightLane([600, 0], [0, 0]))
    road = compile_network(network)
    lane = ("a", "b", 0)
    worlds = Worlds([world(road=road, ego=ego(lane=lane), ego_route=(lane,))])
    assert worlds.lane_left_m[0, 60] == pytest.approx(6.0, abs=0.06)
    assert worlds.same_left_m[0, 60] == pytest.approx(2.0, abs=0.06)
    assert worlds.lane_right_m[0, 60] == pytest.approx(2.0, abs=0.06)
