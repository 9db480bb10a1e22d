"""``simdrive latency schedule``: the planner beside other jobs on one chip, drawn and counted per policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stdout
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError

PLANNER = {"planner.period_ms": 100, "planner.cost_ms": 30, "planner.priority": 2, "planner.phase_ms": 0}
OTHER = {"deadline_ms": 50, "horizon_ms": 400, "step_ms": 10, "planner_share": 0.6}
JOBS = [{"name": "logger", "period_ms": 200, "cost_ms": 60, "priority": 1, "phase_ms": 90}]
_LETTERS = "ABCDEFGHIJKLMNO"


@guarded
def schedule(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. planner.cost_ms=40 deadline_ms=60"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Draw when a periodic planner gets the chip beside other jobs, under each policy, and count who is late.

    Options: planner.period_ms=100 planner.cost_ms=30 planner.priority=2 planner.phase_ms=0 deadline_ms=50 (from release to
    publication) planner_share=0.6 (partitioned) horizon_ms=400 step_ms=10 (one letter)
    policies=[nonpreemptive,preemptive,partitioned,let]
    'jobs=[{name: logger, period_ms: 200, cost_ms: 60, priority: 1, phase_ms: 90}]'. The larger priority is more urgent.
    """
    from simdrive.latency.timeline import TIMELINE_POLICIES, drawn, timeline

    given: dict[str, Any] = {**PLANNER, **OTHER, "jobs": JOBS, "policies": list(TIMELINE_POLICIES)}
    given |= parse_words(words, given)
    planner, jobs = _tasks(given)
    deadline_us, horizon_us, step_us = (_us(given, name) for name in ("deadline_ms", "horizon_ms", "step_ms"))
    policies = given["policies"] if isinstance(given["policies"], list) else [given["policies"]]
    found = [
        timeline(str(policy), planner, jobs, deadline_us, horizon_us, float(given["planner_share"]))
        for policy in policies
    ]
    if json:
        print_json({"policies": [_plain(one) for one in found]})
        return
    letters = {"planner": "P"} | {job.name: _LETTERS[number % 15] for number, job in enumerate(jobs)}
    console = stdout()
    named = ", ".join(f"{letter} {name}" for name, letter in letters.items())
    console.print(f"{named}, . idle; one letter = {step_us / 1000:g} ms", markup=False)
    for one in found:
        for part, work in zip((one.policy, "the rest"), one.work, strict=False):
            console.print(f"{part:>13}  {drawn(work, step_us, horizon_us, letters)}", markup=False)
    _show_table(found)


def _tasks(given: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    from simdrive.latency.device import Job

    fields = {key.partition(".")[2]: given[key] for key in PLANNER}
    if not isinstance(given["jobs"], list) or not all(isinstance(job, Mapping) for job in given["jobs"]):
        raise ParameterError(f"jobs must be a list of mappings, e.g. {JOBS}, got {given['jobs']!r}")
    try:
        return Job("planner", **fields), [Job(**{"name": "job", **job}) for job in given["jobs"]]
    except TypeError as error:
        raise ParameterError(f"a job takes name, period_ms, cost_ms, priority and phase_ms: {error}") from error


def _us(given: Mapping[str, Any], name: str) -> int:
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.001 <= value <= 1e7:
        raise ParameterError(f"{name} must be a time from 0.001 to 10000000 ms, got {value!r}")
    return round(value * 1000.0)


def _plain(found: Any) -> dict[str, Any]:
    runs = [asdict(run) | {"missed": run.missed} for run in found.planner]
    late = {name: {"late": late, "of": count} for name, (late, count) in found.others_late.items()}
    return {"policy": found.policy, "misses": sum(run["missed"] for run in runs), "planner": runs, "others": late}


def _show_table(found: list[Any]) -> None:
    from rich.table import Table

    shown = Table()
    for name in ("policy", "planner misses", "finish after release, ms", "published after release, ms", "others late"):
        shown.add_column(name, justify="left" if name == "policy" else "right")
    for one in found:
        finish = [(run.finish_us - run.release_us) / 1000 for run in one.planner]
        publish = [(run.publish_us - run.release_us) / 1000 for run in one.planner]
        late = ", ".join(f"{name} {late}/{count}" for name, (late, count) in one.others_late.items())
        misses = sum(run.missed for run in one.planner)
        shown.add_row(
            one.policy, f"{misses}/{len(one.planner)}", f"{min(finish):g} to {max(finish):g}",
            f"{min(publish):g} to {max(publish):g}", late or "-",
        )  # fmt: skip
    stdout().print(shown)
