"""``simdrive search``: where an agent fails first in a scenario, where failing begins, and how likely it is."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.first_use import first_use
from simdrive.cli.progress import progress
from simdrive.cli.words import number, parse_words, whole
from simdrive.errors import ParameterError, RunFolderError

DEFAULTS: dict[str, Any] = {
    "scenario": None, "agent": None, "params": None, "nominal": None, "spread": 1.0 / 6.0, "exposure": "normal",
    "seed": 0, "simulations": 300, "population": 30, "elite": 0.25, "method": "cross_entropy", "rate": 200,
    "map": None, "cells": 12, "confidence": 0.95, "delay_ms": None, "chip": None, "charge": None,
    "runtime": "trt_edge_llm", "power_mode": None, "prompt_tokens": 300, "image_tokens": 1792, "output_tokens": 30,
    "mode": "streaming", "waiting": "follow_plan", "aeb_monitor": False, "out": None, "workers": 1, "batch": 64,
}  # fmt: skip
_NOT_CONTENT = ("out", "workers", "batch")
FORMAT = "simdrive-search"


@guarded
def search(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. scenario=cut_out agent=idm"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Search the parameters of a scenario for the failure of an agent that is nearest to the nominal values.

    What: scenario= agent= (needed), params={name: value | [low, high]} narrows. Near: nominal={name: value} (middle of
    each range), spread=0.1667 (standard deviation as a share of each range), exposure=normal|uniform. Search:
    simulations=300 population=30 elite=0.25 method=cross_entropy|random seed=0. Then: cells=12 map=[name,name] draws the
    boundary, rate=200 simulations for each failure rate (0 = none) confidence=0.95. Latency: delay_ms=0, or chip= with
    charge=architecture/precision and prompt_tokens= image_tokens= output_tokens=, or chip= alone for the agent's own
    charge; runtime= power_mode= mode= waiting= aeb_monitor=. Run: out= workers=1 batch=64.
    """
    options = {**DEFAULTS, **parse_words(words, DEFAULTS)}
    from simdrive.eval.failures.search import Budget
    from simdrive.eval.failures.study import study_failures, write_suite
    from simdrive.eval.grid import AgentConfig
    from simdrive.report.failures import failures_text, map_records, trial_records
    from simdrive.report.failures_picture import failures_picture

    space = _space(options)
    agent, latency = AgentConfig.named(_name(options, "agent")), _latency(options)
    budget = Budget(options["simulations"], options["population"], number("elite", options["elite"]), options["method"])
    extras = _extras(options)
    for field in ("workers", "batch"):
        whole(field, options[field], 1)
    out = _claimed(options)
    first_use()
    with progress() as shown:
        study = study_failures(
            space, agent, latency, budget, extras, shown, int(options["workers"]), int(options["batch"])
        )
    kept = write_suite(study, out / "found.yaml", f"found_{space.scenario}_{agent.name}")
    failures_picture(study, out / "search.png")
    tables = {"trials": trial_records(study), "map": map_records(study)}
    _finish(out, study, failures_text(study), tables, kept, json)


def _space(options: Mapping[str, Any]) -> Any:
    from simdrive.eval.failures.space import Space

    for field in ("params", "nominal"):
        if options[field] is not None and not isinstance(options[field], dict):
            raise ParameterError(f"{field} must map names to values, e.g. '{field}={{ego_speed_mps: 25}}'")
    return Space.of(
        _name(options, "scenario"), options["params"] or {}, options["nominal"] or {}, number("spread", options["spread"]),
        str(options["exposure"]), options["seed"],
    )  # fmt: skip


def _extras(options: Mapping[str, Any]) -> Any:
    from simdrive.eval.failures.study import Extras

    names = options["map"]
    if names is not None and not isinstance(names, list):
        raise ParameterError("map must be a list of two ranges, e.g. 'map=[ego_speed_mps,time_gap_s]'")
    confidence = number("confidence", options["confidence"])
    if not 0.5 < confidence < 1.0:
        raise ParameterError(f"confidence must lie between 0.5 and 1, got {confidence:g}")
    cells = whole("cells", options["cells"], 0)
    if cells > 100:
        raise ParameterError(f"cells is along each side of the map, at most 100, got {cells}")
    return Extras(
        whole("rate", options["rate"], 0), cells, None if names is None else tuple(map(str, names)), confidence
    )


def _latency(options: Mapping[str, Any]) -> Any:
    from simdrive.eval.studies.family import Tokens
    from simdrive.eval.studies.runs import StudyBase

    base = StudyBase("search", 1, (), options["mode"], str(options["waiting"]), bool(options["aeb_monitor"]))
    if options["chip"] is None:
        if options["charge"] is not None:
            raise ParameterError("charge=... needs chip=..., e.g. chip=agx_orin_64gb")
        return base.delay(0.0 if options["delay_ms"] is None else number("delay_ms", options["delay_ms"]))
    if options["delay_ms"] is not None:
        raise ParameterError("give delay_ms or chip, not both")
    fields = {name: options[name] for name in ("chip", "runtime", "power_mode")}
    if options["charge"] is not None:
        architecture, sign, precision = str(options["charge"]).rpartition("/")
        if not (architecture and sign and precision):
            raise ParameterError("a charge is architecture/precision, e.g. charge=internvl3_8b/w16a16")
        tokens = Tokens(options["prompt_tokens"], options["image_tokens"], options["output_tokens"])
        fields |= {"architecture": architecture, "precision": precision, "prompt_tokens": tokens.prompt,
                   "image_tokens": tokens.image, "output_tokens": tokens.output}  # fmt: skip
    return base.setting("chip", fields)


def _claimed(options: Mapping[str, Any]) -> Path:
    """Return the folder of the search, ours from now on.

    Raises:
        RunFolderError: if it holds something else; it is left untouched.
    """
    from simdrive.eval.files import write_json
    from simdrive.eval.folder import differences, is_empty
    from simdrive.streams import digest

    config = {name: value for name, value in options.items() if name not in _NOT_CONTENT}
    name = f"search__{options['scenario']}__{options['agent']}__{digest(config, 8)}"
    out = Path(str(options["out"])) if options["out"] else Path("runs") / name
    path = out / "search_config.json"
    if is_empty(out):
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, {"format": FORMAT, **config})
        return out
    try:
        known = json_module.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict) or known.pop("format", None) != FORMAT:
        raise RunFolderError(
            f"{out} is not the folder of a search (no search_config.json of ours); it was left untouched"
        )
    lines = list(differences(known, json_module.loads(json_module.dumps(config))))
    if lines:
        shown = "\n".join(f"  {line}" for line in lines)
        raise RunFolderError(f"{out} holds another search:\n{shown}\ngive another folder with out=...")
    return out


def _finish(
    out: Path, study: Any, text: str, tables: Mapping[str, list[dict[str, Any]]], kept: int, json: bool
) -> None:
    import pandas as pd

    from simdrive.eval.files import write_json, write_text
    from simdrive.eval.summary import plain_values
    from simdrive.report.failures import search_facts

    facts = search_facts(study)
    facts |= {name: None if facts[name] is None else asdict(facts[name]) for name in ("weighted", "plain")}
    result = plain_values(facts | {"found": "found.yaml" if kept else None})
    write_json(out / "search.json", result)
    write_text(out / "search.txt", text + "\n")
    for name, records in tables.items():
        if records:
            write_text(out / f"{name}.csv", pd.DataFrame(records).to_csv(index=False))
    if json:
        print_json({"out": out.as_posix(), **result})
        return
    stdout().print(text, markup=False)
    suite = f"; drive the found cases: simdrive eval suite={(out / 'found.yaml').as_posix()}" if kept else ""
    stderr().print(f"search folder: {out.as_posix()} (search.png){suite}", markup=False)


def _name(options: Mapping[str, Any], field: str) -> str:
    if not isinstance(options[field], str):
        raise ParameterError(f"{field}=... is needed, one name, e.g. scenario=cut_out agent=idm")
    return str(options[field])
