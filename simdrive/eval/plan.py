"""The plan of a run: every episode that is to be driven, one row each, fixed before the first one starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from simdrive.errors import RunFolderError
from simdrive.streams import canonical_json
from simdrive.types import Case


@dataclass(frozen=True)
class PlannedEpisode:
    """One case driven by one agent under one latency setting."""

    row: int  # position in the plan, from 0
    key: str  # see simdrive.eval.keys.episode_key
    case: Case
    agent: str
    latency: str  # label shown in tables
    camera: str = ""
    corruption: str = ""
    avoidable: bool = True
    hazard_us: int = -1
    expert_progress_m: float = float("nan")
    valid: bool = True  # False: the case itself is unusable, e.g. blocked for every agent


PLAN_SCHEMA = pa.schema(
    [
        ("row", pa.int32()),
        ("key", pa.string()),
        ("scenario", pa.string()),
        ("params", pa.string()),  # canonical JSON
        ("seed", pa.int64()),
        ("case_key", pa.string()),
        ("agent", pa.string()),
        ("latency", pa.string()),
        ("camera", pa.string()),
        ("corruption", pa.string()),
        ("avoidable", pa.bool_()),
        ("hazard_us", pa.int64()),
        ("expert_progress_m", pa.float64()),
        ("valid", pa.bool_()),
    ]
)
PLAN_COLUMNS = tuple(PLAN_SCHEMA.names)


def plan_frame(planned: Sequence[PlannedEpisode]) -> pd.DataFrame:
    """Return the plan as a table with the columns ``PLAN_COLUMNS``.

    Raises:
        RunFolderError: if there is no row, rows are not numbered 0 .. n-1, or a key occurs twice.
    """
    frame = pd.DataFrame(
        [
            {
                "row": entry.row,
                "key": entry.key,
                "scenario": entry.case.scenario,
                "params": canonical_json(dict(entry.case.params)),
                "seed": entry.case.seed,
                "case_key": entry.case.key,
                "agent": entry.agent,
                "latency": entry.latency,
                "camera": entry.camera,
                "corruption": entry.corruption,
                "avoidable": entry.avoidable,
                "hazard_us": entry.hazard_us,
                "expert_progress_m": entry.expert_progress_m,
                "valid": entry.valid,
            }
            for entry in planned
        ],
        columns=list(PLAN_COLUMNS),
    )
    check_plan(frame)
    return frame


def check_plan(frame: pd.DataFrame) -> None:
    """Check columns, numbering and uniqueness of keys.

    Raises:
        RunFolderError: naming what is wrong.
    """
    missing = [name for name in PLAN_COLUMNS if name not in frame.columns]
    if missing:
        raise RunFolderError(f"the plan lacks the columns {', '.join(missing)}")
    if not len(frame):
        raise RunFolderError("the plan holds no episode; name at least one case, agent and latency setting")
    if list(frame["row"]) != list(range(len(frame))):
        raise RunFolderError("the rows of the plan must be numbered 0, 1, 2 ... in order")
    twice = sorted(frame["key"][frame["key"].duplicated()])
    if twice:
        raise RunFolderError(f"the plan holds {len(twice)} episodes twice, e.g. key {twice[0]}")


def planned_episodes(frame: pd.DataFrame) -> list[PlannedEpisode]:
    """Return the rows of a plan as objects."""
    return [
        PlannedEpisode(
            row=int(entry["row"]),
            key=entry["key"],
            case=parse_case(entry["scenario"], entry["params"], int(entry["seed"])),
            agent=entry["agent"],
            latency=entry["latency"],
            camera=entry["camera"],
            corruption=entry["corruption"],
            avoidable=bool(entry["avoidable"]),
            hazard_us=int(entry["hazard_us"]),
            expert_progress_m=float(entry["expert_progress_m"]),
            valid=bool(entry["valid"]),
        )
        for entry in frame.to_dict("records")
    ]


def parse_case(scenario: str, params: str, seed: int) -> Case:
    """Return the case that the columns scenario, params (JSON) and seed stand for."""
    return Case(scenario, tuple(sorted(json.loads(params).items())), seed)
