"""Compiling road networks: row order, joined maps, names, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from highway_env.road.lane import CircularLane, PolyLaneFixedWidth, StraightLane
from highway_env.road.road import RoadNetwork

from simdrive.errors import UnknownNameError, UnsupportedError
from simdrive.sim.kernel_routes import ROAD_FIRST_LANE, ROAD_NEXT_END, ROAD_NEXT_START
from simdrive.sim.lanes import LINK_END, LINK_START, ROAD_FIRST, ROAD_LAST, lane_local
from simdrive.sim.roads import compile_network, join_maps
from simdrive.sim.state import RoadTables


def fork(offset: float = 0.0) -> RoadNetwork:
    network = RoadNetwork()
    for k in range(2):
        network.add_lane("a", "b", StraightLane([offset, 4 * k], [offset + 50, 4 * k], speed_limit=None))
    network.add_lane("b", "c", StraightLane([offset + 50, 0], [offset + 90, 0], priority=3))
    network.add_lane("b", "d", CircularLane([offset + 50, 20], 20, -np.pi / 2, 0))
    network.add_lane("x", "b", PolyLaneFixedWidth([(offset, -30.0), (offset + 50.0, 0.0)]))
    return network


def test_rows_follow_the_dict_order() -> None:
    road_map = compile_network(fork())
    assert road_map.lane_index == (("a", "b", 0), ("a", "b", 1), ("b", "c", 0), ("b", "d", 0), ("x", "b", 0))
    tables = road_map.tables
    assert list(tables.road_lane_start) == [0, 2, 3, 4, 5]
    assert [road_map.nodes[node] for node in tables.road_to] == ["b", "c", "d", "b"]
    assert list(tables.road_next[tables.road_next_start[0] : tables.road_next_start[1]]) == [1, 2]
    assert list(tables.road_prev[tables.road_prev_start[1] : tables.road_prev_start[2]]) == [0, 3]
    assert np.isnan(tables.lane_speed_limit[0])
    assert tables.lane_priority[2] == 3


def links(tables: RoadTables, row: int) -> list[int]:
    start, end = int(tables.lane_geometry[row, LINK_START]), int(tables.lane_geometry[row, LINK_END])
    return [int(lane) for lane in tables.lane_link[start:end]]


def test_links_are_the_lane_then_next_then_previous_ones() -> None:
    tables = compile_network(fork()).tables
    assert links(tables, 1) == [1, 2, 3]  # lane 1 has no like in one-lane roads: lane 0 of them
    assert links(tables, 2) == [2, -1 - 0, -1 - 4]


def test_names_lead_back_to_rows() -> None:
    road_map = compile_network(fork())
    assert road_map.row(("b", "c", 0)) == road_map.row(("b", "c", None)) == 2
    assert road_map.road("x", "b") == 3
    with pytest.raises(UnknownNameError, match="Did you mean"):
        road_map.row(("b", "c", 1))
    with pytest.raises(UnknownNameError, match="road"):
        road_map.road("c", "b")
    with pytest.raises(UnknownNameError):
        road_map.row(("a", "b", None))  # two lanes: which one?


def test_joined_maps_are_shifted_copies() -> None:
    first, second = compile_network(fork()), compile_network(fork(1000.0))
    joined = join_maps([first, second, first])
    assert list(joined.map_lane_start) == [0, 5, 10, 15]
    assert list(joined.map_road_start) == [0, 4, 8, 12]
    assert list(joined.lane_map) == [0] * 5 + [1] * 5 + [2] * 5
    assert not joined.fused_dot[0]
    for row in range(5):
        assert lane_local(joined, 5 + row, 1020.0, 3.0) == lane_local(second.tables, row, 1020.0, 3.0)
        assert links(joined, 5 + row) == links(second.tables, row)
        assert joined.lane_geometry[5 + row, ROAD_FIRST] == second.tables.lane_geometry[row, ROAD_FIRST]
        assert joined.lane_geometry[5 + row, ROAD_LAST] == second.tables.lane_geometry[row, ROAD_LAST]
    codes = joined.road_codes[4]
    assert codes[ROAD_FIRST_LANE] == 0
    assert list(joined.road_next[codes[ROAD_NEXT_START] : codes[ROAD_NEXT_END]]) == [5, 6]


def test_the_key_tells_maps_apart_but_not_their_last_bits() -> None:
    assert compile_network(fork()).key == compile_network(fork()).key
    assert compile_network(fork()).key == compile_network(fork(1e-13)).key
    assert compile_network(fork()).key != compile_network(fork(0.5)).key


def test_what_has_no_counterpart_is_refused_by_name() -> None:
    class WobblyLane(StraightLane):
        pass

    network = RoadNetwork()
    network.add_lane("a", "b", WobblyLane([0, 0], [10, 0]))
    with pytest.raises(UnsupportedError, match=r"WobblyLane.*StraightLane"):
        compile_network(network)
    with pytest.raises(UnsupportedError, match="no lanes"):
        compile_network(RoadNetwork())
    with pytest.raises(UnsupportedError, match="no map"):
        join_maps([])
