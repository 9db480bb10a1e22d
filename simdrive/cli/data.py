"""``simdrive data``: driving samples with exact answers, for training."""

from __future__ import annotations

from pathlib import Path

import typer

from simdrive.cli import data_items
from simdrive.cli.compose import compose_config
from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.first_use import first_use
from simdrive.cli.progress import progress


@guarded
def data(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. cases=20 out=data/samples"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Drive cases and write what was seen with the expert's exact answers, as parquet shards.

    Options (key=value, defaults in configs/data.yaml): suite, seed, cases, control, out, agent, model_share, labels,
    number, workers, batch, keep_critical, keep_calm, cameras, frame_offsets_us. The same command continues where it stopped.

    'simdrive data export data=[data/samples] out=data/items' writes samples as Drive-KD items (PNG pictures and one JSON
    list per split); frames=newest (or all: newest first) rows=500 (at most, per split) style=plan format=drive_kd.

    'simdrive data check FILE' reads such a file: items per type, images per camera, faults; unknown=error (or skip)
    images=true. Exits with 2 if an item cannot be used.
    """
    if words and words[0] in ("export", "check"):
        (data_items.export if words[0] == "export" else data_items.check)(words[1:], json)
        return
    config = compose_config("data", words or [])
    first_use()
    from simdrive.compress.data import data_cases, make_data, splits
    from simdrive.compress.requests import data_request

    request = data_request(config)

    out = Path(str(config["out"]))
    samples = cases = 0
    chosen = data_cases(request)
    with progress() as shown:
        shown.stage("cases", len(chosen))
        for shard in make_data(request, out, int(config["workers"])):
            samples, cases = samples + shard.samples, cases + shard.cases
            shown.advance(shard.cases)
    shown_cases = splits(chosen)
    if json:
        print_json({"out": out.as_posix(), "samples": samples, "cases": cases, "splits": shown_cases})
        return
    stdout().print(f"{samples} samples of {cases} cases; cases per split: {shown_cases}", markup=False)
    stderr().print(f"data folder: {out.as_posix()}", markup=False)
