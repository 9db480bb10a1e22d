"""``simdrive shadow``: two drivers answer the same observations; where they differ, and whether that foretells failure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.corrupted import take_corruption
from simdrive.cli.first_use import first_use
from simdrive.cli.naming import label
from simdrive.cli.progress import progress
from simdrive.cli.words import number, parse_words, whole
from simdrive.errors import ParameterError, UnknownNameError

DEFAULTS: dict[str, Any] = {
    "teacher": None, "student": None, "source": "long_tail_v1", "driver": "student", "scenarios": None, "cases": None,
    "seed": None, "period_ms": 200.0, "by": None, "threshold": 2.0, "top": 24, "split": "validation", "rows": 1000,
    "out": None, "workers": 1, "batch": 64,
}  # fmt: skip


@guarded
def shadow(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. teacher=expert student=idm source=smoke"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Let two drivers answer the same observations and rank the moments in which they differ.

    Needed: teacher= student= (agents; with a data folder: models). source= a suite, a run folder (its cases), or a folder
    of 'simdrive data' (its stored frames, split=validation rows=1000; also the triad). A suite: cases= seed= scenarios=.
    driver=student (its own states, and whether difference foretells its failures) | teacher | any agent. corruption=NAME
    as in 'simdrive eval'. by=waypoint_m | speed_mps | lateral_m | brakes_later_s ranks; threshold=2 of it counts as
    divergence; top=24 frames on the page. period_ms=200 between observations. Run: out= workers=1 batch=64.
    """
    rest, *corruption = take_corruption(words or [])
    options = {**DEFAULTS, **parse_words(rest, DEFAULTS)}
    for name in ("teacher", "student"):
        if not isinstance(options[name], str | Mapping):
            raise ParameterError(f"{name}=... is needed, e.g. teacher=expert student=idm")
    parts = [label(options[name]) for name in ("teacher", "student", "source")]
    out = Path(str(options["out"] or "__".join(("runs/shadow", *parts))))
    folder = Path(str(options["source"]))
    if folder.is_dir() and not (folder / "run.json").is_file():
        _stored(options, corruption, folder, out, json)
        return
    _driven(options, corruption, out, json)


def _driven(options: Mapping[str, Any], corruption: list[Any], out: Path, json: bool) -> None:
    from simdrive.compress.shadow.driving import ShadowRequest, read_shadow, shadow
    from simdrive.compress.shadow.foretelling import by_case, foretold
    from simdrive.eval.corruptions import corruption_grid
    from simdrive.eval.grid import AgentConfig
    from simdrive.streams import stream

    teacher, student = AgentConfig.of(options["teacher"]), AgentConfig.of(options["student"])
    known = {"teacher": teacher, "student": student}
    driver = known.get(str(options["driver"])) or AgentConfig.of(options["driver"])
    request = ShadowRequest(
        teacher, student, driver, _cases(options), corruption_grid(*corruption),
        number("period_ms", options["period_ms"], above=0.0), str(options["by"] or "waypoint_m"),
    )  # fmt: skip
    workers, batch = whole("workers", options["workers"], 1), whole("batch", options["batch"], 1)
    first_use()
    with progress() as shown:
        shown.stage("cases", len(request.cases) * len(request.corruptions))
        for count in shadow(request, out, workers, batch):
            shown.advance(count)
    config, frames, episodes = read_shadow(out)
    found = None
    if request.on_policy:
        episodes["key"] = episodes["case_key"] + " " + episodes["corruption"]
        keyed = frames.assign(case_key=frames["case_key"] + " " + frames["corruption"])
        cases = by_case(keyed, request.by, number("threshold", options["threshold"], above=0.0))
        joined = episodes.merge(cases, left_on="key", right_on="case_key", suffixes=("", "_of"))
        found = foretold(
            joined["largest"].to_numpy(float), joined["failure"].to_numpy(float), stream(request.cases[0].key, "shadow")
        )
        _table(out / "cases.csv", joined.drop(columns=["key", "case_key_of"]))
    _finish(config, frames, found, options, out, json)


def _stored(options: Mapping[str, Any], corruption: list[Any], folder: Path, out: Path, json: bool) -> None:
    from simdrive.compress.shadow.stored import MEASURES, SLICES, stored_differences

    given = [name for name in ("driver", "scenarios", "cases", "seed", "period_ms", "threshold")
             if options[name] != DEFAULTS[name]]  # fmt: skip
    if given or corruption != ["none", {}]:
        raise ParameterError(f"{', '.join(given) or 'corruption'}: stored frames are as they are; leave this out")
    for name in ("teacher", "student"):
        if not isinstance(options[name], str):
            raise ParameterError(
                f"{name} of stored frames is a model: a folder, or a name of the zoo, got {options[name]!r}"
            )
    by = str(options["by"] or "speed_mps")
    if by not in MEASURES:
        raise UnknownNameError("measure of stored frames", by, MEASURES)
    frames = stored_differences(
        options["teacher"], options["student"], folder, str(options["split"]), whole("rows", options["rows"], 1), by,
        whole("top", options["top"], 1),
    )  # fmt: skip
    config = {"teacher": {"name": label(options["teacher"])}, "student": {"name": label(options["student"])},
              "driver": {"name": "whoever made the data"}, "by": by}  # fmt: skip
    _finish(config, frames, None, options, out, json, SLICES)


def _finish(
    config: Mapping[str, Any], frames: Any, found: Any, options: Mapping[str, Any], out: Path, json: bool,
    slices: tuple[str, ...] | None = None,
) -> None:  # fmt: skip
    """Rank, write tables and the page, and print."""
    import dataclasses

    import pandas as pd

    from simdrive.compress.shadow.ranking import ranked
    from simdrive.compress.shadow.slices import SLICES
    from simdrive.eval.files import write_json, write_text
    from simdrive.eval.summary import plain_values
    from simdrive.report.shadow import shadow_text, slice_records
    from simdrive.report.shadow_page import shadow_page

    if not frames[config["by"]].notna().any():
        raise ParameterError("there is no observation that both drivers answered; see the status columns in parts/")
    found_slices = ranked(frames, config["by"], slices or SLICES)
    out.mkdir(parents=True, exist_ok=True)
    _table(out / "slices.csv", pd.DataFrame(slice_records(found_slices)))
    write_text(out / "shadow.html", shadow_page(config, frames, found_slices, found, whole("top", options["top"], 1)))
    told = {
        "out": out.as_posix(), "observations": len(frames), "cases": int(frames["case_key"].nunique()), "by": config["by"],
        "mean": float(frames[config["by"]].mean()), "slices": slice_records(found_slices),
        "foretold": None if found is None else dataclasses.asdict(found),
    }  # fmt: skip
    write_json(out / "shadow.json", plain_values(told))
    text = shadow_text(config, frames, found_slices, found)
    write_text(out / "shadow.txt", text + "\n")
    if json:
        print_json(plain_values(told))
        return
    stdout().print(text, markup=False)
    stderr().print(f"page: {(out / 'shadow.html').as_posix()}", markup=False)


def _table(path: Path, frame: Any) -> None:
    from simdrive.eval.files import write_text

    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, frame.to_csv(index=False))


def _cases(options: Mapping[str, Any]) -> tuple[Any, ...]:
    from simdrive.cli.evaluate import narrowed
    from simdrive.scenarios.sampling import load_suite, suite_cases

    source = str(options["source"])
    if (Path(source) / "run.json").is_file():
        from simdrive.eval.plan import planned_episodes
        from simdrive.eval.store import RunStore

        given = [name for name in ("cases", "seed", "scenarios") if options[name] is not None]
        if given:
            raise ParameterError(f"{', '.join(given)}: the cases are those of {source}; leave this out")
        return tuple(dict.fromkeys(entry.case for entry in planned_episodes(RunStore.open(source).plan)))
    return suite_cases(narrowed(load_suite(source), options["scenarios"], options["cases"], options["seed"]))
