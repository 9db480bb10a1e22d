"""Batches of stock roads: independence of worlds, snapshots, refusals, driver rules on hand-made scenes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from highway_env.road.lane import CircularLane, StraightLane
from highway_env.road.road import Road, RoadNetwork
from highway_env.vehicle.behavior import IDMVehicle, LinearVehicle
from highway_env.vehicle.controller import ControlledVehicle, MDPVehicle
from highway_env.vehicle.kinematics import Vehicle
from highway_env.vehicle.objects import Landmark, Obstacle

from simdrive.errors import ControlError, ParameterError, UnsupportedError
from simdrive.sim.kernel_command import nearest_notch, round_half_even
from simdrive.sim.stock import StockWorlds

DT_S = 1 / 15


def highway(seed: int, count: int = 8, lanes: int = 3) -> Road:
    rng = np.random.default_rng(seed)
    road = Road(RoadNetwork.straight_road_network(lanes, length=2000.0), np_random=np.random.RandomState(seed))
    for k in range(count):
        driver = IDMVehicle(road, [15.0 * k + rng.uniform(0, 8), 4.0 * (k % lanes)], 0.0, rng.uniform(15, 30))
        driver.randomize_behavior()
        road.vehicles.append(driver)
    return road


def ring(seed: int) -> Road:
    network = RoadNetwork()
    for k in range(4):
        turn = (k * np.pi / 2, (k + 1) * np.pi / 2)
        for radius in (20, 24):
            network.add_lane(str(k), str((k + 1) % 4), CircularLane([0, 0], radius, *turn))
    road = Road(network, np_random=np.random.RandomState(seed), neighbour_vehicles_connected_lanes=True)
    for k in range(4):
        lane = network.get_lane((str(k), str((k + 1) % 4), k % 2))
        road.vehicles.append(IDMVehicle(road, lane.position(8.0, 0.1 * seed), lane.heading_at(8.0), 6.0 + seed))
    return road


def state(worlds: StockWorlds, world: int, count: int) -> bytes:
    actors = worlds.read()
    columns = [actors.x, actors.y, actors.heading, actors.speed, actors.timer, actors.acceleration, actors.crashed]
    return b"".join(np.ascontiguousarray(column[world, :count]).tobytes() for column in columns)


def test_a_world_does_not_depend_on_its_batch() -> None:
    makers: list[Callable[[], Road]] = [
        lambda: highway(1),
        lambda: ring(0),
        lambda: highway(2, count=70),  # more actors than one word of bits
        lambda: ring(1),
    ]
    sizes = [8, 4, 70, 4]
    alone = []
    for make, size in zip(makers, sizes, strict=True):
        worlds = StockWorlds([make()])
        worlds.step(60, DT_S)
        alone.append(state(worlds, 0, size))
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 0, 2, 3]):
        worlds = StockWorlds([makers[k]() for k in order])
        for _ in range(6):
            worlds.step(10, DT_S)
        for slot, k in enumerate(order):
            assert state(worlds, slot, sizes[k]) == alone[k]


def test_many_actors_are_followed_as_highway_env_does() -> None:
    road = highway(5, count=70, lanes=2)
    worlds = StockWorlds([road])
    for _ in range(40):
        road.act()
        road.step(DT_S)
    worlds.step(40, DT_S)
    actors = worlds.read()
    names = worlds.lane_names(0)
    assert [names[lane] for lane in actors.lane[0]] == [vehicle.lane_index for vehicle in road.vehicles]
    np.testing.assert_allclose(actors.x[0], [vehicle.position[0] for vehicle in road.vehicles], atol=1e-9)


def test_loading_a_snapshot_repeats_the_future() -> None:
    worlds = StockWorlds([highway(3), ring(2)])
    worlds.step(10, DT_S)
    saved = worlds.save()
    worlds.step(30, DT_S)
    first = state(worlds, 0, 8) + state(worlds, 1, 4)
    worlds.load(saved)
    worlds.step(30, DT_S)
    assert state(worlds, 0, 8) + state(worlds, 1, 4) == first


def test_writing_back_what_was_read_changes_nothing() -> None:
    one, two = StockWorlds([ring(1)]), StockWorlds([ring(1)])
    one.step(20, DT_S)
    one.write(one.read())
    one.step(20, DT_S)
    two.step(40, DT_S)
    assert state(one, 0, 4) == state(two, 0, 4)


def test_a_follower_stops_behind_an_obstacle() -> None:
    road = Road(RoadNetwork.straight_road_network(1, length=500.0), np_random=np.random.RandomState(0))
    road.vehicles.append(IDMVehicle(road, [0.0, 0.0], 0.0, 20.0))
    road.objects += [Obstacle(road, [150.0, 0.0]), Landmark(road, [60.0, 0.0])]
    worlds = StockWorlds([road])
    worlds.step(600, DT_S)
    actors = worlds.read()
    assert not actors.crashed[0, 0]
    assert abs(actors.speed[0, 0]) < 0.1
    assert 125.0 < actors.x[0, 0] < 145.0  # the gap at standstill is 10 m, approached slowly
    assert actors.hit[0, 2]  # the landmark was driven through
    assert actors.x[0, 1] == 150.0


def test_a_head_on_crash_stops_both() -> None:
    road = Road(RoadNetwork.straight_road_network(1, length=500.0), np_random=np.random.RandomState(0))
    road.vehicles += [Vehicle(road, [0.0, 0.0], 0.0, 10.0), Vehicle(road, [30.0, 0.3], np.pi, 10.0)]
    worlds = StockWorlds([road])
    worlds.step(60, DT_S)
    actors = worlds.read()
    assert actors.crashed[0].all()
    assert np.abs(actors.speed[0]).max() < 1.5


def test_controls_of_a_raw_vehicle_hold() -> None:
    road = Road(RoadNetwork.straight_road_network(1, length=500.0), np_random=np.random.RandomState(0))
    road.vehicles.append(Vehicle(road, [0.0, 0.0], 0.0, 10.0))
    worlds = StockWorlds([road])
    worlds.control(0.0, 3.0)
    worlds.step(15, DT_S)
    assert worlds.read().speed[0, 0] == pytest.approx(13.0)
    with pytest.raises(ControlError, match="finite"):
        worlds.control(np.nan, 0.0)


def test_meta_actions_move_the_target() -> None:
    road = Road(RoadNetwork.straight_road_network(3, length=500.0), np_random=np.random.RandomState(0))
    road.vehicles += [
        MDPVehicle(road, [0.0, 4.0], 0.0, 25.0, target_speeds=[20.0, 25.0, 30.0]),
        ControlledVehicle(road, [60.0, 4.0], 0.0, 25.0),
    ]
    worlds = StockWorlds([road])
    worlds.command([3])
    assert worlds.read().target_speed[0, 0] == 30.0
    worlds.command([3])  # the notch follows the actual speed, not the target
    assert worlds.read().target_speed[0, 0] == 30.0
    worlds.command([4])
    assert worlds.read().target_speed[0, 0] == 20.0
    worlds.command([2])
    worlds.command([2])
    assert worlds.lane_names(0)[worlds.read().target_lane[0, 0]] == ("0", "1", 2)  # the road ends there
    worlds.command([3], actor=1)
    assert worlds.read().target_speed[0, 1] == 30.0
    worlds.command([-1])
    with pytest.raises(ControlError, match=r"-1 \.\. 4"):
        worlds.command([5])


def test_an_absent_actor_is_nobody() -> None:
    road = highway(0, count=2, lanes=1)
    road.vehicles[0].position[0], road.vehicles[1].position[0] = 0.0, 12.0
    road.vehicles[1].speed = 0.0
    worlds = StockWorlds([road])
    actors = worlds.read()
    actors.present[0, 1] = False
    worlds.write(actors)
    worlds.step(30, DT_S)
    actors = worlds.read()
    assert not actors.crashed[0, 0]
    assert actors.x[0, 0] > 20.0  # drove through the place of the absent one
    assert actors.x[0, 1] == 12.0


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, 0.0), (2.4, 2.0), (-1.6, -2.0)]
)
def test_rounding_halves_to_even(value: float, rounded: float) -> None:
    @_compiled
    def call(number: float) -> float:
        return round_half_even(number)

    assert call(value) == rounded == np.round(value)


def test_nearest_notch() -> None:
    @_compiled
    def call(speed: float) -> int:
        return nearest_notch(speed, 20.0, 30.0, 3)

    assert [call(speed) for speed in (0.0, 22.4, 22.6, 28.0, 99.0)] == [0, 0, 1, 2, 2]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    import numba

    compiled: Callable[..., Any] = numba.njit(error_model="numpy")(function)
    return compiled


def _lonely(vehicle: Callable[[Road], Any]) -> Road:
    road = Road(RoadNetwork.straight_road_network(2, length=500.0), np_random=np.random.RandomState(0))
    road.vehicles.append(vehicle(road))
    return road


def test_what_cannot_be_reproduced_is_refused_by_name() -> None:
    class Daydreamer(IDMVehicle):
        pass

    class MyRoad(Road):
        pass

    with pytest.raises(UnsupportedError, match=r"Daydreamer.*IDMVehicle"):
        StockWorlds([_lonely(lambda road: Daydreamer(road, [0.0, 0.0]))])
    with pytest.raises(UnsupportedError, match="objects"):
        StockWorlds([_lonely(lambda road: Obstacle(road, [0.0, 0.0]))])
    with pytest.raises(UnsupportedError, match="MyRoad"):
        StockWorlds([MyRoad(RoadNetwork.straight_road_network(1))])
    road = _lonely(lambda road: IDMVehicle(road, [0.0, 0.0]))
    road.vehicles[0].KP_HEADING = 3.0
    with pytest.raises(UnsupportedError, match="KP_HEADING"):
        StockWorlds([road])
    road = _lonely(lambda road: LinearVehicle(road, [0.0, 0.0]))
    road.vehicles[0].ACCELERATION_PARAMETERS = [1.0]
    with pytest.raises(UnsupportedError, match="ACCELERATION_PARAMETERS"):
        StockWorlds([road])
    road = _lonely(lambda road: IDMVehicle(road, [0.0, 0.0]))
    road.vehicles[0].lane = StraightLane([0, 0], [1, 0])
    with pytest.raises(UnsupportedError, match="lane_index"):
        StockWorlds([road])


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ParameterError, match="empty"):
        StockWorlds([])
    worlds = StockWorlds([ring(0)])
    with pytest.raises(ParameterError, match="sub_steps"):
        worlds.step(-1, DT_S)
    with pytest.raises(ParameterError, match="dt_s"):
        worlds.step(1, 0.0)


def test_parameters_are_copied_from_instances() -> None:
    road = _lonely(lambda road: IDMVehicle(road, [0.0, 0.0], 0.0, 20.0))
    road.vehicles[0].DISTANCE_WANTED, road.vehicles[0].MAX_SPEED = 6.25, 22.0
    traits = StockWorlds([road]).batch.traits
    assert traits.distance_wanted[0, 0] == 6.25
    assert traits.max_speed[0, 0] == 22.0
    assert IDMVehicle.DISTANCE_WANTED != 6.25


def test_shared_routes_share_their_pointer() -> None:
    road = ring(0)
    road.vehicles[0].plan_route_to("3")
    road.vehicles[1].route = road.vehicles[0].route
    routes = StockWorlds([road]).batch.routes
    assert list(routes.owner[0, :3]) == [0, 0, 2]
    assert routes.entries[0, 0] == len(road.vehicles[0].route)
