"""A failure search as text and as CSV tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from simdrive.eval.failures.rate import FailureRate
from simdrive.eval.failures.study import FailureStudy
from simdrive.eval.stats import rule_of_three
from simdrive.report.aligned import aligned
from simdrive.report.study import interval_text, percent

SHOWN = 10
NEAR = (
    "distance: standard deviations of the exposure from the nominal values, over all ranges; the nearest failure is the\n"
    "most likely one. Choices (and what a scenario draws by chance) count nothing. unavoidable: a contact, or leaving the\n"
    "road, that no manoeuvre avoids; it is no find. unscored: a crash among others blocks the case."
)


def failures_text(study: FailureStudy) -> str:
    """Return the search as plain text."""
    space, found, budget = study.space, study.found, study.budget
    places = found.failures()
    first = found.first()
    head = (
        f"{study.agent} ({study.latency}) in {space.scenario}, seed {space.seed}: {len(found.trials)} simulations by "
        f"{'cross-entropy search' if budget.method == 'cross_entropy' else 'uniform random sampling'}\n"
        f"{len(places)} failures, {found.count('unavoidable')} unavoidable, {found.count('unscored')} unscored, "
        f"{found.count('pass')} passed; beside them references of {study.settled} cases\n"
    )
    head += "no failure found" if first is None else (
        f"first failure after {first} simulations; nearest at distance {found.distances[places[0]]:.2f}, found after "
        f"{places[0] + 1}"
    )  # fmt: skip
    parts = [head, _exposure(study)]
    if places:
        parts.append(_nearest(study, places))
    parts.append(NEAR)
    if study.plain is not None:
        parts.append(rate_text(study))
    return "\n\n".join(parts)


def _exposure(study: FailureStudy) -> str:
    space = study.space
    nominal = dict.fromkeys(space.names, 0.5) | dict(space.nominal)
    point = np.array([0.0 if count else nominal[name] for name, count in zip(space.names, space.choices, strict=True)])
    middle = space.values(point)
    rows = [
        [name, str(kind), "any" if count else f"{middle[name]:g}"]
        for (name, kind), count in zip(space.parameters.items(), space.choices, strict=True)
    ]
    how = f"normal, sd {space.spread:.3g} of each range, cut at its ends" if space.exposure == "normal" else "uniform"
    return f"{aligned(('parameter', 'searched', 'nominal'), rows, left=('parameter', 'searched'))}\nexposure: {how}"


def _nearest(study: FailureStudy, places: list[int]) -> str:
    found = study.found
    rows = []
    for place in places[:SHOWN]:
        values = study.space.values(found.points[place])
        cells = [f"{value:g}" if isinstance(value, float) else str(value) for value in values.values()]
        rows.append([f"{found.distances[place]:.2f}", str(place + 1), *cells])
    return aligned(("distance", "simulation", *study.space.names), rows)


def rate_text(study: FailureStudy) -> str:
    """Return both rates with what they took."""
    rows = []
    for name, rate in (("importance sampling", study.weighted), ("plain Monte Carlo", study.plain)):
        if rate is not None:
            rows.append([name, str(rate.simulations), str(rate.scored), str(rate.failures), f"{rate.effective:.1f}",
                         _rate(rate)])  # fmt: skip
    left = ("failures of avoidable cases",)
    headings = (*left, "simulations", "scored", "failures", "effective", f"% [{100.0 * study.confidence:g} %]")
    text = aligned(headings, rows, left=left)
    if study.weighted is None:
        text += "\nno importance sampling: the search found no failure to sample around"
    return f"{text}\neffective: sample size of the failures, (sum w)^2 / sum w^2"


def _rate(rate: FailureRate) -> str:
    if rate.rate.reason:
        return f"{percent(rate.rate.estimate)} {rate.rate.reason}"
    if not rate.failures and rate.scored:
        return f"0.0, below {percent(rule_of_three(rate.scored))}"
    return interval_text(rate.rate)


def trial_records(study: FailureStudy) -> list[dict[str, Any]]:
    """Return one record per simulation of the search."""
    found = study.found
    return [
        {"simulation": place + 1, "case_key": trial.case.key, "outcome": trial.outcome, "avoidable": trial.avoidable,
         "margin": trial.margin, "distance": found.distances[place], **study.space.values(found.points[place])}
        for place, trial in enumerate(found.trials)
    ]  # fmt: skip


def map_records(study: FailureStudy) -> list[dict[str, Any]]:
    """Return one record per cell of the map."""
    chart = study.boundary
    if chart is None:
        return []
    return [
        {
            chart.names[0]: x,
            chart.names[1]: y,
            "outcome": chart.outcome[row][column],
            "margin": chart.margin[row][column],
        }
        for row, y in enumerate(chart.axes[1])
        for column, x in enumerate(chart.axes[0])
    ]


def search_facts(study: FailureStudy) -> dict[str, Any]:
    """Return what the JSON says beside the tables."""
    found, places = study.found, study.found.failures()
    nearest = None
    if places:
        trial = found.trials[places[0]]
        nearest = {
            "distance": float(found.distances[places[0]]),
            "simulation": places[0] + 1,
            "params": dict(trial.case.params),
            "seed": trial.case.seed,
            "offsets_sd": study.space.offsets(found.points[places[0]]),
        }
    return {
        "scenario": study.space.scenario, "agent": study.agent, "latency": study.latency, "seed": study.space.seed,
        "method": study.budget.method, "simulations": len(found.trials), "references": study.settled,
        "failures": len(places), "unavoidable": found.count("unavoidable"), "unscored": found.count("unscored"),
        "first_failure_after": found.first(), "nearest": nearest, "weighted": study.weighted, "plain": study.plain,
    }  # fmt: skip
