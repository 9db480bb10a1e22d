"""The compiled simulator against highway-env: equal in every bit where both call the same C library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simdrive.bench.stock import LIBM_RULE, Difference, bits_comparable

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker.py")


def run_cases(cases: list[dict[str, Any]], **environment: str) -> list[Difference]:
    """Run cases in one fresh process."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(WORKER), json.dumps(cases)],
        env={**os.environ, **LIBM_RULE, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [Difference(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]


def assert_equal(cases: list[dict[str, Any]], **environment: str) -> list[Difference]:
    """Ask for bit equality; elsewhere than x86-64 with glibc for closeness and equal lanes."""
    found = run_cases(cases, **environment)
    assert len(found) == len(cases)
    for case, difference in zip(cases, found, strict=True):
        assert difference.vehicle_steps > 0, case
        if bits_comparable():
            assert difference.exact, (case, difference)
        else:
            assert difference.position_m < 1e-3, (case, difference)
    return found


def road(env: str, seeds: int, sub_steps: int, **more: Any) -> dict[str, Any]:
    return {"kind": "road", "env": env, "seeds": seeds, "sub_steps": sub_steps, **more}


def test_default_stock_environments() -> None:
    found = assert_equal(
        [
            road("highway-v0", 1, 60),
            road("highway-fast-v0", 2, 100),
            road("merge-v1", 3, 100),
            road("roundabout-v1", 3, 100),
            road("intersection-v2", 3, 100),
        ]
    )
    # The comparison is empty unless vehicles change lanes and some of them crash.
    assert sum(difference.lane_switches for difference in found) > 50
    assert sum(difference.crashed for difference in found) > 0


def test_crashes_other_drivers_and_lanes() -> None:
    found = assert_equal(
        [
            road("highway-fast-v0", 3, 60, shake=True),
            road("roundabout-v1", 2, 60, shake=True),
            road("highway-fast-v0", 1, 60, drivers="LinearVehicle"),
            road("highway-fast-v0", 1, 60, drivers="AggressiveVehicle"),
            road("roundabout-v1", 1, 60, drivers="DefensiveVehicle"),
            road("highway-fast-v0", 1, 60, drivers="IDMVehicle"),  # with politeness
            {"kind": "poly", "seeds": 4, "sub_steps": 300},
        ]
    )
    assert found[0].crashed > 5
    assert found[-1].lane_switches > 10


def test_actions_and_regulated_roads() -> None:
    assert_equal(
        [
            {"kind": "meta", "env": "highway-fast-v0", "seeds": 2, "policy_steps": 8},
            {"kind": "meta", "env": "roundabout-v1", "seeds": 3, "policy_steps": 8},
            {"kind": "meta", "env": "merge-v1", "seeds": 3, "policy_steps": 8},
            {"kind": "control", "env": "racetrack-v1", "seeds": 1, "sub_steps": 40},
            {"kind": "control", "env": "parking-v0", "seeds": 2, "sub_steps": 60},
            {"kind": "control", "env": "lane-keeping-v0", "seeds": 1, "sub_steps": 60},
            {"kind": "control", "env": "intersection-v1", "seeds": 1, "sub_steps": 40},
            road("intersection-v2", 2, 80, regulated=True),
        ]
    )


@pytest.mark.slow
def test_default_stock_environments_at_length() -> None:
    names = ["highway-v0", "highway-fast-v0", "merge-v1", "roundabout-v1", "intersection-v2"]
    assert_equal([road(name, 8, 300) for name in names])  # `simdrive bench sim` compares 20 seeds


@pytest.mark.slow
def test_every_other_stock_family() -> None:
    names = [
        "exit-v1",
        "intersection-v1",
        "lane-keeping-v0",
        "merge-generic-v1",
        "merge-v0",
        "parking-v0",
        "racetrack-large-v1",
        "racetrack-oval-v1",
        "racetrack-v1",
        "roundabout-generic-v1",
        "roundabout-v0",
        "two-way-v0",
        "u-turn-v1",
    ]
    assert_equal([road(name, 5, 200) for name in names])
    regulated = ("intersection-v0", "intersection-v1", "intersection-v2", "intersection-multi-agent-v2")
    assert_equal([road(name, 4, 200, regulated=True) for name in regulated])


@pytest.mark.slow
def test_crashes_and_actions_at_length() -> None:
    drivers = ("LinearVehicle", "AggressiveVehicle", "DefensiveVehicle", "IDMVehicle")
    assert_equal([road("highway-fast-v0", 3, 300, shake=True), road("merge-v1", 10, 200, shake=True)])
    assert_equal([road("highway-v0", 2, 120, drivers=name) for name in drivers])
    names = ("highway-fast-v0", "roundabout-v1", "merge-v1", "exit-v1", "two-way-v0", "u-turn-v1")
    assert_equal([{"kind": "meta", "env": name, "seeds": 5, "policy_steps": 30} for name in names])
    assert_equal([{"kind": "poly", "seeds": 10, "sub_steps": 400}])


@pytest.mark.slow
@pytest.mark.parametrize("core", ["Haswell", "SkylakeX"])
def test_both_roundings_of_dot_products(core: str) -> None:
    """OpenBLAS takes the kernels of another machine on request; without AVX-512 it falls back by itself."""
    cases = [road(name, 4, 150) for name in ("highway-fast-v0", "merge-v1", "roundabout-v1", "intersection-v2")]
    assert_equal([*cases, {"kind": "poly", "seeds": 2, "sub_steps": 150}], OPENBLAS_CORETYPE=core)
