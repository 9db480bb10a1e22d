"""``simdrive stats``: intervals, numbers of cases, profiles of scores, and what the statistics promise, simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.words import listed, number, parse_words, whole
from simdrive.errors import ParameterError

app = typer.Typer(
    help="Intervals of rates, numbers of cases, profiles of scores, and simulations of what the statistics promise.",
    no_args_is_help=True,
)

JSON = typer.Option(False, "--json", help="print one JSON object as the last line")
POWER: dict[str, Any] = {
    "base": None, "difference": None, "discordant": None, "correlation": 0.0,
    "cases": None, "power": 0.8, "alpha": 0.05, "tests": 1,
}  # fmt: skip


@app.command("power")
@guarded
def power(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. base=0.05 difference=0.03"),
    json: bool = JSON,
) -> None:
    """Cases that a paired comparison needs (exact McNemar test), or what it can see with those that there are.

    base=0.05 difference=0.03: cases for power=0.8. With cases=500 as well: the power. base=0.05 cases=500 without
    difference: the smallest rise that shows. Shares are of cases: 0.03 = 3 points. How many cases only one of the two
    agents fails decides: discordant=0.11, or correlation=0 (cautious; cases hard for both agents make it positive).
    alpha=0.05 two-sided; tests=6: a sweep of six comparisons under Holm.
    """
    options = {**POWER, **parse_words(words, POWER)}
    result = _power(options)
    if json:
        print_json(result)
        return
    stdout().print(result["text"], markup=False)


def _power(options: dict[str, Any]) -> dict[str, Any]:
    from simdrive.eval import power as planning

    base, wanted = number("base", options["base"]), number("power", options["power"])
    common: dict[str, Any] = {
        "discordant": None if options["discordant"] is None else number("discordant", options["discordant"]),
        "alpha": number("alpha", options["alpha"]),
        "tests": whole("tests", options["tests"], 1),
    }
    correlation = number("correlation", options["correlation"])
    cases = None if options["cases"] is None else whole("cases", options["cases"], 1, planning.MOST_CASES)
    planning.check_level("power", wanted)
    level = f"alpha {common['alpha']:g}" + (f" over {common['tests']} tests (Holm)" if common["tests"] > 1 else "")
    given = {"base": base, "correlation": correlation, **common}
    if options["difference"] is None:
        if cases is None:
            raise ParameterError(
                "give difference=... (cases are planned), cases=... (the smallest difference), or both"
            )
        found = planning.smallest_difference(base, cases, wanted, correlation, **common)
        shown = (
            "no difference" if found is None else f"a rise of {100 * found:.2f} points to {100 * (base + found):.2f} %"
        )
        text = f"{cases} paired cases show {shown} above {100 * base:g} % with power {wanted:g} at {level}"
        return {**given, "cases": cases, "power": wanted, "difference": found, "text": text}
    difference = number("difference", options["difference"])
    each = planning.design(base, difference, correlation, **common)
    about = (
        f"{100 * base:g} % against {100 * (base + difference):g} %, {100 * each.discordant:.2f} % of cases discordant, "
        f"{level}"
    )
    given |= {"difference": difference, "discordant": each.discordant}
    if cases is not None:
        found = planning.power(each, cases)
        return {
            **given,
            "cases": cases,
            "power": found,
            "text": f"power {found:.3f} with {cases} paired cases: {about}",
        }
    needed = planning.cases_for(each, wanted)
    if needed is None:
        shown = f"unscored: no number up to {planning.MOST_CASES} shows it with power {wanted:g}"
    else:
        shown = f"{needed} paired cases for power {wanted:g}"
    return {**given, "cases": needed, "power": wanted, "text": f"{shown}: {about}"}


@app.command("interval")
@guarded
def interval(
    words: list[str] = typer.Argument(None, help="failures=15 cases=300 [confidence=0.95]"), json: bool = JSON
) -> None:
    """A failure rate with all its intervals: Wilson, Clopper-Pearson, anytime-valid; after no failure the rule of three.

    failures=15 cases=300 confidence=0.95
    """
    options = {"failures": None, "cases": None, "confidence": 0.95}
    options |= parse_words(words, options)
    cases = whole("cases", options["cases"], 0)
    failures = whole("failures", options["failures"], 0, cases)
    confidence = number("confidence", options["confidence"])
    if not 0.0 < confidence < 1.0:
        raise ParameterError(f"confidence must lie between 0 and 1, got {confidence:g}")
    from simdrive.eval.anytime import anytime
    from simdrive.eval.stats import clopper_pearson, rule_of_three, wilson
    from simdrive.report.aligned import aligned

    found = {
        "wilson": wilson(failures, cases, confidence),
        "clopper_pearson": clopper_pearson(failures, cases, confidence),
        "anytime": anytime(failures, cases, confidence),
    }
    upper = rule_of_three(cases) if failures == 0 and cases else None
    if json:
        plain = {name: {"low": each.low, "high": each.high, "reason": each.reason} for name, each in found.items()}
        rate = failures / cases if cases else None
        print_json({"failures": failures, "cases": cases, "rate": rate, **plain, "rule_of_three": upper})
        return
    rows = [[name, *([each.reason, ""] if each.reason else [f"{100 * each.low:.3f}", f"{100 * each.high:.3f}"])]
            for name, each in found.items()]  # fmt: skip
    rows += [] if upper is None else [["rule of three (95 %, one-sided)", "", f"{100 * upper:.3f}"]]
    stdout().print(aligned(("interval", "low %", "high %"), rows, left=("interval",)), markup=False)


@app.command("profile")
@guarded
def profile(
    run: Path = typer.Argument(..., help="run folder"),
    words: list[str] = typer.Argument(None, help="key=value options, e.g. metric=nuplan_score"),
    json: bool = JSON,
) -> None:
    """Whole distribution of a score: share of cases above each threshold, mean and interquartile mean, with intervals.

    metric=nuplan_score thresholds=[0.2,0.5,0.8] draws=2000 out=profile.csv (or .png: a picture)
    """
    options: dict[str, Any] = {"metric": "nuplan_score", "thresholds": None, "draws": 2000, "out": None}
    options |= parse_words(words, options)
    import numpy as np

    from simdrive.eval.profiles import profiles
    from simdrive.eval.store import RunStore
    from simdrive.report.profile import profile_records, profile_text, write_profile

    wanted = options["thresholds"]
    grid = None if wanted is None else np.array(sorted(number("thresholds", value) for value in listed(wanted)))
    episodes = RunStore.open(run).episodes()
    found = profiles(episodes, str(options["metric"]), grid, whole("draws", options["draws"], 100))
    if options["out"] is not None:
        write_profile(found, str(options["metric"]), Path(str(options["out"])))
        stderr().print(f"written to {options['out']}", markup=False)
    if json:
        print_json({"run": run.as_posix(), "metric": options["metric"], "rows": profile_records(found)})
        return
    stdout().print(profile_text(found, str(options["metric"])), markup=False)


@app.command("simulate")
@guarded
def simulate(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. what=coverage"), json: bool = JSON
) -> None:
    """Measure by simulation what the statistics promise: coverage at every time, error of paired tests, power.

    what=[coverage,paired,power] runs=4000 into=docs/statistics.md (replaces the tables between its marks)
    """
    from simdrive.report.promises import PARTS, records, write_tables
    from simdrive.report.promises import text as promises_text

    options: dict[str, Any] = {"what": list(PARTS), "runs": 4000, "into": None}
    options |= parse_words(words, options)
    runs, names = whole("runs", options["runs"], 100), [str(name) for name in listed(options["what"])]
    from simdrive.eval.grid import check_choice

    tables = {}
    for name in names:
        check_choice("simulation", name, list(PARTS))
    if options["into"] is not None and set(names) != set(PARTS):
        raise ParameterError("into=... wants all tables; leave out what=...")
    for name in names:
        stderr().print(f"simulating {name}: {runs} runs per row ...", markup=False)
        tables[name] = PARTS[name].simulate(runs)
    if options["into"] is not None:
        write_tables(Path(str(options["into"])), tables, runs)
        stderr().print(f"tables written into {options['into']}", markup=False)
    broken = [row for rows in tables.values() for row in rows if row.kept is False]
    if json:
        print_json({"runs": runs, "kept": not broken, "tables": {name: records(rows) for name, rows in tables.items()}})
    else:
        stdout().print(promises_text(tables), markup=False)
    if broken:
        raise typer.Exit(1)
