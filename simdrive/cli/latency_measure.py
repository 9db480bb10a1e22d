"""``simdrive latency measure``: how long an agent really takes on this host, as a trace that replays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stdout
from simdrive.cli.first_use import first_use
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError, UnknownNameError

OPTIONS = ("agent", "scenario", "cases", "seed", "requests", "warm_up", "stage", "out")


@guarded
def measure(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. agent=expert requests=200"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Time single requests of an agent on this host and write them as a trace with its provenance.

    Options: agent=idm (name or yaml file) scenario=cut_in cases=4 seed=0 requests=100 warm_up=10 stage=decode (where the
    time is put) out=runs/traces/<agent>.json (or .csv). Replay: latency=trace latency.path=FILE.
    """
    given = {
        "agent": "idm", "scenario": "cut_in", "cases": 4, "seed": 0, "requests": 100, "warm_up": 10, "stage": "decode",
        **parse_words(words, OPTIONS),
    }  # fmt: skip
    from simdrive.eval.grid import AgentConfig
    from simdrive.eval.measuring import measure as measured_of
    from simdrive.eval.work import build_agent
    from simdrive.latency.trace_files import write_trace
    from simdrive.scenarios.sampling import sample_cases
    from simdrive.types import STAGES

    if given["stage"] not in STAGES:
        raise UnknownNameError("stage", str(given["stage"]), STAGES)
    for name in ("cases", "seed"):
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < (name == "cases"):
            raise ParameterError(f"{name} must be a whole number of at least {int(name == 'cases')}, got {value!r}")
    config = AgentConfig.named(str(given["agent"]))
    out = _out(given, config.name)
    cases = sample_cases(str(given["scenario"]), given["cases"], given["seed"])
    agent = build_agent(config)
    first_use()
    options = {key: given[key] for key in ("scenario", "cases", "seed", "stage")} | {"agent": config.config}
    found = measured_of(agent, cases, given["requests"], given["warm_up"], options)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_trace(out, found.rows(str(given["stage"])), found.provenance)
    facts = {"trace": out.as_posix(), **found.provenance}
    if json:
        print_json(facts)
        return
    times = ", ".join(f"{name} {us / 1000:.2f} ms" for name, us in found.provenance["quantiles_us"].items())
    console = stdout()
    console.print(f"{config.name} on {facts['device']} ({facts['processor']}), one request at a time", markup=False)
    console.print(f"{facts['requests']} requests after {facts['warm_up']} to warm up: {times}", markup=False)
    console.print(f"replay it with: latency=trace latency.path={out.as_posix()}", markup=False)


def _out(given: dict[str, Any], agent: str) -> Path:
    out = Path(str(given.get("out") or Path("runs/traces") / f"{Path(agent).stem}.json"))
    if out.suffix not in (".json", ".csv"):
        raise ParameterError(f"out must end in .json or .csv, got {out.as_posix()!r}")
    return out
