"""The tables of a run folder: their columns, in fixed order, and how they are written.

Four tables, joined by ``row`` (the position in the plan):

* ``episodes``: one row per episode, with its plan columns, facts, actors and metric values;
* ``steps``: one row per 10 Hz row of an episode, the ego's columns;
* ``actors``: one row per (episode, other actor, 10 Hz row), long form;
* ``requests``: one row per inference, with its plan.

Floating-point columns keep all 64 bits: a log read back is the log that was written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from simdrive.eval.files import write_atomically
from simdrive.types import STAGES

SCHEMA_VERSION = 3
TABLES = ("episodes", "steps", "actors", "requests")  # order in which a part is written is the reverse

_STATE = ("x", "y", "heading", "speed", "acceleration", "lane_s", "lane_r")  # [T, V] float columns
_ACTOR_FLAGS = ("present", "visible", "brake_light")
_EGO_FLOATS = (
    "steering",
    "lane_heading",
    "lane_width",
    "off_road_m",
    "route_s",
    "route_r",
    "speed_limit_mps",
)
_EGO_FLAGS = ("in_junction", "on_several_lanes", "aeb_active")
STATUS_NAMES = ("ok", "exception", "timeout", "unparsable", "invalid", "dropped", "unfinished")
PLAN_LISTS = ("plan_t_s", "plan_x_m", "plan_y_m", "plan_heading_rad", "plan_speed_mps")

_SHARED = [
    *((name, pa.float64()) for name in _STATE),
    ("lane", pa.int32()),
    *((name, pa.bool_()) for name in _ACTOR_FLAGS),
    ("indicator", pa.int8()),
]
STEPS = pa.schema(
    [
        ("row", pa.int32()),
        ("t_us", pa.int64()),
        *_SHARED,
        *((name, pa.float64()) for name in _EGO_FLOATS),
        *((name, pa.bool_()) for name in _EGO_FLAGS),
        ("plan_age_us", pa.int64()),
        ("plan_request", pa.int32()),
    ]
)
ACTORS = pa.schema([("row", pa.int32()), ("actor", pa.int16()), ("t_us", pa.int64()), *_SHARED])
REQUESTS = pa.schema(
    [
        ("row", pa.int32()),
        ("request", pa.int32()),
        ("status", pa.string()),
        *((name, pa.int64()) for name in ("t_obs_us", "t_start_us", "t_first_token_us", "t_finish_us")),
        ("t_publish_us", pa.int64()),
        ("t_actuate_us", pa.int64()),
        ("deadline_us", pa.int64()),
        ("missed", pa.bool_()),
        ("branch", pa.string()),
        ("state", pa.string()),
        *((f"{stage}_us", pa.int64()) for stage in STAGES),
        *((name, pa.int64()) for name in ("prompt_tokens", "image_tokens", "output_tokens", "max_output_tokens")),
        ("blind_m", pa.float64()),
        ("text", pa.string()),
        *((name, pa.list_(pa.float64())) for name in PLAN_LISTS),
        ("looked", pa.list_(pa.float32())),  # over the cameras and grid of the episode's looked; empty = nobody looked
    ]
)
_EPISODE_FACTS = [
    ("row", pa.int32()),
    ("key", pa.string()),
    ("scenario", pa.string()),
    ("params", pa.string()),
    ("seed", pa.int64()),
    ("case_key", pa.string()),
    ("agent", pa.string()),
    ("latency", pa.string()),
    ("camera", pa.string()),
    ("corruption", pa.string()),
    ("valid", pa.bool_()),
    ("avoidable", pa.bool_()),
    ("hazard_us", pa.int64()),
    ("expert_progress_m", pa.float64()),
    ("end", pa.string()),
    ("duration_s", pa.float64()),
    ("contact_t_us", pa.int64()),
    ("contact_actor", pa.int32()),
    ("contact_shape", pa.int32()),
    ("contact_ego_speed_mps", pa.float64()),
    ("contact_actor_speed_mps", pa.float64()),
    ("contact_impact_speed_mps", pa.float64()),
    ("goal_m", pa.float64()),
    ("route_start_s", pa.float64()),
    ("cruise_speed_mps", pa.float64()),
    ("flag_saturated", pa.bool_()),
    ("flag_cold_start", pa.bool_()),
    ("dropped_frames", pa.int32()),
    *((f"requests_{status}", pa.int32()) for status in STATUS_NAMES),
    *((name, pa.int64()) for name in ("prompt_tokens", "image_tokens", "output_tokens")),
    ("plan_points", pa.int32()),
    ("map_key", pa.string()),
    ("lighting", pa.string()),
    ("looked", pa.string()),  # cameras, rows and columns of where answers looked; empty = not recorded
    ("actor_name", pa.list_(pa.string())),
    ("actor_shape", pa.list_(pa.int8())),
    ("actor_length_m", pa.list_(pa.float64())),
    ("actor_width_m", pa.list_(pa.float64())),
    ("actor_height_m", pa.list_(pa.float64())),
    ("actor_colour", pa.list_(pa.uint8())),
    ("actor_is_hazard", pa.list_(pa.bool_())),
]
FACT_COLUMNS = tuple(name for name, _ in _EPISODE_FACTS)


def episodes_schema(metrics: Iterable[str]) -> pa.Schema:
    """Return the columns of ``episodes``: facts, then one float column per metric (NaN = unscored), then
    errors.

    Raises:
        ValueError: if a metric carries the name of a fact.
    """
    names = list(metrics)
    clash = sorted(set(names) & {*FACT_COLUMNS, "metric_errors"})
    if clash:
        raise ValueError(f"metrics may not be named like episode facts: {', '.join(clash)}")
    return pa.schema([*_EPISODE_FACTS, *((name, pa.float64()) for name in names), ("metric_errors", pa.string())])


@dataclass(frozen=True)
class RunTables:
    """The four tables of some episodes, each sorted by ``row``."""

    episodes: pa.Table
    steps: pa.Table
    actors: pa.Table
    requests: pa.Table

    def table(self, name: str) -> pa.Table:
        """Return one table by its name in ``TABLES``."""
        table: pa.Table = getattr(self, name)
        return table


def _leaves(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Return the Parquet column paths with the types of their leaves."""
    return [
        (f"{field.name}.list.element", field.type.value_type)
        if pa.types.is_list(field.type)
        else (field.name, field.type)
        for field in schema
    ]


def _encodings(schema: pa.Schema) -> tuple[list[str], dict[str, str]]:
    """Return the dictionary-coded columns and the encoding of the others."""
    dictionary, other = [], {}
    for path, kind in _leaves(schema):
        if pa.types.is_string(kind) or path.startswith("plan_t_s"):
            dictionary.append(path)
        elif pa.types.is_floating(kind):
            other[path] = "BYTE_STREAM_SPLIT"
        elif pa.types.is_integer(kind) and kind.bit_width >= 32:
            other[path] = "DELTA_BINARY_PACKED"
    return dictionary, other


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer whose bytes depend on the data and the row groups alone (no pandas notes, no times)."""
    dictionary, encodings = _encodings(schema)
    options: dict[str, Any] = {
        "version": "2.6",
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": dictionary,
        "column_encoding": encodings,
        "write_statistics": ["row"] if "row" in schema.names else False,
        "store_schema": False,
    }
    return pq.ParquetWriter(path, schema, **options)


def write_table(path: Path, table: pa.Table) -> None:
    """Write one Parquet file atomically."""

    def write(temporary: Path) -> None:
        with parquet_writer(temporary, table.schema) as writer:
            writer.write_table(table, row_group_size=max(len(table), 1))

    write_atomically(path, write)
