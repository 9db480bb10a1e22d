"""``simdrive eval``: a suite x agents x latency settings, driven, scored and summarised in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.compose import chosen, compose_config
from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.corrupted import take_corruption
from simdrive.cli.first_use import first_use
from simdrive.cli.progress import progress
from simdrive.cli.provenance import provenance
from simdrive.errors import ParameterError, UnknownNameError


@guarded
def evaluate(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. suite=smoke 'agents=[idm,expert]'"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
    dry_run: bool = typer.Option(False, "--dry-run", help="show what would be driven, write nothing"),
    cfg: bool = typer.Option(False, "--cfg", help="print the composed configuration and stop"),
) -> None:
    """Drive a suite with several agents under a grid of latency settings and summarise it.

    Options (key=value, defaults in configs/eval.yaml): suite, agents, latency (constant, lognormal, trace, chip) with its
    fields, mode, waiting, deadline, aeb_monitor, corruption (none, all, or names) with its fields, out, workers, backend
    (local, ray, submitit) with its fields, batch, scenarios, cases, seed, stop, record, metrics. A list where one value is
    expected is an axis of the grid: 'latency.delay_ms=[0,200,400]'. The same command continues an interrupted run.
    """
    words, *corruption = take_corruption(words or [])
    config = compose_config("eval", words)
    if cfg:
        _print_config(config | {"corruption": {"name": corruption[0], **corruption[1]}})
        return
    is_local = chosen("backend", words, "local") == "local"
    if isinstance(config["workers"], int) and config["workers"] > 1 and is_local and not dry_run:
        from simdrive.eval.pool import start_early

        start_early()
    request = with_corruptions(build_request(config, chosen("latency", words, "constant")), *corruption)
    request = request.part(config["shard"])
    out = Path(config["out"]) if config["out"] else default_out(request)
    agent_timeout_s, record = parse_timeout(config["agent_timeout_s"]), parse_record(config["record"])
    if dry_run:
        _dry_run(request, out, json)
        return
    from simdrive.build import instantiate
    from simdrive.eval.backends.backend import Backend, Effort

    backend: Backend = instantiate(config["backend"])
    backend.check()
    first_use()
    with progress() as shown:
        store = backend.drive(
            request, out, shown, Effort(int(config["workers"]), int(config["batch"]), agent_timeout_s, provenance())
        )
    if record != "none":
        from simdrive.report.clips import record_clips

        record_clips(store, record)
    summarise(store, json)


def build_request(config: dict[str, Any], latency_name: str) -> Any:
    """Turn the composed configuration into a run request; every name is checked here."""
    from simdrive.eval.blocks import build_latency
    from simdrive.eval.grid import agent_configs, latency_grid
    from simdrive.eval.runner import RunRequest
    from simdrive.eval.stopping import StopRule, rounds
    from simdrive.metrics.evaluate import load_metrics
    from simdrive.scenarios.sampling import load_suite, suite_cases

    suite = narrowed(load_suite(str(config["suite"])), config["scenarios"], config["cases"], config["seed"])
    names = config["agents"] if isinstance(config["agents"], list) else [config["agents"]]
    metrics = tuple(_names("metrics", config["metrics"] or []))
    load_metrics(metrics)
    for field in ("workers", "batch"):
        if not isinstance(config[field], int) or config[field] < 1:
            raise ParameterError(f"{field} must be a whole number of at least 1, got {config[field]!r}")
    request = RunRequest(
        suite=suite.name,
        suite_version=suite.version,
        cases=suite_cases(suite),
        agents=agent_configs(names),
        latencies=latency_grid(latency_name, config),
        metrics=metrics,
        stop=StopRule.parse(config["stop"]),
    )
    if request.stop is not None:
        rounds(request.cases)  # refuses what has none
    for latency in request.latencies:
        build_latency(latency)  # refuses wrong settings
    return request


def with_corruptions(request: Any, names: Any, fields: dict[str, Any]) -> Any:
    """Add the axis of corruptions to a run request; agents without cameras are told apart."""
    from dataclasses import replace

    from simdrive.eval.corruptions import corruption_grid, sightless_agents

    corruptions = corruption_grid(names, fields)
    return replace(request, corruptions=corruptions, sightless=sightless_agents(request.agents, corruptions))


def narrowed(suite: Any, scenarios: Any, cases: Any, seed: Any = None) -> Any:
    """Restrict a suite to some scenarios, or draw another number of cases per scenario or other cases."""
    from dataclasses import replace

    entries = suite.entries
    if scenarios is not None:
        names = _names("scenarios", scenarios)
        present = sorted({entry.scenario for entry in entries})
        for name in names:
            if name not in present:
                raise UnknownNameError(f"scenario of suite {suite.name!r}", str(name), present)
        entries = tuple(entry for entry in entries if entry.scenario in names)
    if cases is not None:
        if isinstance(cases, bool) or not isinstance(cases, int) or cases < 1:
            raise ParameterError(f"cases must be a whole number of at least 1, got {cases!r}")
        entries = tuple(replace(entry, cases=cases) for entry in entries)
    if seed is not None and (not isinstance(seed, int) or not 0 <= seed < 2**63):
        raise ParameterError(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")
    return replace(suite, entries=entries, seed=suite.seed if seed is None else seed)


def _names(field: str, value: Any) -> list[str]:
    """Return one name or a list of them as a list."""
    if not isinstance(value, str | list | tuple):
        raise ParameterError(f"{field} must be a name or a list of names, e.g. {field}=[a,b], got {value!r}")
    return [value] if isinstance(value, str) else [str(name) for name in value]


def default_out(request: Any) -> Path:
    """Return a folder named after the content of the run."""
    from simdrive.streams import digest

    agents = "-".join(agent.name for agent in request.agents)[:60]
    return Path("runs") / f"{request.suite}__{agents}__{digest(request.config(), 8)}"


def parse_record(value: Any) -> str:
    """Return the choice of videos.

    Raises:
        ParameterError: if it is none of ``none``, ``failures``, ``all``, ``worst:N``.
    """
    text = str(value)
    kind, _, count = text.partition(":")
    if text in ("none", "failures", "all") or (kind == "worst" and count.isdigit() and int(count) > 0):
        return text
    raise ParameterError(f"record must be none, failures, all or worst:N, got {text!r}")


def parse_timeout(value: Any) -> float | None:
    """Return the longest time in seconds of one call of an agent, None for any.

    Raises:
        ParameterError: if it is no number above 0.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise ParameterError(f"agent_timeout_s must be a number of seconds above 0, or null, got {value!r}")
    return float(value)


def summarise(store: Any, json: bool) -> None:
    """Print the summary table, or the same as one JSON object."""
    from simdrive.eval.summary import summarise as summary_of
    from simdrive.eval.summary import write_summary
    from simdrive.report.table import summary_table

    summary = summary_of(store)
    write_summary(store, summary)
    if json:
        print_json({"run": store.path.as_posix(), **summary.to_dict()})
        return
    stdout().print(summary_table(summary))
    stderr().print(f"run folder: {store.path.as_posix()}", markup=False)


def _dry_run(request: Any, out: Path, json: bool) -> None:
    episodes = len(request.cases) * len(request.blocks())
    facts = {
        "suite": f"{request.suite} v{request.suite_version}",
        "cases": len(request.cases),
        "agents": [agent.name for agent in request.agents],
        "latencies": [latency.label for latency in request.latencies],
        **(
            {}
            if len(request.corruptions) == 1 and not request.corruptions[0].label
            else {
                "corruption": [each.label or "none" for each in request.corruptions],
                "no camera": list(request.sightless),
            }
        ),
        "episodes": episodes,
        "out": out.as_posix(),
        **({} if request.stop is None else {"stop": f"half_width:{request.stop.half_width:g} (episodes: at most)"}),
    }
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        stdout().print(f"{key:>10}: {', '.join(value) if isinstance(value, list) else value}", markup=False)


def _print_config(config: dict[str, Any]) -> None:
    import yaml

    typer.echo(yaml.safe_dump(config, sort_keys=False).rstrip())
