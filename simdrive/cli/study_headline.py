"""``simdrive study headline``: the family of models, all worlds, all chips; tables, picture, page, video."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from simdrive.cli.compress import parsed
from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.first_use import first_use
from simdrive.cli.progress import progress
from simdrive.cli.provenance import provenance
from simdrive.errors import ParameterError, UnknownNameError

_RUN = {"out": "runs/headline", "workers": 1, "batch": 128, "page": None, "only": None, "video": True, "config": None}


@guarded
def headline(
    words: list[str] = typer.Argument(
        None, help="e.g. 'variants={teacher: big.yaml, int4: small.yaml}' only=[long_tail]"
    ),
    quick: bool = typer.Option(
        False,
        "--quick",
        help="three cases per scenario and the recordings, no budgets, no split: minutes instead of hours",
    ),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """From models to the tables and figures of a results page: who is safer at the speed that each really reaches.

    variants= names who drives: an agent, or {agent: ..., charge: internvl3_8b/w16a16, FIELD: ...}; the first is the
    teacher. Worlds, chips, tokens, budgets: configs/headline.yaml; FIELD=value changes one, config=FILE replaces the file.
    only=[long_tail] drives a part; page=docs/results.md
    rewrites the generated part of a page; video=false leaves out the video of the most telling case. out=runs/headline
    workers=1 batch=128. The same command continues an interrupted study.
    """
    given, nested = parsed(words or [])
    options = {**_RUN, **({"out": "runs/headline_quick"} if quick else {})}
    options |= {key: value for key, value in given.items() if key in _RUN}
    changes = {key: value for key, value in given.items() if key not in _RUN} | nested
    config = _config(options["config"], changes, quick)
    plan = _plan(config)
    worlds = _chosen(config["worlds"], options["only"])
    out = Path(str(options["out"]))
    from simdrive.eval.studies.headline import study_headline

    first_use()
    with progress() as shown:
        opened = {name: _opener(name, world, config, out, options, shown) for name, world in worlds.items()}
        study = study_headline(plan, opened, next(iter(config["worlds"]), ""))
    _finish(study, out, options, json)


def _config(path: Any, changes: Mapping[str, Any], quick: bool) -> dict[str, Any]:
    import yaml

    from simdrive.build import CONFIG_ROOT

    source = CONFIG_ROOT / "headline.yaml" if path is None else Path(str(path))
    try:
        config = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ParameterError(f"{source} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict):
        raise ParameterError(f"{source} must hold a mapping like configs/headline.yaml")
    known = yaml.safe_load((CONFIG_ROOT / "headline.yaml").read_text(encoding="utf-8"))
    config = {**known, **config}
    if quick:
        config |= config["quick"]
    for key, value in {**config, **changes}.items():
        if key not in known:
            raise UnknownNameError("field of a headline study", key, tuple(known))
        deeper = isinstance(config.get(key), dict) and isinstance(value, dict) and key not in ("worlds", "variants")
        config[key] = {**config[key], **value} if deeper else value
    return config


def _plan(config: Mapping[str, Any]) -> Any:
    from simdrive.eval.grid import AgentConfig
    from simdrive.eval.studies.curve import Grid
    from simdrive.eval.studies.headline_plan import Chip, Plan, Variant
    from simdrive.eval.studies.paired import Criterion

    named = config["variants"]
    if not named:
        raise ParameterError(
            "variants= names nobody; name drivers, e.g. 'variants={teacher: big.yaml, student: small.yaml}'"
        )
    variants = []
    for name, value in named.items():
        entry = {"agent": value} if isinstance(value, str) else dict(value or {})
        architecture, sign, precision = str(entry.pop("charge", "") or "").rpartition("/")
        if (entry and "agent" not in entry) or (sign and not (architecture and precision)) or (precision and not sign):
            raise ParameterError(
                f"variant {name} is an agent, or has agent=, its fields, and charge=architecture/precision, got {value!r}"
            )
        variants.append(Variant(str(name), AgentConfig.of({"agent": str(name), **entry}), architecture, precision))
    chips = [Chip(each) if isinstance(each, str) else Chip(**each) for each in config["chips"]]
    given = config["budget"]
    grid = (
        Grid(tuple(map(float, given["delays"])), float(given["resolution_ms"]), float(given["most_ms"]))
        if given
        else None
    )
    criterion = Criterion(float(config["margin"]) / 100.0, float(config["confidence"]))
    references = tuple(AgentConfig.named(str(name)) for name in config["references"] or [])
    return Plan(tuple(variants), references, tuple(chips), str(config["runtime"]), dict(config["tokens"]), grid, criterion,
                _split(config["decompose"], [each.name for each in variants[1:]]))  # fmt: skip


def _split(given: Any, students: list[str]) -> tuple[str, ...]:
    """Return the students that ``decompose=`` means: all, none, or those it names."""
    if isinstance(given, list):
        return tuple(map(str, given))
    return tuple(students) if given else ()


def _chosen(worlds: Mapping[str, Any], only: Any) -> dict[str, Any]:
    if only is None:
        return dict(worlds)
    names = [str(name) for name in (only if isinstance(only, list) else [only])]
    for name in names:
        if name not in worlds:
            raise UnknownNameError("world of the headline study", name, tuple(worlds))
    return {name: world for name, world in worlds.items() if name in names}


def _opener(name: str, world: Any, config: Mapping[str, Any], out: Path, options: Mapping[str, Any], shown: Any) -> Any:
    """Return what opens the runs of a world when it is its turn."""
    from simdrive.cli.evaluate import narrowed
    from simdrive.eval.studies.headline import runs_in
    from simdrive.eval.studies.runs import StudyBase, StudyRuns
    from simdrive.scenarios.sampling import load_suite, suite_cases

    entry = {"suite": world} if isinstance(world, str) else dict(world)
    for key in entry:
        if key not in ("suite", "scenarios", "cases", "seed"):
            raise UnknownNameError(f"field of world {name}", key, ("suite", "scenarios", "cases", "seed"))

    def opened() -> Any:
        suite = narrowed(load_suite(str(entry["suite"])), entry.get("scenarios"), entry.get("cases"), entry.get("seed"))
        base = StudyBase(suite.name, suite.version, suite_cases(suite), config["mode"])
        return StudyRuns(base, runs_in(out, name), shown, int(options["workers"]), int(options["batch"]),
                         provenance())  # fmt: skip

    return opened


def _finish(study: Any, out: Path, options: Mapping[str, Any], json: bool) -> None:
    import dataclasses

    import pandas as pd

    from simdrive.eval.files import write_json, write_text
    from simdrive.eval.summary import plain_values
    from simdrive.report.headline import cost_records, drive_records, headline_markdown, headline_text, put_into
    from simdrive.report.headline_picture import headline_picture

    for name, records in (("drives", drive_records(study)), ("costs", cost_records(study))):
        write_text(out / f"{name}.csv", pd.DataFrame(records).to_csv(index=False))
    headline_picture(study, out / "frontier.png")
    text = headline_text(study)
    write_text(out / "headline.txt", text + "\n")
    told = plain_values({key: value for key, value in dataclasses.asdict(study).items() if key != "plan"})
    write_json(out / "headline.json", told)
    if options["page"] is not None:
        page = Path(str(options["page"]))
        before = page.read_text(encoding="utf-8") if page.is_file() else ""
        command = shlex.join(["simdrive", "study", "headline", *(word for word in sys.argv[3:] if word != "--json")])
        write_text(page, put_into(before, headline_markdown(study, command)))
    if json:
        print_json({"out": out.as_posix(), **told})
    else:
        stdout().print(text, markup=False)
        stderr().print(f"tables and picture: {out.as_posix()}", markup=False)
    if options["video"] and study.telling is not None:
        stderr().print(f"video: {_video(study, out).as_posix()}", markup=False)


def _video(study: Any, out: Path) -> Path:
    """Write the most telling case side by side: teacher and student, each at its own speed."""
    from simdrive.cli.record_panes import side_by_side_video

    chip, who = study.plan.chips[0].name, (study.plan.variants[0].name, study.telling.student)
    world = next(iter(study.worlds))
    runs = [d.folder for name in who for d in study.drives
            if (d.variant, d.world, d.whose, d.chip) == (name, world, "own", chip)]  # fmt: skip
    path = out / "telling.mp4"
    side_by_side_video([Path(run) for run in runs], list(who), study.telling.case_key, path)
    return path
