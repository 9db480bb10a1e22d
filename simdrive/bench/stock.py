"""Stock highway-env worlds for comparison: build them, step both sides, measure how far they part.

Bit equality can be asked only where numpy and the kernels call the same C library: x86-64 with glibc, numpy's own
AVX-512 functions switched off *before* numpy is imported. ``differences_of`` therefore measures in fresh processes.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess  # a fixed command line, no shell
import sys
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium
import numpy as np
from highway_env.envs.common.abstract import AbstractEnv
from highway_env.road.road import Road
from highway_env.vehicle.behavior import IDMVehicle

from simdrive.errors import SimdriveError, UnknownNameError
from simdrive.sim.stock import StockWorlds

LIBM_RULE = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Difference:
    """The largest difference between highway-env and the kernels over some runs."""

    position_m: float = 0.0
    heading_rad: float = 0.0
    speed_mps: float = 0.0
    mismatches: int = 0  # vehicle-steps whose lane, target lane, crash or hit flag differs
    vehicle_steps: int = 0
    lane_switches: int = 0  # changes of a target lane, so that a reader sees that something happened
    crashed: int = 0

    def worst(self, other: Difference) -> Difference:
        """Return the larger of two differences, counts added."""
        return Difference(
            max(self.position_m, other.position_m),
            max(self.heading_rad, other.heading_rad),
            max(self.speed_mps, other.speed_mps),
            self.mismatches + other.mismatches,
            self.vehicle_steps + other.vehicle_steps,
            self.lane_switches + other.lane_switches,
            self.crashed + other.crashed,
        )

    @property
    def exact(self) -> bool:
        """Whether every number and every flag was equal."""
        return not (self.position_m or self.heading_rad or self.speed_mps or self.mismatches)


def stock_ids() -> list[str]:
    """Return the ids of all stock environments of highway-env, sorted."""
    entries = gymnasium.registry.items()
    return sorted(name for name, spec in entries if str(spec.entry_point).startswith("highway_env."))


def make_stock(env_id: str) -> AbstractEnv:
    """Make a stock environment without its wrappers.

    Raises:
        UnknownNameError: if highway-env registers no such id.
    """
    if env_id not in stock_ids():
        raise UnknownNameError("stock environment", env_id, stock_ids())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # older ids are compared on purpose
        return gymnasium.make(env_id, disable_env_checker=True).unwrapped


def stock_road(env: AbstractEnv, seed: int, regulated: bool = False) -> Road:
    """Reset ``env`` and return its road; a regulated road becomes a plain one unless ``regulated`` is set."""
    env.reset(seed=seed)
    road: Road = env.road
    if regulated or type(road) is Road:
        return road
    connected = road.neighbour_vehicles_connected_lanes
    plain = Road(
        road.network, road.vehicles, road.objects, road.np_random, neighbour_vehicles_connected_lanes=connected
    )
    for body in [*plain.vehicles, *plain.objects]:
        body.road = plain
    return plain


def sub_step_s(env: AbstractEnv) -> float:
    """Return the length of a simulation step of ``env``, s."""
    return 1 / float(env.config["simulation_frequency"])


def compare_state(road: Road, worlds: StockWorlds, world: int = 0) -> Difference:
    """Compare the vehicles of ``road`` with one world of a batch."""
    actors = worlds.read()
    names = worlds.lane_names(world)
    count = len(road.vehicles)
    positions = np.array([vehicle.position for vehicle in road.vehicles])
    bodies = [*road.vehicles, *road.objects]
    mismatches = 0
    for i, body in enumerate(bodies):
        same = names[actors.lane[world, i]] == tuple(body.lane_index)
        same &= bool(body.crashed) == actors.crashed[world, i] and bool(body.hit) == actors.hit[world, i]
        if hasattr(body, "target_lane_index"):
            same &= names[actors.target_lane[world, i]] == tuple(body.target_lane_index)
        mismatches += not same

    def largest(ours: Any, theirs: Any) -> float:
        gaps = np.abs(np.asarray(ours, float) - np.asarray(theirs, float))
        return float(np.nanmax(np.where(np.isnan(gaps), np.inf, gaps), initial=0.0))

    ours = np.column_stack([actors.x[world, :count], actors.y[world, :count]])
    return Difference(
        position_m=largest(ours, positions.reshape(-1, 2)),
        heading_rad=largest(actors.heading[world, :count], [vehicle.heading for vehicle in road.vehicles]),
        speed_mps=largest(actors.speed[world, :count], [vehicle.speed for vehicle in road.vehicles]),
        mismatches=mismatches,
        vehicle_steps=count,
        crashed=sum(bool(vehicle.crashed) for vehicle in road.vehicles),
    )


def compare_run(road: Road, dt_s: float, sub_steps: int) -> Difference:
    """Step ``road`` and its compiled copy side by side; return the largest difference over all steps."""
    worlds = StockWorlds([road])
    targets = worlds.read().target_lane
    total = Difference()
    for _ in range(sub_steps):
        road.act()
        road.step(dt_s)
        worlds.step(1, dt_s)
        now = compare_state(road, worlds)
        before, targets = targets, worlds.read().target_lane
        switches = int((before != targets).sum())
        crashed = now.crashed
        total = total.worst(Difference(**{**asdict(now), "crashed": 0, "lane_switches": switches}))
    return total.worst(Difference(crashed=crashed if sub_steps else 0))


def compare_env(env_id: str, seeds: Iterable[int], sub_steps: int, regulated: bool = False) -> Difference:
    """Compare a stock environment on several seeds, in this process."""
    env, total = make_stock(env_id), Difference()
    for seed in seeds:
        road = stock_road(env, seed, regulated)
        total = total.worst(compare_run(road, sub_step_s(env), sub_steps))
    return total


def bits_comparable() -> bool:
    """Tell whether bit equality can be asked on this host."""
    return platform.machine().lower() in ("x86_64", "amd64") and platform.libc_ver()[0] == "glibc"


def differences_of(
    env_ids: Sequence[str], seeds: int, sub_steps: int, regulated: bool = False
) -> dict[str, Difference]:
    """Measure ``compare_env`` on seeds 0 .. seeds - 1 of each id, in fresh processes under the libm rule.

    Nearly all of the time is highway-env's own, hence one process per core, each with a share of the seeds.

    Raises:
        UnknownNameError: for an unknown id.
        SimdriveError: if a process fails; its last line is in the message.
    """
    for env_id in env_ids:
        if env_id not in stock_ids():
            raise UnknownNameError("stock environment", env_id, stock_ids())
    cores = os.cpu_count() or 1
    shares = [range(core * seeds // cores, (core + 1) * seeds // cores) for core in range(cores)]
    shares = [share for share in shares if share]
    with ThreadPoolExecutor(cores) as pool:
        waiting = {
            env_id: [pool.submit(_difference_of, env_id, share, sub_steps, regulated) for share in shares]
            for env_id in env_ids
        }
        return {
            env_id: functools.reduce(Difference.worst, (future.result() for future in futures), Difference())
            for env_id, futures in waiting.items()
        }


def _difference_of(env_id: str, seeds: range, sub_steps: int, regulated: bool) -> Difference:
    words = [env_id, str(seeds.start), str(seeds.stop), str(sub_steps), str(int(regulated))]
    command = [sys.executable, "-m", "simdrive.bench.stock", *words]
    done = subprocess.run(  # noqa: S603
        command, env={**os.environ, **LIBM_RULE}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise SimdriveError(f"comparing {env_id} failed with exit code {done.returncode}: {reason[0]}")
    return Difference(**json.loads(done.stdout.splitlines()[-1]))


def forget_class_changes() -> None:
    """Undo what the intersection environments write on the IDM class, so that one process can hold many ids."""
    IDMVehicle.DISTANCE_WANTED, IDMVehicle.COMFORT_ACC_MAX, IDMVehicle.COMFORT_ACC_MIN = 10.0, 3.0, -5.0


def _main() -> None:
    env_id, first, stop, sub_steps, regulated = sys.argv[1:6]
    found = compare_env(env_id, range(int(first), int(stop)), int(sub_steps), bool(int(regulated)))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    _main()
