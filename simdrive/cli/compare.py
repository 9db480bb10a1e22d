"""``simdrive compare``: a candidate run against a baseline, as a gate for continuous integration."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import typer

from simdrive.cli.console import guarded, print_json
from simdrive.errors import UnknownNameError

FORMATS = ("table", "json", "md", "github", "junit")


@guarded
def compare(
    base: Path = typer.Argument(..., help="baseline: a run folder, or the summary.json of one"),
    candidate: Path = typer.Argument(..., help="candidate: a run folder"),
    fail_on: list[str] = typer.Option([], help="rule such as 'failure_rate>+0.02'; may be given several times"),
    thresholds: Path | None = typer.Option(None, help="YAML file with rules, decide, confidence, allow_unpaired"),
    base_agent: str | None = typer.Option(None, help="take only this agent of the baseline"),
    candidate_agent: str | None = typer.Option(None, help="take only this agent of the candidate"),
    allow_unpaired: bool = typer.Option(False, help="baseline episodes without counterpart are listed, not missed"),
    min_cases: int | None = typer.Option(
        None, help="rules on fewer scored cases cannot be judged: INVALID (default 1)"
    ),
    avoidable_for: str | None = typer.Option(
        None, help="count failures only in cases that this agent, of either run, comes through, e.g. cc_human"
    ),
    format: str = typer.Option("table", help="table, json, md, github or junit"),
) -> None:
    """Compare two runs on the same cases and judge the candidate.

    Exit codes: 0 passed, 1 the figures cannot be judged, 2 usage, 3 a rule fired, 4 planned episodes are missing.
    """
    from simdrive.eval.compare import compare as compared
    from simdrive.eval.gate import Gate, parse_rule, read_gate
    from simdrive.eval.sides import only_survived, open_side

    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    gate = read_gate(thresholds) if thresholds is not None else Gate()
    rules = (*gate.rules, *(parse_rule(text) for text in fail_on))
    gate = replace(
        gate,
        rules=rules,
        allow_unpaired=gate.allow_unpaired or allow_unpaired,
        min_cases=gate.min_cases if min_cases is None else min_cases,
    )
    sides = open_side(base), open_side(candidate)
    if avoidable_for is not None:
        sides = only_survived(*sides, avoidable_for)
    comparison = compared(sides[0].only(base_agent), sides[1].only(candidate_agent), gate)
    _print(comparison, format)
    raise typer.Exit(comparison.verdict.exit_code)


def _print(comparison: object, format: str) -> None:
    from simdrive.eval.compare import Comparison
    from simdrive.report import comparison as text

    assert isinstance(comparison, Comparison)
    if format == "json":
        print_json(text.as_values(comparison))
    elif format == "github":
        typer.echo(text.as_annotations(comparison))
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with Path(summary).open("a", encoding="utf-8") as stream:
                stream.write(text.as_markdown(comparison))
    else:
        forms = {"table": text.as_table, "md": text.as_markdown, "junit": text.as_junit}
        typer.echo(forms[format](comparison))
