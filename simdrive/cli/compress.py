"""``simdrive compress``: a model made by a recipe, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.build import config_names
from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.first_use import first_use
from simdrive.errors import ParameterError

_OPTIONS = ("recipe", "out", "workers")


@guarded
def compress(
    words: list[str] = typer.Argument(
        None, help="recipe=NAME out=FOLDER, the recipe's inputs, and changes: STAGE.FIELD=value"
    ),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
    dry_run: bool = typer.Option(False, "--dry-run", help="list the stages and run nothing"),
) -> None:
    """Run a recipe: data, training and whatever else makes a model out of nothing or out of another one.

    A recipe is a yaml file under configs/recipe, or one of your own. The same command continues where it stopped.
    Some recipes start from something, e.g. teacher=teacher (a model of the zoo, or a folder).
    STAGE.FIELD=value changes a field of one stage, e.g. expert.cases=2 or see.train.steps=50.
    """
    given, changes = parsed(words or [])
    if "recipe" not in given:
        raise ParameterError(f"say which recipe: recipe= one of {', '.join(config_names('recipe'))}, or a yaml file")
    from simdrive.compress.recipe import load_recipe, run_recipe

    name = str(given["recipe"])
    stages = load_recipe(name, changes, {key: value for key, value in given.items() if key not in _OPTIONS})
    if dry_run:
        for stage in stages:
            stdout().print(f"{stage.name}: {stage.kind} {dict(stage.settings)}", markup=False)
        return
    first_use()
    out = Path(str(given.get("out", f"runs/{Path(name).stem}")))
    done = run_recipe(stages, out, lambda line: stderr().print(line, markup=False), int(given.get("workers", 1)))
    seconds, peak = sum(one.seconds for one in done), max(one.peak_bytes for one in done)
    if json:
        print_json({"model": done[-1].result.as_posix(), "seconds": round(seconds, 1), "peak_bytes": peak,
                    "stages": {one.name: round(one.seconds, 1) for one in done}})  # fmt: skip
        return
    for one in done:
        stdout().print(f"{one.name:<20} {one.kind:<8} {one.seconds / 60:6.1f} min", markup=False)
    stdout().print(
        f"{done[-1].result.as_posix()} ({seconds / 60:.1f} minutes, {peak / 2**30:.1f} GiB at most)", markup=False
    )


def parsed(words: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return options and inputs, and changes as nested mappings by stage.

    Raises:
        ParameterError: if a word is no ``key=value``.
    """
    import yaml

    given: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign:
            raise ParameterError(f"{word!r} is not of the form key=value (for example recipe=teacher)")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ParameterError(f"{word!r}: the value cannot be read ({str(error).splitlines()[0]})") from error
        if "." not in key:
            given[key] = value
            continue
        *path, last = key.split(".")
        inner = changes
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return given, changes
