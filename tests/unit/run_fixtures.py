"""Small runs for tests of the store and what reads it: planned episodes with synthetic, deterministic
logs.
"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from logs import make_log, make_requests, straight_plan, with_fields

from simdrive.eval.episode_codec import EpisodeResult, encode
from simdrive.eval.keys import episode_key
from simdrive.eval.plan import PlannedEpisode, plan_frame
from simdrive.eval.schema import RunTables
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.types import Case, EpisodeLog

CONFIG = {
    "suite": "tiny",
    "agents": ["careful", "rash"],
    "latency": {"source": "constant", "delay_ms": [0, 400]},
}


def cases(count: int) -> list[Case]:
    return [Case("cut_in" if k % 2 else "lead_brake", (("gap_m", 20.0 + k), ("rain", False)), k) for k in range(count)]


def planned(count: int = 3) -> list[PlannedEpisode]:
    """Two agents x two delays x ``count`` cases, agents outermost."""
    episodes: list[PlannedEpisode] = []
    for agent in CONFIG["agents"]:
        for delay in (0, 400):
            for case in cases(count):
                key = episode_key(case, {"name": agent}, {"delay_ms": delay}, sources="test")
                episodes.append(PlannedEpisode(len(episodes), key, case, str(agent), f"constant {delay} ms"))
    return episodes


def plan(count: int = 3) -> pd.DataFrame:
    return plan_frame(planned(count))


def log_of(entry: PlannedEpisode) -> EpisodeLog:
    """A log that depends on the planned episode only; every rash one hits a stopped car."""
    rash = entry.agent == "rash"
    rows = 12 + entry.row % 5
    others = [
        {"x": 10.0 + rows + entry.case.seed % 3, "is_hazard": True},
        {"x": -30.0, "y": 4.0, "speed": 9.0},
    ]
    plans = np.stack([straight_plan(3.0 * k, 0.1 * entry.row, 0.0, 10.0) for k in range(4)])
    plans[1, 20:] = np.nan
    log = make_log(
        rows,
        speed=10.0 + np.sin(0.1 * entry.row + 0.3 * np.arange(rows)),
        others=others[: 1 + entry.row % 2],
        last_us=40_000,
        requests=make_requests([0, 300_000, 600_000, 900_000], 100_000 * (entry.row % 4), plans),
        contact_with=1 if rash else None,
    )
    return with_fields(log, case=entry.case)


@functools.cache
def result_of(row: int, count: int = 3) -> EpisodeResult:
    entry = planned(count)[row]
    log = log_of(entry)
    return EpisodeResult(entry, log, evaluate(log, load_metrics(["contact", "failure", "min_ttc_s", "nuplan_score"])))


@functools.cache
def tables_of(*rows: int, count: int = 3) -> RunTables:
    return encode([result_of(row, count) for row in rows])
