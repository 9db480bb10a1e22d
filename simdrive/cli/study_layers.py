"""``simdrive study layers``: what the layers of a model show, before anything is distilled from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.words import parse_words
from simdrive.errors import ParameterError, UnknownNameError

SPLITS = ("train", "validation", "test")
OPTIONS: dict[str, Any] = {
    "model": None, "data": None, "split": "validation", "rows": 48, "batch": 8, "redraws": 200, "seed": 0,
    "answer_tokens": 64, "device": "auto", "dtype": "float32", "threads": 1, "out": None,
}  # fmt: skip
_WHOLE = {"rows": 2, "batch": 1, "redraws": 0, "seed": 0, "answer_tokens": 1, "threads": 1}


@guarded
def layers(
    words: list[str] = typer.Argument(None, help="key=value options, e.g. model=FOLDER 'data=[data/samples]'"),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Which layers of a model carry perception, reasoning and planning, and whether Drive-KD's choice of layers holds.

    Needed: model= (folder or name of the zoo) data=[...] (made by 'simdrive data'). Which samples: split=validation
    rows=48 (half critical). How: batch=8 answer_tokens=64 (at most) device=auto dtype=float32 threads=1. Verdicts are
    checked on redraws=200 sample sets drawn from seed=0. Text, JSON, CSV and a picture go to out=runs/layers__MODEL.
    """
    options = _checked({**OPTIONS, **parse_words(words, OPTIONS)})
    import dataclasses

    from simdrive.compress.layer_study.open import study_folder
    from simdrive.report.layers import choice_records, confidence_records, layer_records, layers_text
    from simdrive.report.layers_picture import layers_picture

    study = study_folder(options, lambda name: stderr().print(f"asking about {name}", markup=False))
    out = Path(str(options["out"] or f"runs/layers__{study.model}"))
    out.mkdir(parents=True, exist_ok=True)
    tables = {"layers": layer_records(study), "choices": choice_records(study), "confidence": confidence_records(study)}
    layers_picture(study, out / "layers.png")
    written(out, dataclasses.asdict(study), layers_text(study), tables)
    if json:
        from simdrive.eval.summary import plain_values

        print_json({"out": out.as_posix(), "study": "layers", **plain_values(dataclasses.asdict(study))})
        return
    stdout().print(layers_text(study), markup=False)
    stderr().print(f"study folder: {out.as_posix()}", markup=False)


def written(out: Path, found: dict[str, Any], text: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Write a study as JSON and text, and its tables as CSV."""
    import pandas as pd

    from simdrive.eval.files import write_json, write_text
    from simdrive.eval.summary import plain_values

    write_json(out / "layers.json", {"study": "layers", **plain_values(found)})
    write_text(out / "layers.txt", text + "\n")
    for name, records in tables.items():
        write_text(out / f"{name}.csv", pd.DataFrame(records).to_csv(index=False))


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    for name, example in (("model", "teacher"), ("data", "[data/samples]")):
        if not options[name]:
            raise ParameterError(f"{name}=... is needed, e.g. {name}={example}")
    if options["split"] not in SPLITS:
        raise UnknownNameError("split", str(options["split"]), SPLITS)
    for name, least in _WHOLE.items():
        value = options[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ParameterError(f"{name} must be a whole number of at least {least}, got {value!r}")
    listed = options["data"] if isinstance(options["data"], list) else [options["data"]]
    return {**options, "data": [str(folder) for folder in listed]}
