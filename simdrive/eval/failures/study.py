"""A whole failure search: nearest failure, boundary map, failure rate, and the found cases as a suite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from simdrive.eval.charges import check_charges
from simdrive.eval.failures.boundary import Boundary, choose_axes, draw_boundary
from simdrive.eval.failures.rate import FailureRate, plain_rate, proposal_of, weighted_rate
from simdrive.eval.failures.search import Budget, Found, search
from simdrive.eval.failures.space import Space
from simdrive.eval.failures.trials import Trial, drive_all
from simdrive.eval.files import write_text
from simdrive.eval.grid import AgentConfig, LatencyConfig
from simdrive.eval.pool import Pool
from simdrive.eval.runner import Progress
from simdrive.scenarios.sampling import HAZARD
from simdrive.streams import digest, stream
from simdrive.types import Case, Float

MOST_KEPT = 100  # found cases in the suite


@dataclass(frozen=True)
class Extras:
    """What follows the search: simulations for each rate (0 = none), cells along each side of the map (0 = none)."""

    rate: int = 200
    cells: int = 12
    map_names: tuple[str, ...] | None = None
    confidence: float = 0.95


@dataclass(frozen=True)
class FailureStudy:
    """Everything that ``simdrive search`` shows.

    Attributes:
        space: what was searched.
        agent, latency: who drove, how late.
        budget: of the search.
        found: its simulations.
        boundary: None = not asked for, or fewer than two ranges.
        weighted: rate by importance sampling; None = not asked for, or no failure to sample around.
        plain: rate by plain Monte Carlo; None = not asked for.
        settled: references that the search itself (without map and rates) had to drive.
    """

    space: Space
    agent: str
    latency: str
    budget: Budget
    found: Found
    boundary: Boundary | None
    weighted: FailureRate | None
    plain: FailureRate | None
    settled: int
    confidence: float


def study_failures(
    space: Space,
    agent: AgentConfig,
    latency: LatencyConfig,
    budget: Budget,
    extras: Extras,
    progress: Progress,
    workers: int = 1,
    batch: int = 64,
) -> FailureStudy:
    """Search, map and estimate; the same arguments give the same result for any workers and batch size.

    Raises:
        UnknownNameError, ParameterError: if something does not exist or fit; nothing is driven then.
    """
    check_charges([agent], [latency])
    choose_axes(space, extras.map_names, None)  # refuses wrong names now
    with Pool(workers) as pool:

        def drive(cases: Sequence[Case], full: bool = False) -> list[Trial]:
            trials = drive_all(cases, agent, latency, pool, full=full, batch=batch)
            progress.advance(len(cases))
            return trials

        # Agent and latency stay out of the streams: all drivers meet the same first population.
        name = digest({"scenario": space.scenario, "seed": space.seed})
        progress.stage("search", budget.simulations)
        found = search(space, budget, stream(name, "search"), drive)
        boundary = _boundary(space, found, extras, progress, drive)
        weighted = plain = None
        if extras.rate:
            progress.stage("rates", 2 * extras.rate)
            proposal, rng = proposal_of(space, found), stream(name, "search.rate")
            if proposal is not None:
                points, cases = space.draw(functools.partial(proposal.sample, rng=rng), extras.rate)
                weighted = weighted_rate(space, proposal, points, drive(cases, True), extras.confidence)
            likely, rng = space.likely(), stream(name, "search.plain")
            _, cases = space.draw(functools.partial(likely.sample, rng=rng), extras.rate)
            plain = plain_rate(drive(cases, True), extras.confidence)
    settled = sum(trial.references for trial in found.trials)
    return FailureStudy(
        space, agent.name, latency.label, budget, found, boundary, weighted, plain, settled, extras.confidence
    )


def _boundary(
    space: Space,
    found: Found,
    extras: Extras,
    progress: Progress,
    drive: Callable[[Sequence[Case]], list[Trial]],
) -> Boundary | None:
    failures = found.failures()
    nearest = found.points[failures[0]] if failures else None
    names = choose_axes(space, extras.map_names, nearest)
    if names is None or not extras.cells:
        return None
    progress.stage("map", extras.cells**2)
    return draw_boundary(space, names, _middle(space) if nearest is None else nearest, extras.cells, drive)


def _middle(space: Space) -> Float:
    """Return the nominal point, the first value of each choice."""
    return np.array([space.nominal.get(name, 0.0) for name in space.names])


def write_suite(study: FailureStudy, path: Path, name: str) -> int:
    """Write the failures that were found, the nearest first, as a suite; return how many.

    The suite names exactly these cases: its seed gives each single-valued grid the seed that was driven.
    """
    places = study.found.failures()[:MOST_KEPT]
    if not places:
        return 0
    entries = []
    for place in places:
        case = study.found.trials[place].case
        params = {key: value for key, value in case.params if key != HAZARD}
        entries.append({"scenario": case.scenario, "grid": {key: [value] for key, value in params.items()}})
    suite = {
        "name": name,
        "version": 1,
        "description": f"Failures of {study.agent} ({study.latency}) in {study.space.scenario}, the nearest first.",
        "seed": study.space.seed,
        "entries": entries,
    }
    write_text(path, yaml.safe_dump(suite, sort_keys=False, width=120))
    return len(places)
