"""``simdrive study arms``: what the arms of an ablation come to, over training seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from simdrive.cli.console import guarded, print_json, stderr, stdout
from simdrive.cli.words import listed, parse_words
from simdrive.errors import ParameterError

OPTIONS: dict[str, Any] = {"of": None, "base": "supervised", "runs": None, "out": "runs/arms"}


@guarded
def arms(
    words: list[str] = typer.Argument(
        None, help="key=value options, e.g. 'of=[runs/ablation/1,runs/ablation/2,runs/ablation/3]'"
    ),
    json: bool = typer.Option(False, "--json", help="print one JSON object as the last line"),
) -> None:
    """Answers and failures of each arm of an ablation over training seeds, held against one of them.

    Needed: of=[...], one folder of 'simdrive compress' per training seed; its trained stages are the arms. base=supervised is
    what the others are held against. Failures are those of validation; runs=[...] names run folders in which all of them drove
    the same other cases. Text, JSON and CSV go to out=runs/arms.
    """
    options = {**OPTIONS, **parse_words(words or [], OPTIONS)}
    if not options["of"]:
        raise ParameterError("of=[...] is needed: folders of 'simdrive compress', one per training seed")
    import dataclasses

    import pandas as pd

    from simdrive.eval.files import write_json, write_text
    from simdrive.eval.studies.arms import arms_of, read_arms
    from simdrive.eval.summary import plain_values
    from simdrive.eval.weights import failures_by_weights
    from simdrive.report.arms import arm_records, arms_text

    folders = [str(one) for one in listed(options["of"])]
    runs = [str(one) for one in listed(options["runs"])] if options["runs"] else []
    found = arms_of(read_arms(folders, failures_by_weights(runs)), str(options["base"]))
    out, text = Path(str(options["out"])), arms_text(found)
    told = {"study": "arms", "base": str(options["base"]), "arms": [dataclasses.asdict(arm) for arm in found]}
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "arms.txt", text + "\n")
    write_text(out / "arms.csv", pd.DataFrame(arm_records(found)).to_csv(index=False))
    write_json(out / "arms.json", plain_values(told))
    if json:
        print_json({"out": out.as_posix(), **plain_values(told)})
        return
    stdout().print(text, markup=False)
    stderr().print(f"study folder: {out.as_posix()}", markup=False)
