"""``simdrive verify``: verdicts of the reference drivers that regulations name."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError

if TYPE_CHECKING:
    from simdrive.r157.cases import CaseTable
    from simdrive.r157.verdict import Verdicts

app = typer.Typer(help="Verdicts of the reference drivers that regulations name.", no_args_is_help=True)

JSON = typer.Option(False, "--json", help="print one JSON object as the last line")
GRID = typer.Option(None, "--grid", help="no file: the published grid of cut_in, cut_out or deceleration")
WORDS = typer.Argument(None, help="cases.csv (not with --grid) and key=value options")


@app.callback()
def _root() -> None:
    """Keep ``r157`` a sub-command of its own."""


@app.command("r157")
@guarded
def r157(words: list[str] = WORDS, grid: str = GRID, json: bool = JSON) -> None:
    """UN R157: does the reference driver come through a cut-in, a cut-out, a deceleration of the leader?

    Columns of cases.csv: scenario (cut_in, cut_out, deceleration), ego_speed_kph, other_speed_kph (empty or 0 outside
    cut_in: as fast as the ego), dx0_m (cut_in: bumper to bumper as it begins; cut_out: leader to stopped car),
    lateral_speed_mps, decel_mps2, model (CC_human_driver, Reg157, RSS, FSM), ego_lead_gap_m (cut_out, deceleration;
    empty: the gap at which that driver follows). Added: collision (0 or 1), min_ttc_s (empty where none).

    Options: out=verdicts.csv frequency_hz=10 models=[RSS,FSM] (with --grid; default: all that it is defined for)
    """
    files = [word for word in words or [] if "=" not in word]
    options = parse_words([word for word in words or [] if "=" in word], ("out", "frequency_hz", "models"))
    if len(files) != (0 if grid else 1):
        wanted = "no file with --grid" if grid else "one file of cases, or --grid cut_in"
        raise ParameterError(f"{' '.join(files) or 'no file'}: give {wanted}")
    frequency_hz = options.get("frequency_hz", 10)
    if not isinstance(frequency_hz, int | float) or isinstance(frequency_hz, bool) or not 5 <= frequency_hz <= 1000:
        raise ParameterError(f"frequency_hz: must be a number between 5 and 1000, got {frequency_hz!r}")
    if "out" not in options:
        raise ParameterError("out=... is needed: the csv file for the verdicts, e.g. out=verdicts.csv")
    out = Path(str(options["out"]))
    from simdrive.r157.cases import read_cases, write_verdicts
    from simdrive.r157.verdict import judge

    started = time.perf_counter()
    table = _grid(grid, options.get("models")) if grid else read_cases(Path(files[0]))
    for sentence in table.ignored:
        stderr().print(f"note: {sentence}", markup=False)
    verdicts = judge(table.cases, float(frequency_hz))
    write_verdicts(out, table, verdicts)
    result = _summary(table, verdicts, out, time.perf_counter() - started)
    if json:
        print_json(result)
        return
    _show(result)


def _grid(name: str, models: Any) -> CaseTable:
    from simdrive.r157.cases import COLUMNS, parse
    from simdrive.r157.grids import grid

    chosen = models if isinstance(models, list) else [] if models is None else [models]
    return parse(COLUMNS, list(enumerate(grid(name, tuple(str(m) for m in chosen)), start=2)), f"--grid {name}")


def _summary(table: CaseTable, verdicts: Verdicts, out: Path, seconds: float) -> dict[str, Any]:
    from simdrive.r157.parameters import MODELS, SCENARIOS

    counts: dict[str, dict[str, dict[str, int]]] = {}
    for s, scenario in enumerate(SCENARIOS):
        for m, model in enumerate(MODELS):
            rows = (table.cases.scenario == s) & (table.cases.model == m)
            if rows.any():
                unavoidable = int(verdicts.collision[rows].sum())
                counts.setdefault(scenario, {})[model] = {
                    "rows": int(rows.sum()),
                    "collisions": unavoidable,
                    "avoidable": int(rows.sum()) - unavoidable,
                }
    return {
        "rows": len(table.rows),
        "collisions": int(verdicts.collision.sum()),
        "by_scenario": counts,
        "ignored": list(table.ignored),
        "seconds": round(seconds, 3),
        "out": str(out),
    }


def _show(result: Mapping[str, Any]) -> None:
    from rich.table import Table

    shown = Table(title="UN R157 reference drivers", title_justify="left")
    for name in ("scenario", "driver", "cases", "collisions", "avoidable"):
        shown.add_column(name, justify="left" if name in ("scenario", "driver") else "right")
    for scenario, models in result["by_scenario"].items():
        for model, count in models.items():
            shown.add_row(scenario, model, *(str(count[key]) for key in ("rows", "collisions", "avoidable")))
    console = stdout()
    console.print(shown)
    console.print(f"{result['rows']} rows in {result['seconds']:.1f} s, written to {result['out']}", markup=False)
