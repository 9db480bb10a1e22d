"""``simdrive report``: run folders as one HTML file that opens from disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout


@guarded
def report(
    runs: list[Path] = typer.Argument(..., help="run folders"),
    out: Path | None = typer.Option(None, "--out", "-o", help="the file; report.html in the first run by default"),
    videos: str = typer.Option("worst:12", help="which episodes the gallery shows: worst:N, failures or none"),
    record: bool = typer.Option(False, "--record", help="first write the clips that the gallery lacks into each run"),
    baseline: str | None = typer.Option(None, help="agent or run folder that differences are taken against"),
    fail_on: list[str] = typer.Option([], help="rule such as 'failure_rate>+0.02'; may be given several times"),
    thresholds: Path | None = typer.Option(None, help="YAML file with rules, as for `simdrive compare`"),
    avoidable_for: str | None = typer.Option(
        None, help="count failures only in cases that this agent comes through, e.g. cc_human"
    ),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Write one HTML file about some runs; no network and no server is needed to read it.

    Exit codes: 0 PASS, 1 INVALID, 2 usage, 3 FAIL, 4 INCOMPLETE; the file is written in each case but 2.
    """
    from simdrive.eval.gate import Gate, parse_rule, read_gate
    from simdrive.eval.store import RunStore
    from simdrive.report.clips import record_clips
    from simdrive.report.page import PageOptions, write_report

    gate = read_gate(thresholds) if thresholds is not None else Gate()
    gate = replace(gate, rules=(*gate.rules, *(parse_rule(text) for text in fail_on)))
    if record and videos != "none":
        for run in runs:
            record_clips(RunStore.open(run), videos)
    target = out or runs[0] / "report.html"
    verdict = write_report(runs, target, PageOptions(videos, baseline, gate, avoidable_for=avoidable_for))
    if json:
        facts = {"report": target.as_posix(), "verdict": verdict.word, "reasons": list(verdict.reasons)}
        print_json({**facts, "exit_code": verdict.exit_code, "bytes": target.stat().st_size})
    else:
        stdout().print(verdict.title, markup=False)
        stderr().print(f"{target.as_posix()} ({target.stat().st_size / 1e6:.1f} MB)", markup=False)
    raise typer.Exit(verdict.exit_code)
