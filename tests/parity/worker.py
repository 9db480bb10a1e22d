"""Runs parity cases in a process of its own, under the libm rule; prints one JSON object per case.

Usage: ``python tests/parity/worker.py '[{"kind": "road", "env": "merge-v1", "seeds": 2, "sub_steps": 60}, ...]'``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from highway_env.road.lane import PolyLane, PolyLaneFixedWidth, SineLane, StraightLane
from highway_env.road.road import Road, RoadNetwork
from highway_env.vehicle import behavior
from highway_env.vehicle.kinematics import Vehicle
from highway_env.vehicle.objects import Landmark, Obstacle

from simdrive.bench.stock import (
    Difference,
    compare_run,
    compare_state,
    forget_class_changes,
    make_stock,
    stock_road,
    sub_step_s,
)
from simdrive.sim.stock import StockWorlds


def shake(road: Road, seed: int) -> None:
    """Throw vehicles about so that many collide."""
    rng = np.random.default_rng(seed)
    for vehicle in road.vehicles:
        vehicle.position = vehicle.position + rng.normal(size=2) * [15.0, 3.0]
        vehicle.heading += rng.normal() * 0.4
        vehicle.speed += rng.normal() * 5.0
        vehicle.on_state_update()


def replace_drivers(road: Road, name: str, seed: int) -> None:
    """Turn every IDM driver into another class of driver, politeness drawn."""
    kind = getattr(behavior, name)
    rng = np.random.default_rng(seed)
    drivers = []
    for vehicle in road.vehicles:
        if type(vehicle) is behavior.IDMVehicle:
            other = kind.create_from(vehicle)
            other.POLITENESS = rng.uniform(0, 0.5)
            other.randomize_behavior()
            drivers.append(other)
        else:
            drivers.append(vehicle)
    road.vehicles = drivers


def road_case(case: dict[str, Any]) -> Difference:
    """Road.act and Road.step against the kernels."""
    forget_class_changes()
    env, total = make_stock(case["env"]), Difference()
    for seed in range(case.get("first_seed", 0), case.get("first_seed", 0) + case["seeds"]):
        road = stock_road(env, seed, case.get("regulated", False))
        if case.get("shake"):
            shake(road, seed)
        if "drivers" in case:
            replace_drivers(road, case["drivers"], seed)
        total = total.worst(compare_run(road, sub_step_s(env), case["sub_steps"]))
    return total


def meta_case(case: dict[str, Any]) -> Difference:
    """Random meta actions through ``env.step``, frame for frame."""
    forget_class_changes()
    env, total = make_stock(case["env"]), Difference()
    frames = int(env.config["simulation_frequency"] // env.config["policy_frequency"])
    for seed in range(case["seeds"]):
        env.reset(seed=seed)
        worlds = StockWorlds([env.road])
        rng = np.random.default_rng(seed)
        for _ in range(case["policy_steps"]):
            action = int(rng.integers(5))
            _, _, terminated, truncated, _ = env.step(action)
            worlds.command([action])
            worlds.step(frames, sub_step_s(env))
            total = total.worst(compare_state(env.road, worlds))
            if terminated or truncated:
                break
    return total


def control_case(case: dict[str, Any]) -> Difference:
    """A raw or dynamic ego whose steering and acceleration are set from outside."""
    forget_class_changes()
    env, total = make_stock(case["env"]), Difference()
    dt_s = sub_step_s(env)
    for seed in range(case["seeds"]):
        road = stock_road(env, seed, case.get("regulated", False))
        worlds = StockWorlds([road])
        rng = np.random.default_rng(seed)
        ego = road.vehicles[0]
        for step in range(case["sub_steps"]):
            if step % 5 == 0:
                steering, acceleration = rng.uniform(-0.8, 0.8), rng.uniform(-8.0, 8.0)
                ego.act({"steering": steering, "acceleration": acceleration})
                worlds.control(steering, acceleration)
            road.act()
            road.step(dt_s)
            worlds.step(1, dt_s)
            total = total.worst(compare_state(road, worlds))
    return total


def _poly_road() -> Road:
    points = [(0.0, 0.0), (30.5, 2.0), (61.0, 8.0), (95.0, 5.0), (150.0, -4.0)]
    left = [(x, y - 2.5) for x, y in points]
    right = [(x, y + 2.5) for x, y in points]
    network = RoadNetwork()
    network.add_lane("a", "b", PolyLaneFixedWidth(points, speed_limit=15))
    network.add_lane("a", "b", PolyLaneFixedWidth([(x, y + 4.0) for x, y in points], speed_limit=None))
    network.add_lane("b", "c", PolyLane([(150.0, -4.0), (190.0, 0.0), (230.0, 9.0)], left[3:], right[3:]))
    network.add_lane("c", "d", StraightLane([230.0, 9.0], [400.0, 40.0], forbidden=True))
    network.add_lane("c", "d", SineLane([230.0, 13.0], [400.0, 44.0], 1.5, 0.05, 0.3, speed_limit=25))
    network.add_lane("c", "e", StraightLane([230.0, 9.0], [400.0, -10.0]))
    return Road(network, np_random=np.random.RandomState(0), neighbour_vehicles_connected_lanes=True)


def poly_case(case: dict[str, Any]) -> Difference:
    """Point lanes, a fork, a dead end, obstacles, a landmark, shared routes, narrowed speed ranges."""
    forget_class_changes()
    total = Difference()
    for seed in range(case["seeds"]):
        rng, road = np.random.default_rng(seed), _poly_road()
        for k in range(9):
            lane = road.network.get_lane(("a", "b", k % 2))
            place = lane.position(14.0 * k, float(rng.normal() * 0.3))
            driver = behavior.IDMVehicle(road, place, lane.heading_at(14.0 * k), speed=float(rng.uniform(0, 25)))
            driver.target_speed = float(rng.uniform(5, 45))
            driver.MAX_SPEED, driver.MIN_SPEED = 22.0, -3.0
            driver.LENGTH, driver.WIDTH = float(rng.uniform(3, 9)), float(rng.uniform(1, 2.5))
            driver.diagonal = np.sqrt(driver.LENGTH**2 + driver.WIDTH**2)
            driver.plan_route_to("d")
            road.vehicles.append(driver)
        road.vehicles[3].route = road.vehicles[2].route
        road.vehicles[4].route = None
        road.vehicles[5].check_collisions = False
        road.vehicles[6].collidable = False
        road.vehicles.append(Vehicle(road, road.network.get_lane(("b", "c", 0)).position(10.0, 0.5), 0.1, 3.0))
        road.objects.append(Obstacle(road, road.network.get_lane(("c", "d", 1)).position(100.0, 0.0)))
        road.objects.append(Landmark(road, road.network.get_lane(("b", "c", 0)).position(40.0, 0.0)))
        total = total.worst(compare_run(road, 1 / 15, case["sub_steps"]))
    return total


KINDS: dict[str, Callable[[dict[str, Any]], Difference]] = {
    "road": road_case,
    "meta": meta_case,
    "control": control_case,
    "poly": poly_case,
}


def main() -> None:
    """Run the cases named on the command line."""
    for case in json.loads(sys.argv[1]):
        print(json.dumps(asdict(KINDS[case["kind"]](case))), flush=True)


if __name__ == "__main__":
    main()
