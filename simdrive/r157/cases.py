"""Cases as csv: strict reading by line and field, and the same columns written back with the verdicts."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simdrive.errors import ParameterError
from simdrive.r157.parameters import MODELS, SCENARIOS
from simdrive.r157.verdict import Cases, Verdicts

COLUMNS = ("scenario", "ego_speed_kph", "other_speed_kph", "dx0_m", "lateral_speed_mps", "decel_mps2", "model",
           "ego_lead_gap_m")  # fmt: skip
VERDICT_COLUMNS = ("collision", "min_ttc_s")
NEEDED = ("scenario", "ego_speed_kph", "model")
_SHOWN = 10
# Bounds are what is physically possible, with room: the fastest road cars; sideways speed of a skid; a dry road.
_BOUNDS = {
    "ego_speed_kph": (0.0, 500.0), "other_speed_kph": (0.0, 500.0), "dx0_m": (0.0, 1000.0),
    "lateral_speed_mps": (-10.0, 10.0), "decel_mps2": (0.0, 12.0), "ego_lead_gap_m": (0.0, 1000.0),
}  # fmt: skip
_OF_SCENARIO = {
    "cut_in": ("other_speed_kph", "dx0_m", "lateral_speed_mps"),
    "cut_out": ("dx0_m", "lateral_speed_mps"),
    "deceleration": ("decel_mps2",),
}
_UNUSED = {
    "cut_in": ("decel_mps2", "ego_lead_gap_m"),
    "cut_out": ("decel_mps2",),
    "deceleration": ("lateral_speed_mps",),
}


@dataclass(frozen=True)
class CaseTable:
    """A read file: its header and rows as text, the cases, and what was given without being of use.

    Attributes:
        ignored: one sentence per field and scenario whose values do not apply there and were not used.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    cases: Cases
    ignored: tuple[str, ...]


def _number(text: str, column: str, where: str, problems: list[str]) -> float:
    """Return a number within its bounds, NaN where empty or wrong (then told in ``problems``)."""
    if not text:
        return math.nan
    low, high = _BOUNDS[column]
    try:
        value = float(text)
    except ValueError:
        problems.append(f"{where}, {column}: {text!r} is not a number; give one between {low:g} and {high:g}")
        return math.nan
    if not low <= value <= high:
        problems.append(f"{where}, {column}: {text} is impossible; give a number between {low:g} and {high:g}")
        return math.nan
    return value


def _choice(text: str, column: str, allowed: Sequence[str], where: str, problems: list[str]) -> int:
    if text in allowed:
        return allowed.index(text)
    problems.append(f"{where}, {column}: {text!r} is not known; give one of {', '.join(allowed)}")
    return -1


def _case(fields: Mapping[str, str], where: str, problems: list[str], ignored: dict[str, int]) -> tuple[float, ...]:
    """Return one row in the order of ``Cases``; the sign of the sideways speed follows from the scenario."""
    before = len(problems)
    scenario = _choice(fields.get("scenario", ""), "scenario", SCENARIOS, where, problems)
    model = _choice(fields.get("model", ""), "model", MODELS, where, problems)
    value = {name: _number(fields.get(name, ""), name, where, problems) for name in _BOUNDS}
    if len(problems) > before:
        return (math.nan,) * 8
    kind = SCENARIOS[scenario]
    for name in ("ego_speed_kph", *_OF_SCENARIO[kind]):
        if math.isnan(value[name]):
            problems.append(f"{where}, {name}: is empty; a {kind} case needs it")
    if value["ego_speed_kph"] == 0.0:
        problems.append(f"{where}, ego_speed_kph: 0 is impossible; the ego drives, give a speed above 0")
    for name in _UNUSED[kind]:
        if not math.isnan(value[name]) and value[name] != 0.0:
            ignored[f"{name} in {kind}"] = ignored.get(f"{name} in {kind}", 0) + 1
    ego, other, gap, lead_gap = (value[n] for n in ("ego_speed_kph", "other_speed_kph", "dx0_m", "ego_lead_gap_m"))
    if kind != "cut_in":
        if math.isnan(other) or other == 0.0:
            other = ego
        if lead_gap == 0.0:
            lead_gap = math.nan
    if kind == "deceleration" and gap > 0.0:  # the initial distance, as dx0 is in the regulation
        if math.isnan(lead_gap):
            lead_gap = gap
        elif lead_gap != gap:
            ignored["dx0_m beside ego_lead_gap_m in deceleration"] = (
                ignored.get("dx0_m beside ego_lead_gap_m in deceleration", 0) + 1
            )
    lateral = 0.0 if kind == "deceleration" else abs(value["lateral_speed_mps"])
    decel = value["decel_mps2"] if kind == "deceleration" else 0.0
    return (float(scenario), float(model), ego / 3.6, other / 3.6, gap, lateral, decel, lead_gap)


def _header(path: Path, row: Sequence[str]) -> tuple[str, ...]:
    header = tuple(name.strip() for name in row)
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise ParameterError(
            f"{path}, line 1: no column {', '.join(missing)}; the columns are {', '.join(COLUMNS)}, separated by commas"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ParameterError(f"{path}, line 1: column {', '.join(twice)} comes twice; keep one")
    taken = [name for name in VERDICT_COLUMNS if name in header]
    if taken:
        raise ParameterError(f"{path}, line 1: column {', '.join(taken)} is what this command adds; rename or drop it")
    return header


def to_cases(rows: Sequence[Sequence[float]]) -> Cases:
    """Return rows of numbers (fields in the order of ``Cases``) as columns."""
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 8)
    column = [np.ascontiguousarray(np.nan_to_num(table[:, k])) for k in range(7)]
    return Cases(
        scenario=column[0].astype(np.int64),
        model=column[1].astype(np.int64),
        ego_mps=column[2],
        other_mps=column[3],
        gap_m=column[4],
        lateral_mps=column[5],
        decel_mps2=column[6],
        lead_gap_m=np.ascontiguousarray(table[:, 7]),
    )


def parse(header: tuple[str, ...], lines: Sequence[tuple[int, Sequence[str]]], name: str) -> CaseTable:
    """Return the cases of (line number, fields) pairs.

    Raises:
        ParameterError: with line, field and remedy of the first ten problems.
    """
    problems: list[str] = []
    ignored: dict[str, int] = {}
    rows, numbers = [], []
    for line, fields in lines:
        if len(fields) != len(header):
            problems.append(f"line {line}: {len(fields)} fields, the header has {len(header)}; add or remove commas")
            continue
        values = dict(zip(header, (text.strip() for text in fields), strict=True))
        numbers.append(_case(values, f"line {line}", problems, ignored))
        rows.append(tuple(fields))
    if problems:
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        shown = "".join(f"\n  {problem}" for problem in problems[:_SHOWN])
        raise ParameterError(f"{name}: {len(problems)} problems, nothing was simulated{shown}{more}")
    if not rows:
        raise ParameterError(f"{name}: no case below the header; give one row per case")
    told = tuple(f"{what} does not apply and was not used ({count} rows)" for what, count in ignored.items())
    return CaseTable(header, tuple(rows), to_cases(numbers), told)


def read_cases(path: Path) -> CaseTable:
    """Return the cases of a csv file (UTF-8, commas, first line the header; empty lines are skipped).

    Raises:
        ParameterError: if it cannot be read, or with line, field and remedy of its problems.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            first = next(reader, None)
            if first is None:
                raise ParameterError(f"{path}: is empty; the columns are {', '.join(COLUMNS)}")
            header = _header(path, first)
            lines = [(reader.line_num, row) for row in reader if any(text.strip() for text in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ParameterError(f"{path}: cannot be read as csv ({error}); give a UTF-8 file with commas") from error
    return parse(header, lines, str(path))


def write_verdicts(path: Path, table: CaseTable, verdicts: Verdicts) -> None:
    """Write the rows as they came, with ``collision`` (0 or 1) and ``min_ttc_s`` (empty where none) added.

    Raises:
        ParameterError: if the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow((*table.header, *VERDICT_COLUMNS))
            for row, hit, ttc in zip(table.rows, verdicts.collision, verdicts.min_ttc_s, strict=True):
                writer.writerow((*row, int(hit), "" if math.isnan(ttc) else f"{ttc:.4f}"))
    except OSError as error:
        raise ParameterError(
            f"out={path}: cannot be written ({error.strerror}); give a file in a folder that exists"
        ) from error
