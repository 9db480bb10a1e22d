"""``simdrive import``: traffic that others recorded, as a suite to drive in."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError

app = typer.Typer(help="Recorded traffic as a suite.", no_args_is_help=True)

JSON = typer.Option(False, "--json", help="print one JSON object as the last line")
WORDS = typer.Argument(None, help="CommonRoad XML files (2018b, 2020a) and out=FOLDER")
_TRAFFIC = ("replay", "reactive")


@app.callback()
def _root() -> None:
    """Keep ``commonroad`` a sub-command of its own."""


@app.command("commonroad")
@guarded
def commonroad(words: list[str] = WORDS, json: bool = JSON) -> None:
    """Check CommonRoad files, replay each to measure its track error, and say what is not used.

    Options: out=FOLDER (writes a suite of the files there: simdrive eval suite=FOLDER/suite.yaml). A file with several
    planning problems gives one recording for each; in one without any, the ego takes the place of a recorded vehicle.
    """
    files = [Path(word) for word in words or [] if "=" not in word or Path(word).is_file()]
    names = {str(file) for file in files}
    options = parse_words([word for word in words or [] if word not in names], ("out",))
    if not files:
        raise ParameterError("no file was given; name at least one CommonRoad XML file")
    stems = [file.stem for file in files]
    for stem in stems:
        if stems.count(stem) > 1:
            raise ParameterError(f"{stem}.xml is given twice; recordings are named by their files, rename one of them")
        if ":" in stem:
            raise ParameterError(f"{stem}.xml: names with a colon stand for planning problems; rename the file")
    from simdrive.cli.first_use import first_use

    first_use()
    reports = [_report(file) for file in files]
    rows = [row for report in reports for row in report["recordings"]]
    errors = [row["max_track_error_m"] for row in rows if not math.isnan(row["max_track_error_m"])]
    result: dict[str, Any] = {
        "imported": len(reports),
        "recordings": len(rows),
        "max_track_error_m": max(errors, default=math.nan),
        "skipped": [{"file": report["file"], **row} for report in reports for row in report["skipped"]],
        "files": reports,
        "suite": None,
    }
    if "out" in options:
        result["suite"] = _write(Path(str(options["out"])), files, rows).as_posix()
    _show(result)
    if json:
        print_json(result)


def _report(file: Path) -> dict[str, Any]:
    """Read one file, build both worlds of each problem, and replay them."""
    import numpy as np

    from simdrive.scenarios.commonroad.read import read_recording
    from simdrive.scenarios.commonroad.recording import Skipped
    from simdrive.scenarios.commonroad.replay import track_error_m
    from simdrive.scenarios.commonroad.world import build_world, problems_of
    from simdrive.sim.worlds import Worlds

    recording = read_recording(file)
    problems, skipped, rows = problems_of(recording), Skipped(recording.skipped.counts.copy()), []
    for problem in problems:
        name = file.stem if len(problems) == 1 else f"{file.stem}:{problem.id}"
        placed = build_world(recording, problem, np.random.default_rng(0), reactive=False, skipped=skipped)
        error, states = track_error_m(recording, placed)
        again = Skipped()
        driven = build_world(recording, problem, np.random.default_rng(0), reactive=True, skipped=again)
        Worlds([driven.spec])
        skipped.counts.update({key: n for key, n in again.counts.items() if key[1].startswith("reactive")})
        rows.append({
            "name": name,
            "actors": len(placed.spec.actors),
            "states": states,
            "max_track_error_m": error,
            "goal_m": placed.spec.goal_m,
            "time_limit_s": placed.spec.time_limit_s,
            "ego": "planning problem" if problem.replaces is None else f"in the place of recorded vehicle {problem.id}",
        })  # fmt: skip
    return {
        "file": file.as_posix(),
        "benchmark": recording.name,
        "version": recording.version,
        "lanelets": len(recording.lanelets),
        "obstacles": len(recording.obstacles),
        "recordings": rows,
        "skipped": skipped.rows(),
    }


def _write(out: Path, files: list[Path], rows: list[dict[str, Any]]) -> Path:
    """Copy the files and write a scenario and a suite beside them; the content names the scenario."""
    import yaml

    from simdrive.scenarios.recorded import file_sum
    from simdrive.streams import digest

    if out.exists() and not out.is_dir():
        raise ParameterError(f"out={out}: is a file; name a folder")
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = out / f"{file.stem}.xml"
        if not (target.exists() and target.samefile(file)):
            shutil.copyfile(file, target)
    sums = {str(row["name"]): file_sum(out / f"{str(row['name']).partition(':')[0]}.xml") for row in rows}
    scenario = out / f"recorded-{digest(sums, 8)}.yaml"
    entry = {"_target_": "simdrive.scenarios.recorded.Recorded", "folder": out.as_posix(), "recordings": sums}
    suite = {
        "name": out.name or "recorded",
        "version": 1,
        "description": "Imported CommonRoad recordings, their traffic once replayed and once driven by IDM.",
        "seed": 0,
        "entries": [{"scenario": scenario.as_posix(), "grid": {"recording": list(sums), "traffic": list(_TRAFFIC)}}],
    }
    scenario.write_text(yaml.safe_dump(entry, sort_keys=False), encoding="utf-8")
    path = out / "suite.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    return path


def _show(result: dict[str, Any]) -> None:
    from rich.table import Table

    shown = Table(title="CommonRoad recordings", title_justify="left")
    for name in ("recording", "actors", "states compared", "track error in m", "goal in m", "time in s"):
        shown.add_column(name, justify="left" if name == "recording" else "right")
    for report in result["files"]:
        for row in report["recordings"]:
            error = row["max_track_error_m"]
            shown.add_row(
                row["name"], str(row["actors"]), str(row["states"]), "-" if math.isnan(error) else f"{error:.2g}",
                f"{row['goal_m']:.0f}", f"{row['time_limit_s']:.1f}",
            )  # fmt: skip
            if row["ego"] != "planning problem":
                stderr().print(f"note: {row['name']}: no <planningProblem>; the ego drives {row['ego']}", markup=False)
    console = stdout()
    console.print(shown)
    for row in result["skipped"]:
        line = f"not used: {Path(row['file']).name}: {row['count']} x <{row['element']}>: {row['reason']}"
        console.print(line, markup=False)
    if result["suite"]:
        console.print(f"suite written: simdrive eval suite={result['suite']} 'agents=[idm,expert]'", markup=False)
