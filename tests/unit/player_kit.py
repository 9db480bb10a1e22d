"""A run in which one driver stops before a parked car and the other hits it: small enough to be worked out by hand.

Both start at 10 m/s towards a car whose rear is 33 m from the ego's centre, 0.1 s per row, three seconds. ``careful``
brakes at 5 m/s2 from second 1 on and stands at 3 s after 20 m; ``rash`` keeps its speed and touches it in the last row.
Frames are asked about at 0, 1 and 2 s, and each plan takes over 0.4 s later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from logs import make_log, make_requests, straight_plan, with_fields
from run_fixtures import CONFIG, plan, planned

from simdrive.eval.episode_codec import EpisodeResult, encode
from simdrive.eval.plan import PlannedEpisode
from simdrive.eval.store import RunStore
from simdrive.metrics.evaluate import evaluate, load_metrics
from simdrive.types import EpisodeLog

ROWS = 31
AGE_US = 400_000
TEXTS = ("keep lane at 10 m/s", "slow down: parked car ahead", "stop")


def log_of(entry: PlannedEpisode, texts: Sequence[str] = TEXTS) -> EpisodeLog:
    """Return the episode of one driver; without texts there is no request."""
    t = 0.1 * np.arange(ROWS)
    rash = entry.agent == "rash"
    speed = np.full(ROWS, 10.0) if rash else 10.0 - 5.0 * np.clip(t - 1.0, 0.0, 2.0)
    seen = 1_000_000 * np.arange(len(texts), dtype=np.int64)
    plans = np.stack([straight_plan(10.0 * k, 0.0, 0.0, 10.0) for k in range(len(texts))]) if len(texts) else None
    requests = make_requests(seen.tolist(), AGE_US, plans, text=tuple(texts))
    log = make_log(
        ROWS,
        speed=speed,
        others=[
            {"x": 35.5, "is_hazard": True, "name": "parked"},
            {"x": -20.0, "y": 4.0, "speed": 9.0},
            {"x": 300.0, "name": "far away"},
        ],
        requests=requests,
        contact_with=1 if rash else None,
    )
    in_use = np.searchsorted(requests.t_actuate_us, log.t_us, side="right") - 1
    age = np.where(in_use >= 0, log.t_us - requests.t_obs_us[in_use.clip(0)] if len(texts) else -1, -1)
    columns = {"plan_request": in_use.astype(np.int32), "plan_age_us": age.astype(np.int64)}
    return with_fields(log, case=entry.case, **columns)


def duel(path: Path, texts: Sequence[str] = TEXTS, agents: Sequence[str] = ("careful", "rash")) -> RunStore:
    """Write a run of three cases under one delay (rows of other delays are left undone) and return its store."""
    store = RunStore.create_or_open(path, CONFIG, plan())
    metrics = load_metrics(["contact", "failure", "min_ttc_s"])
    for entry in planned():
        if entry.agent in agents and entry.latency.endswith("400 ms"):
            log = log_of(entry, texts)
            store.write_part(encode([EpisodeResult(entry, log, evaluate(log, metrics))]))
    return store


def with_text(log: EpisodeLog, text: str) -> EpisodeLog:
    """Return a copy of a log whose answers all say ``text``."""
    requests = dataclasses.replace(log.requests, text=(text,) * len(log.requests.text))
    return with_fields(log, requests=requests)
