"""How fast the compiled simulator is beside highway-env, and how far the two part: ``simdrive bench sim``.

Both sides advance the same stock worlds by the same number of simulation steps, one thread, no observations:
``Road.act`` + ``Road.step`` against ``StockWorlds.step``. They are timed in turns, and ratios are taken per turn, so
that a busy machine slows both. A turn of highway-env steps as many episodes as time allows, of the seeds that the
kernels step. The position error is measured in fresh processes under the libm rule, one per core.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from highway_env.envs.common.abstract import AbstractEnv

from simdrive.bench.host import host
from simdrive.bench.stock import (
    differences_of,
    forget_class_changes,
    make_stock,
    stock_ids,
    stock_road,
    sub_step_s,
)
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.sim.stock import StockWorlds

DEFAULT_ENVS = ("highway-v0", "highway-fast-v0", "merge-v1", "roundabout-v1", "intersection-v2")
HORIZON = 60  # simulation steps after a reset that both sides are timed on
SEEDS = 64  # different worlds of a batch; larger batches hold them again and again, as resets are slow
TURN_S = 0.5  # least time of one turn of one side, s
SUMMARY_BATCH = 64


def bench_sim(
    envs: Sequence[str] = DEFAULT_ENVS,
    batches: Sequence[int] = (1, 64, 1024),
    seeds: int = 20,
    sub_steps: int = 300,
    repetitions: int = 3,
) -> dict[str, Any]:
    """Return the bench object: one row per environment and batch size.

    Args:
        envs: stock environment ids; a regulated road is replaced by a plain one.
        batches: numbers of worlds stepped together, seeds 0 .. 63 in turn.
        seeds: seeds of the error measurement, 0 = leave it out.
        sub_steps: simulation steps per seed of the error measurement.
        repetitions: turns per row; the median counts.

    Raises:
        UnknownNameError: for an id that highway-env does not register.
        ParameterError: for an empty list or a number below its least value.
    """
    _check(envs, batches, seeds, sub_steps, repetitions)
    rows: list[dict[str, Any]] = []
    for env_id in envs:
        forget_class_changes()
        rows += _rows(env_id, batches, repetitions)
    errors = differences_of(envs, seeds, sub_steps) if seeds else {}
    chosen = [row["ratio"] for row in rows if row["batch"] == SUMMARY_BATCH] or [row["ratio"] for row in rows]
    summary: dict[str, Any] = {
        "geomean_ratio": math.exp(sum(map(math.log, chosen)) / len(chosen)),
        "geomean_batch": SUMMARY_BATCH if SUMMARY_BATCH in batches else list(batches),
        "max_abs_position_error_m": max((found.position_m for found in errors.values()), default=None),
        "exact": all(found.exact for found in errors.values()) if errors else None,
        "errors": {
            env_id: {
                "position_m": found.position_m,
                "mismatches": found.mismatches,
                "vehicle_steps": found.vehicle_steps,
                "lane_switches": found.lane_switches,
                "crashed": found.crashed,
            }
            for env_id, found in errors.items()
        },
        "seeds": seeds,
        "sub_steps": sub_steps,
    }
    return {"bench": "sim", "rows": rows, "summary": summary, "host": host("numpy", "numba", "highway-env", threads=1)}


def _check(envs: Sequence[str], batches: Sequence[int], seeds: int, sub_steps: int, repetitions: int) -> None:
    for env_id in envs:
        if env_id not in stock_ids():
            raise UnknownNameError("stock environment", env_id, stock_ids())
    if not envs or not batches or min(batches) < 1 or seeds < 0 or sub_steps < 1 or repetitions < 1:
        raise ParameterError(
            "envs and batches must not be empty; batches, sub_steps and repetitions must be at least 1, seeds at "
            f"least 0; got {list(envs)}, {list(batches)}, {sub_steps}, {repetitions}, {seeds}"
        )


def _rows(env_id: str, batches: Sequence[int], repetitions: int) -> list[dict[str, Any]]:
    env = make_stock(env_id)
    dt_s = sub_step_s(env)
    # Compiled at once: later resets of the environment leave the arrays alone.
    roads = [stock_road(env, seed) for seed in range(min(SEEDS, max(batches)))]
    sides = [StockWorlds([roads[world % len(roads)] for world in range(batch)]) for batch in batches]
    for worlds in sides:
        worlds.step(0, dt_s)
    seeds = itertools.cycle(range(len(roads)))
    turns = [
        (_reference_rate(env, dt_s, seeds), [_kernel_rate(worlds, dt_s) for worlds in sides])
        for _ in range(repetitions)
    ]
    return [
        {
            "case": f"{env_id} B={batch}",
            "value": median(ours[side] for _, ours in turns),
            "unit": "world-sub-steps/s",
            "baseline": median(theirs for theirs, _ in turns),
            "ratio": median(ours[side] / theirs for theirs, ours in turns),
            "env": env_id,
            "batch": batch,
            "vehicles": sum(len(road.vehicles) for road in roads) / len(roads),
        }
        for side, batch in enumerate(batches)
    ]


def _kernel_rate(worlds: StockWorlds, dt_s: float) -> float:
    """Return world-sub-steps per second over the first ``HORIZON`` steps of an episode, repeated."""
    start = worlds.save()
    steps, spent = 0, 0.0
    while spent < TURN_S:
        began = time.perf_counter()
        worlds.step(HORIZON, dt_s)
        spent += time.perf_counter() - began
        steps += HORIZON * worlds.count
        worlds.load(start)
    return steps / spent


def _reference_rate(env: AbstractEnv, dt_s: float, seeds: Iterator[int]) -> float:
    """Return sub-steps per second of highway-env itself over the first ``HORIZON`` steps of fresh episodes."""
    steps, spent = 0, 0.0
    while spent < TURN_S:
        road = stock_road(env, next(seeds))
        began = time.perf_counter()
        for _ in range(HORIZON):
            road.act()
            road.step(dt_s)
        spent += time.perf_counter() - began
        steps += HORIZON
    return steps / spent
