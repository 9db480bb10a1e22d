"""Three fixed episodes whose metric values are kept in ``tests/golden``; run this file to write them anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from logs import make_log, make_requests, straight_plan

from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.types import EndReason, EpisodeLog, RequestStatus

GOLDEN = Path(__file__).parent.parent / "golden" / "metrics"


def stop_and_go() -> EpisodeLog:
    """Braking behind a slowing car, a neighbour beside, steady answers every 200 ms."""
    t = 0.1 * np.arange(60)
    speed = 12.0 - 4.0 * np.sin(0.6 * t) ** 2
    leader = {
        "x": 24.0 + np.cumsum(0.1 * (10.0 - 5.0 * np.sin(0.6 * t) ** 2)),
        "speed": 10.0 - 5.0 * np.sin(0.6 * t) ** 2,
    }
    plans = np.stack([straight_plan(2.0 * k, 0.05 * np.sin(k), 0.01 * np.cos(k), 10.0) for k in range(30)])
    return make_log(
        60,
        speed=speed,
        heading=0.03 * np.sin(0.8 * t),
        others=[leader | {"is_hazard": True}, {"x": -3.0, "y": 4.0, "speed": 11.0}],
        requests=make_requests(range(0, 6_000_000, 200_000), 200_000, plans, dropped_frames=30),
        expert_progress_m=70.0,
    )


def guilty_contact() -> EpisodeLog:
    """Too late a brake before a stopped truck, hit off centre across the lane border."""
    t = 0.1 * np.arange(32)
    speed = np.maximum(15.0 - 6.0 * np.maximum(t - 1.0, 0.0), 1.0)
    return make_log(
        32,
        speed=speed,
        heading=0.1 * np.maximum(t - 1.5, 0.0),
        others=[{"x": 40.0, "y": 1.0, "length": 10.0, "width": 2.5, "shape": 2, "is_hazard": True}],
        contact_with=1,
        last_us=40_000,
        off_road_m=0.02 * t,
        speed_limit_mps=np.full(32, 13.0),
        on_several_lanes=t > 2.0,
        requests=make_requests([0, 500_000, 1_000_000], 400_000, status=[0, RequestStatus.UNPARSABLE, 0]),
        cold_start=True,
    )


def quiet_control() -> EpisodeLog:
    """A hazard-free drive with a needless slow-down, nobody near."""
    t = 0.1 * np.arange(50)
    return make_log(
        50,
        speed=8.0 - 5.0 * np.exp(-((t - 2.5) ** 2)),
        others=[{"x": 150.0, "speed": 8.0}],
        hazard_us=-1,
        end=EndReason.GOAL,
        expert_progress_m=45.0,
    )


LOGS = {"stop_and_go": stop_and_go, "guilty_contact": guilty_contact, "quiet_control": quiet_control}


def family_of(name: str) -> str:
    """Return the module that a configured metric comes from."""
    from simdrive.build import load_config

    return str(load_config("metric", name)["_target_"]).split(".")[-2]


def measured() -> dict[str, dict[str, dict[str, float | None]]]:
    """Return family -> log -> metric -> value, None where unscored."""
    table: dict[str, dict[str, dict[str, float | None]]] = {}
    for log_name, make in LOGS.items():
        found = evaluate(make(), load_metrics())
        for name, value in found.values.items():
            entry = table.setdefault(family_of(name), {}).setdefault(log_name, {})
            entry[name] = value.value if value.valid else None
    return table


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for family, values in measured().items():
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        (GOLDEN / f"{family}.json").write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {GOLDEN}\n")
