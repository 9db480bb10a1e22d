"""From a suite to worlds: draws parameters, names cases, and builds their worlds, all from the case alone."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simdrive.build import build, config_names, load_config
from simdrive.errors import ParameterError, UnknownNameError
from simdrive.scenarios.contract import Scenario
from simdrive.scenarios.grid import grid_rows, grid_size
from simdrive.scenarios.parameters import Choice, Parameter, Value, check_parameters, narrow_parameters
from simdrive.sim.spec import WorldSpec
from simdrive.streams import digest, stream
from simdrive.types import Case, Suite, SuiteEntry

HAZARD = "hazard"  # parameter of every case: False = the same world without its danger
_SUITE_FIELDS = ("name", "version", "description", "seed", "entries")
_ENTRY_FIELDS = ("scenario", "cases", "params", "hazard", "grid")
_DRAWS = 1000  # of a case whose values do not go together
_SEEDS_PER_SUITE = 1_000_000


@functools.cache
def scenario(name: str) -> Scenario:
    """Return the scenario of a config name (or yaml path).

    Raises:
        UnknownNameError: if there is none; the message lists all and the nearest name.
    """
    found: Scenario = build("scenario", name)
    return found


def scenario_names() -> tuple[str, ...]:
    """Return the names of all scenarios, sorted."""
    return config_names("scenario")


def sample_cases(
    scenario_name: str,
    count: int,
    seed: int,
    overrides: Mapping[str, Any] | None = None,
    hazard: bool = True,
) -> tuple[Case, ...]:
    """Draw cases of one scenario: every parameter is spread evenly over its range, jittered inside equal parts.

    With the same arguments but ``hazard`` the cases are twins: same parameters, same incidentals.

    Args:
        scenario_name: config name.
        count: number of cases.
        seed: of the draw; case i gets seed * 1,000,000 + i.
        overrides: narrower ranges by parameter: a value, [low, high], or a list of choices.
        hazard: whether the danger occurs; scenarios without one ignore it.

    Raises:
        UnknownNameError: if scenario, parameter or choice is unknown.
        ParameterError: if an override is out of range, or count or seed is negative.
    """
    if count < 0 or seed < 0:
        raise ParameterError(f"cases and seed must be at least 0, got {count} and {seed}")
    if count > _SEEDS_PER_SUITE:
        raise ParameterError(f"at most {_SEEDS_PER_SUITE} cases can be drawn at once, got {count}")
    kind = scenario(scenario_name)
    parameters = narrow_parameters(kind.name, kind.parameters, overrides or {})
    columns: dict[str, list[Value]] = {}
    for name, parameter in parameters.items():
        rng = stream(digest({"scenario": kind.name, "seed": seed}), f"sampling.{name}")
        # Half of the choices' order is drawn anew per value, so that no two parameters go hand in hand.
        # Fewer cases than choices would always name the same ones without jitter.
        few = isinstance(parameter, Choice) and count < len(parameter.values)
        jitter = rng.random(count) if few or not isinstance(parameter, Choice) else 0.5
        fractions = (rng.permutation(count) + jitter) / max(count, 1)
        columns[name] = [parameter.at(float(fraction)) for fraction in fractions]
    danger = bool(hazard and kind.has_hazard)
    return tuple(
        make_case(
            scenario_name,
            _possible(kind, parameters, {name: values[i] for name, values in columns.items()}, seed, i),
            seed * _SEEDS_PER_SUITE + i,
            danger,
        )
        for i in range(count)
    )


def _possible(
    kind: Scenario, parameters: Mapping[str, Parameter], values: dict[str, Value], seed: int, number: int
) -> dict[str, Value]:
    """Return the values of a case if they go together, else others from the same ranges that do."""
    rng = stream(digest({"scenario": kind.name, "seed": seed, "case": number}), "sampling.again")
    for _ in range(_DRAWS):
        try:
            _check_together(kind, values)
        except ParameterError:
            values = {name: parameter.at(float(rng.random())) for name, parameter in parameters.items()}
        else:
            return values
    _check_together(kind, values)
    return values


def _check_together(kind: Scenario, values: Mapping[str, Any]) -> None:
    check = getattr(kind, "check", None)
    if check is not None:
        check(values)


def make_case(scenario_name: str, params: Mapping[str, Any], seed: int, hazard: bool = True) -> Case:
    """Return one concrete case.

    Raises:
        UnknownNameError: if scenario, parameter or choice is unknown.
        ParameterError: if a parameter is missing or out of range; the message names field and range.
    """
    kind = scenario(scenario_name)
    values = check_parameters(kind.name, kind.parameters, params)
    _check_together(kind, values)
    values[HAZARD] = bool(hazard and kind.has_hazard)
    return Case(scenario_name, tuple(sorted(values.items())), int(seed))


def build_case(case: Case) -> WorldSpec:
    """Build the world of a case; the same case always gives the same world.

    Raises:
        UnknownNameError: if scenario, parameter or choice is unknown.
        ParameterError: if a parameter is missing or out of range; the message names field and range.
    """
    given = dict(case.params)
    hazard = given.pop(HAZARD, True)
    if not isinstance(hazard, bool):
        raise ParameterError(f"{case.scenario}.{HAZARD} must be true or false, got {hazard!r}")
    kind = scenario(case.scenario)
    params = check_parameters(kind.name, kind.parameters, given)
    _check_together(kind, params)
    # Twins with and without the hazard share their incidentals, so its own flag stays out of the stream's key.
    twin = replace(case, params=tuple(sorted(params.items())))
    return kind.build(params, stream(twin.key, "scenario"), hazard and kind.has_hazard)


def load_suite(name_or_path: str) -> Suite:
    """Return a suite of ``configs/suite`` or of a yaml file.

    Raises:
        UnknownNameError: if suite, field, scenario, parameter or choice is unknown.
        ParameterError: if a field is missing or wrong; the message names it.
    """
    config = load_config("suite", name_or_path)
    _check_fields("suite field", config, _SUITE_FIELDS)
    for field in ("name", "version", "entries"):
        if field not in config:
            raise ParameterError(f"suite {name_or_path!r} lacks the field {field!r}")
    if not isinstance(config["entries"], list) or not config["entries"]:
        raise ParameterError(f"suite {name_or_path!r}: entries must be a list with at least one entry")
    entries = tuple(_entry(name_or_path, number, row) for number, row in enumerate(config["entries"]))
    return Suite(
        name=str(config["name"]),
        version=_whole(f"suite {name_or_path!r}: version", config["version"], 1),
        description=str(config.get("description", "")),
        entries=entries,
        seed=_whole(f"suite {name_or_path!r}: seed", config.get("seed", 0), 0),
    )


def suite_cases(suite: Suite) -> tuple[Case, ...]:
    """Return all cases of a suite in the order of its entries.

    Raises:
        ParameterError: if two entries give the same case.
    """
    cases = tuple(case for entry in suite.entries for case in entry_cases(entry, suite.seed))
    if len({case.key for case in cases}) != len(cases):
        raise ParameterError(f"suite {suite.name!r} names a case twice; merge its entries of one scenario")
    return cases


def entry_cases(entry: SuiteEntry, seed: int) -> tuple[Case, ...]:
    """Return the cases of one entry: drawn, or those of its grid.

    Raises:
        UnknownNameError, ParameterError: as ``sample_cases`` and ``make_case``.
    """
    if not entry.grid:
        return sample_cases(entry.scenario, entry.cases, seed, entry.params, entry.hazard)
    rows = grid_rows(entry.grid, entry.cases)
    return tuple(
        make_case(entry.scenario, entry.params | row, seed * _SEEDS_PER_SUITE + i, entry.hazard)
        for i, row in enumerate(rows)
    )


def _entry(suite: str, number: int, row: Any) -> SuiteEntry:
    where = f"suite {suite!r}, entry {number + 1}"
    if not isinstance(row, Mapping) or "scenario" not in row or ("cases" in row) == ("grid" in row):
        raise ParameterError(f"{where} must be a mapping with scenario and either cases or grid, got {row!r}")
    _check_fields("suite entry field", row, _ENTRY_FIELDS)
    params, hazard = row.get("params") or {}, row.get("hazard", True)
    if not isinstance(params, Mapping) or not isinstance(hazard, bool):
        raise ParameterError(f"{where}: params must be a mapping and hazard true or false, got {row!r}")
    kind = scenario(str(row["scenario"]))
    if "grid" in row:
        entry = SuiteEntry(str(row["scenario"]), grid_size(where, row["grid"]), dict(params), hazard, dict(row["grid"]))
        for values in grid_rows(entry.grid):
            check_parameters(kind.name, kind.parameters, entry.params | values)
        return entry
    narrow_parameters(kind.name, kind.parameters, params)
    return SuiteEntry(str(row["scenario"]), _whole(f"{where}: cases", row["cases"], 1), dict(params), hazard)


def _check_fields(what: str, given: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for field in given:
        if field not in allowed:
            raise UnknownNameError(what, str(field), allowed)


def _whole(what: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ParameterError(f"{what} must be a whole number of at least {low}, got {value!r}")
    return value
