"""Episode logs to tables and back, without loss."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from simdrive.eval import schema
from simdrive.eval.looked_codec import looked_column, looked_from, looked_text
from simdrive.eval.plan import PlannedEpisode, parse_case
from simdrive.eval.schema import RunTables
from simdrive.metrics.evaluate import Evaluation
from simdrive.sim.spec import Lighting
from simdrive.streams import canonical_json
from simdrive.types import (
    STAGES,
    ActorTable,
    Contact,
    EndReason,
    EpisodeLog,
    Float,
    RequestLog,
    RequestStatus,
)

Array = npt.NDArray[Any]
_REQUEST_WORDS = ("text", "branch", "state")


@dataclass(frozen=True)
class EpisodeResult:
    """One driven and scored episode, ready to be stored."""

    planned: PlannedEpisode
    log: EpisodeLog
    evaluation: Evaluation


def encode(results: Sequence[EpisodeResult]) -> RunTables:
    """Return the tables of some episodes; all must be scored with the same metrics.

    Raises:
        ValueError: if ``results`` is empty or the metrics differ.
    """
    if not results:
        raise ValueError("nothing to encode: give at least one episode")
    names = tuple(results[0].evaluation.values)
    if any(tuple(result.evaluation.values) != names for result in results):
        raise ValueError("the episodes were scored with different metrics")
    ordered = sorted(results, key=lambda result: result.planned.row)
    return RunTables(_episodes(ordered, names), _steps(ordered), _actors(ordered), _requests(ordered))


# --- to tables ------------------------------------------------------------


def _row_column(results: Sequence[EpisodeResult], size: Callable[[EpisodeLog], int]) -> Array:
    rows = np.array([result.planned.row for result in results], dtype=np.int32)
    return np.repeat(rows, [size(result.log) for result in results])


def _joined(results: Sequence[EpisodeResult], take: Callable[[EpisodeLog], Array]) -> Array:
    return np.concatenate([take(result.log) for result in results])


def _getter(name: str, others: bool) -> Callable[[EpisodeLog], Array]:
    """Return how to read a column: of the ego, or of all others actor by actor (long runs of one actor pack
    well).
    """
    if others:
        return lambda log: getattr(log, name)[:, 1:].T.ravel()
    return lambda log: getattr(log, name)[:, 0] if getattr(log, name).ndim == 2 else getattr(log, name)


def _table(target: pa.Schema, columns: dict[str, Any]) -> pa.Table:
    arrays = [pa.array(columns[field.name], type=field.type, from_pandas=False) for field in target]
    return pa.Table.from_arrays(arrays, schema=target)


def _steps(results: Sequence[EpisodeResult]) -> pa.Table:
    columns: dict[str, Any] = {"row": _row_column(results, lambda log: len(log.t_us))}
    for name in schema.STEPS.names[1:]:
        columns[name] = _joined(results, _getter(name, others=False))
    return _table(schema.STEPS, columns)


def _actors(results: Sequence[EpisodeResult]) -> pa.Table:
    def others(log: EpisodeLog) -> int:
        return int(log.x.shape[1]) - 1

    columns: dict[str, Any] = {
        "row": _row_column(results, lambda log: len(log.t_us) * others(log)),
        "actor": _joined(results, lambda log: np.repeat(np.arange(1, others(log) + 1, dtype=np.int16), len(log.t_us))),
        "t_us": _joined(results, lambda log: np.tile(log.t_us, others(log))),
    }
    for name in schema.ACTORS.names[3:]:
        columns[name] = _joined(results, _getter(name, others=True))
    return _table(schema.ACTORS, columns)


def _requests(results: Sequence[EpisodeResult]) -> pa.Table:
    columns: dict[str, Any] = {
        "row": _row_column(results, lambda log: len(log.requests.status)),
        "request": _joined(results, lambda log: np.arange(len(log.requests.status), dtype=np.int32)),
        "status": pa.array(schema.STATUS_NAMES).take(pa.array(_joined(results, lambda log: log.requests.status))),
        **{name: _words(name, results) for name in _REQUEST_WORDS},
    }
    stages = _joined(results, lambda log: log.requests.stages_us)
    for index, stage in enumerate(STAGES):
        columns[f"{stage}_us"] = stages[:, index]
    for name in schema.REQUESTS.names:
        if name not in columns and name not in (*schema.PLAN_LISTS, "looked"):
            columns[name] = np.concatenate([getattr(result.log.requests, name) for result in results])
    columns |= _plan_lists(results)
    columns["looked"] = looked_column([result.log.requests for result in results])
    return _table(schema.REQUESTS, columns)


def _words(name: str, results: Sequence[EpisodeResult]) -> Any:
    said = [getattr(result.log.requests, name) for result in results]
    if not any(any(words) for words in said):
        return pa.repeat("", sum(map(len, said)))
    return [word for words in said for word in words]


def _plan_lengths(plan: Float) -> Array:
    """Return the number of points ``[K]`` of plans ``[K, P, 5]`` up to the last that is not all NaN."""
    count, points = plan.shape[:2]
    if not plan.size or not np.isnan(plan[:, -1]).all(axis=1).any():
        return np.full(count, points)
    filled = ~np.isnan(plan).all(axis=2)
    lengths: Array = np.max(filled * np.arange(1, points + 1), axis=1, initial=0)
    return lengths


def _plan_lists(results: Sequence[EpisodeResult]) -> dict[str, pa.ListArray]:
    """Return the plan columns: one list of points per request."""
    plans = [result.log.requests.plan for result in results]
    lengths = [_plan_lengths(plan) for plan in plans]
    ends = np.cumsum([0, *(int(length.sum()) for length in lengths)])
    flat = np.empty((len(schema.PLAN_LISTS), ends[-1]))
    for plan, length, start, end in zip(plans, lengths, ends[:-1], ends[1:], strict=True):
        kept = plan.reshape(-1, plan.shape[2])
        if len(kept) != end - start:
            kept = plan[np.arange(plan.shape[1]) < length[:, None]]
        flat[:, start:end] = kept.T
    offsets = pa.array(np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int32))
    return {
        name: pa.ListArray.from_arrays(offsets, pa.array(flat[column], from_pandas=False))
        for column, name in enumerate(schema.PLAN_LISTS)
    }


def _episodes(results: Sequence[EpisodeResult], metrics: Sequence[str]) -> pa.Table:
    target = schema.episodes_schema(metrics)
    rows = [_facts(result) | _scores(result.evaluation) for result in results]
    return pa.Table.from_pylist(rows, schema=target)


def _scores(evaluation: Evaluation) -> dict[str, Any]:
    values = {name: value.value if value.valid else math.nan for name, value in evaluation.values.items()}
    return values | {"metric_errors": canonical_json(evaluation.errors) if evaluation.errors else ""}


def _facts(result: EpisodeResult) -> dict[str, Any]:
    planned, log = result.planned, result.log
    return {
        "row": planned.row,
        "key": planned.key,
        "scenario": log.case.scenario,
        "params": canonical_json(dict(log.case.params)),
        "seed": log.case.seed,
        "case_key": log.case.key,
        "agent": planned.agent,
        "latency": planned.latency,
        "camera": planned.camera,
        "corruption": planned.corruption,
        "valid": planned.valid,
        "avoidable": log.avoidable,
        "hazard_us": log.hazard_us,
        "expert_progress_m": log.expert_progress_m,
        "end": log.end.name.lower(),
        "duration_s": float(log.t_us[-1] - log.t_us[0]) / 1e6 if len(log.t_us) else 0.0,
        "goal_m": log.goal_m,
        "route_start_s": log.route_start_s,
        "cruise_speed_mps": log.cruise_speed_mps,
        "flag_saturated": log.saturated,
        "flag_cold_start": log.cold_start,
        "plan_points": log.requests.plan.shape[1],
        "map_key": log.map_key,
        "lighting": _lighting_text(log.lighting),
        "looked": looked_text(log.requests.looked),
        **_contact_facts(log.contact),
        **_request_facts(log.requests),
        **_actor_facts(log.actors),
    }


def _contact_facts(contact: Contact | None) -> dict[str, Any]:
    if contact is None:
        contact = Contact(-1, -1, -1, math.nan, math.nan, math.nan)
    return {f"contact_{field.name}": getattr(contact, field.name) for field in dataclasses.fields(contact)}


def _request_facts(requests: RequestLog) -> dict[str, Any]:
    counts = np.bincount(requests.status, minlength=len(schema.STATUS_NAMES))
    return {
        "dropped_frames": requests.dropped_frames,
        **{f"requests_{name}": int(count) for name, count in zip(schema.STATUS_NAMES, counts, strict=True)},
        "prompt_tokens": int(requests.prompt_tokens.sum()),
        "image_tokens": int(requests.image_tokens.sum()),
        "output_tokens": int(requests.output_tokens.sum()),
    }


def _actor_facts(actors: ActorTable) -> dict[str, Any]:
    return {
        "actor_name": list(actors.name),
        "actor_shape": actors.shape.tolist(),
        "actor_length_m": actors.length.tolist(),
        "actor_width_m": actors.width.tolist(),
        "actor_height_m": actors.height.tolist(),
        "actor_colour": actors.colour.ravel().tolist(),
        "actor_is_hazard": actors.is_hazard.tolist(),
    }


def _lighting_text(lighting: Lighting) -> str:
    """Return the lighting as JSON, NaN as null."""
    values = dataclasses.asdict(lighting)
    return canonical_json({name: None if math.isnan(value) else value for name, value in values.items()})


# --- back to logs ------------------------------------------------------------


def decode(episode: dict[str, Any], steps: pa.Table, actors: pa.Table, requests: pa.Table) -> EpisodeLog:
    """Return the log of one episode from its row of ``episodes`` and its rows of the other tables."""
    t_us = _column(steps, "t_us")
    fields: dict[str, Any] = {"t_us": t_us}
    count = len(episode["actor_name"])
    for name in schema.ACTORS.names[3:]:
        others = _column(actors, name).reshape(count - 1, len(t_us)).T
        fields[name] = np.concatenate([_column(steps, name)[:, None], others], axis=1)
    for name in schema.STEPS.names:
        if name not in fields and name != "row":
            fields[name] = _column(steps, name)
    lighting: dict[str, Any] = json.loads(episode["lighting"])
    lighting = {name: math.nan if value is None else value for name, value in lighting.items()}
    return EpisodeLog(
        case=parse_case(episode["scenario"], episode["params"], episode["seed"]),
        actors=_actor_table(episode),
        map_key=episode["map_key"],
        **fields,
        requests=_request_log(requests, episode["dropped_frames"], episode["plan_points"], episode["looked"]),
        contact=_contact(episode),
        end=EndReason[episode["end"].upper()],
        goal_m=episode["goal_m"],
        route_start_s=episode["route_start_s"],
        cruise_speed_mps=episode["cruise_speed_mps"],
        hazard_us=episode["hazard_us"],
        avoidable=episode["avoidable"],
        expert_progress_m=episode["expert_progress_m"],
        saturated=episode["flag_saturated"],
        cold_start=episode["flag_cold_start"],
        lighting=Lighting(**lighting),
    )


def _column(table: pa.Table, name: str) -> Array:
    column: Array = table.column(name).to_numpy()
    return column


def _actor_table(episode: dict[str, Any]) -> ActorTable:
    return ActorTable(
        name=tuple(episode["actor_name"]),
        shape=np.array(episode["actor_shape"], dtype=np.int8),
        length=np.array(episode["actor_length_m"], dtype=np.float64),
        width=np.array(episode["actor_width_m"], dtype=np.float64),
        height=np.array(episode["actor_height_m"], dtype=np.float64),
        colour=np.array(episode["actor_colour"], dtype=np.uint8).reshape(-1, 3),
        is_hazard=np.array(episode["actor_is_hazard"], dtype=np.bool_),
    )


def _contact(episode: dict[str, Any]) -> Contact | None:
    if episode["contact_actor"] < 0:
        return None
    return Contact(**{field.name: episode[f"contact_{field.name}"] for field in dataclasses.fields(Contact)})


def _request_log(requests: pa.Table, dropped_frames: int, plan_points: int, looked: str) -> RequestLog:
    names = [field.name for field in dataclasses.fields(RequestLog)]
    plain: dict[str, Any] = {
        name: _column(requests, name)
        for name in names
        if name in schema.REQUESTS.names and name not in ("status", "looked", *_REQUEST_WORDS)
    }
    status = [RequestStatus[name.upper()] for name in requests.column("status").to_pylist()]
    plain |= {name: tuple(requests.column(name).to_pylist()) for name in _REQUEST_WORDS}
    return RequestLog(
        **plain,
        stages_us=np.stack([_column(requests, f"{stage}_us") for stage in STAGES], axis=1),
        status=np.array(status, dtype=np.int8),
        plan=_plans(requests, plan_points),
        dropped_frames=dropped_frames,
        looked=looked_from(looked, requests.column("looked").to_pylist()),
    )


def _plans(requests: pa.Table, points: int) -> Float:
    plan = np.full((len(requests), points, len(schema.PLAN_LISTS)), np.nan)
    for column, name in enumerate(schema.PLAN_LISTS):
        lists = requests.column(name).combine_chunks()
        lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
        counts = np.diff(lists.offsets.to_numpy())
        plan[:, :, column][np.arange(points) < counts[:, None]] = lists.flatten().to_numpy()
    return plan
