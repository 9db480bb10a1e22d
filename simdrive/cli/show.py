"""``simdrive show``: one thing in full: a run folder, a suite, a scenario, an agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stdout
from simdrive.errors import UnknownNameError

GROUPS = ("suite", "scenario", "agent", "metric", "latency")


@guarded
def show(
    name: str = typer.Argument(
        ..., help="run folder, or the name of a suite, scenario, agent, metric or latency source"
    ),
    episode: str = typer.Option("", help="key of one episode of a run folder: its metrics and requests"),
    by: str = typer.Option(
        "", help="failures of a run folder by scenario, ability, bench2drive, nhtsa, r157 or euro_ncap"
    ),
    avoidable_for: str = typer.Option(
        "", help="count failures only in cases that this agent of the run comes through, e.g. cc_human"
    ),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Show a run folder with its summary table (or its failures by kind of situation), or one entry with its parameters."""
    path = Path(name)
    if path.is_dir() or "/" in name.rstrip("/"):
        if by:
            _show_parts(path, by, avoidable_for, json)
        elif avoidable_for:
            _show_restricted(path, avoidable_for, json)
        else:
            _show_run(path, episode, json)
        return
    facts = _facts(name)
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        stdout().print(f"[bold]{key}[/bold]: {_flat(value)}")


def _show_run(path: Path, episode: str, json: bool) -> None:
    from simdrive.cli.evaluate import summarise
    from simdrive.eval.store import RunStore

    store = RunStore.open(path)
    if episode:
        _show_episode(store, episode, json)
        return
    done = len(store.plan) - len(store.pending_rows())
    if done == 0:
        stdout().print(f"{path}: 0 of {len(store.plan)} episodes done", markup=False)
        return
    if done < len(store.plan):
        from simdrive.cli.console import stderr

        stderr().print(f"incomplete: {done} of {len(store.plan)} episodes done", style="yellow")
    summarise(store, json)


def _show_restricted(path: Path, driver: str, json: bool) -> None:
    from simdrive.eval.summary import summarise_episodes
    from simdrive.report.table import summary_table

    episodes, told = _restricted(path, driver)
    summary = summarise_episodes(episodes)
    if json:
        print_json({"run": path.as_posix(), "failures_in": told, **summary.to_dict()})
        return
    stdout().print(summary_table(summary))
    stdout().print(f"failures here: in {told}", markup=False)


def _restricted(path: Path, driver: str) -> tuple[Any, str]:
    """Return the episodes of a run in which failures count only where a driver comes through, and that in words."""
    from simdrive.eval.store import RunStore
    from simdrive.eval.survived import restricted, survived

    episodes = RunStore.open(path).episodes()
    found = survived([episodes], driver)
    return restricted(episodes, found.cases), str(found)


def _show_parts(path: Path, by: str, driver: str, json: bool) -> None:
    from simdrive.eval.breakdown import breakdown
    from simdrive.eval.store import RunStore
    from simdrive.report.aligned import aligned

    episodes = _restricted(path, driver)[0] if driver else RunStore.open(path).episodes()
    parts = breakdown(episodes, by)
    if json:
        print_json({"by": by, "parts": [{**vars(part), "rate": vars(part.interval)} for part in parts]})
        return
    rows = []
    for part in parts:
        low, rate, high = (100.0 * value for value in (part.interval.low, part.interval.estimate, part.interval.high))
        rows.append(
            [
                part.label,
                part.agent,
                part.latency,
                f"{part.failures}/{part.scored}",
                f"{rate:.1f} [{low:.1f}, {high:.1f}]",
            ]
        )
    stdout().print(
        aligned((by, "agent", "latency", "n", "failures %"), rows, left=(by, "agent", "latency")), markup=False
    )


def _show_episode(store: Any, key: str, json: bool) -> None:
    episodes = store.episodes()
    if key not in set(episodes["key"]):
        raise UnknownNameError("episode key", key, episodes["key"])
    row = episodes[episodes["key"] == key].iloc[0].to_dict()
    requests = store.requests(key)
    facts = {name: value for name, value in row.items() if isinstance(value, int | float | str | bool)}
    facts["requests"] = len(requests)
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        stdout().print(f"[bold]{name}[/bold]: {_flat(value)}")


def _facts(name: str) -> dict[str, Any]:
    from simdrive.build import config_names, load_config

    for group in GROUPS:
        if name in config_names(group):
            return {"name": name, "kind": group, **_of(group, name), "config": load_config(group, name)}
    everything = [entry for group in GROUPS for entry in config_names(group)]
    raise UnknownNameError("run folder, suite, scenario, agent, metric or latency source", name, everything)


def _of(group: str, name: str) -> dict[str, Any]:
    """Return what the object behind an entry says about itself."""
    if group == "scenario":
        from simdrive.scenarios.sampling import scenario

        found = scenario(name)
        return {
            "description": found.description,
            "tags": ", ".join(str(tag) for tag in found.tags),
            "parameters": {key: str(value) for key, value in found.parameters.items()},
        }
    if group == "agent":
        from simdrive.build import build, load_config, locate

        config = load_config("agent", name)
        if "???" in map(str, config.values()):  # only the user knows the model; the rest can be told without it
            about = (locate(str(config["_target_"])).__doc__ or "").strip().splitlines()[0]
            given = {key: value for key, value in config.items() if key != "_target_"}
            return {"description": about, "role": "model", "parameters": given}
        card = build("agent", name).card
        return {"description": card.description, "role": card.kind, "parameters": card.parameters}
    if group == "suite":
        from simdrive.scenarios.sampling import load_suite, suite_cases

        return {"cases": len(suite_cases(load_suite(name)))}
    return {}


def _flat(value: Any) -> str:
    from rich.markup import escape

    if isinstance(value, dict):
        return "".join(f"\n  {escape(str(key))}: {escape(str(item))}" for key, item in value.items())
    return escape(str(value))
