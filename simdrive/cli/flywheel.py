"""``simdrive flywheel``: where a student lags becomes data, the data a better student, and held-out cases decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from simdrive.build import config_names, load_config
from simdrive.cli.compress import parsed
from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.first_use import first_use
from simdrive.cli.naming import label
from simdrive.cli.progress import progress
from simdrive.errors import ParameterError, UnknownNameError

_OPTIONS = ("recipe", "student", "teacher", "data", "out", "workers")


@guarded
def flywheel(
    words: list[str] = typer.Argument(
        None, help="student= teacher= data= and changes of the recipe, e.g. rounds=2 verify.cases=30"
    ),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Improve a student round by round, and tell whether aiming at its weak kinds of cases was worth it.

    Needed: student= a model (folder or zoo name), teacher= a model or an agent, data= the samples it learned from. Each
    round the student is watched, the kinds of cases in which it lags most become new data, it is trained a little on
    them, and held-out cases decide. Beside it, in the same run, arms with equally many rows: chosen by failures alone,
    and at random. recipe=student (configs/flywheel, or a yaml file) rounds= out= workers=1; FIELD=value changes any
    field of the recipe; teacher={agent: teacher, dtype: bfloat16} one of an agent. The same command continues where it
    stopped.
    """
    given, nested = parsed(words or [])
    from simdrive.compress.flywheel.rounds import Flywheel, FlywheelRequest
    from simdrive.compress.flywheel.settings import flywheel_settings

    recipe = str(given.get("recipe", "student"))
    config = _changed(load_config("flywheel", recipe), {k: v for k, v in given.items() if k not in _OPTIONS} | nested)
    for name in ("student", "teacher", "data"):
        if not given.get(name):
            raise ParameterError(f"{name}=... is needed; recipes are {', '.join(config_names('flywheel'))}")
    settings = flywheel_settings(config)
    folders = given["data"] if isinstance(given["data"], list) else [given["data"]]
    out = Path(str(given.get("out", f"runs/flywheel__{label(recipe)}__{label(str(given['student']))}")))
    workers = given.get("workers", 1)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ParameterError(f"workers must be a whole number of at least 1, got {workers!r}")
    request = FlywheelRequest(
        str(given["student"]), given["teacher"], tuple(Path(str(f)) for f in folders), settings, out, workers
    )
    first_use()
    with progress() as shown:
        wheel = Flywheel(request, shown.note, shown)
        arms = wheel.turn()
        tests = _tests(wheel, settings, arms)
    _finish(arms, tests, out, json)


def _changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    from simdrive.compress.recipe import merged

    for key in changes:
        if key not in config:
            raise UnknownNameError("field of a flywheel", key, tuple(config))
    return merged(config, changes)


def _tests(wheel: Any, settings: Any, arms: Sequence[Any]) -> dict[tuple[str, str], Any]:
    """Hold every arm's last student against the first one, and the flywheel's against the other arms'."""
    from simdrive.compress.flywheel.judging import judge

    if not any(arm.rounds for arm in arms):
        return {}
    kinds, first = wheel.kinds(settings.test), wheel.failures(wheel.first, settings.test, "test")
    last = {arm.arm: wheel.failures(arm.driver, settings.test, "test") for arm in arms}
    aimed = {arm.arm: arm.targets for arm in arms}
    main = arms[0].arm
    tests = {("first", name): judge(first, after, kinds, aimed[name], settings.rule) for name, after in last.items()}
    others = {name: failed for name, failed in last.items() if name != main}
    return tests | {
        (name, main): judge(failed, last[main], kinds, aimed[main], settings.rule) for name, failed in others.items()
    }


def _finish(arms: Sequence[Any], tests: Mapping[tuple[str, str], Any], out: Path, json: bool) -> None:
    import dataclasses

    import pandas as pd

    from simdrive.eval.files import write_json, write_text
    from simdrive.eval.summary import plain_values
    from simdrive.report.flywheel import flywheel_text, round_records, slice_records
    from simdrive.report.flywheel_picture import flywheel_picture

    rounds = [each for arm in arms for each in arm.rounds]
    write_text(out / "rounds.csv", pd.DataFrame(round_records(rounds)).to_csv(index=False))
    write_text(out / "test.csv", pd.DataFrame(slice_records(tests)).to_csv(index=False))
    flywheel_picture(rounds, out / "flywheel.png")
    text = flywheel_text(rounds, tests)
    write_text(out / "flywheel.txt", text + "\n")
    told = {
        "out": out.as_posix(), "rounds": round_records(rounds),
        "students": {arm.arm: arm.driver.as_posix() for arm in arms},
        "tests": [{"before": b, "after": a, **dataclasses.asdict(found)} for (b, a), found in tests.items()],
    }  # fmt: skip
    write_json(out / "result.json", plain_values(told))
    if json:
        print_json(plain_values(told))
        return
    stdout().print(text, markup=False)
    for arm in arms:
        stdout().print(f"{arm.arm}: {arm.driver.as_posix()}", markup=False)
    stderr().print(f"tables and picture: {out.as_posix()}", markup=False)
