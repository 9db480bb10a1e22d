"""``simdrive merge``: the shards of a run become one run folder."""

from __future__ import annotations

from pathlib import Path

import typer

from simdrive.cli.console import guarded
from simdrive.cli.provenance import provenance


@guarded
def merge(
    shards: list[Path] = typer.Argument(..., help="run folders of all shards, in any order"),
    out: Path = typer.Option(..., "-o", "--out", help="folder of the whole run; new, or of an interrupted merge"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Join the shards of a run (simdrive eval ... shard=i/N) into the folder that one machine would have written."""
    from simdrive.cli.evaluate import summarise
    from simdrive.eval.merging import merge as merged

    store = merged(shards, out, {**provenance(), "shards": len(shards)})
    summarise(store, json)
