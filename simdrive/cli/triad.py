"""``simdrive triad``: open-loop scores of models on recorded frames, beside the baselines that need no eyes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stdout
from simdrive.errors import ParameterError


@guarded
def triad(
    models: list[str] = typer.Argument(..., help="model folders, or names of the zoo"),
    data: list[Path] = typer.Option(..., "--data", help="folder of samples made by 'simdrive data' (repeatable)"),
    split: str = typer.Option("test", help="train, validation or test"),
    rows: int = typer.Option(1000, min=1, help="frames, half of them critical"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Score answers to the driving question and the triad: with pictures, with grey ones, with none, and the majority answer."""
    from simdrive.compress.samples import read_samples
    from simdrive.compress.triad import triad as scored
    from simdrive.compress.validate import balanced_rows

    if split not in ("train", "validation", "test"):
        raise ParameterError(f"split must be train, validation or test, got {split!r}")
    samples = read_samples(data, split)
    if not len(samples):
        raise ParameterError(f"the data hold no {split} samples; make more cases with 'simdrive data'")
    chosen = balanced_rows(samples, rows)
    found = [row.row() for row in scored(models, samples, chosen)]
    if json:
        print_json({"split": split, "frames": len(chosen), "rows": found})
        return
    stdout().print(f"{len(chosen)} frames of the {split} split; exact / balanced over answers, %", markup=False)
    _table(found)


def _table(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    titles = ("model", "sees", "perception", "reasoning", "planning", "speed error m/s", "brakes found", "for nothing",
              "unparsable")  # fmt: skip
    for title in titles:
        table.add_column(title, no_wrap=title in ("model", "sees"))
    for row in found:
        drives = row["driving"]
        topics = [f"{row[t]['exact']:.1%} / {row[t]['balanced']:.1%}" for t in ("perception", "reasoning", "planning")]
        speeds = " ".join(f"{value:.2f}" for value in drives["speed_error_mps"])
        shares = [f"{drives[name]:.1%}" for name in ("brakes_found", "brakes_for_nothing", "unparsable")]
        table.add_row(row["model"], row["sight"], *topics, speeds, *shares)
    stdout().print(table)
